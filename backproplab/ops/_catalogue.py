"""The table of ops: what is declared of each, read from the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._symbols import Symbol, applied, partial, sent, variable
from .._table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..primitive import Primitive


def table_of(registry: Mapping[str, Primitive]) -> Table:
    """Describe each op in a row; see ``bp.ops.table``."""
    return Table(_row(op) for op in registry.values())


def _row(op: Primitive) -> dict[str, Any]:
    inputs, static = op.example(np.random.default_rng(0))
    static = {**op.defaults, **static}
    names = [f"x{k}" for k in range(len(inputs))] if op.variadic else op.inputs
    value = op.value(*inputs, **static)
    if op.saves:
        value, static = value[0], {**static, "saved": value[1]}
    xs = [
        None if x is None else Symbol(variable(name), np.asarray(x))
        for name, x in zip(names, inputs, strict=True)
    ]
    letter = next(name for name in ("y", "z", "out") if name not in names)
    y, g = Symbol(letter, np.asarray(value)), Symbol("g", np.ones_like(value))
    slopes = [
        partial(op, k, y, xs, static)
        if op.kind == "elementwise"
        else sent(op, k, g, y, xs, static)
        for k, x in enumerate(xs)
        if x is not None and _flows(op, k)
    ]
    word = "local derivative" if op.kind == "elementwise" else "sends back"
    return {
        "op": op.name,
        "formula": f"${letter} = {applied(op, static, xs, value).tex}$",
        "rule": word,
        "derivatives": ", ".join(f"${s.tex}$" for s in slopes) or "none",
        "cast": op.cast,
        "remembers": ", ".join(_remembers(op, letter, names)) or "nothing",
    }


def _flows(op: Primitive, k: int) -> bool:
    return op.vjp is not None or op.rules[k] is not None


def _remembers(op: Primitive, letter: str, names: Any) -> list[str]:
    """Name the values that the rules read: all, where the rule is a joint one."""
    operands = [letter, *names]
    read: set[int] = set()
    for k in range(len(names)):
        needed = op.needs[k] if op.vjp is None else None
        read.update(range(len(operands)) if needed is None else needed)
    kept = [operands[i] for i in sorted(read) if i < len(operands)]
    return [*kept, "what forward saved"] if op.saves else kept
