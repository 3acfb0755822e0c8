"""Run the rules again over a recorded run: slopes, contributions, formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._arrays import fit
from .._symbols import Symbol, applied, lift, variable
from ..errors import GradError
from .entry import is_literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .entry import Entry


class Run(Protocol):
    """What a ``Trace`` and its records share: the entries, finished."""

    @property
    def _entries(self) -> list[Entry]: ...


def operands(run: Run, i: int) -> list[Any]:
    """Values of a record's inputs, None where an optional input was left out."""
    entries = run._entries
    return [None if k < 0 else entries[k].value for k in entries[i].inputs]


def local(run: Run, i: int) -> Any:
    """The partials of an elementwise op at this point of the run."""
    entry = run._entries[i]
    op = entry.primitive
    if op is None or op.kind != "elementwise":
        return None
    y, xs = entry.value, operands(run, i)
    found = []
    with np.errstate(all="ignore"):
        for rule in op.rules:
            slope = rule(y, *xs, **entry.static) if callable(rule) else (rule or 0)
            slope = np.asarray(slope, np.asarray(y).dtype)
            found.append(np.broadcast_to(slope, np.shape(y)))
    return found[0] if len(found) == 1 else tuple(found)


def contribution(run: Run, output: int, k: int, g: Any) -> np.ndarray:
    """What record ``output`` with gradient ``g`` sends to its input ``k``."""
    entry = run._entries[output]
    op, xs = entry.primitive, operands(run, output)
    if op is None:
        raise GradError(
            f"{entry.name}: the op {entry.op} was not declared at the time of loading.",
            help="declare it, then load the run again.",
        )
    with np.errstate(all="ignore"):
        if op.vjp is not None:
            c = op.vjp(g, entry.value, *xs, wrt=[k], **entry.static)[k]
        else:
            c = op.pullbacks[k](g, entry.value, *xs, **entry.static)
    return np.asarray(fit(np.asarray(c), np.asarray(xs[k])))


def edges(run: Run, i: int) -> list[tuple[int, int]]:
    """(position k, input id) of the inputs that want a gradient."""
    entries = run._entries
    entry = entries[i]
    if not entry.wants or entry.primitive is None:
        return []
    op = entry.primitive
    return [
        (k, x)
        for k, x in enumerate(entry.inputs)
        if x >= 0 and entries[x].wants and (op.vjp or op.pullbacks[k])
    ]


def backward(
    run: Run,
    seeds: dict[int, np.ndarray],
    visit: Callable[[int, np.ndarray], np.ndarray] | None = None,
    edge: Callable[[int, int, int, np.ndarray], np.ndarray] | None = None,
    down_to: int = 0,
) -> dict[int, np.ndarray]:
    """Walk back over the recorded run, as the engine does over the tape.

    Args:
        run: the recorded run.
        seeds: incoming gradients by record id.
        visit: may replace the whole gradient of a record, ``visit(id, g)``.
        edge: may replace a contribution, ``edge(output, k, input, c)``.
        down_to: the oldest record whose gradient is wanted.

    Returns:
        the gradient of every record that was reached.
    """
    grads = dict(seeds)
    for i in range(len(run._entries) - 1, down_to - 1, -1):
        if i not in grads:
            continue
        if visit is not None:
            grads[i] = visit(i, grads[i])
        if i == down_to:
            break
        for k, x in edges(run, i):
            c = contribution(run, i, k, grads[i])
            if edge is not None:
                c = edge(i, k, x, c)
            grads[x] = grads[x] + c if x in grads else c
    return grads


def tangents(
    run: Run, start: int, direction: np.ndarray, blocked: set[int]
) -> dict[int, np.ndarray]:
    """Push a tangent forward from one record through all that depends on it.

    Args:
        run: the recorded run.
        start: the record that moves.
        direction: how it moves, of its shape.
        blocked: records that stand still whatever their inputs do.
    """
    moved = {start: np.asarray(direction)}
    for i in range(start + 1, len(run._entries)):
        entry = run._entries[i]
        op = entry.primitive
        if i in blocked or op is None or op.jvp is None:
            continue
        ts = [moved.get(k) for k in entry.inputs]
        if all(t is None for t in ts):
            continue
        with np.errstate(all="ignore"):
            t = op.jvp(ts, entry.value, *operands(run, i), **entry.static)
        if t is not None:
            moved[i] = np.broadcast_to(np.asarray(t), np.shape(entry.value))
    return moved


def seeds(run: Run) -> dict[int, np.ndarray]:
    """The gradients with which the recorded backward passes began."""
    return {i: e.seed for i, e in enumerate(run._entries) if e.seed is not None}


def saved_bytes(run: Run, i: int) -> int:
    """Bytes of the operands and results that the op's rules read."""
    entry = run._entries[i]
    op = entry.primitive
    if op is None or not entry.wants:
        return 0
    values = [entry.value, *operands(run, i)]
    read: set[int] = set()
    for k, _ in edges(run, i):
        needed = op.needs[k]
        read.update(range(len(values)) if needed is None else needed)
    total = sum(np.asarray(values[p]).nbytes for p in read if values[p] is not None)
    saved = entry.static.get("saved")
    parts = saved if isinstance(saved, tuple) else (saved,)
    return total + sum(a.nbytes for a in parts if isinstance(a, np.ndarray))


def formula(run: Run, i: int) -> str:
    """``y = f(x)`` in the run's own names; run on symbols, not written by hand."""
    entry = run._entries[i]
    if entry.primitive is None:
        return symbol(run, i).tex
    return f"{variable(entry.name)} = {_right_side(run, i).tex}"


def _right_side(run: Run, i: int) -> Symbol:
    entry = run._entries[i]
    xs = [None if k < 0 else symbol(run, k) for k in entry.inputs]
    return applied(entry.primitive, entry.static, xs, entry.value)


def symbol(run: Run, i: int) -> Symbol:
    """A record as a symbol: its name, or how it was made where nobody named it."""
    entry = run._entries[i]
    if is_literal(entry):
        return lift(entry.value)
    if is_nameless(run, i):
        return _right_side(run, i)
    return Symbol(variable(entry.name), entry.value)


def is_nameless(run: Run, i: int) -> bool:
    """Whether formulas write out how a value was made, since nobody named it."""
    entry = run._entries[i]
    named = entry.given or entry.assigned or entry.aliases
    return not named and entry.primitive is not None and len(entry.contributions) <= 1


def cancelled_scale(run: Run, i: int) -> float:
    """The size of the terms whose sum a gradient is, where they cancel inside one op.

    Found by sending absolute values back through the consumers. Where a rule cancels
    those as well (a batch norm of two rows), the size that the units demand is the
    least: g times y over x.
    """
    size = 0.0
    for o, k, _ in run._entries[i].contributions:
        entry = run._entries[o]
        op, g, y = entry.primitive, entry.grad, entry.value
        if g is None or op is None:
            continue
        xs = [None if x is None else np.abs(x) for x in operands(run, o)]
        with np.errstate(all="ignore"):
            if op.vjp is not None:
                c = op.vjp(np.abs(g), y, *xs, wrt=[k], **entry.static)[k]
            else:
                c = op.pullbacks[k](np.abs(g), y, *xs, **entry.static)
            units = _largest(g) * _largest(y) / _largest(xs[k])
        found = _largest(fit(np.asarray(c), np.asarray(xs[k])))
        size += max((s for s in (found, units) if np.isfinite(s)), default=0.0)
    return size


def _largest(a: Any) -> np.float64:
    return np.float64(np.max(np.abs(a), initial=0))
