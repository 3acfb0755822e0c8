"""Placing boxes: rows, then coordinates, then arrows, and a margin around it all."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from . import coordinates
from .boxes import Arrow, Box, Layout, Route, Spot
from .coordinates import HEAD, PAD
from .layers import Slot, rows_of
from .routing import routes

MARGIN = 18.0
BESIDE = 68.0  # between a box and one at its side: room for a local derivative
STACK = 10.0  # between those at one side


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
    rows, trunks = rows_of(slots, list(links))
    coordinates.assign(rows)
    spots: dict[str, Spot] = {}
    for b in boxes:
        if b.key not in hosts:
            spots.update(_spots(slots[b.key], b, guests[b.key]))
    ways = routes(arrows, hosts, spots, slots, trunks)
    return _from_margin(spots, ways, _frames(boxes, spots))


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
