"""What an op's own code says when it runs on symbols: its value, its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .names import FUNCTIONS
from .symbol import Symbol, lift, named
from .term import FRACTION, PRODUCT, Term, times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..primitive import Primitive

_LONGEST = 160  # characters of a rule that is still read
_SHORT = 80  # characters beyond which the op's name says more


def applied(op: Primitive, static: Any, inputs: Sequence[Any], value: Any) -> Symbol:
    """Write ``op(inputs)``: its body run on symbols, or its name where that says more.

    Args:
        op: the declared op.
        static: its options.
        inputs: symbols, None where an optional input was left out.
        value: what the op gave; the formula must give the same.
    """
    options = {k: v for k, v in static.items() if k != "saved"}

    def run() -> Any:
        result = op.value(*inputs, **options)
        return result[0] if op.saves else result

    written = None if op.name in FUNCTIONS else _tried(run, value)
    if written is None or len(written.tex) > _SHORT:
        return named(op.name, inputs, value)
    return written


def partial(op: Primitive, k: int, y: Symbol, inputs: Any, static: Any) -> Symbol:
    """Write an elementwise op's local derivative for input ``k``, from its rule."""
    rule = op.rules[k]
    if not callable(rule):
        return lift(rule or 0)
    written = _tried(lambda: rule(y, *inputs, **static))
    if written is None:
        return Symbol(Term(_derivative(y, inputs[k]), FRACTION), y.value)
    return written


def sent(
    op: Primitive, k: int, g: Symbol, y: Symbol, inputs: Any, static: Any
) -> Symbol:
    """Write what an op sends back to input ``k``, from its rule.

    Where that has no notation, as the transposed Jacobian times ``g``.
    """
    static = {**static, "saved": None} if op.saves else static
    if op.vjp is None and op.pullbacks[k] is None:
        return lift(0)
    if op.kind == "elementwise":
        slope = partial(op, k, y, inputs, static)
        return Symbol(times(g.term, slope.term), np.multiply(g.value, slope.value))

    def run() -> Any:
        if op.vjp is not None:
            return op.vjp(g, y, *inputs, wrt=[k], **static)[k]
        return op.pullbacks[k](g, y, *inputs, **static)

    written = _tried(run, longest=_LONGEST + 2 * len(g.tex))
    if written is None:
        jacobian = rf"\left({_derivative(y, inputs[k])}\right)^{{\!\top}}"
        tex = f"{jacobian} {g.term.within(PRODUCT)}"
        return Symbol(Term(tex, PRODUCT), inputs[k].value)
    return written


def _derivative(y: Symbol, x: Symbol) -> str:
    return rf"\frac{{\partial {y.tex}}}{{\partial {x.tex}}}"


def _tried(
    run: Callable[[], Any], value: Any = None, longest: int = _LONGEST
) -> Symbol | None:
    """What a rule gives on symbols, if that can be read and is not another number."""
    try:
        with np.errstate(all="ignore"):
            out = lift(run())
        if value is not None and not np.allclose(
            np.asarray(out.value, float), value, rtol=1e-3, equal_nan=True
        ):
            return None
    except Exception:  # a rule may ask more of an array than a symbol can answer
        return None
    return None if out.opaque or len(out.tex) > longest else out
