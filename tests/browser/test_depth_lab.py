import pytest
from lab import in_time

pytestmark = pytest.mark.browser

CELLS = [
    "import backproplab as bp",
    "lab = bp.widgets.DepthLab()\nlab",
    "bp.widgets.DepthLab(depth=100, norm='batch', skip='branch × 1', width=64)",
]
PRESS = """(() => {
  const handle = [...window.lab.querySelectorAll('.widget-slider')]
    .find((slider) => slider.textContent.includes(NAME))
    .querySelector('[role=slider]');
  handle.dispatchEvent(new KeyboardEvent('keydown', { key: KEY, bubbles: true }));
})()"""
PICTURE = "window.lab.querySelector('.bpl-panels').outerHTML"


@pytest.fixture(scope="module")
def page(serve):
    page = serve({"depth.ipynb": CELLS}).open("depth.ipynb", width=1280, height=1900)
    page.run_all()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture
def lab(page):
    output = page.output(1).locator(".bpl-widget").first
    output.get_by_role("button", name="Reset").click()
    output.get_by_text("Your turn.").wait_for()
    return output


def press(name, key):
    return PRESS.replace("NAME", repr(name)).replace("KEY", repr(key))


def readout(lab, name):
    slider = lab.locator(".widget-slider", has_text=name)
    return slider.locator(".widget-readout").inner_text()


def test_the_gradient_hides_until_a_prediction_is_placed_by_keyboard(page, lab):
    assert 0 < lab.get_by_text("waits for your prediction").count()

    field = lab.get_by_role("spinbutton").first
    field.fill("0.5")
    field.press("Tab")
    page.tab.keyboard.press("Enter")

    lab.get_by_role("status").get_by_text("× 0.5", exact=True).wait_for()
    lab.get_by_text("waits for your prediction").first.wait_for(state="detached")


@pytest.mark.parametrize(
    ("name", "keys", "shown"),
    [
        ("depth", "ArrowRight ArrowRight ArrowLeft", "31"),
        ("depth", "End", "100"),
        ("depth", "Home", "1"),
        ("width", "ArrowLeft", "32"),
        ("weights ×", "ArrowUp ArrowUp", "1.10"),
    ],
)
def test_a_slider_follows_the_keys(page, lab, name, keys, shown):
    page.slide(name, keys, lab)

    slider = lab.locator(".widget-slider", has_text=name)
    slider.locator(".widget-readout", has_text=shown).wait_for()


def test_a_list_is_chosen_from_by_keyboard(page, lab):
    skip = lab.locator(".widget-dropdown", has_text="skip").locator("select")
    skip.focus()
    page.tab.keyboard.press("ArrowDown")

    lab.get_by_text("2^30 paths").wait_for()


@pytest.mark.parametrize("cell", [1, 2])
@pytest.mark.parametrize("name", ["depth", "weights ×"])
def test_a_slider_reaches_the_picture_in_100_ms(page, cell, name):
    output = page.output(cell)
    output.get_by_role("button", name="Reset").click()
    output.get_by_role("button", name="Place").click()
    output.get_by_role("status").get_by_text("You said").wait_for()
    page.tab.evaluate("(lab) => { window.lab = lab; }", output.element_handle())

    def measure():
        return [
            page.latency(press(name, key), PICTURE, times=1)[0]
            for key in ("ArrowLeft", "ArrowRight") * 6
        ]

    in_time(f"DepthLab, depth {30 if cell == 1 else 100}, {name}", measure)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_in_both_themes_fit_the_window(page, theme):
    page.theme(theme)
    for cell in (1, 2):
        output = page.output(cell)
        output.get_by_role("button", name="Reset").click()
        output.get_by_text("Your turn.").wait_for()
        if cell == 1:
            page.screenshot(f"depth_hidden_{theme}", output)
        output.get_by_role("button", name="Place").click()
        output.get_by_role("status").get_by_text("You said").wait_for()
        page.screenshot(f"depth_{cell}_{theme}", output)

        outside = output.evaluate(
            """(output) => [...output.querySelectorAll(".bpl-panels, .widget-box")]
              .filter((part) => part.getBoundingClientRect().right >
                output.getBoundingClientRect().right + 1).length"""
        )
        assert 0 == outside
    page.theme("light")
