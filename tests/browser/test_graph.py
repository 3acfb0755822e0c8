from statistics import median

import pytest

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
FLOW = """\
flow = bp.widgets.GradientFlow(digits)
flow"""
CELLS = ["import numpy as np\nimport backproplab as bp", SCALAR, DIGITS, FLOW]


@pytest.fixture(scope="module")
def page(serve):
    server = serve({"views.ipynb": CELLS})
    page = server.open("views.ipynb")
    page.run_all()
    yield page
    page.close()


@pytest.fixture
def explorer(page):
    view = page.tab.locator(".bpl-lab").first
    view.get_by_role("button", name="To the start").or_(view.locator(".bpl-stage")).first.focus()
    page.tab.keyboard.press("Home")
    return view


def test_a_step_reaches_the_screen_in_100_ms(page):
    click = 'document.querySelectorAll(".bpl-lab")[1].querySelector("[aria-label^=One][aria-label*=forward]").click()'
    home = 'document.querySelectorAll(".bpl-lab")[1].querySelector("[aria-label^=To][aria-label*=start]").click()'
    shown = 'document.querySelectorAll(".bpl-lab")[1].querySelector(".bpl-count").textContent'

    page.tab.evaluate(home)
    times = page.latency(click, shown, times=8)

    page.tab.evaluate(home)
    assert median(times) < 100, times
