"""Is this array that array? Shape first, then finite, then value at its own scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import formats
from ..node import Node
from .verdict import Verdict

OWN_SHAPE = "The gradient of a value has the value's own shape."

# Candidates for a rounding, finest first.
_FORMATS = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def compare(
    got: Any, want: Any, *, scale: float | None = None, name: str = ""
) -> Verdict:
    """Judge an answer against the truth. Never raises for what a learner hands in.

    Args:
        got: the answer: array, list, number or tensor; ``...`` or None for none.
        want: the truth.
        scale: the size at which differences count; the greatest ``|want|`` when None.
            Give the size of the contributions where they cancel.
        name: what was asked for, for the message.

    Returns:
        a verdict labelled ``correct``, ``rounding``, ``shape``, ``not-finite``,
        ``wrong`` or ``not-attempted``. Shapes are never broadcast: (64,) is not
        (1, 64).

    >>> compare(np.ones(64), np.ones((1, 64))).label
    'shape'
    >>> compare([1, 2], np.array([1.0, 2.0])).label
    'correct'
    """
    if got is None or got is ...:
        return Verdict("not-attempted", _OPEN, name=name)
    array, carried, complaint = _read(got)
    if array is None:
        label = "not-attempted" if complaint == _OPEN else "wrong"
        return Verdict(label, complaint, name=name)
    want = np.asarray(want)
    if array.shape != want.shape:
        return Verdict("shape", _shapes(array.shape, want.shape), name=name)
    with np.errstate(all="ignore"):
        array = array.astype(float, copy=False)
    bad = ~np.isfinite(array) & np.isfinite(want)
    if bad.any():
        return Verdict("not-finite", _not_finite(array, bad), name=name)
    off = _off(array, want, scale)
    if not off.any():
        return Verdict("correct", "", name=name)
    format = _rounding(array, carried, want, scale)
    if format is not None:
        says = f"Right up to the rounding of {format}."
        return Verdict("rounding", says, format=format, name=name)
    return Verdict("wrong", _where_off(off), name=name)


def take_in(got: Any) -> tuple[np.ndarray | None, str]:
    """Turn an answer into an array of floats, or say in a sentence why it is none."""
    if got is None or got is ...:
        return None, _OPEN
    array, _, complaint = _read(got)
    return array, complaint


def tolerance(dtype: Any) -> float:
    """The relative difference that another order of operations may make in a format.

    1e-11 in float64, 5e-5 in float32, 0.8 % in float16.
    """
    eps: float = float(np.finfo(dtype).eps)
    return float(min(8 * eps**0.75, 8 * 2.0**-10))


_OPEN = "No answer yet: replace the `...`."


def _read(got: Any) -> tuple[np.ndarray | None, str, str]:
    """The answer as floats, the format that it carries, or else a complaint."""
    kind = _a(type(got).__name__)
    if issubclass(type(got), Node):  # isinstance asks the object, which may lie
        got = got._data
    if callable(got):
        what = "a class" if isinstance(got, type) else "a function"
        return None, "", f"This is {what}: call it, and hand in what it returns."
    try:
        array = np.asarray(got)
        carried, held = array.dtype.name, array.dtype.kind
        if held == "O":
            return None, "", _of_objects(array, kind)
        if np.ma.is_masked(got):
            return None, "", "Some entries are masked; every entry is asked for."
        if held == "f" and array.dtype.isnative:
            return array, carried, ""
        if held in "iubf" or carried in _FORMATS:
            return array.astype(float), carried, ""
    except ValueError:
        return None, "", f"This is {kind} whose rows differ in length."
    except Exception:
        return None, "", f"This is {kind} that cannot be read as an array of numbers."
    if held == "c":
        return None, "", "These are complex numbers; real ones are asked for."
    return None, "", f"This is {kind}; an array of numbers is asked for."


def _of_objects(array: np.ndarray, kind: str) -> str:
    if any(x is ... for x in array.flat):
        return _OPEN
    if array.ndim == 0:
        return f"This is {kind}; an array of numbers is asked for."
    return f"This is {kind} of Python objects; an array of numbers is asked for."


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def _off(got: np.ndarray, want: np.ndarray, scale: float | None) -> np.ndarray:
    dtype = want.dtype if want.dtype.kind == "f" else np.dtype(float)
    want = want.astype(float)
    finite = np.isfinite(want)
    if scale is None:
        scale = _size(want, finite) or 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.asarray(np.abs(got - want) > tolerance(dtype) * scale)
        same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(finite, off, ~same)


def _size(want: np.ndarray, finite: np.ndarray) -> float:
    return float(np.max(np.abs(want), where=finite, initial=0))


def _rounding(
    got: np.ndarray, carried: str, want: np.ndarray, scale: float | None
) -> str | None:
    """The finest format that explains the answer, if the answer has earned it.

    Earned means that the array carries the format, or that it lies on the format's grid
    and each entry is the nearest to the truth. Where its mantissas show that it was
    computed in the format, rounding may have added up at the scale of the array. Round
    numbers lie on every grid and prove nothing, nor does an underflow to zero; in 8
    bits, where the nearest number is far, the mantissas must show it always.
    """
    want = want.astype(float)
    if not np.isfinite(want).all() or not got.any():
        return None
    size = scale or _size(want, np.isfinite(want))
    gap = np.abs(got - want)
    for name in _FORMATS:
        if carried != name and not formats.on_grid(got, name):
            continue
        fmt = formats.get(name)
        rounded = formats.quantize(want, name)
        if not np.isfinite(rounded).all():
            continue
        shown = carried == name or _computed_in(got, fmt.precision)
        nearest = (gap <= 1.001 * np.abs(rounded - want)).all()
        if nearest and (fmt.bits > 8 or shown):
            return name
        if shown and (fmt.bits > 8 or carried == name):
            grown = tolerance(np.float32) if fmt.bits == 32 else 8 * fmt.unit_roundoff
            if (gap <= grown * size + fmt.min_subnormal).all():
                return name
    return None


def _computed_in(got: np.ndarray, precision: int) -> bool:
    """Whether the last bit of the mantissas is set as often as in computed numbers.

    There it is set in half of them; in round numbers (halves, small integers) hardly.
    """
    mantissa, _ = np.frexp(got[got != 0])
    whole = mantissa * 2.0 ** (precision - 1)
    odd = int(np.sum(whole != np.rint(whole)))
    return bool(mantissa.size >= 4 and odd >= max(2, mantissa.size / 4))


def _shapes(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    return (
        f"Your array has shape {got}; {want} is asked for. The numbers are compared "
        "once the shape is right."
    )


def _not_finite(got: np.ndarray, bad: np.ndarray) -> str:
    what = "NaN" if np.isnan(got[bad]).any() else "infinite"
    if got.size == 1:
        return f"The number is {what}; what is asked for is finite here."
    verb = "is" if bad.sum() == 1 else "are"
    count = f"{int(bad.sum())} of {got.size} entries"
    return f"{count} {verb} {what}; what is asked for is finite there."


def _where_off(off: np.ndarray) -> str:
    if off.size == 1:
        return "The number is not right."
    if off.all():
        return f"The shape is right; all {off.size} entries are off."
    at = [int(i) for i in np.argwhere(off)[0]]
    verb = "is" if off.sum() == 1 else "are"
    count = f"{int(off.sum())} of {off.size} entries"
    return f"The shape is right; {count} {verb} off, first at {at}."
