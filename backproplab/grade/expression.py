"""The rule as an expression: leave out a term or a factor of it, and see what it sends."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from ..tensor import Tensor
from ..trace import Record, Trace, record, replay
from .breaks import Edge

_MOST_TERMS = 10


def slips(run: Trace, edge: Edge, g: np.ndarray) -> Iterator[tuple[str, Any, str]]:
    """Yield (label, contribution, why) for each slip in writing this edge's rule down.

    The rule is run on tensors and recorded; the record is its expression. Each sum may
    lose a term, each product a factor, each difference its sign, each mean its 1/n.
    """
    rule, end = _written(run, edge, g)
    if rule is None:
        return
    sum_of_terms = run[edge.output]._entry.primitive.kind != "elementwise"
    terms: list[tuple[int, int, str, str]] = []
    for r in rule.records[: end + 1]:
        for drop, label, why in _ways(rule, r, run[edge.output].name):
            if label == "term":
                statistic = _through_reduction(
                    rule, r._entry.inputs[1 - drop], rule[0].id
                )
                label = (
                    "statistics-constant"
                    if statistic
                    else "path-missing"
                    if sum_of_terms
                    else "factor-substituted"
                )
                why = (
                    "a mean, variance or normaliser is held constant, but it depends on "
                    + run[edge.x].name
                    if statistic
                    else f"a term of the derivative is left out: the one with {why}"
                )
                terms.append((r.id, drop, label, why))
            else:
                yield label, _evaluate(rule, end, {r.id: drop}), why
    for many in (1, 2):
        for chosen in combinations(terms[:_MOST_TERMS], many):
            if len({i for i, *_ in chosen}) == many:
                yield (
                    chosen[0][2],
                    _evaluate(rule, end, {i: d for i, d, *_ in chosen}),
                    chosen[0][3],
                )


_KEEP_LEFT, _KEEP_RIGHT, _TURN, _SUM_INSTEAD, _INVERT, _MEAN_INSTEAD = range(6)


def _ways(rule: Trace, r: Record, out: str) -> Iterator[tuple[int, str, str]]:
    inputs = r._entry.inputs
    names = [rule[i].name if i >= 0 else "" for i in inputs]
    if r.op in ("add", "subtract"):
        for keep in (_KEEP_LEFT, _KEEP_RIGHT):
            yield keep, "term", names[1 - keep]
        yield (
            _TURN,
            "factor-substituted",
            f"a sign is turned inside the derivative of {out}",
        )
    elif r.op == "multiply":
        for keep in (_KEEP_LEFT, _KEEP_RIGHT):
            yield (
                keep,
                "factor-substituted",
                f"the factor {names[1 - keep]} of the derivative is left out",
            )
    elif r.op == "divide":
        yield (
            _KEEP_LEFT,
            "factor-substituted",
            f"the division by {names[1]} in the derivative is left out",
        )
        yield (
            _INVERT,
            "factor-substituted",
            f"the derivative divides by {names[1]}; you multiplied",
        )
    elif r.op == "mean":
        yield (
            _SUM_INSTEAD,
            "sum-not-mean",
            f"a mean in the derivative of {out} lost its 1/n",
        )
    elif r.op == "sum":
        yield (
            _MEAN_INSTEAD,
            "mean-not-sum",
            f"a sum in the derivative of {out} became a mean",
        )


def _written(run: Trace, edge: Edge, g: np.ndarray) -> tuple[Trace | None, int]:
    """Record an edge's rule on tensors: record 0 is g; and say which is the result."""
    entry = run[edge.output]._entry
    op = entry.primitive
    if op.kind == "linear":
        return None, 0
    names = [edge.output, *entry.inputs]
    values = [entry.value, *replay.operands(run, edge.output)]
    args = [
        Tensor(v, requires_grad=True, name=run[i].name)
        if isinstance(v, np.ndarray) and v.dtype.kind == "f"
        else v
        for i, v in zip(names, values, strict=True)
    ]
    static = {**entry.static, "saved": None} if op.saves else entry.static
    incoming = Tensor(np.asarray(g, float), requires_grad=True, name="g")
    try:
        with np.errstate(all="ignore"), record() as rule:
            first = incoming + 0.0  # so that g is record 0
            if op.vjp is not None:
                c = op.vjp(first, *args, wrt=(edge.k,), **static)[edge.k]
            else:
                c = op.pullbacks[edge.k](first, *args, **static)
            if isinstance(c, Tensor):
                c.named("what the rule sends")
    except Exception:  # the rule asks of an array what a tensor cannot do
        return None, 0
    if not isinstance(c, Tensor) or c._op is None:
        return None, 0
    return rule, rule["what the rule sends"].id


def _evaluate(rule: Trace, end: int, slips: dict[int, int]) -> Any:
    """Compute the rule's expression anew with some of its operations changed."""
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for r in rule.records[: end + 1]:
            entry = r._entry
            if entry.primitive is None:
                values[r.id] = r.value
                continue
            xs = [None if k < 0 else values[k] for k in entry.inputs]
            try:
                values[r.id] = _operate(entry, xs, slips.get(r.id))
            except Exception:  # shapes that no longer fit
                return None
    return values[end]


def _operate(entry: Any, xs: list[Any], slip: int | None) -> Any:
    op = entry.primitive
    if slip == _KEEP_LEFT:
        return xs[0]
    if slip == _KEEP_RIGHT:
        return -xs[1] if op.name == "subtract" else xs[1]
    if slip == _TURN:
        return xs[0] + xs[1] if op.name == "subtract" else xs[0] - xs[1]
    if slip == _INVERT:
        return xs[0] * xs[1]
    static = {k: v for k, v in entry.static.items() if k != "saved"}
    y = op.value(*xs, **static)
    y = y[0] if op.saves else y
    if slip in (_SUM_INSTEAD, _MEAN_INSTEAD):
        n = max(np.size(xs[0]) // max(np.size(y), 1), 1)
        return y * n if slip == _SUM_INSTEAD else y / n
    return y


def _through_reduction(rule: Trace, i: int, g: int) -> bool:
    """Whether a term sums the incoming gradient over entries: a statistic's path."""
    if i < 0:
        return False
    stack, seen = [i], set()
    while stack:
        r = rule[stack.pop()]
        if r.id in seen:
            continue
        seen.add(r.id)
        if r.op in ("sum", "mean", "dot", "einsum", "matmul") and _depends(
            rule, r.id, g
        ):
            return True
        stack += r.inputs
    return False


def _depends(rule: Trace, i: int, g: int) -> bool:
    return i == g or any(_depends(rule, k, g) for k in rule[i].inputs)
