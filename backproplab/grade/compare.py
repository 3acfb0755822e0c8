"""Is this array that array? Shape first, then finite, then value at the array's own scale."""

from typing import Any

import numpy as np

from .. import formats
from ..tape import Node
from .verdict import Verdict

# Candidates for a rounding, finest first.
_FORMATS = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def compare(
    got: Any, want: Any, *, scale: float | None = None, name: str = ""
) -> Verdict:
    """Judge an answer against the truth. Never raises for what a learner hands in.

    Args:
        got: the answer: array, list, number, tensor; ``...`` or None where there is none.
        want: the truth.
        scale: the size at which differences count; the greatest ``|want|`` when None.
            Give the size of the contributions where they cancel.
        name: what was asked for, for the message.

    Returns:
        a verdict labelled ``correct``, ``rounding``, ``shape``, ``not-finite``, ``wrong``
        or ``not-attempted``. Shapes are never broadcast: (64,) is not (1, 64).

    >>> compare(np.ones(64), np.ones((1, 64))).label
    'shape'
    >>> compare([1, 2], np.array([1.0, 2.0])).label
    'correct'
    """
    if got is None or got is ...:
        return Verdict("not-attempted", "No answer yet: replace the `...`.", name=name)
    array, complaint = take_in(got)
    if array is None:
        return Verdict("wrong", complaint, name=name)
    want = np.asarray(want)
    if array.shape != want.shape:
        return Verdict("shape", _shapes(array.shape, want.shape), name=name)
    bad = ~np.isfinite(array) & np.isfinite(want)
    if bad.any():
        return Verdict("not-finite", _not_finite(array, bad), name=name)
    off = _off(array, want, scale)
    if not off.any():
        return Verdict("correct", "", name=name)
    format = _rounding(array, want, scale)
    if format is not None:
        says = f"Right up to the rounding of {format}."
        return Verdict("rounding", says, format=format, name=name)
    return Verdict("wrong", _where_off(off), name=name)


def take_in(got: Any) -> tuple[np.ndarray | None, str]:
    """Turn an answer into an array of floats, or say in a sentence why it is none."""
    kind = type(got).__name__
    if isinstance(got, Node):
        got = got._data
    if callable(got):
        return (
            None,
            f"This is a function ({kind}); call it and hand in what it returns.",
        )
    try:
        array = np.asarray(got)
    except Exception:
        return None, f"This {kind} is not an array: all rows must have the same length."
    if array.dtype.kind in "iub":
        array = array.astype(float)
    if array.dtype.kind != "f":
        return None, f"This is a {kind}; an array of numbers is asked for."
    return array, ""


def tolerance(dtype: Any) -> float:
    """The relative difference that another order of operations may make in a format."""
    return float(8 * np.finfo(dtype).eps ** 0.75)


def _off(got: np.ndarray, want: np.ndarray, scale: float | None) -> np.ndarray:
    dtype = want.dtype if want.dtype.kind == "f" else np.dtype(float)
    got, want = got.astype(float), want.astype(float)
    finite = np.isfinite(want)
    if scale is None:
        scale = float(np.max(np.abs(want), where=finite, initial=0)) or 1.0
    with np.errstate(invalid="ignore"):
        off = np.abs(got - want) > tolerance(dtype) * scale
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(finite, off, ~same)


def _rounding(got: np.ndarray, want: np.ndarray, scale: float | None) -> str | None:
    """The finest format on whose grid the answer lies and whose rounding explains it."""
    if not np.isfinite(want).all():
        return None
    got64, want64 = got.astype(float), want.astype(float)
    size = scale or float(np.max(np.abs(want64), initial=0))
    gap = np.abs(got64 - want64)
    for name in _FORMATS:
        if got.dtype.name != name and not formats.on_grid(got64, name):
            continue
        fmt = formats.get(name)
        if fmt.bits >= 32:
            bound: Any = tolerance(np.float32) * size
        elif fmt.bits == 16:
            bound = 8 * fmt.unit_roundoff * size + fmt.min_subnormal
        else:
            bound = 1.01 * fmt.unit_roundoff * np.abs(want64) + fmt.min_subnormal / 2
        if (gap <= bound).all():
            return name
    return None


def _shapes(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    return (
        f"Your array has shape {got}; the gradient of a value has the value's own shape, "
        f"here {want}. The numbers are compared once the shape is right."
    )


def _not_finite(got: np.ndarray, bad: np.ndarray) -> str:
    what = "NaN" if np.isnan(got[bad]).any() else "infinite"
    return f"{int(bad.sum())} of {got.size} entries are {what}; the gradient is finite here."


def _where_off(off: np.ndarray) -> str:
    if off.size == 1:
        return "The number is not right."
    if off.all():
        return f"The shape is right; all {off.size} entries are off."
    first = tuple(int(i) for i in np.argwhere(off)[0])
    at = first[0] if len(first) == 1 else first
    return f"The shape is right; {int(off.sum())} of {off.size} entries are off, first at [{at}]."
