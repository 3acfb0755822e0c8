"""Judging values that are asked for, as of a forward pass; gradients are in judging."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import near
from ..grade import Verdict, compare
from ..grade.compare import take_in
from .derivation import follow_on
from .problem import Instance, Problem

LARGEST = 10**6  # entries of an answer that is looked into


def judge_values(
    problem: Problem, at: Instance, answers: Mapping[str, Any]
) -> dict[str, Verdict]:
    """Judge each value in absolute terms, or from the learner's own values before it.

    A wrong value that a slip of the problem gives is told what the slip is.
    """
    asks = problem.asks
    own = own_values(problem, answers)
    follows = follow_on(problem.answer_code, at.given, own)
    verdicts = {name: _strange(name, asks) for name in answers if name not in asks}
    for name in asks:
        got, truth = answers[name], at.truth[name]
        verdict = compare(got, truth, name=name)
        if verdict.label in ("wrong", "shape", "not-finite"):
            verdict = followed(got, follows.get(problem.variable(name)), verdict)
        if not verdict.ok and verdict.label != "not-attempted":
            verdict = slipped(problem, at, own, got, _said(verdict, got, truth))
        verdicts[name] = verdict
    return verdicts


def own_values(problem: Problem, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The learner's own arrays by variable, whatever their shapes."""
    read = {name: take_in(answers.get(name))[0] for name in problem.asks}
    return {
        problem.variable(name): array
        for name, array in read.items()
        if array is not None and array.size <= LARGEST
    }


def followed(got: Any, follows: Any, verdict: Verdict) -> Verdict:
    """Give credit for what the reference code makes of the learner's own values."""
    if follows is None or not compare(got, follows).ok:
        return verdict
    own = compare(got, follows, name=verdict.name)
    says = "It follows from your own values before it."
    return Verdict(own.label, says, own.format, own.name)


def slipped(
    problem: Problem, at: Instance, own: Mapping[str, Any], got: Any, verdict: Verdict
) -> Verdict:
    """Look whether a wrong answer is what one of the problem's slips gives."""
    for slip in problem.slips:
        if slip.where == verdict.name and slip.says:
            values = follow_on(slip.code, at.given, own)
            slipped = values.get(problem.variable(slip.where))
            if slipped is not None and compare(got, slipped).ok:
                return Verdict(slip.label, slip.says, None, slip.where)
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
