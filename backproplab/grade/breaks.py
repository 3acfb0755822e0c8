"""Ways to get one link of the chain wrong: what an edge would send if its rule were broken."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..trace import Trace, replay

# Reductions whose result, used again beside the values it came from, is a statistic.
_STATISTICS = {
    "mean", "var", "std", "sum", "norm", "max", "min", "logsumexp", "prod", "amax",
}  # fmt: skip
_MEANS = {"mean", "var", "std"}
# Ops whose derivative with respect to one operand is the other operand.
_PRODUCTS = {
    "multiply",
    "matmul",
    "linear",
    "dot",
    "outer",
    "einsum",
    "tensordot",
    "inner",
}


_DIAGONAL = 512  # entries up to which a Jacobian's diagonal is worth its passes


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """The link from record ``output`` back to its input number ``k``, which is ``x``."""

    output: int
    k: int
    x: int


@dataclass(frozen=True, slots=True, eq=False)
class Break:
    """One broken rule.

    Attributes:
        label: the misconception; see ``LABELS``.
        edge: where.
        sends: what the edge sends instead.
        why: the end of a sentence.
    """

    label: str
    edge: Edge
    sends: np.ndarray
    why: str


def edges(run: Trace, reached: dict[int, np.ndarray]) -> list[Edge]:
    """All links that the backward pass used, nearest to the loss first."""
    return [
        Edge(o, k, x)
        for o in sorted(reached, reverse=True)
        for k, x in replay.edges(run, o)
    ]


def pull(run: Trace, edge: Edge, g: Any, **changed: Any) -> np.ndarray | None:
    """The contribution of an edge, with some of the rule's arguments exchanged.

    Args:
        run: the recorded run.
        edge: the link.
        g: incoming gradient.
        **changed: ``p0`` for y, ``p1`` for the first input, ...; ``static`` for options.

    Returns:
        the raw contribution, not yet summed over broadcast axes; None if the exchanged
        arguments do not fit.
    """
    entry = run[edge.output]._entry
    args = [entry.value, *replay.operands(run, edge.output)]
    static = entry.static
    for key, value in changed.items():
        if key == "static":
            static = value
        else:
            args[int(key[1:])] = value
    op = entry.primitive
    try:
        with np.errstate(all="ignore"):
            if op.vjp is not None:
                return np.asarray(op.vjp(g, *args, wrt=(edge.k,), **static)[edge.k])
            return np.asarray(op.pullbacks[edge.k](g, *args, **static))
    except Exception:  # shapes that do not fit: nobody can have computed this
        return None


def breaks(run: Trace, edge: Edge, g: np.ndarray, sent: np.ndarray) -> Iterator[Break]:
    """Yield each way to break one edge, but for multiples of what it sends.

    Args:
        run: the recorded run.
        edge: the link to break.
        g: gradient of its output.
        sent: what the sound rule sends.
    """
    shape = sent.shape
    entry = run[edge.output]._entry
    op, out, x = entry.primitive, run[edge.output].name, run[edge.x].name
    if op.name in ("getitem", "reshape", "transpose", "broadcast_to", "cast"):
        return

    def made(label: str, raw: Any, why: str) -> Iterator[Break]:
        c = fitted(raw, shape)
        if c is not None and np.isfinite(c).all():
            yield Break(label, edge, c, why)

    if not _is_one(g, sent):
        yield from made(
            "local-factor-missing",
            g,
            f"the incoming gradient of {out} is passed on without the factor d{out}/d{x}",
        )
    ones = pull(run, edge, np.ones_like(g))
    yield from made(
        "upstream-missing",
        ones,
        f"d{out}/d{x} stands alone, without the gradient that comes into {out}",
    )
    yield from _transposed(run, edge, g, made)
    yield from _substituted(run, edge, g, made)
    yield from _operands(run, edge, g, made)
    yield from _axes(run, edge, g, made)
    if shape == g.shape and op.kind == "primitive" and g.size <= _DIAGONAL:
        why = f"d{out}/d{x} is taken entry by entry, as if no entry depended on another"
        yield from made("factor-substituted", _diagonal(run, edge, g), why)


def _diagonal(run: Trace, edge: Edge, g: np.ndarray) -> np.ndarray | None:
    """What the edge sends if only the diagonal of its Jacobian is used."""
    out = np.zeros(g.shape)
    for i in np.ndindex(g.shape):
        alone = np.zeros_like(g)
        alone[i] = g[i]
        c = pull(run, edge, alone)
        if c is None or c.shape != g.shape:
            return None
        out[i] = c[i]
    return out


def _is_one(g: np.ndarray, sent: np.ndarray) -> bool:
    return g.shape == sent.shape and bool(np.array_equal(g, sent))


def fitted(raw: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Sum over broadcast axes to ``shape``; None where that cannot be."""
    if raw is None:
        return None
    raw = np.asarray(raw, dtype=float)
    if raw.shape == shape:
        return raw
    lead = raw.ndim - len(shape)
    if lead < 0:
        return np.broadcast_to(raw, shape) if _broadcasts(raw.shape, shape) else None
    if any(n not in (1, m) for n, m in zip(shape, raw.shape[lead:], strict=True)):
        return np.broadcast_to(raw, shape) if _broadcasts(raw.shape, shape) else None
    ones = tuple(lead + i for i, n in enumerate(shape) if n == 1)
    return raw.sum(axis=(*range(lead), *ones)).reshape(shape)


