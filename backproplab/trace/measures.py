"""What can be measured on a whole run: gains, differences between runs, the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._table import Table
from ..errors import NameLookupError, near
from . import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from .recorder import Entry
    from .run import Record, Trace


def gain(run: Trace, depth: int | None) -> dict[str, float]:
    """See ``Trace.gain``."""
    entries = run._entries
    layers: dict[str, list[int]] = {}
    for i, e in enumerate(entries):
        if e.primitive is not None and e.grad is not None:
            layer = ".".join(e.scope.split(".")[:depth]) if e.scope else e.name
            layers.setdefault(layer, []).append(i)
    gains = {}
    for layer, members in layers.items():
        inside = set(members)
        came = [entries[i].grad for i in members if entries[i].seed is not None]
        came += [
            total
            for i in members
            if entries[i].seed is None
            and (total := _sum_from(entries[i], inside, outside=True)) is not None
        ]
        signals = dict.fromkeys(k for i in members for k in entries[i].inputs)
        sent = [
            _sum_from(entries[k], inside, outside=False)
            for k in signals
            if k >= 0 and k not in inside and entries[k].op != "leaf"
        ]
        sent = [g for g in sent if g is not None]
        if sent and (size := _norm(came)) > 0:
            gains[layer] = _norm(sent) / size
    return gains


def _sum_from(e: Entry, members: set[int], *, outside: bool) -> Any:
    """What of a gradient came from within, or from beyond, a group; None if nothing."""
    chosen = [c for o, _, c in e.contributions if (o not in members) is outside]
    return sum(chosen[1:], chosen[0]) if chosen else None


def _norm(arrays: list[Any]) -> float:
    """Norm of all arrays together, also where their squares would underflow."""
    sizes = [np.max(np.abs(a), initial=0) for a in arrays if a is not None]
    largest = float(max(sizes, default=0))
    if not 0 < largest < np.inf:
        return largest
    squares = (np.sum(np.square(np.asarray(a, float) / largest)) for a in arrays)
    return largest * float(np.sqrt(sum(squares)))


def diff(run: Trace, other: Trace) -> DiffTable:
    """See ``Trace.diff``."""
    rows = DiffTable()
    for r in run:
        if r.name not in other:
            continue
        s = other[r.name]
        if s.name == r.name:
            both = r.grad is not None and s.grad is not None
            rows.append(
                DiffRow(
                    name=r.name,
                    op=r.op,
                    value_error=_relative(r.value, s.value),
                    grad_error=_relative(r.grad, s.grad) if both else None,
                )
            )
    return rows


class DiffRow(dict[str, Any]):
    """One name of two runs: ``.name .op .value_error .grad_error``."""

    __slots__ = ()

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(
                f"a row of diff has no {key!r}; {near(key, self)}"
            ) from None


class DiffTable(Table):
    """Rows by place or by name."""

    def __getitem__(self, key: Any) -> Any:
        """Return the row at a place, or of a name."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for row in self:
            if row["name"] == key:
                return row
        raise NameLookupError(
            f"diff[{key!r}]: the two runs do not share this name.",
            help=near(key, [row["name"] for row in self]),
        )


def _relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, a - b)
    size = _norm([b])
    return _norm([gap]) / size if size > 0 else _norm([gap])


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
    rows = Table()

    def note(r: Record, what: str, found: Any) -> None:
        if count := int(np.sum(found)):
            row = {"name": r.name, "op": r.op, "what": what, "count": count}
            rows.append(row | {"source": r.source})

    for r in run:
        entry = run._entries[r.id]
        xs = replay.operands(run, r.id) if entry.primitive is not None else []
        if entry.primitive is not None and r.op in _KINKS:
            note(r, "at a kink", _KINKS[r.op](*xs))
        if np.asarray(r.value).dtype.kind == "f":
            if all(np.isfinite(x).all() for x in xs if x is not None):
                note(r, "NaN or inf born forward", ~np.isfinite(r.value))
            if r.op == "cast":
                note(r, "value underflowed to zero", (r.value == 0) & (xs[0] != 0))
        if r.grad is None:
            continue
        senders = [run._entries[o].grad for o, _ in r.consumers]
        if all(g is not None and np.isfinite(g).all() for g in senders):
            note(r, "NaN or inf born backward", ~np.isfinite(r.grad))
        tiny = np.finfo(r.grad.dtype).tiny
        below = (r.grad != 0) & (np.abs(r.grad) < tiny)
        note(r, "gradient below the normal range", below)
        note(r, "gradient underflowed to zero", sum(_flushed(run, r)))
    return rows


def _flushed(run: Trace, r: Record) -> list[Any]:
    """Where g and the local slope are not zero and yet their product is, use by use."""
    found = []
    for (o, k), c in zip(r.consumers, r.contributions, strict=True):
        slopes, g = replay.local(run, o), run._entries[o].grad
        if run._entries[o].op == "cast":
            found.append((c == 0) & (np.reshape(g, c.shape) != 0))
        elif slopes is not None and g is not None and c.shape == g.shape:
            slope = slopes[k] if isinstance(slopes, tuple) else slopes
            found.append((c == 0) & (g != 0) & (slope != 0))
    return found
