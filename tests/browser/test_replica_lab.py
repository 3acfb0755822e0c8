import pytest
from lab import in_time

pytestmark = pytest.mark.browser

CELLS = ["import backproplab as bp", "lab = bp.widgets.ReplicaLab()\nlab"]
SHOWS = ("one step", "training", "batch norm", "linear scaling")
SLIDERS = [
    ("one step", "stage"), ("one step", "replicas"), ("one step", "rows of each"),
    ("training", "replicas"),
    ("training", "rows of each"), ("training", "learning rate"),
    ("batch norm", "replicas"), ("batch norm", "rows of each"),
    ("linear scaling", "replicas"), ("linear scaling", "rows of each"),
    ("linear scaling", "learning rate"),
]  # fmt: skip
# How often to the right, then to the left, without coming to an end.
PRESSES = {"stage": (8, 4), "replicas": (4, 6), "rows of each": (2, 4)}
PRESSES["learning rate"] = (6, 6)
PRESS = """(() => {
  const handle = [...window.lab.querySelectorAll('.widget-slider')]
    .find((slider) => slider.textContent.includes(NAME))
    .querySelector('[role=slider]');
  handle.dispatchEvent(new KeyboardEvent('keydown', { key: KEY, bubbles: true }));
})()"""
PICTURE = "window.lab.querySelector('.bpl-widget .bpl-panels').outerHTML"


@pytest.fixture(scope="module")
def page(serve):
    page = serve({"replica.ipynb": CELLS}).open("replica.ipynb", 1024, 1300)
    page.run_all()
    page.output(1).locator(".bpl-widget .bpl-panels").wait_for()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture
def lab(page):
    output = page.output(1)
    output.get_by_role("button", name="Reset").click()
    output.get_by_text("1 of 10: scatter.").wait_for()
    page.tab.evaluate("(lab) => { window.lab = lab; }", output.element_handle())
    return output


def show(lab, name):
    lab.get_by_role("button", name=name, exact=True).click()


def choose(page, lab, fault):
    lab.locator("select").select_option(fault)
    page.tab.wait_for_timeout(300)


def done(lab, whole):
    lab.get_by_text(f"{whole} of {whole}", exact=True).wait_for()


def test_next_and_back_walk_through_the_stages_by_keyboard(page, lab):
    lab.get_by_role("button", name="Next").focus()
    for _ in range(4):
        page.tab.keyboard.press("Enter")

    lab.get_by_text("5 of 10: add 2 of 3.").wait_for()
    assert 4 == lab.locator(".bpl-widget .cell.gets").count()
    lab.get_by_role("button", name="Back").press("Enter")
    lab.get_by_text("4 of 10: add 1 of 3.").wait_for()


def test_the_arrow_keys_move_the_stage(page, lab):
    page.slide("stage", "End", lab)

    lab.get_by_text("10 of 10: update.").wait_for()


@pytest.mark.parametrize(("shown", "name"), SLIDERS)
def test_a_slider_reaches_the_picture_in_100_ms(page, lab, shown, name):
    show(lab, shown)
    page.tab.wait_for_timeout(600)

    def measure():
        times = []
        right, left = PRESSES[name]
        for key in ("ArrowRight",) * right + ("ArrowLeft",) * left:
            press = PRESS.replace("NAME", repr(name)).replace("KEY", repr(key))
            times += page.latency(press, PICTURE, times=1)
            page.tab.wait_for_timeout(60)
        return times

    in_time(f"ReplicaLab, {shown}, {name}", measure)


def test_a_training_shows_progress_stops_and_goes_on(page, lab):
    page.slide("replicas", "End", lab)
    show(lab, "training")
    lab.get_by_role("button", name="Stop").click()
    page.tab.wait_for_timeout(200)
    stopped = lab.get_by_role("status").inner_text()
    page.tab.wait_for_timeout(400)

    assert stopped == lab.get_by_role("status").inner_text()
    assert "After 200 of 200" not in stopped
    lab.get_by_role("button", name="Run").click()
    done(lab, 200)


def test_every_slider_has_a_name_to_be_heard(page, lab):
    names = {s.get_attribute("aria-label") for s in lab.locator("[role=slider]").all()}

    assert {"stage", "replicas", "rows of each", "learning rate"} <= names


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_picture_in_both_themes_fits_the_window(page, lab, theme):
    page.theme(theme)
    page.slide("stage", "Home ArrowRight ArrowRight ArrowRight ArrowRight", lab)
    lab.get_by_text("5 of 10: add 2 of 3.").wait_for()
    page.screenshot(f"replica_one_step_{theme}", lab)
    page.slide("replicas", "End", lab)
    choose(page, lab, "fp16 sums")
    page.slide("stage", "PageUp PageUp PageUp PageUp PageUp", lab)
    lab.get_by_text("18 of 18: update.").wait_for()
    page.screenshot(f"replica_update_{theme}", lab)
    page.slide("replicas", "Home ArrowRight ArrowRight", lab)
    show(lab, "training")
    for fault in ("forget to average", "different seeds", "local batch statistics"):
        choose(page, lab, fault)
        done(lab, 200)
        page.screenshot(f"replica_{fault.replace(' ', '_')}_{theme}", lab)
    show(lab, "batch norm")
    lab.get_by_text("If batch norm takes").wait_for()
    page.screenshot(f"replica_batch_norm_{theme}", lab)
    show(lab, "linear scaling")
    done(lab, 60)
    page.screenshot(f"replica_linear_scaling_{theme}", lab)

    outside = lab.evaluate(
        """(output) => [
            ...output.querySelectorAll(".bpl-widget .bpl-panels, .widget-box")]
          .filter((part) => part.getBoundingClientRect().right >
            output.getBoundingClientRect().right + 1).length"""
    )
    page.theme("light")
    assert 0 == outside
