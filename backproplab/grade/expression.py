"""The rule as an expression: what is sent if a term or a factor is left out."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..tensor import Tensor
from ..trace import Record, Trace, record
from .links import Break, Link, times

if TYPE_CHECKING:
    from collections.abc import Iterator

_REDUCTIONS = {"sum", "mean", "dot", "einsum", "matmul", "vecdot"}
_MOST_TERMS = 8
_MOST_STEPS = 60


class _Slip(NamedTuple):
    """One operation of a rule's expression, changed."""

    step: int
    change: str
    label: str
    why: str


class _Rule:
    """A rule written down: what it did with the incoming gradient, step by step."""

    def __init__(self, link: Link) -> None:
        self.trace, self.end, self.start = _written(link)

    def sends(self, g: np.ndarray, changes: dict[int, str]) -> Any:
        """Compute the expression anew for ``g``, with some operations changed."""
        assert self.trace is not None
        values: dict[int, Any] = {self.start: np.asarray(g, float)}
        with np.errstate(all="ignore"):
            for r in self.trace.records[: self.end + 1]:
                entry = r._entry
                if r.id in values:
                    continue
                if entry.primitive is None:
                    values[r.id] = r.value
                    continue
                xs = [None if k < 0 else values[k] for k in entry.inputs]
                try:
                    values[r.id] = _operate(entry, xs, changes.get(r.id, ""))
                except Exception:  # shapes that no longer fit
                    return None
        return values[self.end]


def slips(link: Link) -> Iterator[Break]:
    """Yield each slip in writing this link's rule down.

    The rule is run on tensors and recorded; the record is its expression. Each sum may
    lose a term, each product a factor, each difference its sign, each mean its 1/n.
    """
    rule = _Rule(link)
    if rule.trace is None or rule.end > _MOST_STEPS:
        return
    steps = rule.trace.records[: rule.end + 1]
    found = [s for r in steps for s in _ways(rule, r, link)]
    terms = [s for s in found if s.change in ("left", "right") and _is_sum(rule, s)]
    for s in found:
        yield _broken(rule, link, (s,))
    turns = tuple(s for s in found if s.label == "transposed")
    if len(turns) > 1:
        yield _broken(rule, link, turns)
    for two in combinations(terms[:_MOST_TERMS], 2):
        if two[0].step != two[1].step:
            yield _broken(rule, link, two)


def _broken(rule: _Rule, link: Link, slips: tuple[_Slip, ...]) -> Break:
    changes = {s.step: s.change for s in slips}
    label, why = slips[0].label, slips[0].why
    one = label == "transposed"  # all factors not turned: one misconception
    cost = (1 if one else len(slips)) * (1 if label == "statistics-constant" else 2)
    if link.entry.primitive.kind == "elementwise":
        factor = rule.sends(np.ones_like(link.g), changes)
        return times(label, link, np.nan if factor is None else factor, why, cost)
    return Break(label, link, why, lambda g: rule.sends(g, changes), cost=cost)


def _is_sum(rule: _Rule, s: _Slip) -> bool:
    assert rule.trace is not None
    return rule.trace[s.step].op in ("add", "subtract")


def _ways(rule: _Rule, r: Record, link: Link) -> Iterator[_Slip]:
    """The slips at one step of the expression."""
    trace = rule.trace
    if trace is None or r.id <= rule.start:
        return
    inputs = r._entry.inputs
    names = [trace[i].name if i >= 0 else "" for i in inputs]
    inside = f"in the derivative of {link.out} with respect to {link.into}"
    other = "factor-substituted"
    if r.op in ("add", "subtract") and len(inputs) == 2:
        for change, lost in (("left", inputs[1]), ("right", inputs[0])):
            yield _Slip(r.id, change, *_lost_term(rule, link, lost))
        yield _Slip(r.id, "turn", other, f"A sign is turned {inside}.")
    elif r.op == "multiply":
        for change, kept in (("left", 0), ("right", 1)):
            if _depends(trace, inputs[kept], rule.start) or not _depends(
                trace, r.id, rule.start
            ):
                other_one = trace[inputs[1 - kept]]
                plain = other_one.op == "constant" and np.size(other_one.value) > 1
                what = "A factor" if plain else f"The factor {other_one.name}"
                why = f"{what} is left out {inside}."
                yield _Slip(r.id, change, other, why)
    elif r.op == "divide":
        yield _Slip(
            r.id, "left", other, f"The division by {names[1]} is left out {inside}."
        )
        yield _Slip(
            r.id, "invert", other, f"You multiply by {names[1]} {inside}; it divides."
        )
    elif r.op == "power" and trace[inputs[1]].op == "constant":
        for change in ("more", "less"):
            yield _Slip(r.id, change, other, f"An exponent is off by one {inside}.")
    elif r.op in ("transpose", "swapaxes") and r.shape[-1:] == r.shape[-2:-1]:
        yield _Slip(r.id, "left", "transposed", f"A factor is not turned {inside}.")
    elif r.op == "mean":
        yield _Slip(r.id, "sum", "sum-not-mean", f"A mean lost its 1/n {inside}.")
    elif r.op == "sum":
        yield _Slip(r.id, "mean", "mean-not-sum", f"A sum became a mean {inside}.")


