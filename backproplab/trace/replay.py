"""Run the rules again over a recorded run: local derivatives, contributions, gains."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import fit
from .._symbols import Symbol, lift, variable
from .._table import Table
from ..errors import GradError

if TYPE_CHECKING:
    from .run import Record, Trace


def operands(run: "Trace", i: int) -> list[Any]:
    """Values of a record's inputs, None where an optional input was left out."""
    records = run.records
    return [None if k < 0 else records[k].value for k in records[i]._entry.inputs]


def local(run: "Trace", i: int) -> Any:
    """The partials of an elementwise op at this point of the run."""
    entry = run[i]._entry
    op = entry.primitive
    if op is None or op.kind != "elementwise":
        return None
    y, xs = entry.value, operands(run, i)
    found = []
    with np.errstate(all="ignore"):
        for rule in op.rules:
            slope = rule(y, *xs, **entry.static) if callable(rule) else (rule or 0)
            found.append(
                np.broadcast_to(np.asarray(slope, np.asarray(y).dtype), np.shape(y))
            )
    return found[0] if len(found) == 1 else tuple(found)


def contribution(run: "Trace", output: int, k: int, g: Any) -> np.ndarray:
    """What record ``output`` with gradient ``g`` sends to its input ``k``."""
    entry = run[output]._entry
    op, xs = entry.primitive, operands(run, output)
    if op is None:
        raise GradError(
            f"{run[output].name}: the op {entry.op} was not declared when this run was loaded.",
            help="declare it, then load the run again.",
        )
    with np.errstate(all="ignore"):
        if op.vjp is not None:
            c = op.vjp(g, entry.value, *xs, wrt=(k,), **entry.static)[k]
        else:
            c = op.pullbacks[k](g, entry.value, *xs, **entry.static)
    return np.asarray(fit(np.asarray(c), np.asarray(xs[k])))


def edges(run: "Trace", i: int) -> list[tuple[int, int]]:
    """(position k, input id) of the inputs that want a gradient."""
    entry = run[i]._entry
    if not entry.wants or entry.primitive is None:
        return []
    op, records = entry.primitive, run.records
    return [
        (k, x)
        for k, x in enumerate(entry.inputs)
        if x >= 0 and records[x].requires_grad and (op.vjp or op.pullbacks[k])
    ]


