"""What a shadow run found: numbers for each node, as tables; nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._table import Table
from ..formats import Format


@dataclass(frozen=True, slots=True)
class NodeError:
    """How far a value, or its gradient, is from its float64 shadow.

    The error is exactly the sum of two arrays: what was born, by rounding this op on
    the very inputs that it got, and what was inherited with those inputs.

    Attributes:
        name: the tensor's name, or its op and a count.
        scope: the path of the module that it was computed in.
        op: what computed it; "leaf" if nothing did.
        backward: whether this is about the gradient.
        size: how many numbers.
        error: Euclidean norm of the error, relative to that of the shadow; absolute
            where the shadow is 0.
        born: likewise, of what was born here.
        inherited: likewise, of what came in.
        underflows: numbers that became 0, and are not 0 before the rounding.
        overflows: numbers that became inf or NaN, and are finite before.
        swamped: additions that left the larger term as it was; the other was not 0.
        flipped: gates (relu, abs, maximum ...) that stand otherwise in float64.
    """

    name: str
    scope: str
    op: str
    backward: bool
    size: int
    error: float
    born: float
    inherited: float
    underflows: int
    overflows: int
    swamped: int = 0
    flipped: int = 0


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """What ``shadow`` found.

    Attributes:
        format: the narrow format.
        output: what the function computed in it.
        exact: its float64 shadow.
        nodes: a ``NodeError`` for each value, then for each gradient, as they came.
    """

    format: Format
    output: np.ndarray
    exact: np.ndarray
    nodes: tuple[NodeError, ...]

    def table(self, *, backward: bool | None = None) -> Table:
        """Errors node by node, of one direction or both."""
        return Table(
            {
                "name": n.name,
                "op": n.op,
                "pass": _direction(n),
                "error": n.error,
                "born": n.born,
                "inherited": n.inherited,
            }
            for n in self.nodes
            if backward in (None, n.backward)
        )

    def ledger(self) -> Table:
        """Each kind of event at each node where it happened, with its count."""
        return Table(
            {
                "event": event,
                "name": n.name,
                "op": n.op,
                "pass": _direction(n),
                "count": getattr(n, event),
                "of": n.size,
            }
            for n in self.nodes
            for event in ("underflows", "overflows", "swamped", "flipped")
            if getattr(n, event)
        )

    def __str__(self) -> str:
        return f"{self.format.name} against float64\n{self.table()}"

    __repr__ = __str__


def _direction(n: NodeError) -> str:
    return "backward" if n.backward else "forward"
