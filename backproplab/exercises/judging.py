"""Reading an answer, whatever was handed in, and judging it. Never raises."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._symbols import variable
from ..errors import near
from ..grade import Report, Verdict, check, diagnose
from ..grade.compare import take_in
from ..node import Node
from ..trace import Trace
from .derivation import follow_on
from .formula import Formula, FormulaError, evaluate
from .given import Given
from .problem import Instance, Problem
from .values import LARGEST, followed, judge_values, own_values, slipped

# Where a function is tried: other numbers, other sizes, another number format.
_TRIES = ((1, "float64"), (2, "float64"), (3, "float64"), (4, "float32"))
_SECONDS = 0.8  # in which the diagnosis of all broken links is to be found


def judge(
    problem: Problem, answer: Any, seed: int = 0, explain: bool = True
) -> Verdict | Report:
    """Judge an answer to a problem; see ``Exercise.check``.

    Args:
        problem: the exercise as data.
        answer: whatever was handed in.
        seed: draws the numbers.
        explain: ask for a diagnosis of what is wrong.
    """
    try:
        if callable(answer) and not isinstance(answer, Node):
            return _judge_function(problem, answer, seed)
        return _judge(problem, problem.instance(seed), answer, explain)
    except Exception as error:  # an object that fights being looked at
        says = f"This {type(answer).__name__} cannot be read ({type(error).__name__})."
        return _all(problem, "wrong", says)


def read(
    problem: Problem, typed: Mapping[str, str], given: Given
) -> dict[str, Formula | FormulaError | None]:
    """Read formulas by asked name; each may use the answers that stand above it.

    Returns:
        what was understood, or the error; None where nothing was typed.
    """
    known, found = dict(given), {}  # type: dict[str, Any], dict[Any, Any]
    for name, text in typed.items():
        if not text.strip():
            found[name] = None
            continue
        try:
            found[name] = evaluate(text, known, spell=spell)
            known[problem.variable(name)] = found[name].value
        except FormulaError as error:
            found[name] = error
    return found


def spell(name: str) -> str:
    """Write a name as TeX; ``dy`` is the derivative that it stands for."""
    if name[:1] == "d" and len(name) > 1:
        return rf"\frac{{\partial L}}{{\partial {variable(name[1:])}}}"
    return variable(name)


def _judge(
    problem: Problem, at: Instance, answer: Any, explain: bool = True
) -> Verdict | Report:
    asks = problem.asks
    answers: dict[str, Any] = dict.fromkeys(asks, ...)
    if isinstance(answer, Mapping):
        named = {_asked(problem, name): value for name, value in answer.items()}
        gradients = problem.quantity == "gradient"  # values name them one by one
        if gradients and named and not named.keys() & set(asks):
            name = str(next(iter(named)))
            says = f"{name!r} is not asked for here; {near(name, asks)}"
            return _all(problem, "not-attempted", says)
        answers |= named
    elif len(asks) == 1:
        answers[asks[0]] = answer
    elif answer is not ... and answer is not None:
        names = ", ".join(f'"{name}": ...' for name in asks)
        says = f"{len(asks)} {problem.quantity}s are asked: hand in a dict {{{names}}}."
        return _all(problem, "wrong", says)
    unread = {}
    typed = {name: value for name, value in answers.items() if isinstance(value, str)}
    for name, formula in read(problem, typed, at.given).items():
        answers[name] = formula.value if isinstance(formula, Formula) else ...
        if isinstance(formula, FormulaError):
            unread[name] = Verdict("wrong", str(formula), name=name)
    if problem.quantity == "value":
        verdicts = {**judge_values(problem, at, answers), **unread}
    else:
        verdicts = dict(check(at.run, answers, explain=False))
        _follow_shapes(problem, at, answers, verdicts)
        verdicts |= unread
        wrong = [n for n, v in verdicts.items() if v.label in ("wrong", "shape")]
        for name in wrong if explain else ():
            seconds = _SECONDS / len(wrong)
            verdict = _explained(at.run, verdicts[name], answers, seconds)
            if verdict.label == "unexplained":
                own = own_values(problem, answers)
                verdict = slipped(problem, at, own, answers[name], verdict)
            verdicts[name] = verdict
    return Report(verdicts) if len(verdicts) > 1 else verdicts[asks[0]]


def _follow_shapes(
    problem: Problem,
    at: Instance,
    answers: Mapping[str, Any],
    verdicts: dict[str, Verdict],
) -> None:
    """Go on from answers of a wrong shape as well, which no backward pass can."""
    misshapen = [n for n, v in verdicts.items() if v.label in ("shape", "not-finite")]
    if not misshapen:
        return
    own = own_values(problem, answers)
    follows = follow_on(problem.answer_code, at.given, own)
    for name in problem.asks:
        if not verdicts[name].ok:
            found = follows.get(problem.variable(name))
            verdicts[name] = followed(answers[name], found, verdicts[name])


def _explained(
    run: Trace, verdict: Verdict, answers: Mapping[str, Any], seconds: float
) -> Verdict:
    """Say which link broke and how, given the learner's own answers upstream of it."""
    name = verdict.name
    own = {n: take_in(got)[0] for n, got in answers.items()}
    given = {n: a for n, a in own.items() if n != name and a is not None}
    got = own[name]
    if got is None or got.size > LARGEST:
        return verdict
    found = diagnose(run, name, got, given=given, seconds=seconds)
    if found.ok or found.label == verdict.label:
        return verdict
    says = found.says
    if found.label == "unexplained":
        says = f"{verdict.says} {says}" if says not in verdict.says else verdict.says
    return Verdict(found.label, says, None, name, found.where)


