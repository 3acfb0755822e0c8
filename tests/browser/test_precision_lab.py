import pytest
from lab import in_time

pytestmark = pytest.mark.browser

CELLS = [
    "import backproplab as bp",
    "lab = bp.widgets.PrecisionLab()\nlab",
]
VIEWS = {
    "bits": "bits of a number",
    "histogram": "gradients and loss scale",
    "master": "master weights",
    "error": "error by layer",
    "training": "training",
}
SLIDERS = {
    "bits": ("exponent e", "significand f"),
    "histogram": ("loss scale 2^k, k",),
    "master": ("2^k updates, k",),
    "error": ("layers",),
    "training": ("epochs",),
}


@pytest.fixture(scope="module")
def page(serve):
    page = serve({"precision.ipynb": CELLS}).open(
        "precision.ipynb", width=1024, height=1200
    )
    page.run_all()
    page.output(1).locator(".widget-slider").first.wait_for()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture
def lab(page):
    return page.output(1).locator(".bpl-widget").first


def show(page, lab, view):
    """Turn to a section, from its beginning."""
    lab.get_by_role("button", name=VIEWS[view], exact=True).click()
    page.tab.wait_for_timeout(700)
    lab.get_by_role("button", name="Reset").click()
    page.tab.wait_for_timeout(400)


def press(page, lab, key):
    """Milliseconds from a key on what has the focus to a frame with another picture."""
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


@pytest.mark.parametrize(
    ("view", "name"), [(v, name) for v, names in SLIDERS.items() for name in names]
)
def test_a_key_on_a_slider_reaches_the_picture_in_100_ms(page, lab, view, name):
    show(page, lab, view)
    page.slide(name, "", lab)

    keys = ["ArrowRight"] * 4 + ["ArrowLeft"] * 4
    if view in ("master", "error"):  # they begin near their ends
        keys.reverse()

    what = f"PrecisionLab, {view}, {name}"
    in_time(what, lambda: [press(page, lab, key) for key in keys])


def test_every_slider_has_a_name_to_be_heard(page, lab):
    for view, wanted in SLIDERS.items():
        show(page, lab, view)
        sliders = lab.get_by_role("slider").all()

        assert set(wanted) <= {s.get_attribute("aria-label") for s in sliders}


def test_a_bit_is_flipped_by_keyboard_and_keeps_the_focus(page, lab):
    show(page, lab, "bits")
    bit = lab.locator("[data-press='0']")
    assert "false" == bit.get_attribute("aria-checked")
    bit.focus()

    flips = ("Enter", " ", "Enter", " ", "Enter")
    in_time("PrecisionLab, a bit", lambda: [press(page, lab, key) for key in flips])

    assert "true" == bit.get_attribute("aria-checked")
    page.tab.keyboard.press("ArrowLeft")
    focused = page.tab.evaluate("() => document.activeElement.dataset.press")
    assert "1" == focused


def test_a_click_on_the_sign_bit_turns_the_number(page, lab):
    show(page, lab, "bits")

    lab.locator("[data-press='15']").click()

    lab.get_by_text("−0.0999755859375").first.wait_for()
    assert "-0.0999755859375" == lab.get_by_label("number", exact=True).input_value()


def test_bad_text_gets_a_sentence(page, lab):
    show(page, lab, "bits")
    number = lab.get_by_label("number", exact=True)

    number.fill("a tenth")
    number.press("Enter")

    lab.get_by_text("is not a number.").wait_for()
    page.screenshot("precision_bad_text", lab)


def test_training_runs_in_slices_and_can_be_stopped(page, lab):
    show(page, lab, "training")
    lab.get_by_role("button", name="Train", exact=True).click()
    lab.get_by_text("So far, after").wait_for()
    lab.get_by_role("button", name="Stop", exact=True).click()
    page.tab.wait_for_timeout(300)
    halted = lab.locator(".bpl-says-so").inner_text()
    page.tab.wait_for_timeout(500)

    assert halted == lab.locator(".bpl-says-so").inner_text()
    lab.get_by_role("button", name="Train", exact=True).click()
    lab.get_by_text("After 10 of 10 epochs").wait_for(timeout=30_000)
    page.screenshot("precision_trained", lab)


def test_a_slider_of_another_lab_moves_while_one_trains(page, lab):
    show(page, lab, "training")
    lab.get_by_role("button", name="Train", exact=True).click()
    lab.get_by_role("button", name=VIEWS["histogram"], exact=True).click()
    page.tab.wait_for_timeout(400)
    page.slide("loss scale 2^k, k", "", lab)

    keys = ["ArrowRight", "ArrowLeft"] * 3
    what = "PrecisionLab, while another section trains"
    in_time(what, lambda: [press(page, lab, key) for key in keys], 200)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_section_in_both_themes_fits_the_window(page, lab, theme):
    page.theme(theme)
    outside = {}
    for view in VIEWS:
        show(page, lab, view)
        for box in lab.get_by_role("checkbox").all():
            box.check()
        page.tab.wait_for_timeout(300)
        page.screenshot(f"precision_{view}_{theme}", lab)
        outside[view] = page.tab.evaluate(
            """() => [...document.querySelectorAll(".bpl-panels, .bpl-counts")]
              .filter((part) => part.getBoundingClientRect().right >
                part.closest(".jp-OutputArea").getBoundingClientRect().right + 1)
              .length"""
        )

    page.theme("light")
    assert dict.fromkeys(VIEWS, 0) == outside
