"""Where each slot of a row stands, by least squares solved exactly; and each row."""

from collections.abc import Sequence
from itertools import pairwise

from .layers import Row, Slot, common

GAP = 30.0  # between neighbours in a row
ROW = 42.0  # between rows
PAD, HEAD = 10.0, 20.0  # of a frame around a module


def assign(rows: list[Row]) -> None:
    """Set ``x`` and ``y`` of all slots of ordered rows."""
    _across(rows)
    _down(rows)


def _across(rows: list[Row]) -> None:
    """Coordinates within rows: short arrows, straight trunks, no overlap."""
    for row in rows:
        _solve(row, [(0.0, 1.0)] * len(row))
    for sweep in range(40):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            goals = []
            for slot in row:
                near = slot.above + slot.below
                if sweep < 4:
                    near = (slot.above if downwards else slot.below) or near
                weight = sum(w for _, w in near)
                pull = sum(w * n.x for n, w in near)
                goals.append((pull / weight, weight) if near else (slot.x, 0.1))
            _solve(row, goals)
    _straighten(rows)


def _straighten(rows: list[Row]) -> None:
    """Bring each trunk, and each line of boxes, to one vertical; boxes come first."""
    lines = _lines(rows)
    length = {id(s): len(line) for line in lines for s in line}
    goal: dict[int, float] = {}
    for line in lines:
        goal.update((id(s), sum(s.x for s in line) / len(line)) for s in line)
    for _ in range(6):
        for row in rows:
            firm = [(length[id(s)] ** 2 if s.key else 0.01) for s in row]
            _solve(row, [(goal[id(s)], w) for s, w in zip(row, firm, strict=True)])
        for line in lines:
            pushed = [s.x - goal[id(s)] for s in line]
            right, left = max(*pushed, 0.0), min(*pushed, 0.0)
            # Where one side only is in the way, the whole line moves over.
            move = (
                right
                if left > -0.5
                else left
                if right < 0.5
                else sum(pushed) / len(line)
            )
            goal.update((id(s), goal[id(s)] + move) for s in line)
            alone = line[0]
            if len(line) == 1 and alone.key is not None:
                near = [n.x for n, _ in alone.above + alone.below if n.key is not None]
                goal[id(alone)] = sum(near) / len(near) if near else alone.x


def _lines(rows: list[Row]) -> list[Row]:
    """Every slot once, in lines of what should stand below each other."""
    lines, seen = [], set()
    for row in rows:
        for slot in row:
            line: Row = []
            following: Slot | None = slot
            while following is not None and id(following) not in seen:
                seen.add(id(following))
                line.append(following)
                following = _main(following)
            if line:
                lines.append(line)
    return lines


def _main(slot: Slot) -> Slot | None:
    """What continues a line: the only box below whose only box above this is."""
    box = slot.key is not None
    below = [n for n, _ in slot.below if (n.key is not None) is box]
    if len(below) != 1:
        return None
    above = [n for n, _ in below[0].above if (n.key is not None) is box]
    return below[0] if len(above) == 1 else None


def _solve(row: Row, goals: Sequence[tuple[float, float]]) -> None:
    """Least squares under ``x[i] + distance[i] <= x[i+1]``: pool adjacent violators."""
    offsets = [0.0]
    for a, b in pairwise(row):
        strange = len(a.frames) + len(b.frames) - 2 * len(common(a.frames, b.frames))
        thin = (a.key is None) + (b.key is None)
        gap = GAP - 6.0 * thin + PAD * strange
        offsets.append(offsets[-1] + a.reach[1] + gap + b.reach[0])
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for (goal, weight), offset in zip(goals, offsets, strict=False):
        mean, count = goal - offset, 1
        while pools and pools[-1][0] > mean:
            m, w, n = pools.pop()
            mean = (mean * weight + m * w) / (weight + w)
            weight, count = weight + w, count + n
        pools.append((mean, weight, count))
    means = [m for m, _, n in pools for _ in range(n)]
    for slot, m, offset in zip(row, means, offsets, strict=False):
        slot.x = m + offset


def _down(rows: list[Row]) -> None:
    """Row by row downwards, with room for the frames that end and begin in between."""
    last: dict[str, int] = {}
    first: dict[str, int] = {}
    for r, row in enumerate(rows):
        for f in {f for slot in row if slot.key is not None for f in slot.frames}:
            first.setdefault(f, r)
            last[f] = r
    y = 0.0
    for r, row in enumerate(rows):
        frames = [slot.frames for slot in row if slot.key is not None]
        y += (PAD + HEAD) * max(
            (sum(first[f] == r for f in fs) for fs in frames), default=0
        )
        height = max((slot.height for slot in row), default=0.0)
        for slot in row:
            slot.y = y + height / 2
            if slot.key is None:
                slot.height = height
        y += height + ROW
        y += PAD * max((sum(last[f] == r for f in fs) for fs in frames), default=0)
