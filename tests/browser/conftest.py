"""A JupyterLab for the tests of this folder, on notebooks that each file writes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip(
    "playwright.sync_api", reason="browser: playwright is not installed"
)
pytest.importorskip("jupyterlab", reason="browser: jupyterlab is not installed")

import nbformat
from lab import LATENCIES, Server, lab


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One JupyterLab and one browser for all files of this folder."""
    with lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def serve(
    jupyter: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """Show notebooks given as ``{name: [cell, ...]}`` or as a folder."""
    with ExitStack() as shown:

        def show(notebooks: dict[str, list[str]] | Path) -> Server:
            folder = notebooks
            if not isinstance(folder, Path):
                folder = tmp_path_factory.mktemp("written")
                for name, cells in notebooks.items():
                    nbformat.write(_notebook(cells), folder / name)
            return shown.enter_context(jupyter.showing(folder))

        yield show


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