def _broadcasts(small: tuple[int, ...], big: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, big) == big
    except ValueError:
        return False


def _transposed(run: Trace, edge: Edge, g: np.ndarray, made: Any) -> Iterator[Break]:
    entry = run[edge.output]._entry
    if entry.primitive.name not in _PRODUCTS or entry.op == "multiply":
        return
    values = replay.operands(run, edge.output)
    for p, v in enumerate(values):
        if np.ndim(v) >= 2 and v.shape[-1] == v.shape[-2] and p != edge.k:
            raw = pull(run, edge, g, **{f"p{p + 1}": np.swapaxes(v, -1, -2)})
            other = run[entry.inputs[p]].name
            yield from made(
                "transposed",
                raw,
                f"{other} stands transposed, or not, the wrong way round",
            )
    if g.ndim >= 2 and g.shape[-1] == g.shape[-2]:
        yield from made(
            "transposed",
            pull(run, edge, np.swapaxes(g, -1, -2)),
            "the incoming gradient is transposed",
        )
    sound = pull(run, edge, g)
    if sound is not None and sound.ndim >= 2 and sound.shape[-1] == sound.shape[-2]:
        yield from made(
            "transposed",
            np.swapaxes(sound, -1, -2),
            "the factors are swapped: the product comes out transposed",
        )
    for p, v in enumerate(values):
        if p != edge.k and np.ndim(v) == 2 and g.ndim == 2:
            for a, b in ((g, v), (v, g)):
                for left in (a, a.T):
                    for right in (b, b.T):
                        if left.shape[1] == right.shape[0]:
                            yield from made(
                                "transposed",
                                left @ right,
                                "the factors are swapped or transposed",
                            )


def _substituted(run: Trace, edge: Edge, g: np.ndarray, made: Any) -> Iterator[Break]:
    """Another expression in place of the local derivative of an elementwise op."""
    entry = run[edge.output]._entry
    op = entry.primitive
    local = replay.local(run, edge.output)
    if local is None:
        return
    slope = local[edge.k] if isinstance(local, tuple) else local
    out, x = run[edge.output].name, run[edge.x].name
    args = [entry.value, *replay.operands(run, edge.output)]
    label = "wrong-operand" if op.name in _PRODUCTS else "factor-substituted"
    constant = bool(np.all(slope == slope.flat[0])) if slope.size else True
    for p, v in enumerate(args):
        for q, w in enumerate(args):
            if p == q or v is None or w is None or np.shape(v) == () != np.shape(g):
                continue
            names = [out, *(run[i].name if i >= 0 else "None" for i in entry.inputs)]
            raw = pull(run, edge, g, **{f"p{p}": w})
            yield from made(
                label, raw, f"{names[q]} stands where the rule has {names[p]}"
            )
    value = entry.value
    with np.errstate(all="ignore"):
        candidates = [
            (value, f"{out} itself stands in place of its derivative"),
            (
                args[edge.k + 1],
                f"{x} itself stands in place of the derivative d{out}/d{x}",
            ),
        ]
        if not constant:
            candidates += [
                (1 - slope, f"one minus the derivative stands in place of d{out}/d{x}"),
                (slope * slope, f"the derivative d{out}/d{x} is applied twice"),
                (1 / slope, f"it is divided by d{out}/d{x} instead of multiplied"),
                (1 - value, f"1 - {out} stands in place of d{out}/d{x}"),
                (value * value, f"{out} squared stands in place of d{out}/d{x}"),
            ]
        for raw, why in candidates:
            yield from made("factor-substituted", g * np.asarray(raw), why)
        if len(args) == 2:
            for other in _unary_ops():
                if other.name != op.name:
                    slope_of = other.rules[0]
                    try:
                        raw = g * (
                            slope_of(value, args[1], **other.defaults)
                            if callable(slope_of)
                            else slope_of
                        )
                    except Exception:
                        continue
                    why = f"the derivative of {other.name} stands in place of that of {op.name}"
                    yield from made("factor-substituted", raw, why)


