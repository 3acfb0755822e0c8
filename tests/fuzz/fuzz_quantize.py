"""Fuzz ``formats.quantize``: any bits, format and option; held against exact values."""

import sys

import numpy as np
from loop import main

import backproplab as bp

FORMATS = (
    "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float6_e2m3fn",
    "float6_e3m2fn", "float4_e2m1fn", "float32", "float7", "",
)  # fmt: skip
ROUNDINGS = ("nearest", "toward_zero", "stochastic", "up")
OVERFLOWS = (None, "inf", "nan", "saturate", "wrap")
DTYPES = ("<f2", "<f4", "<f8", "<i4")


def one(data: bytes) -> None:
    """Read options from the first bytes, numbers from the rest."""
    head, body = data[:4].ljust(4, b"\0"), data[4:]
    fmt, rounding, overflow, dtype = (
        options[byte % len(options)]
        for options, byte in zip(
            (FORMATS, ROUNDINGS, OVERFLOWS, DTYPES), head, strict=True
        )
    )
    size = np.dtype(dtype).itemsize
    x = np.frombuffer(body[: len(body) // size * size], dtype)
    rng = np.random.default_rng(0) if rounding == "stochastic" else None
    before = x.copy()

    try:
        y = bp.formats.quantize(x, fmt, rounding=rounding, overflow=overflow, rng=rng)
    except (ValueError, TypeError) as error:
        _require("required" in str(error) and "help:" in str(error), str(error))
        return

    _require(y.shape == x.shape and before.tobytes() == x.tobytes(), "input changed")
    again = bp.formats.quantize(y, fmt, overflow=overflow)
    fine = np.isfinite(y)
    _require(np.array_equal(again[fine], y[fine]), "a value off the grid")
    _require(np.array_equal(np.isnan(y) & ~np.isnan(x), _new_nan(x, y)), "NaN born")
    _require(bool(np.all(np.isnan(y) | ~np.isnan(x))), "a NaN became a number")
    same = fine & np.isfinite(x)
    _require(
        np.array_equal(np.signbit(y[same]), np.signbit(x[same])), "a sign was lost"
    )
    order = np.argsort(x[same], kind="stable")
    if rounding != "stochastic":
        _require(bool(np.all(np.diff(y[same][order]) >= 0)), "order was lost")


def _new_nan(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """NaN may only be born of what is beyond the largest number."""
    beyond = np.abs(x.astype("f8")) > 1
    return np.isnan(y) & ~np.isnan(x) & beyond


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def seeds() -> list[bytes]:
    """All kinds of numbers in all formats."""
    telling = [0.0, -0.0, 1, 65504, 65520, 448, 464, 2**-24, 1e-45, 1e308, np.inf]
    found = []
    for f in range(len(FORMATS)):
        for d, dtype in enumerate(DTYPES[:3]):
            with np.errstate(all="ignore"):
                body = np.array([*telling, np.nan, 2**-149, 1 / 3]).astype(dtype)
            found.append(bytes([f, 0, 0, d]) + body.tobytes())
    return found


if __name__ == "__main__":
    sys.exit(main("quantize", one, seeds(), documented=()))
