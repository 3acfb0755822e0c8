"""What can be measured on a whole run: gains, and differences between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._table import Table
from ..errors import NameLookupError, near

if TYPE_CHECKING:
    from .entry import Entry
    from .run import Trace


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
        if sent and (size := norm(came)) > 0:
            gains[layer] = norm(sent) / size
    return gains


def _sum_from(e: Entry, members: set[int], *, outside: bool) -> Any:
    """What of a gradient came from within, or from beyond, a group; None if nothing."""
    chosen = [c for o, _, c in e.contributions if (o not in members) is outside]
    return sum(chosen[1:], chosen[0]) if chosen else None


def norm(arrays: list[Any]) -> float:
    """Norm of all arrays together, where their squares would overflow or underflow too.

    >>> norm([np.full(4, 1e200)]), norm([1e-200, np.full(3, 1e-200)])
    (2e+200, 2e-200)
    """
    held = [np.asarray(a, float) for a in arrays if a is not None]
    largest = float(max((np.max(np.abs(a), initial=0) for a in held), default=0))
    if not 0 < largest < np.inf:
        return largest
    with np.errstate(all="ignore"):
        squares = sum(np.sum(np.square(a / largest)) for a in held)
        return largest * float(np.sqrt(squares))


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
    size = norm([b])
    return norm([gap]) / size if size > 0 else norm([gap])
