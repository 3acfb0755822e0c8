"""A page that nbconvert made of an executed notebook, opened without a network."""

import os
import subprocess
import sys

import nbformat
import pytest
from lab import ARTEFACTS, ROOT

pytestmark = pytest.mark.browser

LABS = {
    "run = bp.exercises.get('chain.tanh').truth()": "",
    "bp.widgets.GraphExplorer(run)": "svg, img",
    "bp.widgets.GradientFlow(run)": "svg, img",
    "bp.widgets.ChainRuleStepper(run, 'x')": ".bpl-formula",
    "bp.widgets.ExerciseCard('chain.tanh')": ".bpl-card",
    "bp.widgets.DescentLab()": "svg, img",
    "bp.widgets.DepthLab(depth=4)": "svg, img",
    "bp.widgets.BatchNormLab()": "svg, img",
    "bp.widgets.PrecisionLab()": "svg, img",
    "bp.widgets.ReplicaLab()": "svg, img",
    "bp.widgets.PlaygroundLab()": "svg, img",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    cells = [nbformat.v4.new_code_cell(c) for c in ["import backproplab as bp", *LABS]]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    written = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    path = tmp_path_factory.mktemp("page") / "labs.ipynb"
    nbformat.write(written, path)
    return path


@pytest.mark.parametrize("stored", ["True", "False"])
def test_every_lab_leaves_its_picture_once_on_a_page_without_a_network(
    jupyter, notebook, stored
):
    page = notebook.with_name(f"stored_{stored}.html")
    subprocess.run(
        [
            sys.executable, "-m", "nbconvert", "--to", "html", "--execute",
            f"--ExecutePreprocessor.store_widget_state={stored}",
            "--output", page.name, notebook.name,
        ],
        cwd=notebook.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )  # fmt: skip

    seen = seen_on(page, jupyter.browser)

    assert len(seen) == len(LABS)
    for found, (code, what) in zip(seen, LABS.items(), strict=True):
        assert bool(what) == found[what or "svg, img"], code


def test_beside_a_live_lab_the_still_picture_is_hidden(serve):
    page = serve({"a.ipynb": ["import backproplab as bp\nbp.widgets.DescentLab()"]})
    page = page.open("a.ipynb")
    page.run_all()
    page.tab.wait_for_selector(".bpl-widget svg")

    still = page.tab.locator(".bpl-still")

    assert (1, False) == (still.count(), still.is_visible())
    assert [] == page.errors()
    page.close()


def seen_on(page, browser):
    """How many of each kind of picture can be seen in the output of each cell."""
    count = """() => [...document.querySelectorAll('.jp-CodeCell')].slice(1).map(
      (cell) => Object.fromEntries(['svg, img', '.bpl-card', '.bpl-formula'].map(
        (kind) => [kind, [...cell.querySelectorAll(`.jp-OutputArea ${kind}`)].filter(
          (e) => e.getBoundingClientRect().height > 20
            && !e.parentElement.closest('svg')).length])))"""
    tab = browser.new_page(viewport={"width": 1100, "height": 9000})
    tab.route(
        "**/*",
        lambda r: r.continue_() if r.request.url.startswith("file:") else r.abort(),
    )
    tab.goto(page.as_uri())
    found = tab.evaluate(count)
    ARTEFACTS.mkdir(exist_ok=True)
    tab.screenshot(path=ARTEFACTS / f"offline_{page.stem}.png")
    tab.close()
    return found
