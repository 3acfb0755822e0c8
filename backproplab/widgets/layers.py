"""Rows, their order and their coordinates: the inside of layout.py.

The method is Sugiyama's: rows by longest paths, dummies for long arrows, barycentre
sweeps against crossings, then coordinates by least squares, each row solved exactly.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP = 30.0  # between neighbours in a row
ROW = 42.0  # between rows
PAD, HEAD = 10.0, 20.0  # of a frame around a module


@dataclass(slots=True, eq=False)
class Slot:
    """A place in a row: a box with those at its sides, or a dummy of a long arrow.

    Attributes:
        key: of the box; None for a dummy.
        frames: keys of the frames it stands in, outermost first.
        reach: from the middle of the box, leftwards and rightwards.
        height: of the tallest part; a dummy's is that of its row.
        above: neighbours in the row above, with the weight of the link.
        below: neighbours in the row below.
        row: from the top, 0 first.
        at: place within the row.
        x: middle of the box.
        y: middle of the box.
    """

    key: str | None
    frames: tuple[str, ...]
    reach: tuple[float, float] = (5.0, 5.0)
    height: float = 0.0
    above: list[tuple["Slot", float]] = field(default_factory=list)
    below: list[tuple["Slot", float]] = field(default_factory=list)
    row: int = 0
    at: int = 0
    x: float = 0.0
    y: float = 0.0


Row = list[Slot]
Trunks = dict[tuple[str, int], Slot]  # (source, row) -> dummy


def arrange(slots: dict[str, Slot], links: Sequence[tuple[str, str]]) -> Trunks:
    """Set ``row``, ``x`` and ``y`` of all slots.

    Args:
        slots: by key, sources before targets.
        links: pairs (source, target), each once.

    Returns:
        the dummies that long arrows pass; arrows from one source share a trunk of them.
    """
    _assign_rows(slots, links)
    rows, trunks = _fill_rows(slots, links)
    _order(rows)
    _across(rows)
    _down(rows)
    return trunks


def common(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    """Longest common beginning.

    >>> common(("net", "fc1"), ("net", "fc2"))
    ('net',)
    """
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


def _assign_rows(slots: dict[str, Slot], links: Sequence[tuple[str, str]]) -> None:
    """Longest path from the top; then towards the consumers where that is no longer."""
    up, down = defaultdict(list), defaultdict(list)
    for s, t in links:
        up[t].append(s)
        down[s].append(t)
    for key, slot in slots.items():
        slot.row = max((slots[s].row + 1 for s in up[key]), default=0)
    for key, slot in reversed(slots.items()):
        if down[key] and len(up[key]) <= len(down[key]):
            slot.row = min(slots[t].row for t in down[key]) - 1


def _fill_rows(
    slots: dict[str, Slot], links: Sequence[tuple[str, str]]
) -> tuple[list[Row], Trunks]:
    rows: list[Row] = [
        [] for _ in range(1 + max((s.row for s in slots.values()), default=-1))
    ]
    trunks: Trunks = {}
    for slot in slots.values():
        rows[slot.row].append(slot)
    for s, t in links:
        last = slots[s]
        for r in range(slots[s].row + 1, slots[t].row):
            dummy = trunks.get((s, r))
            if dummy is None:
                frames = common(slots[s].frames, slots[t].frames)
                dummy = trunks[s, r] = Slot(None, frames, row=r)
                rows[r].append(dummy)
            _join(last, dummy)
            last = dummy
        _join(last, slots[t])
    for row in rows:
        _number(row)
    return rows, trunks


def _join(a: Slot, b: Slot) -> None:
    if any(n is b for n, _ in a.below):
        return
    weight = 1.0 + 2.0 * (a.key is None) + 2.0 * (b.key is None)
    a.below.append((b, weight))
    b.above.append((a, weight))


def _number(row: Row) -> None:
    for i, slot in enumerate(row):
        slot.at = i


def _order(rows: list[Row]) -> None:
    """Sort each row by barycentres, members of a frame side by side; keep the best."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(12):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            _sort(row, downwards)
            _number(row)
        crossings = _crossings(rows)
        if crossings < fewest or sweep == 0:
            best, fewest = [list(row) for row in rows], crossings
        if not fewest:
            break
    rows[:] = best


def _sort(row: Row, downwards: bool) -> None:
    centre: dict[int, float] = {}
    members: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for slot in row:
        near = [n.at for n, _ in (slot.above if downwards else slot.below)]
        c = centre[id(slot)] = sum(near) / len(near) if near else float(slot.at)
        for depth in range(len(slot.frames)):
            members[slot.frames[: depth + 1]].append(c)

    def rank(slot: Slot) -> list[tuple[float, str]]:
        paths = [slot.frames[: d + 1] for d in range(len(slot.frames))]
        means = [(sum(members[p]) / len(members[p]), p[-1]) for p in paths]
        return [*means, (centre[id(slot)], "")]

    row.sort(key=rank)


def _crossings(rows: Iterable[Row]) -> int:
    count = 0
    for row in rows:
        seen: list[int] = []
        for slot in row:
            ends = [n.at for n, _ in slot.below]
            count += sum(e < s for e in ends for s in seen)
            seen += ends
    return count


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
