"""Where boxes and arrows go: a layered layout of an acyclic graph, in pixels."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .layers import HEAD, PAD, Slot, Trunks, arrange

MARGIN = 18.0
BESIDE = 68.0  # between a box and one at its side: room for a local derivative
STACK = 10.0  # between those at one side


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed.

    Attributes:
        key: unique.
        width: in pixels.
        height: in pixels.
        frames: keys of the frames it stands in, outermost first.
        beside: whether it may stand at the side of its only consumer.
    """

    key: str
    width: float
    height: float
    frames: tuple[str, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a value to what is computed from it; the same pair may come twice."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A rectangle by its left upper corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def cx(self) -> float:
        """Middle from left to right."""
        return self.x + self.width / 2

    @property
    def cy(self) -> float:
        """Middle from top to bottom."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """Right end."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower end."""
        return self.y + self.height

    def meets(self, other: "Spot") -> bool:
        """Tell whether two rectangles overlap."""
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )


@dataclass(frozen=True, slots=True)
class Route:
    """The points that an arrow passes, downwards; level from a box at the side."""

    points: tuple[tuple[float, float], ...]
    level: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        spots: by box key.
        routes: in the order of the arrows.
        frames: by frame key; one that would cover a stranger's box is left out.
        width: of the whole.
        height: of the whole.
    """

    spots: dict[str, Spot]
    routes: tuple[Route, ...]
    frames: dict[str, Spot]
    width: float
    height: float


def place(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> Layout:
    """Place boxes in rows so that every arrow points down and no two boxes overlap.

    Args:
        boxes: in an order in which sources come before targets.
        arrows: between their keys.

    >>> layout = place([Box("x", 60, 40), Box("y", 60, 40)], [Arrow("x", "y")])
    >>> layout.spots["x"].cx == layout.spots["y"].cx
    True
    >>> layout.spots["x"].bottom < layout.spots["y"].y
    True
    """
    hosts = _hosts(boxes, arrows)
    guests: dict[str, list[Box]] = defaultdict(list)
    for b in boxes:
        if b.key in hosts:
            guests[hosts[b.key]].append(b)
    slots = {b.key: _slot(b, guests[b.key]) for b in boxes if b.key not in hosts}
    links = dict.fromkeys((a.source, a.target) for a in arrows if a.source not in hosts)
    trunks = arrange(slots, list(links))
    spots: dict[str, Spot] = {}
    for b in boxes:
        if b.key not in hosts:
            spots.update(_spots(slots[b.key], b, guests[b.key]))
    routes = _routes(arrows, hosts, spots, slots, trunks)
    return _from_margin(spots, routes, _frames(boxes, spots))


def _hosts(boxes: Iterable[Box], arrows: Iterable[Arrow]) -> dict[str, str]:
    """Box at a side -> the box that it stands beside."""
    targets: dict[str, list[str]] = defaultdict(list)
    fed = set()
    for a in arrows:
        targets[a.source].append(a.target)
        fed.add(a.target)
    return {
        b.key: targets[b.key][0]
        for b in boxes
        if b.beside and len(targets[b.key]) == 1 and b.key not in fed
    }


def _slot(box: Box, guests: Sequence[Box]) -> Slot:
    left, right = guests[::2], guests[1::2]
    reach = [
        box.width / 2 + (BESIDE + max(g.width for g in side) if side else 0.0)
        for side in (left, right)
    ]
    height = max(box.height, _stack(left), _stack(right))
    return Slot(box.key, box.frames, (reach[0], reach[1]), height)


def _stack(side: Sequence[Box]) -> float:
    return sum(g.height for g in side) + STACK * (len(side) - 1)


def _spots(slot: Slot, box: Box, guests: Sequence[Box]) -> dict[str, Spot]:
    half = box.width / 2
    spots = {
        box.key: Spot(slot.x - half, slot.y - box.height / 2, box.width, box.height)
    }
    for side, sign in ((guests[::2], -1), (guests[1::2], 1)):
        y = slot.y - _stack(side) / 2
        for g in side:
            cx = slot.x + sign * (half + BESIDE + g.width / 2)
            spots[g.key] = Spot(cx - g.width / 2, y, g.width, g.height)
            y += g.height + STACK
    return spots


def _frames(boxes: Sequence[Box], spots: dict[str, Spot]) -> dict[str, Spot]:
    members: dict[str, list[str]] = defaultdict(list)
    levels: dict[str, int] = defaultdict(int)
    for b in boxes:
        for level, f in enumerate(reversed(b.frames), 1):
            members[f].append(b.key)
            levels[f] = max(levels[f], level)
    frames = {}
    for f, keys in members.items():
        inside = [spots[k] for k in keys]
        pad, head = PAD * levels[f], HEAD * levels[f]
        x, y = min(s.x for s in inside) - pad, min(s.y for s in inside) - pad - head
        right, bottom = max(s.right for s in inside), max(s.bottom for s in inside)
        frame = Spot(x, y, right + pad - x, bottom + pad - y)
        strangers = spots.keys() - set(keys)
        if len(keys) > 1 and not any(frame.meets(spots[k]) for k in strangers):
            frames[f] = frame
    return frames


def _routes(
    arrows: Sequence[Arrow],
    hosts: dict[str, str],
    spots: dict[str, Spot],
    slots: dict[str, Slot],
    trunks: Trunks,
) -> list[Route]:
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


def _from_margin(
    spots: dict[str, Spot], routes: Sequence[Route], frames: dict[str, Spot]
) -> Layout:
    """Shift everything so that the margin is the same on all sides."""
    every = [*spots.values(), *frames.values()]
    xs = [x for route in routes for x, _ in route.points]
    dx = MARGIN - min([s.x for s in every] + xs, default=0.0)
    dy = MARGIN - min((s.y for s in every), default=0.0)

    def moved(s: Spot) -> Spot:
        return Spot(round(s.x + dx, 1), round(s.y + dy, 1), s.width, s.height)

    return Layout(
        {k: moved(s) for k, s in spots.items()},
        tuple(
            Route(
                tuple((round(x + dx, 1), round(y + dy, 1)) for x, y in r.points),
                r.level,
            )
            for r in routes
        ),
        {k: moved(s) for k, s in frames.items()},
        round(max([s.right for s in every] + xs, default=0.0) + dx + MARGIN, 1),
        round(max((s.bottom for s in every), default=0.0) + dy + MARGIN, 1),
    )
