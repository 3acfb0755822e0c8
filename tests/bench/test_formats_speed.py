"""Rounding a million numbers, and a product under autocast: `make bench` prints it."""

from collections.abc import Iterator

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats
from backproplab.amp import autocast

from .measure import race
from .report import Report
from .targets import LONGEST_ROUNDING

ml_dtypes = pytest.importorskip("ml_dtypes")

SECONDS = 1.0  # of CPU time for a row
NAMES = formats.names()


@pytest.fixture(autouse=True)
def _gate(request: pytest.FixtureRequest, report: Report) -> Iterator[None]:
    """With --gate, fail a row that misses a target."""
    before = set(report.missed())
    yield
    if request.config.getoption("--gate", default=False):
        missed = [line for line in report.missed() if line not in before]
        if missed:
            pytest.fail("\n".join(missed), pytrace=False)


def million(scale: float = 1.0) -> np.ndarray:
    """Normal float32 numbers of a scale; what float32 does not hold is 0."""
    x = np.random.default_rng(0).standard_normal(10**6)
    return (x * scale).astype(np.float32)


def cast(x: np.ndarray, name: str) -> np.ndarray:
    """Cast with NumPy or ml_dtypes."""
    return x.astype(vars(ml_dtypes).get(name, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_million_numbers_are_rounded_as_by_a_cast(name, report):
    x, small = million(), million(formats.get(name).min_normal / 8)
    row = f"1M float32 to {name}"

    for numbers in (x, small):
        want = cast(numbers, name).astype(np.float32)
        assert np.array_equal(want, formats.quantize(numbers, name))

    result = race(
        {
            row: lambda: formats.quantize(x, name),
            "subnormal": lambda: formats.quantize(small, name),
            "cast": lambda: cast(x, name).astype(np.float32),
            "one way": lambda: cast(x, name),
        },
        SECONDS,
    )
    report.add(row, "6 ms", result.time(row) / LONGEST_ROUNDING)
    report.add(f"{row}, subnormal", "normal", result.ratio("subnormal", row))
    report.add(row, "a cast and back", result.ratio(row, "cast"))
    report.add(row, "a cast, one way", result.ratio(row, "one way"))
    report.notes.append((row, f"{result.time(row) * 1e3:.2f} ms"))


def test_a_product_under_autocast_is_the_plain_one_but_for_rounding(report):
    rng = np.random.default_rng(0)
    a, b = (bp.tensor(rng.normal(size=(512, 512)).astype("f")) for _ in range(2))

    def narrow() -> object:
        with autocast("float16"):
            return a @ b

    error = np.abs(narrow().data - (a @ b).data).max()
    assert 0 < error < 100 * formats.get("float16").unit_roundoff * np.sqrt(512)

    result = race({"autocast": narrow, "plain": lambda: a @ b}, SECONDS)
    report.add(
        "autocast, 512 x 512 matmul", "float32", result.ratio("autocast", "plain")
    )
