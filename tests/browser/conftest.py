"""A JupyterLab for the tests of a file, on notebooks that the file writes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip(
    "playwright.sync_api", reason="browser: playwright is not installed"
)
pytest.importorskip("jupyterlab", reason="browser: jupyterlab is not installed")

import nbformat
from lab import LATENCIES, Server, lab


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start JupyterLab on notebooks given as ``{name: [cell, ...]}`` or as a folder."""
    running = []

    def start(notebooks: dict[str, list[str]] | Path) -> Server:
        place = tmp_path_factory.mktemp("lab")
        folder = notebooks if isinstance(notebooks, Path) else place / "written"
        if not isinstance(notebooks, Path):
            folder.mkdir()
            for name, cells in notebooks.items():
                nbformat.write(_notebook(cells), folder / name)
        context = lab(folder, place)
        running.append(context)
        return context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


def _notebook(cells: list[str]) -> nbformat.NotebookNode:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in cells],
        metadata={"kernelspec": kernel},
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each lab took from the key to the picture."""
    if LATENCIES.exists():
        terminalreporter.section("from key to picture, medians")
        terminalreporter.write(LATENCIES.read_text())
        LATENCIES.unlink()
