"""Follow-through marking: each step is judged from the learner's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import near
from ..trace import replay
from .compare import OWN_SHAPE, compare, take_in, tolerance
from .diagnose import diagnose
from .verdict import GradeError, Report, Verdict

if TYPE_CHECKING:
    from ..trace import Trace


def check(
    run: Trace,
    answers: Mapping[str, Any],
    *,
    strict: bool = False,
    explain: bool = True,
) -> Report:
    """Grade a derivation node by node, blaming each broken link once.

    A step is right if it is right in absolute terms, or follows from the learner's own
    answers to the steps before it (closer to the loss). So a broken link is blamed
    where it breaks, and what is built on it correctly gets credit. A broken step's
    label says how it broke, where ``diagnose`` finds that out; else it is ``wrong``.

    Args:
        run: a recorded run with a backward pass.
        answers: dL/d(value) by the value's name in the run; ``...`` for an open step.
        strict: raise instead of reporting, for tests.
        explain: diagnose each broken step.

    Returns:
        a report in the order of the backward pass. Nothing a learner hands in raises.

    Raises:
        GradeError: with ``strict=True``, if a step is not right.

    >>> import backproplab as bp
    >>> w = bp.tensor(3.0, requires_grad=True, name="w")
    >>> with bp.record() as run:
    ...     h = (w * w).named("h")
    ...     loss = (h * h).named("loss")
    ...     loss.backward()
    >>> wrong_h = 9.0  # 2 h is 18: the factor 2 is missing
    >>> check(run, {"h": wrong_h, "w": 2 * 3.0 * wrong_h}).blamed
    ('h',)
    """
    if not isinstance(answers, Mapping):
        says = 'The answers are to be a dict by name: `{"w": ..., "h": ...}`.'
        answers, verdicts = {}, {"answers": Verdict("not-attempted", says)}
    else:
        verdicts = {}
    asked: dict[int, list[Any]] = {}
    for key in answers:
        if key in run and run[key].grad is not None:
            asked.setdefault(run[key].id, []).append(key)
        else:
            says = _no_gradient(run, key) if key in run else _unknown(run, key)
            shown = str(key) if isinstance(key, (str, int)) else type(key).__name__
            verdicts[shown] = Verdict("not-attempted", says, name=shown)
    if asked:
        found = _Walk(run, asked, answers).verdicts
        if explain:
            found = {n: _explained(run, v, n, answers) for n, v in found.items()}
        verdicts = {**found, **verdicts}
    report = Report(verdicts)
    if strict and not report.ok:
        raise GradeError(str(report))
    return report


class _Walk:
    """One walk back over the run, with the learner's values put in where they stand."""

    def __init__(
        self, run: Trace, asked: dict[int, list[Any]], answers: Mapping[Any, Any]
    ) -> None:
        self.run, self.asked, self.answers = run, asked, answers
        self.verdicts: dict[str, Verdict] = {}
        self.sizes: dict[int, Any] = {}  # |contributions| added up, for what cancels
        self.own: set[int] = set()  # records whose gradient rests on a learner's value
        replay.backward(run, replay.seeds(run), visit=self.visit, edge=self.edge)

    def edge(self, output: int, _k: int, x: int, c: np.ndarray) -> np.ndarray:
        """Add up sizes, and note what comes from a learner's value."""
        self.sizes[x] = self.sizes.get(x, 0) + np.abs(c)
        if output in self.own:
            self.own.add(x)
        return c

    def visit(self, i: int, follows: np.ndarray) -> np.ndarray:
        """Judge the answers to one step, and go on from the learner's value."""
        truth = self.run[i].grad
        assert truth is not None
        if i not in self.own:
            follows = truth  # as recorded, after hooks
        follows = np.asarray(follows, truth.dtype)
        for key in self.asked.get(i, ()):
            verdict = self.judge(i, key, follows, truth)
            self.verdicts[str(key)] = verdict
            array, _ = take_in(self.answers[key])
            if verdict.label == "correct" and not verdict.says:  # right, not by follow
                self.own.discard(i)
                follows = truth
            elif (
                array is not None
                and array.shape == truth.shape
                and np.isfinite(array).all()
            ):
                self.own.add(i)
                follows = array.astype(float)
        return follows

    def judge(self, i: int, key: Any, follows: Any, truth: Any) -> Verdict:
        """Right in absolute terms, or from the learner's own values, or broken here."""
        got, name = self.answers[key], str(key)
        sizes = self.sizes.get(i, 0.0)
        scale = float(np.max(sizes, initial=0)) or None
        absolute = compare(got, truth, scale=scale, name=name)
        if absolute.label == "shape":
            return replace(absolute, says=f"{absolute.says} {OWN_SHAPE}")
        if absolute.ok or absolute.label == "not-attempted":
            return absolute
        if i in self.own:
            own = compare(got, follows, scale=scale, name=name)
            if own.ok:
                says = "It follows from your own values upstream."
                return Verdict(own.label, says, own.format, name)
        cancelled = replay.cancelled_scale(self.run, i)
        if np.max(np.abs(truth), initial=0) <= tolerance(truth.dtype) * cancelled:
            zero = compare(got, truth, scale=cancelled, name=name)
            if zero.ok:
                return zero
        if absolute.label == "not-finite":
            return absolute
        here = (
            "Given your own values upstream, this step breaks."
            if i in self.own
            else "What comes in is right, but this step breaks."
        )
        return Verdict("wrong", f"{here} {absolute.says}", name=name)


def _explained(
    run: Trace, verdict: Verdict, name: str, answers: Mapping[Any, Any]
) -> Verdict:
    """Say how a step broke, given the learner's own values for the other steps."""
    if verdict.label != "wrong":
        return verdict
    given: dict[Any, Any] = {
        n: got
        for n, got in answers.items()
        if isinstance(n, (str, int)) and n != name and got is not ...
    }
    found = diagnose(run, name, answers[name], given=given, seconds=0.5)
    if found.ok or found.label in ("unexplained", "not-attempted"):
        return verdict
    return Verdict(found.label, found.says, None, name, found.where)


def _unknown(run: Trace, key: Any) -> str:
    if not isinstance(key, (str, int, np.integer)):
        kind = type(key).__name__
        return f'Of type {kind}; a name is to be here: `{{"w": ..., "h": ...}}`.'
    return f"The run has no value called {str(key)!r}; {near(str(key), run.names)}"


def _no_gradient(run: Trace, key: Any) -> str:
    if not any(r.grad is not None for r in run):
        return "The run holds no backward pass: call loss.backward() in the with block."
    return f"No gradient flows to {key} in this run."
