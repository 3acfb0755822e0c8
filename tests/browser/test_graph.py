import pytest
from lab import in_time

pytestmark = pytest.mark.browser

SCALAR = """\
x = bp.tensor(2.0, requires_grad=True)
with bp.record() as run:
    u = x * 3.0
    a = np.tanh(x)
    b = u * u
    loss = a + b
    loss.backward()
explorer = bp.widgets.GraphExplorer(run)
explorer"""
DIGITS = """\
images, labels = bp.data.digits()
rng = np.random.default_rng(0)
model = bp.nn.Sequential(
    bp.nn.Linear(64, 32, rng=rng), bp.nn.ReLU(), bp.nn.Linear(32, 10, rng=rng))
with bp.record() as digits:
    logits = model(images[:32])
    loss = bp.ops.cross_entropy(logits, labels[:32])
    loss.backward()
big = bp.widgets.GraphExplorer(digits)
big"""
DEEP = """\
x = bp.tensor(rng.normal(size=(8, 3)), requires_grad=True)
with bp.record() as deep:
    h = x
    for i in range(12):
        mu = h.mean(axis=0)
        centred = h - mu
        h = np.tanh(centred * 1.5 + x)
    total = (h * h).sum()
    total.backward()
bp.widgets.GraphExplorer(deep)"""
FLOW = """\
flow = bp.widgets.GradientFlow({"digits": digits, "deep": deep})
flow"""
PATHS = "bp.widgets.ChainRuleStepper(run, 'x')"
CELLS = [
    "import numpy as np\nimport backproplab as bp",
    SCALAR, DIGITS, DEEP, FLOW, PATHS, "bp.widgets.GraphExplorer(3)",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(serve):
    return serve({"views.ipynb": CELLS})


@pytest.fixture(scope="module")
def page(server):
    page = server.open("views.ipynb", width=1400, height=1000)
    page.run_all()
    yield page
    assert [] == page.errors()
    page.close()


@pytest.fixture
def scalar(page):
    return at_start(page, 1)


@pytest.fixture
def digits(page):
    return at_start(page, 2)


def at_start(page, cell):
    graph = page.output(cell).locator(".bpl-lab")
    graph.locator(".bpl-stage").focus()
    page.tab.keyboard.press("Home")
    graph.get_by_text("step 0 of").wait_for()
    return graph


def box(graph, name):
    return graph.locator(f".bpl-box[aria-label^='{name},']")


def test_keys_step_through_the_backward_pass(page, scalar):
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"):
        page.tab.keyboard.press(key)
        seen.append(scalar.locator(".bpl-count").inner_text())

    assert [f"step {t} of 5" for t in (1, 2, 1, 5, 0)] == seen


def test_the_step_lights_up_its_box_and_its_arrows(page, scalar):
    for _ in range(2):
        scalar.get_by_role("button", name="One step forward").click()

    assert "now" in box(scalar, "b").get_attribute("class")
    assert "part" in box(scalar, "u").get_attribute("class")
    assert "6 + 6" == box(scalar, "u").locator("text.now-text").text_content()
    assert 2 == scalar.locator(".bpl-arrow.now").count()
    assert "sends 1 × 6 = 6 to u" in scalar.get_by_role("status").inner_text()


def test_scrubbing_moves_the_pass_and_python_hears_of_it(page, scalar):
    page.slide("Backward step", "ArrowRight ArrowRight ArrowRight", scalar)

    scalar.get_by_text("step 3 of 5").wait_for()
    formula = page.output(1).locator(".bpl-formula")
    formula.locator("h4", has_text="tanh").wait_for()
    assert "now" in box(scalar, "a").get_attribute("class")


def test_space_plays_to_the_end(page, scalar):
    scalar.locator(".bpl-stage").focus()
    page.tab.keyboard.press("Space")
    scalar.get_by_role("button", name="Play").get_by_text("Pause").wait_for()

    scalar.get_by_text("step 5 of 5").wait_for(timeout=10_000)

    scalar.get_by_role("button", name="Play").get_by_text("Play").wait_for()


def test_a_click_writes_out_the_formula_with_its_numbers(page, scalar):
    box(scalar, "u").click()

    formula = page.output(1).locator(".bpl-formula")
    formula.locator("h4", has_text="multiply").wait_for()
    formula.locator("mjx-container, .MathJax").first.wait_for()
    assert "from b" in formula.inner_text()
    page.screenshot("graph_formula", page.output(1))


def test_enter_selects_the_box_in_focus(page, scalar):
    box(scalar, "a").focus()
    page.tab.keyboard.press("Enter")

    page.output(1).locator(".bpl-formula h4", has_text="tanh").wait_for()
    assert "selected" in box(scalar, "a").get_attribute("class")


def test_python_moves_the_picture(page, scalar):
    page.tab.evaluate(
        """() => jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({ code: "explorer.step = 4" }).done"""
    )

    scalar.get_by_text("step 4 of 5").wait_for()


def test_a_module_folds_to_one_box_and_opens_again(page, digits):
    before = digits.locator(".bpl-box").count()
    digits.get_by_role("button", name="Fold 2", exact=True).click()
    digits.get_by_role("button", name="Unfold 2", exact=True).wait_for()
    folded = digits.locator(".bpl-box").count()
    page.screenshot("graph_folded", page.output(2))
    digits.get_by_role("button", name="Unfold 2", exact=True).press("Enter")
    digits.get_by_role("button", name="Fold 2", exact=True).wait_for()

    assert before - 2 == folded
    assert before == digits.locator(".bpl-box").count()


@pytest.mark.parametrize("cell", [1, 2, 3])
def test_a_step_reaches_the_screen_in_100_ms(page, cell):
    graph = at_start(page, cell)
    handle = graph.element_handle()
    page.tab.evaluate("(graph) => { window.graph = graph; }", handle)

    def measure():
        at_start(page, cell)
        return page.latency(
            "graph.querySelector(\"[aria-label^='One step forward']\").click()",
            'graph.querySelector(".bpl-count").textContent',
            times=5,
        )

    in_time(f"GraphExplorer, a step, cell {cell}", measure)


def test_a_control_of_the_flow_reaches_the_screen_in_100_ms(page):
    flow = page.output(4)
    flow.scroll_into_view_if_needed()
    page.tab.evaluate("(flow) => { window.flow = flow; }", flow.element_handle())

    in_time(
        "GradientFlow, a control",
        lambda: [
            page.latency(
                f"flow.querySelectorAll('.widget-toggle-buttons button')[{n}].click()",
                "flow.querySelector('.bpl-plot').outerHTML",
                times=1,
            )[0]
            for n in (1, 2, 3, 0, 1, 2, 3, 0)
        ],
    )


def test_paths_are_stepped_by_button(page):
    output = page.output(5)
    output.get_by_role("button", name="Next path").click()

    output.get_by_text("path 2 of 3").wait_for()
    page.screenshot("paths", output)


def test_what_is_no_run_shows_a_sentence_not_an_error(page):
    said = page.output(6).inner_text()

    assert "GraphExplorer shows a recorded run; this is an int." in said


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 1024])
def test_pictures_in_both_themes_fit_the_window(page, theme, width):
    page.tab.set_viewport_size({"width": width, "height": 1000})
    page.theme(theme)
    for cell in (1, 2, 3, 4):
        output = page.output(cell)
        if cell < 4:
            at_start(page, cell)
            for _ in range(4):
                page.tab.keyboard.press("ArrowRight")
            page.tab.wait_for_timeout(400)
        page.screenshot(f"view_{cell}_{theme}_{width}", output)

        outside = output.evaluate(
            """(output) => [...output.querySelectorAll(".bpl-lab, .bpl-pane, svg")]
              .filter((part) => part.getBoundingClientRect().right >
                output.getBoundingClientRect().right + 1).length"""
        )
        assert 0 == outside
    page.theme("light")


def test_a_request_to_another_host_is_refused_and_counted(server):
    page = server.open("views.ipynb")
    kept = len(server.refused)
    page.tab.evaluate("() => fetch('https://example.org/').catch(() => 0)")

    said = page.errors()

    server.refused[kept:] = []
    assert "request: https://example.org/" in said
    page.close()
