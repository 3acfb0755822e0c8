"""What a narrow format did to a recorded run, found by computing each op in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import formats
from .._arrays import fit
from ..amp.exact import double, exact_op, flipped, has_gate, swamped
from . import replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..formats import Format
    from .entry import Entry
    from .run import Trace


class Precision:
    """Compares each narrow record with the exact op on the very inputs that it got.

    Narrow is what lies on a coarser grid than float32's: values that autocast rounded,
    and real float16 arrays. For gates, the whole run is computed in float64 beside it,
    from the recorded leaves.
    """

    def __init__(self, run: Trace) -> None:
        self._entries = run._entries
        self._run = run
        self._formats = [_narrow(r.format) for r in run]
        self._exact: dict[int, tuple[Any, Any]] = {}  # value, and what its op saves
        self._shadows: list[Any] = []

    def is_narrow(self, i: int) -> bool:
        """Whether a record's values lie on a coarser grid than float32's."""
        return self._formats[i] is not None

    def forward(self, i: int) -> Iterator[tuple[str, Any]]:
        """Yield what happened when a record was computed, and where."""
        e, fmt = self._entries[i], self._formats[i]
        if fmt is None or e.primitive is None or self._is_closed(i):
            if e.op == "cast":
                (x,) = replay.operands(self._run, i)
                yield "value underflowed to zero", (e.value == 0) & (x != 0)
            return
        exact, xs = self._value(i)[0], self._operands(i)
        yield "value underflowed to zero", (e.value == 0) & (exact != 0)
        yield "value overflowed", _overflowed(e.value, exact, fmt)
        yield "addition swamped", swamped(e.op, double(e.value), xs)
        if has_gate(e.op):
            true = [None if k < 0 else self._shadow(k) for k in e.inputs]
            yield "gate flipped", flipped(e.op, xs, true)

    def backward(self, i: int) -> Iterator[tuple[str, Any]]:
        """Yield what else happened to a record's gradient on its way, and where."""
        e, fmt = self._entries[i], self._formats[i]
        for o, k, c in e.contributions:
            there = fmt or self._formats[o]
            if there is not None and not self._is_closed(o):
                exact = self._contribution(o, k)
                yield "gradient overflowed", _overflowed(c, exact, there)
        if fmt is not None and len(e.contributions) > 1:
            first, *rest = (double(c) for _, _, c in e.contributions)
            for c in rest:
                sum_ = double(formats.quantize(first + c, fmt))
                yield "sum of contributions swamped", swamped("add", sum_, [first, c])
                first = sum_

    def underflow(self, o: int, k: int, c: Any) -> Any:
        """Where what record ``o`` sent to its input ``k`` is zero by rounding alone."""
        return (
            False if self._is_closed(o) else (c == 0) & (self._contribution(o, k) != 0)
        )

    def _is_closed(self, i: int) -> bool:
        """Whether it ran a learner's function, which nobody calls for a ledger."""
        return self._entries[i].op == "checkpoint"

    def _operands(self, i: int) -> list[Any]:
        return [double(x) for x in replay.operands(self._run, i)]

    def _value(self, i: int) -> tuple[Any, Any]:
        if i not in self._exact:
            self._exact[i] = _computed(self._entries[i], self._operands(i))
        return self._exact[i]

    def _contribution(self, o: int, k: int) -> Any:
        e = self._entries[o]
        op, xs, g = exact_op(e.primitive), self._operands(o), double(e.grad)
        if op is None:
            return fit(g, xs[k])
        static = e.static
        if op.saves:
            static = {**static, "saved": self._value(o)[1]}
        if op.vjp is not None:
            c = op.vjp(g, double(e.value), *xs, wrt=[k], **static)[k]
        else:
            c = op.pullbacks[k](g, double(e.value), *xs, **static)
        return fit(np.asarray(c), np.asarray(xs[k]))

    def _shadow(self, i: int) -> Any:
        """A value of the run that float64 would have made of the same leaves."""
        for e in self._entries[len(self._shadows) : i + 1]:
            xs = [None if k < 0 else self._shadows[k] for k in e.inputs]
            known = e.primitive is None or e.op == "checkpoint"
            self._shadows.append(double(e.value) if known else _computed(e, xs)[0])
        return self._shadows[i]


def _narrow(name: str) -> Format | None:
    if name not in formats.names():
        return None
    fmt = formats.get(name)
    return fmt if fmt.bits < formats.get("float32").bits else None


def _computed(e: Entry, xs: list[Any]) -> tuple[Any, Any]:
    """What an op makes of inputs without rounding, and what it saves for backward."""
    op = exact_op(e.primitive)
    if op is None:
        return xs[0], None
    static = {k: v for k, v in e.static.items() if k != "saved"}
    value = op.value(*xs, **static)
    return value if op.saves else (value, None)


def _overflowed(y: Any, exact: Any, fmt: Format) -> Any:
    held = np.abs(exact) > fmt.overflow_threshold  # by a format that saturates
    return (~np.isfinite(y) | (np.abs(y) == fmt.max) & held) & np.isfinite(exact)
