"""What follows from an op's declared rules: its pullbacks, its jvp, what they read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._signatures import positional
from .tape import apply, unchanged

if TYPE_CHECKING:
    from .primitive import Primitive

Rule = Callable[..., Any]


def derive(op: Primitive, arity: int, jvp: Rule | None) -> None:
    """Set ``pullbacks``, ``jvp`` and ``needs`` of an op from its rules.

    Args:
        op: with its kind and rules set.
        arity: how many inputs, a variadic one counts once.
        jvp: as given by hand; of the other kinds it is derived.
    """
    fixed = 0 if op.variadic or op.defaults else arity
    pull: Callable[[Any, int], Rule]
    if op.kind == "elementwise":
        pull, op.jvp, skip = _partial_pullback, _sum_of_partials(op.rules), 0
    elif op.kind == "linear":
        pull, op.jvp, skip = _transpose_pullback, _multilinear(op), -1
    else:
        pull, op.jvp, skip = _as_it_is, jvp, 1
    op.pullbacks = tuple(None if r is None else pull(r, fixed) for r in op.rules)
    op.needs = _Needs(_needed(rule, skip, arity) for rule in op.rules)


def _as_it_is(pullback: Rule, _arity: int) -> Rule:
    return pullback


def _partial_pullback(partial: Any, arity: int = 0) -> Rule:
    """Multiply g by the partial; into ``out`` where the engine offers an array.

    Written out where there are one or two inputs and no options, since passing on
    ``*inputs`` and ``**static`` costs more than a product of small arrays.
    """
    if not callable(partial):
        if partial == 1:
            return unchanged

        def multiple(g: Any, *_inputs: Any, out: Any = None, **_static: Any) -> Any:
            return g * partial if out is None else np.multiply(g, partial, out=out)

        return multiple

    def of_one(g: Any, y: Any, x: Any, out: Any = None) -> Any:
        slope = partial(y, x)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    def of_two(g: Any, z: Any, x: Any, y: Any, out: Any = None) -> Any:
        slope = partial(z, x, y)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    def pullback(g: Any, y: Any, *inputs: Any, out: Any = None, **static: Any) -> Any:
        slope = partial(y, *inputs, **static)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    by_arity: dict[int, Rule] = {1: of_one, 2: of_two}
    return by_arity.get(arity, pullback)


def _transpose_pullback(transpose: Rule, arity: int) -> Rule:
    if arity == 1:
        return lambda g, _y, x: transpose(g, x)
    if arity == 2:
        return lambda g, _z, x, y: transpose(g, x, y)
    return lambda g, _y, *inputs, **static: transpose(g, *inputs, **static)


def _sum_of_partials(partials: tuple[Any, ...]) -> Rule:
    pulls = [None if p is None else _partial_pullback(p) for p in partials]

    def jvp(tangents: Any, y: Any, *inputs: Any, **static: Any) -> Any:
        terms = [
            pull(t, y, *inputs, **static)
            for t, pull in zip(tangents, pulls, strict=True)
            if t is not None and pull is not None
        ]
        return sum(terms[1:], terms[0]) if terms else None

    return jvp


def _multilinear(op: Primitive) -> Rule:
    def jvp(tangents: Any, _y: Any, *inputs: Any, **static: Any) -> Any:
        terms = [
            apply(op, (*inputs[:k], t, *inputs[k + 1 :]), static)
            for k, t in enumerate(tangents)
            if t is not None
        ]
        return sum(terms[1:], terms[0]) if terms else None

    return jvp


class _Needs(tuple[Any, ...]):
    """What each rule reads; a joint vjp and a variadic op read everything (None)."""

    __slots__ = ()

    def __getitem__(self, k: Any) -> Any:
        return tuple.__getitem__(self, k) if k < len(self) else None


def _needed(rule: Any, skip: int, arity: int) -> tuple[int, ...] | None:
    """Positions (0 is y) of the parameters that do not begin with an underscore."""
    if not callable(rule):
        return ()
    names = positional(rule)
    if names is None:
        return None
    shift = 1 if skip < 0 else 0  # a transpose has no y
    names = names[abs(skip) :][: arity + 1 - shift]
    return tuple(i + shift for i, n in enumerate(names) if not n.startswith("_"))
