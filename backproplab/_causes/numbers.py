"""Slips that the numbers of a wrong gradient give away; no rule is run again.

Each takes a case and an input, and yields what is likely wrong, if it is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import fit
from ..errors import BackpropError
from .case import Case, proportion, same


def kink(case: Case, k: int) -> Iterator[str]:
    """The function bends at every wrong entry."""
    entries = case.entries[k][case.wrong(k)]
    if all(case.point.has_kink(k, int(i)) for i in entries[:20]):
        yield (
            "the function has a kink there, where a numerical derivative means "
            "nothing; check at a point away from it."
        )


def nothing_flows(case: Case, k: int) -> Iterator[str]:
    """All that came back is zero."""
    if not case.seen[k].any():
        yield "no gradient flows: the rule gives zeros, or there is none (None)."


def telling_factor(case: Case, k: int) -> Iterator[str]:
    """Every entry is off by a factor that says what was done: -1, n, 1/n, 1/2."""
    arrays = (*case.vs, *case.point.xs)
    sizes = {n for a in arrays for n in (a.size, *a.shape)}
    if case.point.op.kind == "elementwise":
        sizes = set()
    yield from ratio(case.seen[k], case.expected[k], sizes)


def any_factor(case: Case, k: int) -> Iterator[str]:
    """Every entry is off by one and the same factor."""
    yield from factor(case.seen[k], case.expected[k])


def transposed(case: Case, k: int) -> Iterator[str]:
    """The right numbers stand in transposed order."""
    whole = case.whole(k)
    if whole is None or whole.ndim < 2:
        return
    turned = np.swapaxes(whole, -1, -2)
    if same(case.got[k].ravel(), turned.ravel()):
        yield "the gradient is transposed: a transpose is missing, or one too many."


def exchanged_gradients(case: Case, k: int) -> Iterator[str]:
    """It is the gradient of another input."""
    names = case.point.names
    for j in range(len(names)):
        other = case.whole(j)
        if j != k and other is not None and same(case.got[k], other):
            yield (
                f"swapped inputs: it got the gradient of {names[j]}; "
                f"the rules of {names[k]} and {names[j]} are exchanged."
            )


def incoming_unused(case: Case, k: int) -> Iterator[str]:
    """It is what all ones would have brought, whatever came in."""
    if same(case.seen[k], np.ones_like(case.v) @ case.jacobian[k]):
        yield (
            "the incoming gradient g is not used: the local derivative must be "
            "multiplied by it."
        )


def passed_through(case: Case, k: int) -> Iterator[str]:
    """It is what came in, unchanged."""
    for v in case.vs:
        try:
            passed = fit(v, case.point.xs[k])
        except (ValueError, BackpropError):
            continue
        if same(case.got[k], passed):
            yield (
                "the local derivative is missing: the incoming gradient g passes "
                "unchanged."
            )


def axis_not_summed(case: Case, k: int) -> Iterator[str]:
    """It is what one index of an axis of the output brings."""
    (v,) = case.vs
    for axis, n in enumerate(v.shape):
        for i in {0, n - 1} if n > 1 else ():
            kept = np.zeros_like(v)
            here = (slice(None),) * axis + (i,)
            kept[here] = v[here]
            if same(case.seen[k], kept.ravel() @ case.jacobian[k]):
                yield (
                    f"a sum over axis {axis} of the output is missing: only index {i} "
                    f"of {n} is used."
                )


def one_kept_per_entry(case: Case, k: int) -> Iterator[str]:
    """Of several terms of an entry, only one is there."""
    terms = case.v[:, None] * case.jacobian[k]
    scale = np.abs(terms).max()
    several = (np.abs(terms) > 1e-6 * scale).sum(axis=0) > 1
    near = np.abs(terms - case.seen[k]) <= 1e-6 * scale
    if several.any() and near.any(axis=0).all():
        yield (
            "overwritten: where an entry is used several times only one contribution "
            "is kept; they must add (`np.add.at`, `+=`)."
        )


def ratio(seen: Any, expected: Any, sizes: Any) -> Iterator[str]:
    """A factor that says what was done; ``sizes`` are those that occur here."""
    c = proportion(seen, expected)
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


def factor(seen: Any, expected: Any) -> Iterator[str]:
    """A factor that says nothing of its origin."""
    c = proportion(seen, expected)
    if c and np.size(seen) > 1:  # a single entry is proportional to anything
        yield f"a constant factor: every entry is {c:.6g} times what it should be."
