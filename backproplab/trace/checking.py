"""Whether what a file holds can be records of a run, so that nothing fails later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import formats
from .entry import NOTHING, Entry

if TYPE_CHECKING:
    from .recorder import Recorder


def check(recorder: Recorder) -> None:
    """Refuse records that refer to what cannot be.

    Raises:
        ValueError: at the first that does.
    """
    entries = recorder.entries
    for i, e in enumerate(entries):
        if np.asarray(e.value).dtype.kind not in "fiub":
            raise ValueError(f"record {i} holds no numbers")
        if any(not NOTHING <= x < i for x in e.inputs):
            raise ValueError(f"record {i} is made of records that cannot be")
        if e.grid and e.grid not in formats.names():
            raise ValueError(f"record {i} has the unknown format {e.grid!r}")
        _check_op(i, e, entries)
    for i, e in enumerate(entries):
        _check_gradients(i, e, entries)
    for k, sends in recorder.steps:
        if not 0 <= k < len(entries) or entries[k].grad is None:
            raise ValueError(f"backward has a step at record {k}, which got none")
        for x, m in sends:
            if not (0 <= x < len(entries) and 0 <= m < len(entries[x].contributions)):
                raise ValueError(f"record {k} sends what cannot be")


def _check_op(i: int, e: Entry, entries: list[Entry]) -> None:
    """Compare with the op's declaration: options, number of inputs, shapes."""
    if not isinstance(e.static, dict):
        raise ValueError(f"record {i} has options that have no names")
    op = e.primitive
    if op is None:
        return
    if unknown := e.static.keys() - {*op.defaults, "saved"}:
        raise ValueError(f"record {i}: {e.op} has no option {min(unknown)!r}")
    if not (op.variadic or op.listed) and len(e.inputs) != len(op.inputs):
        raise ValueError(
            f"record {i}: {e.op} takes {len(op.inputs)} inputs, not {len(e.inputs)}"
        )
    if op.kind == "elementwise":
        shapes = [np.shape(entries[k].value) for k in e.inputs if k >= 0]
        if np.broadcast_shapes(*shapes) != np.shape(e.value):
            raise ValueError(f"record {i}: {e.op} gives no such shape")


def _check_gradients(i: int, e: Entry, entries: list[Entry]) -> None:
    for o, k, _ in e.contributions:
        if not (i < o < len(entries) and 0 <= k < len(entries[o].inputs)):
            raise ValueError(f"record {i} has a consumer that cannot be")
        if entries[o].inputs[k] != i:
            raise ValueError(f"record {i} is no input of record {o}")
    received: list[Any] = [e.grad, e.seed, *(c for _, _, c in e.contributions)]
    for g in received:
        if g is not None and np.shape(g) != np.shape(e.value):
            raise ValueError(f"record {i} has a gradient of another shape")
        if g is not None and g.dtype.kind != "f":
            raise ValueError(f"record {i} has a gradient that is not of floats")
