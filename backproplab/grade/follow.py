"""Follow-through marking: each step is judged from the learner's own values upstream."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BackpropError, near
from ..trace import Trace, replay
from .compare import compare, take_in
from .verdict import Report, Verdict


class GradeError(BackpropError, AssertionError):
    """A wrong answer where ``strict=True`` asked for an exception."""


def check(run: Trace, answers: Mapping[str, Any], *, strict: bool = False) -> Report:
    """Grade a derivation node by node, blaming each broken link once.

    A step is right if it is right in absolute terms, or follows from the learner's own
    answers to the steps before it (closer to the loss). So a broken link is blamed where
    it breaks, and what is built on it correctly gets credit.

    Args:
        run: a recorded run with a backward pass.
        answers: dL/d(value) by the value's name in the run; ``...`` where not attempted.
        strict: raise instead of reporting, for tests.

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
    verdicts: dict[str, Verdict] = {}
    asked: dict[int, str] = {}
    for name in answers:
        if name not in run:
            says = f"The run has no value called {name!r}; {near(str(name), run.names)}"
            verdicts[str(name)] = Verdict("not-attempted", says, name=str(name))
        elif run[name].grad is None:
            verdicts[name] = Verdict(
                "not-attempted", _no_gradient(run, name), name=name
            )
        else:
            asked[run[name].id] = name
    if asked:
        verdicts = {**_walk(run, asked, answers), **verdicts}
    report = Report(verdicts)
    if strict and not report.ok:
        raise GradeError(str(report))
    return report


def _walk(
    run: Trace, asked: dict[int, str], answers: Mapping[str, Any]
) -> dict[str, Verdict]:
    verdicts: dict[str, Verdict] = {}
    sizes: dict[int, Any] = {}  # |contributions| added up: the scale when they cancel

    def edge(output: int, k: int, x: int, c: np.ndarray) -> np.ndarray:
        sizes[x] = sizes.get(x, 0) + np.abs(c)
        return c

    def visit(i: int, follows: np.ndarray) -> np.ndarray:
        if i not in asked:
            return follows
        name, record = asked[i], run[i]
        got = answers[name]
        scale = float(np.max(sizes[i], initial=0)) if i in sizes else None
        verdicts[name] = _judge(run, i, got, follows, record.grad, scale)
        array, _ = take_in(got) if got is not None and got is not ... else (None, "")
        usable = (
            array is not None
            and array.shape == follows.shape
            and np.isfinite(array).all()
        )
        return array if usable else follows  # type: ignore[return-value]

    replay.backward(run, replay.seeds(run), visit=visit, edge=edge)
    return verdicts


def _judge(
    run: Trace, i: int, got: Any, follows: Any, truth: Any, scale: float | None
) -> Verdict:
    name = run[i].name
    absolute = compare(got, truth, scale=scale or None, name=name)
    if absolute.ok or absolute.label in ("not-attempted", "shape", "not-finite"):
        return absolute
    follows = np.asarray(follows, truth.dtype)
    broken = not compare(follows, truth, scale=scale or None).ok
    own = compare(got, follows, scale=scale or None, name=name)
    if not own.ok:
        cancelled = replay.cancelled_scale(run, i)
        own = compare(got, truth, scale=cancelled, name=name) if cancelled else own
    if own.ok and broken:
        return Verdict(
            own.label, "It follows from your own values upstream.", own.format, name
        )
    if own.ok:
        return own
    here = (
        "Given your own values upstream, " if broken else "What comes in is right, but "
    )
    return Verdict("wrong", f"{here}this step breaks. {absolute.says}", name=name)


def _no_gradient(run: Trace, name: str) -> str:
    if not any(r.grad is not None for r in run):
        return "The run holds no backward pass: call loss.backward() inside the with block."
    return f"No gradient flows to {name} in this run."
