from xml.etree import ElementTree

import numpy as np
import pytest

from backproplab.widgets.panels import Panel, around, sheet, ticks


def drawn(picture):
    """Parse, so that what is not well-formed fails."""
    return ElementTree.fromstring(picture)


def paths(panel):
    found = drawn(sheet([[panel]], "x")).iter("{http://www.w3.org/2000/svg}path")
    return [p.get("d") for p in found if p.get("class") == "line"]


def test_a_line_has_its_ends_at_the_corners():
    panel = Panel("", (0, 1), (0, 10), size=(200, 100))

    panel.line([0, 1], [0, 10], "forth")

    assert ["M0.0,100.0L200.0,0.0"] == paths(panel)


def test_a_log_scale_has_equal_steps_for_equal_factors():
    panel = Panel("", (1, 100), (1, 100), size=(200, 100), log=(True, True))

    panel.line([1, 10, 100], [1, 10, 100], "forth")

    assert ["M0.0,100.0L100.0,50.0L200.0,0.0"] == paths(panel)


def test_what_is_not_finite_breaks_a_line():
    panel = Panel("", (0, 4), (0, 1), size=(40, 10))

    panel.line(range(5), [0, 1, np.nan, 1, np.inf], "forth")

    assert ["M0.0,10.0L10.0,0.0M30.0,0.0"] == paths(panel)


def test_words_at_two_near_lines_stand_on_two_sides_and_above_all_lines():
    panel = Panel("", (0, 100), (0, 1), size=(300, 100))

    panel.upright(50, "the limit", "back", 1)
    panel.upright(48, "yours", "green")
    panel.upright(99, "end", "soft", 2)

    drawn = panel.svg(0, 0)
    assert 'x="155.0" y="29">the limit' in drawn
    assert 'x="139.0" y="14" text-anchor="end">yours' in drawn
    assert 'x="292.0" y="44" text-anchor="end">end' in drawn
    assert drawn.rindex('class="line"') < drawn.index("the limit")


def test_a_picture_in_a_lab_shrinks_to_two_thirds_and_then_scrolls():
    panel = Panel("", (0, 1), (0, 1), size=(436, 100))

    assert 'style="min-width:340px"' in sheet([[panel]], "x")
    assert "min-width" not in sheet([[panel]], "x", alone=True).partition("<style>")[0]


def test_far_outside_the_numbers_stay_short():
    panel = Panel("", (0, 1), (0, 1), size=(100, 100))

    panel.line([0, 1], [0, 1e300], "forth")

    assert ["M0.0,100.0L100.0,-2000.0"] == paths(panel)


def test_zero_has_no_place_on_a_log_scale():
    panel = Panel("", (0, 1), (1, 10), log=(False, True))

    panel.line([0, 1], [0, 0], "forth")

    assert [] == paths(panel)


@pytest.mark.parametrize("ends", [(0.0, 10.0), (10.0, 0.0)])
def test_ticks_are_round_in_both_directions(ends):
    assert [0, 2, 4, 6, 8, 10] == ticks(*ends, False, 5)


@pytest.mark.parametrize(("low", "high"), [(0.2, 7.0), (1e-9, 1e7), (3.0, 4.0)])
def test_ticks_on_a_log_scale_lie_within_it(low, high):
    found = ticks(low, high, True, 5)

    assert all(low * 0.99 <= v <= high * 1.01 for v in found)
    assert len(found) <= 7


def test_a_range_holds_its_finite_numbers():
    low, high = around([1.0, np.nan, 3.0], [np.inf])

    assert low < 1 < 3 < high
    assert (-1, 1) == around([np.nan])


def test_panels_of_a_sheet_do_not_overlap():
    rows = [[Panel("a", (0, 1), (0, 1)), Panel("b", (0, 1), (0, 1))]] * 2

    picture = drawn(sheet(rows, "four"))

    width, height = (a.whole for a in rows[0])
    assert f"0 0 {width[0] * 2:g} {height[1] * 2:g}" == picture.get("viewBox")