def backward(
    run: "Trace",
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
    for i in range(len(run) - 1, down_to - 1, -1):
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


def seeds(run: "Trace") -> dict[int, np.ndarray]:
    """The gradients with which the recorded backward pass began."""
    return {r.id: r._entry.seed for r in run if r._entry.seed is not None}


def saved_bytes(run: "Trace", i: int) -> int:
    """Bytes of the operands and results that the op's rules read."""
    entry = run[i]._entry
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


def formula(run: "Trace", i: int) -> str:
    """``y = f(x)`` in the run's own names; run on symbols, not written by hand."""
    left = variable(run[i].name)
    if run[i]._entry.primitive is None:
        return left
    return f"{left} = {_right_side(run, i).tex}"


def _right_side(run: "Trace", i: int) -> Symbol:
    entry = run[i]._entry
    xs = [None if k < 0 else symbol(run, k) for k in entry.inputs]
    static = {k: v for k, v in entry.static.items() if k != "saved"}
    try:
        with np.errstate(all="ignore"):
            result = entry.primitive.value(*xs, **static)
        return lift(result[0] if entry.primitive.saves else result)
    except Exception:  # a value that asks more of an array than a symbol can answer
        named = ", ".join(x.tex for x in xs if x is not None)
        word = entry.op.replace("_", r"\_")
        return Symbol(rf"\operatorname{{{word}}}({named})", entry.value)


def symbol(run: "Trace", i: int) -> Symbol:
    """A record as a symbol: its name, or how it was made where nobody named it."""
    r = run[i]
    if r.op == "constant" and isinstance(r.value, (int, float)):
        return lift(r.value)
    entry = r._entry
    nameless = not (entry.given or entry.assigned or entry.scopes)
    if nameless and entry.primitive is not None and len(r.consumers) <= 1:
        return _right_side(run, i)
    return Symbol(variable(r.name), r.value)


def gain(run: "Trace") -> dict[str, float]:
    """See ``Trace.gain``."""
    records = run.records
    layers: dict[str, list[int]] = {}
    for r in records:
        if r._entry.primitive is not None and r.grad is not None:
            layers.setdefault(r.scope or r.name, []).append(r.id)
    gains = {}
    for layer, members in layers.items():
        inside = set(members)
        out = [
            i for i in members if any(o not in inside for o, _ in records[i].consumers)
        ] or members[-1:]
        came = np.sqrt(
            sum(_norm2(_sum_from(records[i], inside, outside=True)) for i in out)
        )
        signal = [
            k
            for k in dict.fromkeys(k for i in members for k in records[i]._entry.inputs)
            if k >= 0
            and k not in inside
            and records[k].op != "leaf"
            and records[k].contributions
        ]
        sent = np.sqrt(
            sum(_norm2(_sum_from(records[k], inside, outside=False)) for k in signal)
        )
        if signal and came > 0:
            gains[layer] = float(sent / came)
    return gains


def _sum_from(r: "Record", members: set[int], *, outside: bool) -> Any:
    """What of a record's gradient came from within, or from beyond, a group of records."""
    chosen = [
        c
        for (o, _), c in zip(r.consumers, r.contributions, strict=True)
        if (o not in members) is outside
    ]
    return sum(chosen) if chosen else (r.grad if outside else 0.0)


def _norm2(a: Any) -> float:
    a = np.asarray(a, dtype=float)
    return float(np.sum(a * a))


def diff(run: "Trace", other: "Trace") -> Table:
    """See ``Trace.diff``."""
    rows = DiffTable()
    for r in run:
        if r.name not in other._names:
            continue
        s = other[r.name]
        rows.append(
            DiffRow(
                name=r.name,
                op=r.op,
                value_error=_relative(r.value, s.value),
                grad_error=None
                if r.grad is None or s.grad is None
                else _relative(r.grad, s.grad),
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
            raise AttributeError(key) from None


class DiffTable(Table):
    """Rows by place or by name."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return next(row for row in self if row["name"] == key)
        return super().__getitem__(key)


def _relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        return float("inf")
    scale = np.linalg.norm(b)
    gap = np.linalg.norm(a - b)
    return float(gap / scale if scale > 0 else gap)


_KINKS: dict[str, Callable[..., Any]] = {
    "relu": lambda x: x == 0,
    "leaky_relu": lambda x, **_: x == 0,
    "abs": lambda x: x == 0,
    "maximum": lambda x, y: x == y,
    "minimum": lambda x, y: x == y,
}


def ledger(run: "Trace") -> Table:
    """See ``Trace.ledger``."""
    rows = Table()

    def note(r: "Record", what: str, count: int) -> None:
        if count:
            rows.append(
                {
                    "name": r.name,
                    "op": r.op,
                    "what": what,
                    "count": count,
                    "source": r.source,
                }
            )

    for r in run:
        xs = operands(run, r.id) if r._entry.primitive is not None else []
        if r.op in _KINKS:
            note(r, "at a kink", int(np.sum(_KINKS[r.op](*xs))))
        born = (
            ~np.isfinite(r.value)
            if np.asarray(r.value).dtype.kind == "f"
            else np.zeros(1, bool)
        )
        if all(np.all(np.isfinite(x)) for x in xs if x is not None):
            note(r, "NaN or inf born forward", int(np.sum(born)))
        if r.grad is not None:
            from_finite = all(
                run[o].grad is not None and np.all(np.isfinite(run[o].grad))
                for o, _ in r.consumers
            )
            if from_finite:
                note(r, "NaN or inf born backward", int(np.sum(~np.isfinite(r.grad))))
            tiny = np.finfo(r.grad.dtype).tiny
            note(
                r,
                "gradient below the normal range",
                int(np.sum((r.grad != 0) & (np.abs(r.grad) < tiny))),
            )
    return rows


def cancelled_scale(run: "Trace", i: int) -> float:
    """The size of the terms whose sum a gradient is, where they may cancel inside one op.

    Found by sending absolute values back through the consumers; 0 where that says nothing.
    """
    size = 0.0
    for o, k in run[i].consumers:
        entry, g = run[o]._entry, run[o].grad
        if g is None or entry.primitive is None:
            continue
        xs = [None if x is None else np.abs(x) for x in operands(run, o)]
        op = entry.primitive
        with np.errstate(all="ignore"):
            if op.vjp is not None:
                c = op.vjp(np.abs(g), entry.value, *xs, wrt=(k,), **entry.static)[k]
            else:
                c = op.pullbacks[k](np.abs(g), entry.value, *xs, **entry.static)
        found = np.max(np.abs(fit(np.asarray(c), np.asarray(xs[k]))), initial=0)
        size += float(found) if np.isfinite(found) else 0.0
    return size


def tangents(
    run: "Trace", start: int, direction: np.ndarray, blocked: set[int]
) -> dict[int, np.ndarray]:
    """Push a tangent forward from one record through all that depends on it.

    Args:
        run: the recorded run.
        start: the record that moves.
        direction: how it moves, of its shape.
        blocked: records that stand still whatever their inputs do.
    """
    moved = {start: np.asarray(direction)}
    for r in run.records[start + 1 :]:
        entry = r._entry
        if r.id in blocked or entry.primitive is None or entry.primitive.jvp is None:
            continue
        ts = [moved.get(k) for k in entry.inputs]
        if all(t is None for t in ts):
            continue
        with np.errstate(all="ignore"):
            t = entry.primitive.jvp(ts, entry.value, *operands(run, r.id), **entry.static)
        if t is not None:
            moved[r.id] = np.broadcast_to(np.asarray(t), r.shape)
    return moved
