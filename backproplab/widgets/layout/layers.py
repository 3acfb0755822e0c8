"""Rows of a layered layout, and the order within each.

The method is Sugiyama's: rows by longest paths, dummies for long arrows, barycentre
sweeps against crossings; where in a row each stands is worked out in ``coordinates``.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


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


def rows_of(
    slots: dict[str, Slot], links: Sequence[tuple[str, str]]
) -> tuple[list[Row], Trunks]:
    """Set ``row`` and ``at`` of all slots, so that few arrows cross.

    Args:
        slots: by key, sources before targets.
        links: pairs (source, target), each once.

    Returns:
        the rows from the top, dummies among them; and the dummies that long arrows
        pass: arrows from one source share a trunk of them.
    """
    _assign_rows(slots, links)
    rows, trunks = _fill_rows(slots, links)
    _order(rows)
    return rows, trunks


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