def _unary_ops() -> list[Any]:
    return [
        op
        for op in ops.registry.values()
        if op.kind == "elementwise" and len(op.rules) == 1 and callable(op.rules[0])
    ]


def _operands(run: Trace, edge: Edge, g: np.ndarray, made: Any) -> Iterator[Break]:
    """Another node's value in place of an operand."""
    entry = run[edge.output]._entry
    needed = entry.primitive.needs[edge.k]
    values = [entry.value, *replay.operands(run, edge.output)]
    own = {edge.output, *entry.inputs}
    for p in range(len(values)) if needed is None else needed:
        v = values[p]
        if v is None or not isinstance(v, np.ndarray):
            continue
        inputs = [edge.output, *entry.inputs]
        for r in run:
            if (
                r.id not in own
                and r.shape == v.shape
                and r.op != "constant"
                or (
                    r.id in entry.inputs
                    and r.id != inputs[p]
                    and r.shape == v.shape
                    and p > 0
                )
            ):
                raw = pull(run, edge, g, **{f"p{p}": np.asarray(r.value)})
                why = f"{r.name} stands where the rule has {run[inputs[p]].name}"
                yield from made("wrong-operand", raw, why)


def _axes(run: Trace, edge: Edge, g: np.ndarray, made: Any) -> Iterator[Break]:
    """A reduction or softmax along another axis."""
    entry = run[edge.output]._entry
    axis = entry.static.get("axis")
    if not isinstance(axis, int) or run[edge.x].value.ndim < 2:
        return
    for other in range(run[edge.x].value.ndim):
        if other != axis % run[edge.x].value.ndim:
            raw = pull(run, edge, g, static={**entry.static, "axis": other})
            yield from made(
                "factor-substituted",
                raw,
                f"axis {other} stands where the rule has axis {axis}",
            )


def sizes(run: Trace, edge: Edge) -> tuple[set[int], set[int]]:
    """Numbers n by which this edge sums, and by which it averages."""
    entry = run[edge.output]._entry
    x, out = run[edge.x], run[edge.output]
    sums: set[int] = set()
    means: set[int] = set()
    n_out, n_x = max(np.size(out.value), 1), max(np.size(x.value), 1)
    if entry.op in _MEANS or (
        entry.op.endswith("loss") or "entropy" in entry.op or entry.op == "kl_div"
    ):
        means |= {n_x // n_out, *map(int, x.shape)}
    if n_out > n_x:
        sums.add(n_out // n_x)  # broadcasting
    if entry.op in _PRODUCTS and entry.op != "multiply":
        shared = [d for d in out.shape if d > 1] or [1]
        sums |= {*shared, int(np.prod(out.shape[:-1]))}
    return sums - {0, 1}, means - {0, 1}


def is_statistic(run: Trace, edge: Edge) -> bool:
    """Whether the output is a mean, variance, norm or normaliser used beside its source."""
    entry = run[edge.output]._entry
    x, out = run[edge.x], run[edge.output]
    if entry.op not in _STATISTICS or np.size(out.value) >= np.size(x.value):
        return False
    return any(
        np.size(run[o].value) > np.size(out.value) for o, _ in out.consumers
    ) or any(_leads_to_larger(run, o, np.size(out.value)) for o, _ in out.consumers)


def _leads_to_larger(run: Trace, i: int, size: int, depth: int = 6) -> bool:
    if np.size(run[i].value) > size:
        return True
    return depth > 0 and any(
        _leads_to_larger(run, o, size, depth - 1) for o, _ in run[i].consumers
    )
