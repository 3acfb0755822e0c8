import pytest
from lab import in_time, note
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CELLS = [
    "import backproplab as bp",
    "lab = bp.widgets.PlaygroundLab('spirals', hidden=(8, 8, 8))\nlab",
    "print('ran at step', lab.training.taken, lab.playing)",
    "\n".join(["# a long way down"] * 120),
    "small = bp.widgets.PlaygroundLab()\nsmall",
]
BIG, SMALL = 1, 4
GROUND = ".bpl-ground"
RATE = """async (lab) => {
  const shown = () => Number(lab.querySelector(".bpl-ground").dataset.frames);
  const begun = performance.now(), before = shown();
  await new Promise((done) => setTimeout(done, 3000));
  return (1000 * (shown() - before)) / (performance.now() - begun);
}"""
STEP = "(lab) => Number(lab.querySelector('.bpl-ground').dataset.step)"


@pytest.fixture(scope="module")
def page(serve):
    server = serve({"playground.ipynb": CELLS})
    page = server.open("playground.ipynb", width=1024, height=1250)
    page.run_all()
    page.output(BIG).locator(f"{GROUND}[data-frames]").wait_for()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture
def lab(page):
    return reset(page.output(BIG))


@pytest.fixture
def small(page):
    lab = page.output(SMALL)
    lab.scroll_into_view_if_needed()
    return reset(lab)


def reset(lab):
    """Begin anew, and wait until the new net is drawn."""
    ground = lab.locator(GROUND)
    before = ground.get_attribute("data-version")
    press(lab, "Reset")
    expect(ground).not_to_have_attribute("data-version", before)
    stands_at(lab, 0)
    return lab


def press(lab, name):
    lab.get_by_role("button", name=name, exact=True).click()


def stands_at(lab, step):
    """Wait for a step to be drawn; the still picture for pages without a kernel, hidden
    here, says it too."""
    lab.locator(GROUND).get_by_text(f"step {step} · loss").wait_for()


def step(lab):
    return lab.evaluate(STEP)


def play(page, lab):
    lab.scroll_into_view_if_needed()
    press(lab, "Play")
    lab.get_by_role("button", name="Pause").wait_for()
    page.tab.wait_for_timeout(700)


def pause(lab):
    press(lab, "Pause")
    lab.get_by_role("button", name="Play").wait_for()


def test_3_by_8_units_play_at_25_frames_a_second(page, lab):
    play(page, lab)
    rates = [lab.evaluate(RATE) for _ in range(3)]
    pause(lab)

    note(f"PlaygroundLab, 3x8 units: {max(rates):.1f} frames a second")
    assert 25 <= max(rates)
    assert 300 < step(lab)


def test_a_cell_runs_while_it_plays(page, lab):
    play(page, lab)
    page.tab.evaluate(
        """async () => {
          const notebook = jupyterapp.shell.currentWidget.content;
          notebook.activeCellIndex = 2;
          await jupyterapp.commands.execute("notebook:run-cell");
        }"""
    )

    words = page.output(2).get_by_text("True")
    words.wait_for(timeout=5000)

    assert "ran at step" in words.inner_text()
    pause(lab)


def test_out_of_sight_it_stops_and_in_sight_it_goes_on(page, lab):
    play(page, lab)
    page.output(SMALL).scroll_into_view_if_needed()
    page.tab.wait_for_timeout(4500)
    away = step(lab)
    page.tab.wait_for_timeout(1000)
    assert away == step(lab)

    lab.locator(GROUND).scroll_into_view_if_needed()
    page.tab.wait_for_timeout(2500)

    assert away < step(lab)
    pause(lab)


@pytest.mark.parametrize("name", ["history", "example", "noise"])
def test_a_key_on_a_slider_reaches_the_picture_in_100_ms(page, lab, name):
    for n in range(1, 9):
        press(lab, "Step")
        stands_at(lab, n)
    page.slide(name, "", lab)
    slider = lab.locator(".widget-slider", has_text=name).locator("[role=slider]")
    lab.evaluate("(lab) => { window.lab = lab; }")
    slider.evaluate("(slider) => { window.slider = slider; }")
    there, back = ("ArrowRight", "ArrowLeft")[:: 1 if name == "example" else -1]
    shown = "lab.querySelector('.bpl-ground').dataset.frames"
    if name == "example":
        shown = "lab.querySelector('.bpl-spot').getAttribute('cx')"

    def measure():
        return [
            page.latency(keydown(key), shown, times=1)[0]
            for key in (there, back) * (2 if name == "noise" else 4)
        ]

    in_time(f"PlaygroundLab, {name}", measure)


