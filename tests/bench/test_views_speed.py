"""What watching costs: Monitor in CPU time of a training, PlaygroundLab in frames."""

from pathlib import Path

import nbformat
import numpy as np
import pytest

import backproplab as bp

from .measure import race
from .peers import OURS
from .report import Report

WATCHED = "monitored"
SECONDS = 8.0  # of CPU time for a race
FRAMES = """async (seconds) => {
  const shown = () => Number(document.querySelector(".bpl-ground").dataset.frames);
  const begun = performance.now(), before = shown();
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  return (1000 * (shown() - before)) / (performance.now() - begun);
}"""


def training(steps, watch):
    """A whole training of 64-32-10 on digits, batch 128, from its first step on."""
    images, labels = bp.data.digits()
    x, y = images[:128].astype(np.float32), labels[:128]

    def run():
        rng = np.random.default_rng(0)
        model = bp.nn.Sequential(
            bp.nn.Linear(64, 32, rng=rng), bp.nn.ReLU(), bp.nn.Linear(32, 10, rng=rng)
        )
        optimizer = bp.optim.SGD(model.parameters(), lr=0.1)
        monitor = bp.Monitor(model) if watch else None
        for _ in range(steps):
            optimizer.zero_grad()
            loss = bp.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        if monitor is not None:
            monitor.remove()
            assert steps == monitor.steps
        return loss

    return run


@pytest.mark.parametrize("steps", [300, 3000])
def test_a_monitor_costs_a_quarter_at_most(steps, report: Report):
    runs = {OURS: training(steps, False), WATCHED: training(steps, True)}
    assert runs[OURS]().item() == runs[WATCHED]().item()

    result = race(runs, SECONDS)

    name = f"digits MLP, {steps} steps, monitored"
    report.add(name, OURS, result.ratio(WATCHED, OURS))
    report.notes.append((f"{name}, A/A", f"{result.noise(OURS):.3f}"))


def test_the_playground_paints_25_frames_a_second(tmp_path: Path, report: Report):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    from lab import chromium, lab
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    if chromium() is None and not own.exists():
        pytest.skip("there is no Chromium")

    written, workplace = tmp_path / "written", tmp_path / "work"
    written.mkdir()
    workplace.mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "import backproplab as bp\n"
                "bp.widgets.PlaygroundLab('spirals', hidden=(8, 8, 8))"
            )
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, written / "playground.ipynb")
    with lab(workplace) as jupyter, jupyter.showing(written) as server:
        page = server.open("playground.ipynb", width=1280, height=1300)
        page.run_all()
        output = page.output(0)
        output.get_by_role("button", name="Play").click()
        output.get_by_role("button", name="Pause").wait_for()
        page.tab.wait_for_timeout(1000)
        rate = float(page.tab.evaluate(FRAMES, 8))
        assert [] == page.errors()

    report.add("PlaygroundLab, 3x8 units, a frame", "1/25 s", 25 / max(rate, 1e-9))
    report.notes.append(("PlaygroundLab, 3x8 units, frames a second", f"{rate:.1f}"))
