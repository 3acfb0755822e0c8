"""How large values and gradients are, layer by layer: the numbers of a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .trace import Record, Trace


@dataclass(frozen=True, slots=True)
class Magnitude:
    """One layer in one or several runs; None where a run has no such layer or number.

    Attributes:
        name: of the layer, or of the record.
        op: what made its output.
        values: root mean square of the output, one a run.
        grads: root mean square of the output's gradient.
        gains: |gradient sent on to the input| / |gradient that came|.
    """

    name: str
    op: str
    values: tuple[float | None, ...]
    grads: tuple[float | None, ...]
    gains: tuple[float | None, ...]


def magnitudes(
    runs: Mapping[str, Trace],
    *,
    by_module: bool = True,
    leaves: bool = False,
    depth: int | None = None,
) -> list[Magnitude]:
    """Measure every layer of one or several runs, in the order of the first.

    Args:
        runs: recorded runs by name.
        by_module: one row a module or scope, an op where there is none; else one an op.
        leaves: also parameters and inputs.
        depth: how many parts of a dotted path make a module; all when None.

    >>> import backproplab as bp
    >>> x = bp.tensor([3.0, -4.0], requires_grad=True)
    >>> with bp.record() as run:
    ...     y = 2.0 * x
    ...     y.sum().backward()
    >>> magnitudes({"": run})[0]
    Magnitude(name='y', op='multiply', values=(7.07...,), grads=(1.0,), gains=(None,))
    """
    tables = [_rows(run, by_module, leaves, depth) for run in runs.values()]
    names = dict.fromkeys(name for rows in tables for name in rows)
    return [_joined(name, [rows.get(name) for rows in tables]) for name in names]


def _joined(name: str, rows: list["_Row | None"]) -> Magnitude:
    op = next(row[0] for row in rows if row is not None)
    values, grads, gains = (
        tuple(None if row is None else row[1:][k] for row in rows) for k in range(3)
    )
    return Magnitude(name, op, values, grads, gains)


def rms(a: Any) -> float:
    """Root mean square: the typical size of an entry, whatever the shape.

    >>> rms(np.array([3.0, -3.0])), rms(np.zeros((2, 0)))
    (3.0, 0.0)
    """
    a = np.asarray(a, dtype=float)
    return float(np.sqrt(np.mean(a * a))) if a.size else 0.0


_Row = tuple[str, float | None, float | None, float | None]  # op, value, gradient, gain


def _rows(
    run: Trace, by_module: bool, leaves: bool, depth: int | None
) -> dict[str, _Row]:
    backward = any(r.grad is not None for r in run)
    gains = run.gain(depth) if by_module and backward else {}
    rows: dict[str, _Row] = {}
    for r in run:
        if not r.inputs:
            if leaves and r.op != "constant":
                rows[r.name] = (r.op, rms(r.value), _grad(r), None)
            continue
        module = ".".join(r.scope.split(".")[:depth])
        name = (module or r.name) if by_module else r.name
        gain = gains.get(name) if by_module else _gain(run, r)
        rows.pop(name, None)  # the last op of a module makes its output
        rows[name] = (r.op, rms(r.value), _grad(r), gain)
    return rows


def _grad(r: Record) -> float | None:
    return None if r.grad is None else rms(r.grad)


def _gain(run: Trace, r: Record) -> float | None:
    """As ``Trace.gain``, for one op: what it sends to computed inputs, or to leaves."""
    if r.grad is None or not np.any(r.grad):
        return None
    sent: dict[bool, float] = {True: 0.0, False: 0.0}
    for x in dict.fromkeys(r.inputs):
        for (o, _), c in zip(run[x].consumers, run[x].contributions, strict=True):
            if o == r.id:
                sent[bool(run[x].inputs)] += float(np.sum(np.square(c, dtype=float)))
    chosen = sent[True] or sent[False]
    return float(np.sqrt(chosen) / np.linalg.norm(r.grad)) if chosen else None
