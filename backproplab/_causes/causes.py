"""What is likely wrong with a rule: the first hypothesis that fits its numbers."""

from typing import Any

import numpy as np

from .._numerical import Point
from . import numbers, reruns
from .case import Case, same


def cause_of_vjp(case: Case, k: int) -> str:
    """Say what is likely wrong with the rule of input k, in a sentence that helps."""
    for cause in numbers.kink(case, k):
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
        numbers.nothing_flows,
        numbers.telling_factor,
        numbers.transposed,
        numbers.exchanged_gradients,
        numbers.incoming_unused,
        numbers.passed_through,
        numbers.axis_not_summed,
        numbers.one_kept_per_entry,
        reruns.rule_misread,
        reruns.path_lost,
        numbers.any_factor,
    ):
        for cause in hypothesis(case, k):
            return f"likely cause: {cause}"
    return "no simple slip explains it: derive the local derivative again."


def cause_of_jvp(point: Point, ts: list[Any], got: list[Any], j: int) -> str:
    """Say what is likely wrong with the jvp rule."""
    expected, seen = point.slope(ts)[j], got[j]
    for cause in (*numbers.ratio(seen, expected, ()), *numbers.factor(seen, expected)):
        return f"likely cause: {cause}"
    for k, name in enumerate(point.names):
        still = [np.zeros_like(t) if i == k else t for i, t in enumerate(ts)]
        if len(ts) > 1 and same(seen, point.slope(still)[j]):
            return f"likely cause: the term of {name} is missing from the jvp."
    return "no simple slip explains it; the vjp may be right: compare the two rules."
