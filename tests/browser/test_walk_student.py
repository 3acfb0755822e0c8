"""What is larger than its place scrolls and says so; what takes a while says so."""

import pytest

pytestmark = pytest.mark.browser

SMALL = """\
import numpy as np
import backproplab as bp
x = bp.tensor(2.0, requires_grad=True)
with bp.record() as run:
    y = np.tanh(x)
    y.backward()
bp.widgets.GraphExplorer(run)"""
TALL = """\
rng = np.random.default_rng(0)
layers = [bp.nn.Linear(4, 4, rng=rng) for _ in range(8)]
with bp.record() as run:
    bp.nn.Sequential(*layers)(np.ones((2, 4))).sum().backward()
bp.widgets.GraphExplorer(run)"""
WIDE = 'bp.widgets.DescentLab("valley")'
SLOW = """\
from time import sleep
from backproplab.widgets.depth import lab as depth
measure = depth.measure
depth.measure = lambda controls: (sleep(1), measure(controls))[1]
bp.widgets.DepthLab()"""
RING = 'bp.widgets.ReplicaLab("training")'
FADES = """(part) => getComputedStyle(part).maskImage !== 'none'"""


@pytest.fixture(scope="module")
def page(serve):
    cells = [SMALL, TALL, WIDE, SLOW, RING]
    page = serve({"walk.ipynb": cells}).open("walk.ipynb", width=512, height=1400)
    page.run_all()
    yield page
    assert [] == page.errors()
    page.close()


def lab(page, cell):
    return page.output(cell).locator(".bpl-widget").first


def test_a_graph_that_fits_says_nothing_of_scrolling(page):
    assert 0 == lab(page, 0).locator(".bpl-scrolls").count()
    assert not lab(page, 0).get_by_text("goes on beyond its frame").is_visible()


def test_a_tall_graph_says_that_it_goes_on_and_scrolls_by_keyboard(page):
    stage = lab(page, 1).locator(".bpl-stage")
    lab(page, 1).get_by_text("goes on beyond its frame").wait_for()
    faded = stage.evaluate(FADES)
    stage.focus()
    for _ in range(5):
        page.tab.keyboard.press("ArrowDown")
    page.tab.wait_for_function("(s) => s.scrollTop > 100", arg=stage.element_handle())
    stage.evaluate("(stage) => stage.scrollTo(stage.scrollWidth, stage.scrollHeight)")
    page.tab.wait_for_timeout(200)

    assert faded
    assert not stage.evaluate(FADES)


def test_shift_with_an_arrow_scrolls_sideways_and_does_not_step(page):
    stage = lab(page, 1).locator(".bpl-stage")
    stage.evaluate("(stage) => stage.scrollTo(0, 0)")
    stage.focus()
    page.tab.keyboard.press("Shift+ArrowRight")

    assert 0 < stage.evaluate("(stage) => stage.scrollLeft")
    assert lab(page, 1).get_by_text("step 0 of").is_visible()


def test_a_picture_that_is_wider_than_the_window_is_a_region_for_the_keyboard(page):
    region = lab(page, 2).get_by_role("region", name="larger than its frame")
    region.focus()
    for _ in range(3):
        page.tab.keyboard.press("ArrowRight")

    page.tab.wait_for_function("(r) => r.scrollLeft > 50", arg=region.element_handle())
    assert "solid" == region.evaluate("(r) => getComputedStyle(r).outlineStyle")


def test_a_lab_says_that_it_computes_and_then_no_longer(page):
    slow = lab(page, 3)
    page.slide("depth", "ArrowRight", slow)
    busy = page.output(3).locator(".bpl-widget[aria-busy=true]")
    busy.wait_for()
    page.tab.wait_for_timeout(400)
    words = "(lab) => getComputedStyle(lab, '::after')"
    said = busy.evaluate(
        f"{words}.content + getComputedStyle(lab, '::after').visibility"
    )
    busy.wait_for(state="detached")

    assert '"computing …"visible' == said
    assert "none" == slow.evaluate(f"{words}.content")


def test_choices_have_a_name_and_stop_waits_for_something_to_stop(page):
    ring = lab(page, 4)

    ring.get_by_role("group", name="what is shown").wait_for()
    ring.get_by_text("200 of 200").first.wait_for()
    assert ring.get_by_role("button", name="Stop").is_disabled()
