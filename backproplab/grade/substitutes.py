"""Another expression in place of a local derivative, another symbol in a rule."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from .links import Break, Link, exchanged, times

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ops whose derivative with respect to one operand is the other operand.
PRODUCTS = {
    "multiply", "matmul", "linear", "dot", "outer", "einsum", "tensordot", "inner",
    "vecdot", "kron",
}  # fmt: skip


def factors(link: Link) -> Iterator[Break]:
    """Another expression in place of the local derivative of an elementwise op."""
    entry, out, x = link.entry, link.out, link.into
    if entry.primitive.kind != "elementwise":
        return
    y, here = entry.value, link.values[link.ks[0] + 1]
    slope = link.pull(np.ones_like(link.g))
    label = "wrong-operand" if entry.op in PRODUCTS else "factor-substituted"
    yield times(label, link, y, f"{out} itself stands in place of d{out}/d{x}.")
    yield times(label, link, here, f"{x} itself stands in place of d{out}/d{x}.")
    fixed = not callable(entry.primitive.rules[link.ks[0]])
    if slope is None or fixed or (slope.size > 1 and np.ptp(slope) == 0):
        return
    if entry.op in PRODUCTS:
        why = f"You divide by d{out}/d{x} where the rule multiplies."
        with np.errstate(all="ignore"):
            yield times("factor-substituted", link, 1 / slope, why)
        return
    with np.errstate(all="ignore"):
        candidates = [
            (1 - slope, f"1 - d{out}/d{x} stands in place of d{out}/d{x}."),
            (slope * slope, f"The factor d{out}/d{x} is there twice."),
            (1 / slope, f"You divide by d{out}/d{x} where the rule multiplies."),
            (1 - y, f"1 - {out} stands in place of d{out}/d{x}."),
            (y * y, f"{out} squared stands in place of d{out}/d{x}."),
            (slope * y, f"d{out}/d{x} has a factor {out} too many."),
            (slope / y, f"d{out}/d{x} lacks a factor {out}."),
        ]
        for v, name in zip(link.values[1:], link.names[1:], strict=True):
            if v is not None:
                candidates += [
                    (slope * v, f"d{out}/d{x} has a factor {name} too many."),
                    (slope / v, f"d{out}/d{x} lacks a factor {name}."),
                ]
    for factor, why in candidates:
        yield times("factor-substituted", link, factor, why)
    yield from _gates(link, slope)
    yield from _relatives(link)


def symbols(link: Link) -> Iterator[Break]:
    """One of the rule's own symbols in place of another: y for x, x for y."""
    entry, values, names = link.entry, link.values, link.names
    label = "wrong-operand" if entry.op in PRODUCTS else "factor-substituted"
    for p in read(link):
        for q, w in enumerate(values):
            if p == q or w is None:
                continue
            why = f"{names[q]} stands where the rule has {names[p]}."
            if np.shape(w) == np.shape(values[p]):
                yield exchanged(label, link, {p: w}, why)
            elif np.ndim(w) == 2 and np.shape(w)[::-1] == np.shape(values[p]):
                yield exchanged(label, link, {p: np.transpose(w)}, why)
    if entry.primitive.kind == "elementwise" and len(values) == 2:
        try:
            with np.errstate(all="ignore"):
                again = entry.primitive.value(entry.value, **entry.static)
        except Exception:  # outside its domain
            return
        why = (
            f"The derivative of {entry.op} is taken at {link.out}; it must be taken "
            f"at {link.into}."
        )
        changed = {0: again, 1: entry.value}
        yield exchanged("factor-substituted", link, changed, why)
    elif entry.primitive.kind == "primitive":
        for v, name in zip(values, names, strict=True):
            if np.shape(v) == np.shape(link.g) != np.shape(link.sent):
                why = f"{name} itself stands in place of d{link.out}/d{link.into}."
                yield times("factor-substituted", link, v, why)


def read(link: Link) -> list[int]:
    """Positions of the arrays that the rule of this link reads."""
    needed: set[int] = set()
    for k in link.ks:
        reads = link.entry.primitive.needs[k]
        needed |= set(range(len(link.values)) if reads is None else reads)
    kinds = (np.ndarray, np.floating)
    return [p for p in sorted(needed) if isinstance(link.values[p], kinds)]


def _gates(link: Link, slope: np.ndarray) -> Iterator[Break]:
    """The gate of a ReLU, a maximum, a clip, set by the wrong side."""
    if np.isin(slope, (0, 1)).all():
        why = (
            f"The gate is set by the gradient that comes into {link.out}; it must be "
            f"set by the value of {link.into} on the way forward."
        )
        sends = [lambda g: g * (g > 0), lambda g: g * (g > 0) * slope]
        for send in sends:
            yield Break("factor-substituted", link, why, send, cost=9)


def _relatives(link: Link) -> Iterator[Break]:
    """The derivative of another function of one variable."""
    entry = link.entry
    if len(entry.inputs) != 1:
        return
    y, x = link.values
    for op in _functions():
        if op.name != entry.op:
            try:
                with np.errstate(all="ignore"):
                    slope = op.rules[0](y, x, **op.defaults)
            except Exception:  # not defined here
                continue
            why = (
                f"The derivative of {op.name} stands in place of that of {entry.op}, "
                f"between {link.out} and {link.into}."
            )
            yield times("factor-substituted", link, slope, why, cost=2)
            if op.needs[0] is None or 0 in op.needs[0]:
                with np.errstate(all="ignore"):
                    there = op.rules[0](op.value(x, **op.defaults), x, **op.defaults)
                yield times("factor-substituted", link, there, why, cost=2)


@cache
def _functions() -> tuple[Any, ...]:
    known: Any = ops.registry.values()
    return tuple(
        op
        for op in known
        if op.kind == "elementwise" and len(op.rules) == 1 and callable(op.rules[0])
    )
