"""Slips that show when the op runs again: on other operands, or on tensors.

No rule is changed. Each takes a case and an input, and yields what is likely wrong.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from .._linearize import Run
from .._numerical import Point
from ..sockets import Plug, plugged
from .case import Case, same


def rule_misread(case: Case, k: int) -> Iterator[str]:
    """The declared rule is right with operands exchanged or transposed."""
    op, whole = case.point.op, case.whole(k)
    node, position = _alone(case.point, k)
    if whole is None or op.variadic or not op.pullbacks:
        return
    rule, static = op.pullbacks[position], node._static
    names = ("g", "y", *op.inputs)
    operands = (case.vs[0], node._data, *node._values)

    def gives(changed: Any) -> bool:
        try:
            c = rule(*changed, **static)
            return bool(c.shape == whole.shape and same(c, whole))
        except Exception:  # a wrong guess may do anything
            return False

    for i, a in enumerate(operands):
        if np.ndim(a) >= 2:
            changed = list(operands)
            changed[i] = np.swapaxes(a, -1, -2)
            if gives(changed):
                yield f"a missing transpose: with {names[i]}^T the rule is right."
    for i, j in permutations(range(1, len(operands)), 2):
        if i < j:
            changed = list(operands)
            changed[i], changed[j] = operands[j], operands[i]
            if gives(changed):
                which = "swapped inputs" if i > 1 else "wrong operand"
                yield (
                    f"{which}: with {names[i]} and {names[j]} exchanged in the rule it "
                    "is right."
                )


def path_lost(case: Case, k: int) -> Iterator[str]:
    """One contribution is lost: the op's own code, on tensors, shows them apart."""
    op, whole = case.point.op, case.whole(k)
    node, position = _alone(case.point, k)
    if whole is None:
        return
    collect = _Collect()
    static = {n: s for n, s in node._static.items() if n != "saved"}

    def value(x: Any) -> Any:
        values = list(node._values)
        values[position] = x
        y = op.value(*values, **static)
        return y[0] if op.saves else y

    try:
        run = Run("check", value, (node._values[position],), 0, {}, False)
        with plugged(collect):
            run.pull(case.vs)
    except Exception:  # its code may not run on tensors
        return
    parts = collect.into(run.stand_ins[0])
    if len(parts) < 2:
        return
    for maker, part in parts:
        if same(case.got[k], part):
            yield (
                f"overwritten: {case.point.names[k]} is used {len(parts)} times, but "
                f"only the contribution through {maker} is kept; contributions add."
            )
    for maker, part in parts:
        if same(case.got[k], whole - part):
            yield f"a path is missing: the contribution through {maker} is left out."


class _Collect(Plug):
    """Keeps each contribution of a backward pass, apart."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, str, Any]] = []

    def edge(self, node: Any, k: int, c: Any) -> Any:
        self.parts.append((node._inputs[k]._id, node._op.name, np.array(c)))
        return c

    def into(self, x: Any) -> list[tuple[str, Any]]:
        """What came to one node, with the ops that it came through."""
        return [(maker, c) for i, maker, c in self.parts if i == x._id]


def _alone(point: Point, k: int) -> tuple[Any, int]:
    """Run an op once more: its node, and which of its inputs the point's input k is."""
    run = Run("check", point.outputs, point.xs, range(len(point.xs)), {}, False)
    node, x = run.order[0], run.stand_ins[k]
    return node, next(p for p, v in enumerate(node._inputs) if v is x)