def _asked(problem: Problem, name: Any) -> str:
    """Take ``dx`` for ``x``, where gradients are asked."""
    return {problem.variable(a): a for a in problem.asks}.get(str(name), str(name))


def _judge_function(
    problem: Problem, function: Callable[..., Any], seed: int
) -> Verdict | Report:
    outcome: Verdict | Report = _all(problem, "not-attempted", "No answer yet.")
    for first, (s, dtype) in enumerate(((seed, "float64"), *_TRIES)):
        at = problem.instance(s, dtype)
        answer, complaint = _call(function, at)
        outcome = (
            _all(problem, "wrong", complaint)
            if complaint
            else _judge(problem, at, answer)
        )
        if not outcome.ok:
            return _on(outcome, at, dtype) if first else outcome
    return outcome


def _call(function: Callable[..., Any], at: Instance) -> tuple[Any, str]:
    given = {k.replace(".", "_"): np.array(v) for k, v in at.given.items()}
    name = getattr(function, "__name__", type(function).__name__)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None, f"{name} does not tell its parameters; write `def answer(...)`."
    wanted = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    passed = {p.name: given[p.name] for p in wanted if p.name in given}
    for p in wanted:
        if p.name not in given and p.default is p.empty:
            return None, f"{name} asks for {p.name!r}; {near(p.name, given)}"
    if len(wanted) < len(parameters):
        passed = given
    try:
        return function(**passed), ""
    except Exception as error:
        return None, f"{name} raised {type(error).__name__}: {error}"


def _on(outcome: Verdict | Report, at: Instance, dtype: str) -> Verdict | Report:
    """Add on which other numbers a function went wrong."""
    sizes = ", ".join(at.given.words()[:4])
    where = f"Right on the numbers shown, but not on others ({dtype}: {sizes}). "
    if isinstance(outcome, Verdict):
        return replace(outcome, says=where + outcome.says)
    return Report(
        {n: v if v.ok else replace(v, says=where + v.says) for n, v in outcome.items()}
    )


def _all(problem: Problem, label: str, says: str) -> Verdict | Report:
    verdicts = {name: Verdict(label, says, name=name) for name in problem.asks}
    return Report(verdicts) if len(verdicts) > 1 else verdicts[problem.asks[0]]
