"""The ledger of a run: what happened to its numbers, record by record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import formats
from .._table import Table
from . import replay
from .precision import Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from .records import Record
    from .run import Trace

_KINKS: dict[str, Callable[..., Any]] = {
    "relu": lambda x: x == 0,
    "leaky_relu": lambda x: x == 0,
    "elu": lambda x: x == 0,
    "abs": lambda x: x == 0,
    "maximum": lambda x, y: x == y,
    "minimum": lambda x, y: x == y,
}


def ledger(run: Trace) -> Table:
    """See ``Trace.ledger``."""
    rows, precision = Table(), Precision(run)

    def note(r: Record, what: str, way: str, found: Any) -> None:
        if count := int(np.sum(found)):
            row = {"name": r.name, "op": r.op, "what": what, "pass": way}
            rows.append(row | {"count": count, "source": r.source})

    with np.errstate(all="ignore"):
        for r in run:
            for what, found in _forward(run, r, precision):
                note(r, what, "forward", found)
            if r.grad is not None:
                for what, found in _backward(run, r, r.grad, precision):
                    note(r, what, "backward", found)
    return rows


def _forward(run: Trace, r: Record, precision: Precision) -> list[tuple[str, Any]]:
    entry, found = run._entries[r.id], []
    xs = replay.operands(run, r.id) if entry.primitive is not None else []
    if entry.primitive is not None and r.op in _KINKS:
        found.append(("at a kink", _KINKS[r.op](*xs)))
    if np.asarray(r.value).dtype.kind != "f":
        return found
    if all(np.isfinite(x).all() for x in xs if x is not None):
        found.append(("NaN or inf born forward", ~np.isfinite(r.value)))
    return [*found, *precision.forward(r.id)]


def _backward(
    run: Trace, r: Record, g: np.ndarray, precision: Precision
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    senders = [run._entries[o].grad for o, _ in r.consumers]
    if all(g is not None and np.isfinite(g).all() for g in senders):
        found.append(("NaN or inf born backward", ~np.isfinite(g)))
    tiny = formats.get(r.format if precision.is_narrow(r.id) else g.dtype.name)
    below = (g != 0) & (np.abs(g) < tiny.min_normal)
    found.append(("gradient below the normal range", below))
    flushed: Any = 0
    for (o, k), c in zip(r.consumers, r.contributions, strict=True):
        if precision.is_narrow(o) or precision.is_narrow(r.id):
            flushed += np.sum(precision.underflow(o, k, c))
        else:
            flushed += np.sum(_flushed(run, o, k, c))
    found.append(("gradient underflowed to zero", flushed))
    return [*found, *precision.backward(r.id)]


def _flushed(run: Trace, o: int, k: int, c: np.ndarray) -> Any:
    """Where g and the local slope are not zero and yet their product is."""
    slopes, g = replay.local(run, o), run._entries[o].grad
    if run._entries[o].op == "cast":
        return (c == 0) & (np.reshape(g, c.shape) != 0)
    if slopes is None or g is None or c.shape != g.shape:
        return False
    slope = slopes[k] if isinstance(slopes, tuple) else slopes
    return (c == 0) & (g != 0) & (slope != 0)