def _lost_term(rule: _Rule, link: Link, lost: int) -> tuple[str, str]:
    if _through_reduction(rule, lost) or _normaliser(rule, lost):
        why = (
            f"A mean, variance or normaliser inside {link.out} is held constant, but "
            f"it depends on {link.into}."
        )
        return "statistics-constant", why
    label = (
        "factor-substituted"
        if link.entry.primitive.kind == "elementwise"
        else "path-missing"
    )
    return label, f"A term of d{link.out}/d{link.into} is left out."


def _written(link: Link) -> tuple[Trace | None, int, int]:
    """Record a rule on tensors: the trace, and the ids of the result and of g."""
    nothing = None, 0, 0
    op, names = link.entry.primitive, link.names
    if op.kind == "linear" or len(link.ks) != 1:
        return nothing
    args = [
        Tensor(np.asarray(v), requires_grad=True, name=name)
        if isinstance(v, (np.ndarray, np.floating)) and v.dtype.kind == "f"
        else v
        for name, v in zip(names, link.values, strict=True)
    ]
    static = {**link.entry.static, "saved": None} if op.saves else link.entry.static
    incoming: Any = Tensor(np.asarray(link.g, float), requires_grad=True, name="g")
    (k,) = link.ks
    try:
        with np.errstate(all="ignore"), record() as rule:
            start = (incoming + 0.0).named("what comes in")
            if op.vjp is not None:
                c = op.vjp(start, *args, wrt=[k], **static)[k]
            else:
                c = op.pullbacks[k](start, *args, **static)
            if not isinstance(c, Tensor) or c is start or c._op is None:
                return nothing
            c.named("what is sent")
        return rule, rule["what is sent"].id, rule["what comes in"].id
    except Exception:  # the rule asks of an array what a tensor cannot do
        return nothing


def _operate(entry: Any, xs: list[Any], change: str) -> Any:
    op = entry.primitive
    if change == "left":
        return xs[0]
    if change == "right":
        return -xs[1] if op.name == "subtract" else xs[1]
    if change == "turn":
        return xs[0] + xs[1] if op.name == "subtract" else xs[0] - xs[1]
    if change == "invert":
        return xs[0] * xs[1]
    if change in ("more", "less"):
        xs = [xs[0], xs[1] + (1 if change == "more" else -1)]
    static = {k: v for k, v in entry.static.items() if k != "saved"}
    y = op.value(*xs, **static)
    y = y[0] if op.saves else y
    n = max(np.size(xs[0]) // max(np.size(y), 1), 1)
    return y * n if change == "sum" else y / n if change == "mean" else y


def _through_reduction(rule: _Rule, i: int) -> bool:
    """Whether a term sums the incoming gradient over entries: a statistic's path."""
    trace = rule.trace
    assert trace is not None
    return any(
        trace[k].op in _REDUCTIONS and _depends(trace, k, rule.start)
        for k in _ancestors(trace, i)
    )


def _normaliser(rule: _Rule, i: int) -> bool:
    """Whether a term is divided by a sum of exponentials, as a softmax is."""
    trace = rule.trace
    assert trace is not None
    sums = [trace[k] for k in _ancestors(trace, i) if trace[k].op == "sum"]
    return any(trace[r.inputs[0]].op == "exp" for r in sums)


def _depends(trace: Trace, i: int, g: int) -> bool:
    return g in _ancestors(trace, i)


def _ancestors(trace: Trace, i: int) -> set[int]:
    """A record and all that it was made of."""
    found: set[int] = set()
    stack = [i]
    while stack:
        k = stack.pop()
        if k >= 0 and k not in found:
            found.add(k)
            stack += trace[k].inputs
    return found
