"""The way of each arrow between boxes that have their places."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from .boxes import Arrow, Route, Spot
from .layers import Slot, Trunks


def routes(
    arrows: Sequence[Arrow],
    hosts: dict[str, str],
    spots: dict[str, Spot],
    slots: dict[str, Slot],
    trunks: Trunks,
) -> list[Route]:
    """The way of each arrow: along its trunk, else as straight as boxes let it.

    Args:
        arrows: in their order.
        hosts: box at a side -> the box that it stands beside.
        spots: of all boxes.
        slots: of the boxes that stand in rows.
        trunks: the dummies that long arrows pass.
    """
    ways: list[list[tuple[float, float]]] = []
    arriving: dict[str, list[int]] = defaultdict(list)
    long: Counter[str] = Counter()
    for i, a in enumerate(arrows):
        s, t = spots[a.source], spots[a.target]
        if a.source in hosts:
            on_left = s.x < t.x
            ways.append(
                [(s.right, s.cy), (t.x, s.cy)]
                if on_left
                else [(s.x, s.cy), (t.right, s.cy)]
            )
            continue
        between = range(slots[a.source].row + 1, slots[a.target].row)
        passed = [trunks[a.source, r] for r in between]
        ends = [(d.x, d.y + sign * d.height / 2) for d in passed for sign in (-1, 1)]
        ways.append([(s.cx, s.bottom), *ends])
        arriving[a.target].append(i)
        long[a.source] += bool(passed)
    for target, several in arriving.items():
        t = spots[target]
        several.sort(key=lambda i: (ways[i][-1][0], i))
        step = min(48.0, 0.75 * t.width / max(len(several) - 1, 1))
        for n, i in enumerate(several):
            ways[i].append((t.cx + step * (n - (len(several) - 1) / 2), t.y))
            if long[arrows[i].source] < 2:  # else it stays on the common trunk
                ways[i] = _shortened(ways[i], spots.values())
    return [
        Route(tuple(way), a.source in hosts)
        for way, a in zip(ways, arrows, strict=True)
    ]


def _shortened(
    way: Sequence[tuple[float, float]], boxes: Collection[Spot]
) -> list[tuple[float, float]]:
    """Leave out points as long as the curve meets no box."""
    kept, i = [way[0]], 0
    while i < len(way) - 1:
        j = len(way) - 1
        while j > i + 1 and not _free(way[i], way[j], boxes):
            j -= 1
        kept.append(way[j])
        i = j
    return kept


def _free(
    a: tuple[float, float], b: tuple[float, float], boxes: Collection[Spot]
) -> bool:
    (x0, y0), (x1, y1) = a, b
    for n in range(1, 16):
        t = n / 16
        x = x0 + (x1 - x0) * t * t * (3 - 2 * t)
        y = y0 + (y1 - y0) * t * (1.5 - 1.5 * t + t * t)
        if any(
            s.x - 12 < x < s.right + 12 and s.y - 6 < y < s.bottom + 6
            for s in boxes
            if s.bottom > y0 + 1 and s.y < y1 - 1
        ):
            return False
    return True
