"""Ops that round: a cast, and any op whose output and cotangents lie on a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from .. import formats
from ..formats import Format
from ..node import Node
from ..primitive import Primitive, linear
from ..tape import apply

FLOAT32, FLOAT64 = formats.get("float32"), formats.get("float64")
_OF_DTYPE: dict[Any, Format] = {
    np.dtype(n): formats.get(n) for n in ("float16", "float32", "float64")
}


class Rounded(Primitive):
    """An op of the tape whose values lie on the grid of ``format``.

    Its output stands in a float32 array. The gradient that comes in is rounded to
    ``format``, and what goes to input k to the format of input k. ``exact`` is the op
    that rounds nothing; None for a cast.
    """

    __slots__ = ("exact", "format")

    exact: Primitive | None
    format: Format


def format_of(x: Any) -> Format | None:
    """The format that a value has: that of the op that made it, else of its dtype.

    None where it is no float array; a Python number has no format of its own.

    >>> format_of(np.ones(3, np.float32)).name
    'float32'
    """
    if isinstance(x, Node):
        return (
            x._op.format if isinstance(x._op, Rounded) else _OF_DTYPE.get(x._data.dtype)
        )
    return _OF_DTYPE.get(x.dtype) if isinstance(x, (np.ndarray, np.generic)) else None


def widest(several: Iterable[Format | None]) -> Format | None:
    """The format that holds all: float32 for two narrow ones, such as the two halves.

    >>> widest([formats.get("float16"), formats.get("bfloat16"), None]).name
    'float32'
    """
    found = {fmt.name: fmt for fmt in several if fmt is not None}
    if len(found) < 2:
        return next(iter(found.values()), None)
    wide = max(found.values(), key=lambda fmt: fmt.bits)
    return wide if wide.bits > FLOAT32.bits else FLOAT32


def is_narrow(fmt: Format | None) -> bool:
    """Whether its values are emulated: on a grid coarser than float32's."""
    return fmt is not None and fmt.bits < FLOAT32.bits


def cast(x: Any, fmt: Format) -> Any:
    """Round a tensor to a format, visibly: a node whose op is ``cast``."""
    dtype = np.dtype(np.float64 if fmt == FLOAT64 else np.float32)
    return apply(caster(fmt, format_of(x)), (x,), {"dtype": dtype})


@lru_cache(256)
def caster(fmt: Format, source: Format | None) -> Primitive:
    """The op that rounds to ``fmt``; its cotangent is rounded to ``source``.

    Its ``dtype`` is that of the array, so that a saved run reads as plain casts.
    """

    def back(g: Any, _x: Any, *, dtype: Any) -> Any:
        return rounded(g, source)

    @linear(back, name="cast")
    def to_format(x: Any, *, dtype: Any) -> Any:
        """Another number format; the gradient comes back in the input's own format."""
        return rounded(np.asarray(x), fmt).astype(dtype, copy=False)

    op: Primitive = to_format.primitive
    return _with_format(op, fmt, None)


@lru_cache(1024)
def rounding(op: Primitive, ins: tuple[Format | None, ...], out: Format) -> Primitive:
    """The op as it is in a format: each cotangent rounded to its input's format."""
    made = _with_format(op, out, op)
    # A variadic op has one pullback for all its inputs, or one joint rule.
    made.pullbacks = tuple(
        None if rule is None else _rounding_pullback(rule, out, fmt)
        for rule, fmt in zip(op.pullbacks, ins, strict=False)
    )
    if op.vjp is not None:
        made.vjp = _rounding_vjp(op.vjp, out, ins)
    if op.jvp is not None:
        made.jvp = _rounding_jvp(op.jvp, out)
    return made


def rounded(c: Any, fmt: Format | None) -> Any:
    """Round an array, or a tensor as a node of its own, to a narrow format."""
    if c is None or not is_narrow(fmt):
        return c
    if isinstance(c, Node):
        return cast(c, fmt)  # type: ignore[arg-type]
    return formats.quantize(c, fmt)  # type: ignore[arg-type]


def _with_format(op: Primitive, fmt: Format, exact: Primitive | None) -> Rounded:
    made = Rounded()
    for slot in Primitive.__slots__:
        setattr(made, slot, getattr(op, slot))
    made.format, made.exact = fmt, exact
    return made


def _rounding_pullback(
    rule: Callable[..., Any], out: Format, fmt: Format | None
) -> Callable[..., Any]:
    def pullback(g: Any, y: Any, *inputs: Any, **static: Any) -> Any:
        static.pop("out", None)  # the engine's offer of an array to write into
        with np.errstate(over="ignore", invalid="ignore"):
            return rounded(rule(rounded(g, out), y, *inputs, **static), fmt)

    return pullback


def _rounding_vjp(
    rule: Callable[..., Any], out: Format, ins: tuple[Format | None, ...]
) -> Callable[..., Any]:
    def vjp(g: Any, y: Any, *inputs: Any, wrt: Any, **static: Any) -> list[Any]:
        with np.errstate(over="ignore", invalid="ignore"):
            all_ = rule(rounded(g, out), y, *inputs, wrt=wrt, **static)
            return [
                rounded(c, fmt) if k in wrt else None
                for k, (c, fmt) in enumerate(zip(all_, ins, strict=True))
            ]

    return vjp


def _rounding_jvp(rule: Callable[..., Any], out: Format) -> Callable[..., Any]:
    def jvp(tangents: Any, y: Any, *inputs: Any, **static: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            return rounded(rule(tangents, y, *inputs, **static), out)

    return jvp
