"""What is likely wrong with a rule, judging by its numbers; no rule is changed here."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from ._arrays import fit
from ._linearize import Run
from ._numerical import Point
from .errors import BackpropError
from .sockets import Plug, plugged


class Case:
    """A vjp to be explained: what the rules gave, and what the Jacobian says.

    For each input: ``entries`` that were looked at, ``jacobian`` (outputs end to end,
    entries), and ``expected`` and ``seen`` there.
    """

    def __init__(self, point: Point, vs: list[Any], got: list[Any]) -> None:
        self.point, self.vs, self.got = point, vs, got
        self.v = np.concatenate([v.ravel() for v in vs])
        self.entries: list[np.ndarray] = []
        self.jacobian: list[np.ndarray] = []
        self.expected: list[np.ndarray] = []
        self.seen: list[np.ndarray] = []

    def look(self, entries: np.ndarray) -> None:
        """Add the next input, differentiated numerically at some entries."""
        k = len(self.entries)
        self.entries.append(entries)
        self.jacobian.append(self.point.columns(k, entries.tolist()))
        self.expected.append(self.v @ self.jacobian[k] if entries.size else np.zeros(0))
        self.seen.append(np.asarray(self.got[k]).ravel()[entries])

    def wrong(self, k: int) -> Any:
        """Where the rule and the numbers differ."""
        weight = float(np.abs(self.v).max(initial=0))
        allowed = self.point.tolerance(self.expected[k], weight)
        return ~(np.abs(self.seen[k] - self.expected[k]) <= allowed)

    def whole(self, k: int) -> Any:
        """The expected gradient in its own shape, if every entry was looked at."""
        x, expected = self.point.xs[k], self.expected[k]
        return expected.reshape(x.shape) if expected.size == x.size else None


def cause_of_vjp(case: Case, k: int) -> str:
    """Say what is likely wrong with the rule of input k, in a sentence that helps."""
    for cause in _kink(case, k):
        return f"likely cause: {cause}"
    if case.point.derived:
        return (
            "likely cause: the rule itself is right, but it hides something from the "
            "tape: `.data`, or numbers computed in plain NumPy."
        )
    if case.point.op is None:
        return (
            "likely cause: every op in it is right alone, so something between them "
            "leaves the tape (`.data`, `.detach()`, plain arrays)."
        )
    for hypothesis in (
        _nothing_flows,
        _telling_factor,
        _transposed,
        _exchanged_gradients,
        _incoming_unused,
        _passed_through,
        _axis_not_summed,
        _one_kept_per_entry,
        _rule_misread,
        _path_lost,
        _any_factor,
    ):
        for cause in hypothesis(case, k):
            return f"likely cause: {cause}"
    return "no simple slip explains it: derive the local derivative again."


def cause_of_jvp(point: Point, ts: list[Any], got: list[Any], j: int) -> str:
    """Say what is likely wrong with the jvp rule."""
    expected, seen = point.slope(ts)[j], got[j]
    for cause in (*_ratio(seen, expected, ()), *_factor(seen, expected)):
        return f"likely cause: {cause}"
    for k, name in enumerate(point.names):
        still = [np.zeros_like(t) if i == k else t for i, t in enumerate(ts)]
        if len(ts) > 1 and _same(seen, point.slope(still)[j]):
            return f"likely cause: the term of {name} is missing from the jvp."
    return "no simple slip explains it; the vjp may be right: compare the two rules."


def _kink(case: Case, k: int) -> Iterator[str]:
    entries = case.entries[k][case.wrong(k)]
    if all(case.point.has_kink(k, int(i)) for i in entries[:20]):
        yield (
            "the function has a kink there, where a numerical derivative means "
            "nothing; check at a point away from it."
        )


def _nothing_flows(case: Case, k: int) -> Iterator[str]:
    if not case.seen[k].any():
        yield "no gradient flows: the rule gives zeros, or there is none (None)."


def _telling_factor(case: Case, k: int) -> Iterator[str]:
    arrays = (*case.vs, *case.point.xs)
    sizes = {n for a in arrays for n in (a.size, *a.shape)}
    if case.point.op.kind == "elementwise":
        sizes = set()
    yield from _ratio(case.seen[k], case.expected[k], sizes)


def _any_factor(case: Case, k: int) -> Iterator[str]:
    yield from _factor(case.seen[k], case.expected[k])


def _proportion(seen: Any, expected: Any) -> float:
    """The number c with seen = c expected; 0 if there is none."""
    seen, expected = np.ravel(seen), np.ravel(expected)
    square = float(expected @ expected)
    if not square or not np.isfinite(seen).all():
        return 0.0
    c = float(seen @ expected) / square
    return c if _same(seen, c * expected) else 0.0


def _factor(seen: Any, expected: Any) -> Iterator[str]:
    c = _proportion(seen, expected)
    if c and np.size(seen) > 1:  # a single entry is proportional to anything
        yield f"a constant factor: every entry is {c:.6g} times what it should be."


def _ratio(seen: Any, expected: Any, sizes: Any) -> Iterator[str]:
    c = _proportion(seen, expected)
    if not c:
        return
    n = round(max(abs(c), 1 / abs(c)))
    if np.isclose(c, -1):
        yield "the sign is turned."
    elif n > 2 and n in sizes and np.isclose(c, 1 / n):
        yield f"a mean where the rule sums: every entry is divided by {n}, a size here."
    elif n > 2 and n in sizes and np.isclose(c, n):
        yield f"a sum where the rule takes a mean: every entry is {n} times too large."
    elif np.isclose(c, 0.5):
        yield (
            "every entry is half of what it should be: a constant factor, or one of "
            "two equal contributions is lost (an input used twice gets both)."
        )


def _transposed(case: Case, k: int) -> Iterator[str]:
    whole = case.whole(k)
    if whole is None or whole.ndim < 2:
        return
    turned = np.swapaxes(whole, -1, -2)
    if _same(case.got[k].ravel(), turned.ravel()):
        yield "the gradient is transposed: a transpose is missing, or one too many."


def _exchanged_gradients(case: Case, k: int) -> Iterator[str]:
    names = case.point.names
    for j in range(len(names)):
        other = case.whole(j)
        if j != k and other is not None and _same(case.got[k], other):
            yield (
                f"swapped inputs: it got the gradient of {names[j]}; "
                f"the rules of {names[k]} and {names[j]} are exchanged."
            )


def _incoming_unused(case: Case, k: int) -> Iterator[str]:
    if _same(case.seen[k], np.ones_like(case.v) @ case.jacobian[k]):
        yield (
            "the incoming gradient g is not used: the local derivative must be "
            "multiplied by it."
        )


def _passed_through(case: Case, k: int) -> Iterator[str]:
    for v in case.vs:
        try:
            passed = fit(v, case.point.xs[k])
        except (ValueError, BackpropError):
            continue
        if _same(case.got[k], passed):
            yield (
                "the local derivative is missing: the incoming gradient g passes "
                "unchanged."
            )


def _axis_not_summed(case: Case, k: int) -> Iterator[str]:
    (v,) = case.vs
    for axis, n in enumerate(v.shape):
        for i in {0, n - 1} if n > 1 else ():
            kept = np.zeros_like(v)
            here = (slice(None),) * axis + (i,)
            kept[here] = v[here]
            if _same(case.seen[k], kept.ravel() @ case.jacobian[k]):
                yield (
                    f"a sum over axis {axis} of the output is missing: only index {i} "
                    f"of {n} is used."
                )


def _one_kept_per_entry(case: Case, k: int) -> Iterator[str]:
    terms = case.v[:, None] * case.jacobian[k]
    scale = np.abs(terms).max()
    several = (np.abs(terms) > 1e-6 * scale).sum(axis=0) > 1
    near = np.abs(terms - case.seen[k]) <= 1e-6 * scale
    if several.any() and near.any(axis=0).all():
        yield (
            "overwritten: where an entry is used several times only one contribution "
            "is kept; they must add (`np.add.at`, `+=`)."
        )


def _rule_misread(case: Case, k: int) -> Iterator[str]:
    """Try the declared rule on operands exchanged or transposed: is it right then?"""
    op, whole = case.point.op, case.whole(k)
    node, position = _alone(case.point, k)
    if whole is None or op.variadic or not op.pullbacks:
        return
    rule, static = op.pullbacks[position], node._static
    names = ("g", "y", *op.inputs)
    operands = (case.vs[0], node._data, *node._values)

    def gives(changed: Any) -> bool:
        try:
            c = rule(*changed, **static)
            return bool(c.shape == whole.shape and _same(c, whole))
        except Exception:  # a wrong guess may do anything
            return False

    for i, a in enumerate(operands):
        if np.ndim(a) >= 2:
            changed = list(operands)
            changed[i] = np.swapaxes(a, -1, -2)
            if gives(changed):
                yield f"a missing transpose: with {names[i]}^T the rule is right."
    for i, j in permutations(range(1, len(operands)), 2):
        if i < j:
            changed = list(operands)
            changed[i], changed[j] = operands[j], operands[i]
            if gives(changed):
                which = "swapped inputs" if i > 1 else "wrong operand"
                yield (
                    f"{which}: with {names[i]} and {names[j]} exchanged in the rule it "
                    "is right."
                )


def _path_lost(case: Case, k: int) -> Iterator[str]:
    """Run the op's own NumPy code on tensors, to see the contributions apart."""
    op, whole = case.point.op, case.whole(k)
    node, position = _alone(case.point, k)
    if whole is None:
        return
    collect = _Collect()
    static = {n: s for n, s in node._static.items() if n != "saved"}

    def value(x: Any) -> Any:
        values = list(node._values)
        values[position] = x
        y = op.value(*values, **static)
        return y[0] if op.saves else y

    try:
        run = Run("check", value, (node._values[position],), 0, {}, False)
        with plugged(collect):
            run.pull(case.vs)
    except Exception:  # its code may not run on tensors
        return
    parts = collect.into(run.stand_ins[0])
    if len(parts) < 2:
        return
    for maker, part in parts:
        if _same(case.got[k], part):
            yield (
                f"overwritten: {case.point.names[k]} is used {len(parts)} times, but "
                f"only the contribution through {maker} is kept; contributions add."
            )
    for maker, part in parts:
        if _same(case.got[k], whole - part):
            yield f"a path is missing: the contribution through {maker} is left out."


class _Collect(Plug):
    """Keeps each contribution of a backward pass, apart."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, str, Any]] = []

    def edge(self, node: Any, k: int, c: Any) -> Any:
        self.parts.append((node._inputs[k]._id, node._op.name, np.array(c)))
        return c

    def into(self, x: Any) -> list[tuple[str, Any]]:
        """What came to one node, with the ops that it came through."""
        return [(maker, c) for i, maker, c in self.parts if i == x._id]


def _alone(point: Point, k: int) -> tuple[Any, int]:
    """Run an op once more: its node, and which of its inputs the point's input k is."""
    run = Run("check", point.outputs, point.xs, range(len(point.xs)), {}, False)
    node, x = run.order[0], run.stand_ins[k]
    return node, next(p for p, v in enumerate(node._inputs) if v is x)


def _same(a: Any, b: Any) -> bool:
    """Equal up to the error of a numerical derivative."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not a.size:
        return False
    return bool(np.abs(a - b).max() <= 1e-6 * max(np.abs(b).max(), 1e-300))
