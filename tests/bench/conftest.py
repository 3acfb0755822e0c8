"""`make bench` alone runs this folder; `--gate` makes a missed target a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .report import Report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--gate", action="store_true", help="fail where a benchmark misses its target"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the benchmark out of `pytest` without a path: it takes minutes."""
    asked = any("bench" in argument for argument in config.args)
    speed = collection_path.name.endswith("_speed.py")
    return True if speed and not asked else None


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """Collect all rows; print them at the end, and write artefacts/bench.md."""
    report = Report()
    yield report
    text = report.markdown()
    print(f"\n\n{text}")
    folder = Path(__file__).parents[2] / "artefacts"
    folder.mkdir(exist_ok=True)
    (folder / "bench.md").write_text(text, encoding="utf-8")