def keydown(key):
    code = {"ArrowLeft": 37, "ArrowRight": 39}[key]
    return (
        "slider.dispatchEvent(new KeyboardEvent('keydown', "
        f"{{ key: '{key}', keyCode: {code}, bubbles: true }}))"
    )


def test_one_step_is_one_step(small):
    press(small, "Step")
    stands_at(small, 1)
    press(small, "Step")

    stands_at(small, 2)


def test_the_history_scrubs_back_by_keyboard(page, small):
    for n in range(1, 4):
        press(small, "Step")
        stands_at(small, n)

    page.slide("history", "ArrowLeft ArrowLeft", small)

    stands_at(small, 1)


def test_a_click_on_a_weight_writes_out_its_gradient(small):
    small.locator(".bpl-hit", has_text="x₂ → h1.3").dispatch_event("click")

    small.locator("h4", has_text="x₂ → h1.3").wait_for()
    small.get_by_text("✓ equal").wait_for()


def test_the_arrow_keys_and_enter_choose_a_weight(page, small):
    small.locator(".bpl-board").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.tab.keyboard.press(key)
    small.get_by_role("status").get_by_text("Enter writes out").wait_for()
    page.tab.keyboard.press("Enter")

    small.locator("h4", has_text="h1.2 → h2.1").wait_for()
    small.get_by_role("status").get_by_text("is written out below").wait_for()


def test_a_click_on_the_map_chooses_the_nearest_example(small):
    small.locator(".bpl-aim").click(position={"x": 125, "y": 125})

    small.locator("h4 span", has_not_text="example 0 ").wait_for()


def test_units_and_layers_come_and_go(small):
    press(small, "One unit more in hidden layer 1")
    small.locator(".bpl-hit", has_text="x₁ → h1.5").wait_for(state="attached")
    press(small, "+ layer")
    small.locator(GROUND).get_by_text("hidden 3").wait_for()
    press(small, "− layer")
    small.locator(GROUND).get_by_text("hidden 3").wait_for(state="detached")
    press(small, "One unit fewer in hidden layer 2")

    small.locator(".bpl-hit", has_text="h1.1 → h2.2").wait_for(state="detached")


def test_the_signal_flows_back_a_layer_at_a_time(small):
    press(small, "Step")
    press(small, "backward")
    waits = small.locator(".bpl-edge.waits")
    small.locator(GROUND).get_by_text("starts at the output").wait_for()
    expect(waits).to_have_count(18)
    for said, left in (
        ("At the output", 16), ("hidden layer 2", 8), ("through the whole net", 0),
    ):  # fmt: skip
        press(small, "Next")

        small.get_by_role("status").get_by_text(said).wait_for()
        expect(waits).to_have_count(left)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_1024_pixels_in_both_themes(page, lab, theme):
    page.theme(theme)
    for _ in range(3):
        press(lab, "Step")
    lab.locator("h4").first.wait_for()
    page.tab.wait_for_timeout(600)
    page.screenshot(f"playground_forward_{theme}")
    press(lab, "backward")
    for _ in range(3):
        press(lab, "Next")
    page.tab.wait_for_timeout(600)
    page.screenshot(f"playground_backward_{theme}")
    page.theme("light")

    wide = lab.evaluate("(lab) => [lab.scrollWidth, lab.clientWidth]")
    board = lab.evaluate(
        "(lab) => { const b = lab.querySelector('.bpl-ground');"
        " return [b.scrollWidth, b.clientWidth]; }"
    )
    assert wide[0] <= wide[1]
    assert board[0] <= board[1]


def test_every_slider_and_button_has_a_name(lab):
    for slider in lab.get_by_role("slider").all():
        assert slider.get_attribute("aria-label")
    for button in lab.get_by_role("button").all():
        assert button.inner_text() or button.get_attribute("aria-label")
