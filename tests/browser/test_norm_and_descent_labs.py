import pytest
from lab import in_time

pytestmark = pytest.mark.browser

CELLS = [
    "import backproplab as bp",
    "norm = bp.widgets.BatchNormLab()\nnorm",
    "descent = bp.widgets.DescentLab()\ndescent",
]
NORM, DESCENT = 1, 2
SLIDERS = [
    *((NORM, name) for name in ("batch size", "γ", "β", "input shift", "input scale")),
    *((DESCENT, name) for name in ("learning rate", "steps", "start u", "start v")),
]


@pytest.fixture(scope="module")
def page(serve):
    page = serve({"labs.ipynb": CELLS}).open("labs.ipynb", width=1280, height=1600)
    page.run_all()
    page.output(NORM).locator(".bpl-widget .bpl-panels").wait_for()
    page.output(DESCENT).locator(".bpl-widget .bpl-panels").wait_for()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture(autouse=True)
def at_start(page):
    for cell in (NORM, DESCENT):
        page.output(cell).get_by_role("button", name="Reset").click()
    page.tab.wait_for_timeout(400)


def press(page, lab, name, key):
    """Milliseconds from a key on a slider to the next frame with another picture."""
    page.slide(name, "", lab)
    page.tab.evaluate("(lab) => { window.lab = lab; }", lab.element_handle())
    page.tab.evaluate(
        """() => {
          const picture = () => lab.querySelector(".bpl-panels").outerHTML;
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const before = picture();
          window.took = new Promise((done) => addEventListener("keydown", async () => {
            const start = performance.now();
            while (picture() === before && performance.now() < start + 3e3)
              await frame();
            await frame();
            done(performance.now() - start);
          }, { capture: true, once: true }));
        }"""
    )
    page.tab.keyboard.press(key)
    return float(page.tab.evaluate("() => window.took"))


@pytest.mark.parametrize(("cell", "name"), SLIDERS)
def test_a_key_on_a_slider_reaches_the_picture_in_100_ms(page, cell, name):
    lab = page.output(cell)

    keys = ["ArrowRight", "ArrowLeft"] * 4
    in_time(
        f"{'BatchNormLab' if cell == NORM else 'DescentLab'}, {name}",
        lambda: [press(page, lab, name, key) for key in keys],
    )


def test_every_slider_has_a_name_to_be_heard(page):
    for cell in (NORM, DESCENT):
        sliders = page.output(cell).get_by_role("slider")
        names = [s.get_attribute("aria-label") for s in sliders.all()]

        assert {name for c, name in SLIDERS if c == cell} < set(names)


def test_a_slider_says_the_value_that_is_shown_beside_it(page):
    lab = page.output(DESCENT)
    page.slide("learning rate", "End", lab)
    slider = lab.get_by_role("slider", name="learning rate")
    page.tab.wait_for_timeout(300)

    assert "10.0" == slider.get_attribute("aria-valuetext")
    assert lab.get_by_role("textbox", name="learning rate, as a number").is_visible()
    held = lab.get_by_role("slider", name="memory").get_attribute("aria-disabled")
    assert "true" == held


def test_a_chosen_word_says_so_and_its_verdict_is_read_out(page):
    lab = page.output(DESCENT)
    lab.get_by_role("button", name="Adam").click()
    page.tab.wait_for_timeout(300)

    method = lab.get_by_role("group", name="method")
    pressed = [
        b.get_attribute("aria-pressed") for b in method.get_by_role("button").all()
    ]
    assert ["false", "false", "false", "true"] == pressed
    assert "Adam" in lab.locator("[aria-live=polite]").inner_text()


def test_keys_stay_in_the_lab_until_escape_gives_the_focus_to_the_cell(page):
    cells = page.tab.locator(".jp-Cell").count()
    page.slide("steps", "ArrowRight", page.output(DESCENT))

    for key in "abx":
        page.tab.keyboard.press(key)
    page.tab.keyboard.press("Escape")

    assert cells == page.tab.locator(".jp-Cell").count()
    assert "jp-Cell" in page.tab.evaluate("() => document.activeElement.className")


@pytest.mark.parametrize(
    ("shown", "name"), [("running statistics", "momentum"), ("depth", "batch size")]
)
def test_the_slow_pictures_follow_the_keys_too(page, shown, name):
    lab = page.output(NORM)
    lab.get_by_role("button", name=shown).click()
    page.tab.wait_for_timeout(500)

    keys = ["ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"] * 2
    in_time(
        f"BatchNormLab, {shown}, {name}",
        lambda: [press(page, lab, name, key) for key in keys],
    )


def test_a_batch_of_one_shows_what_the_layer_says(page):
    lab = page.output(NORM)

    page.slide("batch size", "Home", lab)

    lab.get_by_text("in training each feature needs at least 2 values").wait_for()
    page.screenshot("batch_norm_batch_of_one", lab)


def test_past_the_critical_rate_the_walk_diverges(page):
    lab = page.output(DESCENT)

    page.slide("learning rate", "PageUp PageUp PageUp", lab)

    lab.get_by_text("The walk diverges").wait_for()
    page.screenshot("descent_diverged", lab)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_picture_in_both_themes_fits_the_window(page, theme):
    page.theme(theme)
    norm, descent = page.output(NORM), page.output(DESCENT)
    for shown in ("one batch", "running statistics", "depth"):
        norm.get_by_role("button", name=shown).click()
        page.tab.wait_for_timeout(400)
        page.screenshot(f"batch_norm_{shown.replace(' ', '_')}_{theme}", norm)
    for method in ("momentum", "Adam", "SGD"):
        descent.get_by_role("button", name=method, exact=True).click()
        page.tab.wait_for_timeout(300)
        page.screenshot(f"descent_{method}_{theme}", descent)

    outside = page.tab.evaluate(
        """() => [...document.querySelectorAll(".bpl-panels")].filter((part) =>
          part.getBoundingClientRect().right >
          part.closest(".jp-OutputArea").getBoundingClientRect().right + 1).length"""
    )
    page.theme("light")
    assert 0 == outside
