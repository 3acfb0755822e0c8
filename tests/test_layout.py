import random
import time

import pytest

from backproplab.widgets.layout import Arrow, Box, place


def graph(n, seed, frames=False):
    """A random acyclic graph of n boxes, two operands each, some of them leaves."""
    rng = random.Random(seed)
    boxes, arrows = [], []
    for i in range(n):
        size = rng.choice([60, 120, 180])
        inside = (f"part{i // 6}",) if frames else ()
        boxes.append(Box(str(i), size, 60, inside, beside=i % 5 == 0))
        for j in rng.sample(range(max(i - 8, 0), i), min(i, 2)) if i % 5 else ():
            arrows.append(Arrow(str(j), str(i)))
    return boxes, arrows


def crossings(layout):
    """How many pairs of straight downward pieces cross between two rows."""
    pieces = [
        (a, b)
        for r in layout.routes
        if not r.level
        for a, b in zip(r.points, r.points[1:], strict=False)
    ]
    return sum(
        a[1] == c[1] and b[1] == d[1] and (a[0] - c[0]) * (b[0] - d[0]) < 0
        for i, (a, b) in enumerate(pieces)
        for c, d in pieces[:i]
    )


@pytest.mark.parametrize("seed", range(8))
def test_no_two_boxes_overlap(seed):
    layout = place(*graph(60, seed, frames=seed % 2 == 0))

    spots = list(layout.spots.values())
    assert not any(a.meets(b) for i, a in enumerate(spots) for b in spots[:i])


@pytest.mark.parametrize("seed", range(8))
def test_every_arrow_points_down_or_comes_from_the_side(seed):
    boxes, arrows = graph(60, seed)

    layout = place(boxes, arrows)

    for arrow, route in zip(arrows, layout.routes, strict=True):
        source, target = layout.spots[arrow.source], layout.spots[arrow.target]
        if route.level:
            assert source.y < target.bottom
            assert target.y < source.bottom
        else:
            assert source.bottom < target.y
            assert [*route.points] == sorted(route.points, key=lambda p: p[1])


@pytest.mark.parametrize("seed", range(4))
def test_everything_lies_within_the_picture(seed):
    layout = place(*graph(40, seed, frames=True))

    for spot in [*layout.spots.values(), *layout.frames.values()]:
        assert min(spot.x, spot.y) > 0
        assert spot.right < layout.width
        assert spot.bottom < layout.height


def test_a_frame_holds_its_members_and_no_stranger():
    inside = [Box(k, 60, 40, ("fc",)) for k in "abc"]
    boxes = [Box("x", 60, 40), *inside, Box("y", 60, 40)]
    arrows = [Arrow(s, t) for s, t in zip("xabc", "abcy", strict=True)]

    layout = place(boxes, arrows)

    frame = layout.frames["fc"]
    met = {k for k, spot in layout.spots.items() if frame.meets(spot)}
    assert met == {"a", "b", "c"}


def test_a_frame_that_would_cover_a_stranger_is_left_out():
    boxes = [Box("a", 60, 40, ("m",)), Box("b", 60, 40), Box("c", 60, 40, ("m",))]

    layout = place(boxes, [Arrow("a", "b"), Arrow("b", "c")])

    assert layout.frames == {}


def test_a_chain_is_one_vertical_line():
    boxes = [Box(str(i), 60 + 10 * (i % 3), 40) for i in range(20)]
    arrows = [Arrow(str(i), str(i + 1)) for i in range(19)]

    layout = place(boxes, arrows)

    assert len({layout.spots[b.key].cx for b in boxes}) == 1


def test_a_skip_leaves_the_main_line_straight():
    boxes = [Box(k, 100, 40) for k in "xabcy"]
    arrows = [Arrow(s, t) for s, t in ("xa", "ab", "bc", "cy", "xy")]

    layout = place(boxes, arrows)

    assert len({layout.spots[k].cx for k in "xabcy"}) == 1
    past = {p[0] for p in layout.routes[-1].points[1:-1]}
    assert len(past) <= 1


def test_a_parameter_stands_beside_its_consumer():
    boxes = [Box("x", 60, 40), Box("w", 60, 40, beside=True), Box("z", 60, 40)]

    layout = place(boxes, [Arrow("x", "z"), Arrow("w", "z")])

    assert layout.spots["w"].cy == layout.spots["z"].cy
    assert layout.routes[1].level


def test_a_parameter_of_two_consumers_stands_above_both():
    boxes = [Box("w", 60, 40, beside=True), Box("y", 60, 40), Box("z", 60, 40)]

    layout = place(boxes, [Arrow("w", "y"), Arrow("w", "z")])

    assert layout.spots["w"].bottom < layout.spots["y"].y
    assert not any(route.level for route in layout.routes)


def test_two_arrows_between_the_same_boxes_arrive_apart():
    layout = place([Box("u", 80, 40), Box("b", 80, 40)], [Arrow("u", "b")] * 2)

    first, second = (route.points[-1][0] for route in layout.routes)
    assert second - first > 20


def test_order_without_crossings_is_found():
    boxes = [Box(k, 60, 40) for k in "abcdefgh"]
    arrows = [Arrow(s, t) for s, t in ("ah", "bg", "cf", "de")]

    assert crossings(place(boxes, arrows)) == 0


def test_an_empty_graph_is_an_empty_picture():
    layout = place([], [])

    assert (layout.spots, layout.routes, layout.frames) == ({}, (), {})


def test_150_boxes_are_placed_in_a_second():
    boxes, arrows = graph(150, 1)

    begun = time.process_time()
    place(boxes, arrows)

    assert time.process_time() - begun < 1
