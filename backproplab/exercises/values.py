"""Judging values that are asked for, as of a forward pass; gradients are in judging."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import near
from ..grade import Verdict, compare
from .derivation import follow_on
from .problem import Instance, Problem


def judge_values(
    problem: Problem, at: Instance, answers: Mapping[str, Any]
) -> dict[str, Verdict]:
    """Judge each value in absolute terms, or from the learner's own values before it.

    A wrong value that a slip of the problem gives is told what the slip is.
    """
    asks = problem.asks
    own = {
        problem.variable(name): np.asarray(answers[name], float)
        for name in asks
        if _usable(answers[name], at.truth[name])
    }
    follows = follow_on(problem.answer_code, at.given, own)
    verdicts = {name: _strange(name, asks) for name in answers if name not in asks}
    for name in asks:
        got, truth = answers[name], at.truth[name]
        verdict = compare(got, truth, name=name)
        if verdict.label in ("wrong", "shape", "not-finite"):
            verdict = _own(got, follows[problem.variable(name)], verdict)
        if not verdict.ok and verdict.label != "not-attempted":
            verdict = _slipped(problem, at, own, got, _said(verdict, got, truth))
        verdicts[name] = verdict
    return verdicts


def _own(got: Any, follows: Any, verdict: Verdict) -> Verdict:
    own = compare(got, follows, name=verdict.name)
    if not own.ok:
        return verdict
    says = "It follows from your own values before it."
    return Verdict(own.label, says, own.format, own.name)


def _slipped(
    problem: Problem, at: Instance, own: Mapping[str, Any], got: Any, verdict: Verdict
) -> Verdict:
    for slip in problem.slips:
        if slip.where == verdict.name:
            values = follow_on(slip.code, at.given, own)
            if compare(got, values[problem.variable(slip.where)]).ok:
                return Verdict(slip.label, slip.says or verdict.says, None, slip.where)
    return verdict


def _said(verdict: Verdict, got: Any, truth: Any) -> Verdict:
    """Speak of a value where ``compare`` speaks of a gradient."""
    if verdict.label == "shape":
        says = f"Your array has shape {np.shape(got)}; asked is {truth.shape}."
    elif verdict.label == "not-finite":
        says = "Some of it is NaN or infinite; the right numbers are finite."
    else:
        return verdict
    return Verdict(verdict.label, says, None, verdict.name)


def _strange(name: str, asks: tuple[str, ...]) -> Verdict:
    says = f"{name!r} is not asked here; {near(name, asks)}"
    return Verdict("not-attempted", says, name=name)


def _usable(got: Any, truth: Any) -> bool:
    return compare(got, truth).label in ("correct", "rounding", "wrong") and (
        np.shape(got) == truth.shape
    )
