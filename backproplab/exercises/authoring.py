"""Is a problem fit for learners? ``validate`` tries it out before they do."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html import escape
from typing import Any

import numpy as np

from .._table import Table
from ..errors import near
from ..grade import LABELS, Report, compare
from ..sockets import Plug, no_grad, plugged
from ..tensor import Tensor
from .derivation import follow, gradient
from .formula import FormulaError, evaluate
from .judging import judge
from .problem import Instance, Problem

_COLOURS = {"✓": "#009E73", "✗": "#D55E00"}  # Okabe-Ito
_SEEDS = 20
_STEP = 1e-6


class Validation(Table):
    """One row a check: what was tried, whether it holds, what was seen."""

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(row["holds"] == "✓" for row in self)

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left">'
        rows = "".join(
            f'<tr><td style="color:{_COLOURS[row["holds"]]}">{row["holds"]}</td>'
            f"{cell}{escape(row['check'])}</td>{cell}{escape(row['seen'])}</td></tr>"
            for row in self
        )
        left = '<th style="text-align:left">'
        head = f"<tr><th></th>{left}check</th>{left}what was seen</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def validate(problem: Problem, seeds: int = _SEEDS) -> Validation:
    """Try a problem on several seeds: truth, answer, slips, upstream, hints.

    Args:
        problem: as an instructor wrote it; nothing it does raises here.
        seeds: how many draws of the inputs.

    >>> import backproplab as bp
    >>> validation = bp.exercises.validate(bp.exercises.get("chain.tanh").problem)
    >>> validation.ok, validation[0]["check"]
    (True, 'it runs and every asked name has a gradient')
    """
    rows = Validation()
    for claim, complaints in _checks(problem.quantity):
        try:
            found = next(complaints(problem, seeds), "")
        except Exception as error:
            found = f"{type(error).__name__}: {error}".splitlines()[0]
        rows.append({"holds": "✗" if found else "✓", "check": claim, "seen": found})
    return rows


def _checks(quantity: str) -> list[tuple[str, Any]]:
    """What must hold of a problem, each with what finds the complaints."""
    grads = quantity == "gradient"
    first = "has a gradient" if grads else "has a value"
    checks = [
        (f"it runs and every asked name {first}", _runs),
        ("the truth agrees with finite differences", _agrees),
        ("the reference answer is correct", _answers),
        ("every slip is told from the truth, and blamed where it breaks", _slips),
        ("every slip comes out under its label", _labels),
        ("the upstream gradient is not vacuous", _upstream),
        ("the truth changes with the seed", _changes),
        ("there are three hints, and none holds the answer", _hints),
    ]
    skipped = (_changes,) if grads else (_agrees, _upstream)
    return [(claim, f) for claim, f in checks if f not in skipped]


def _runs(problem: Problem, seeds: int) -> Iterator[str]:
    for at in _instances(problem, seeds):
        for name in problem.asks:
            if name not in at.truth:
                known = at.run.names if problem.quantity == "gradient" else at.truth
                yield f"the run has no value named {name!r}; it has {', '.join(known)}"
            elif at.truth[name] is None:
                yield f"no gradient flows to {name}"


def _agrees(problem: Problem, seeds: int) -> Iterator[str]:
    """Move each asked value along a random direction, both ways, and see L move."""
    for seed, at in enumerate(_instances(problem, min(seeds, 5))):
        rng = np.random.default_rng(seed)
        for name in problem.asks:
            record = at.run[name]
            assert record.grad is not None
            t = rng.normal(size=record.shape)
            slope = (
                _loss(problem, at, name, _STEP * t)
                - _loss(problem, at, name, -_STEP * t)
            ) / (2 * _STEP)
            truth = float(np.sum(record.grad * t))
            size = float(np.sum(np.abs(record.grad * t))) + abs(slope)
            if abs(slope - truth) > 1e-5 * size + 1e-9:
                yield f"{name}: {truth:.6g} by the engine, {slope:.6g} by differences"


def _answers(problem: Problem, seeds: int) -> Iterator[str]:
    """The answer must be right in absolute terms: credit for following is none here."""
    for seed, at in enumerate(_instances(problem, seeds)):
        answer = follow(problem.answer_code, at.given)
        outcome = judge(problem, answer, seed, explain=False)
        each = outcome.values() if isinstance(outcome, Report) else [outcome]
        for verdict in each:
            if not verdict.ok or verdict.says.startswith("It follows"):
                label = "wrong" if verdict.ok else verdict.label
                yield f"seed {seed}: {verdict.name} is {label}; {verdict.says}"


def _slips(problem: Problem, seeds: int) -> Iterator[str]:
    if len(problem.slips) < 3:
        yield f"there are {len(problem.slips)} slips; three are the least"
    for slip in problem.slips:
        if slip.label not in LABELS:
            yield f"{slip.label!r} is no label; {near(slip.label, LABELS)}"
        for seed, at in enumerate(_instances(problem, seeds)):
            answer = follow(slip.code, at.given)
            outcome = judge(problem, answer, seed, explain=False)
            blamed = getattr(outcome, "blamed", () if outcome.ok else problem.asks)
            if blamed != (slip.where,):
                seen = ", ".join(blamed) or "it gives the truth: nothing"
                yield f"seed {seed}: {slip.label} at {slip.where}, but {seen} is blamed"


def _labels(problem: Problem, seeds: int) -> Iterator[str]:
    for slip in problem.slips:
        for seed, at in enumerate(_instances(problem, min(seeds, 3))):
            outcome = judge(problem, follow(slip.code, at.given), seed)
            said = outcome[slip.where] if isinstance(outcome, Report) else outcome
            if said.label != slip.label:
                yield f"seed {seed}: {slip.label} at {slip.where}, seen as {said.label}"


def _changes(problem: Problem, seeds: int) -> Iterator[str]:
    for name in problem.asks:
        truths = {str(at.truth[name]) for at in _instances(problem, seeds)}
        if len(truths) == 1:
            yield f"{name} is the same for every seed"


def _upstream(problem: Problem, seeds: int) -> Iterator[str]:
    for seed, at in enumerate(_instances(problem, seeds)):
        g = at.run.backward_steps()[0].grad
        if g.ndim and np.all(g == g.flat[0]):
            yield f"seed {seed}: the incoming gradient is the same everywhere"
        for name in problem.asks:
            grad = at.run[name].grad
            if grad is not None and not np.any(grad):
                yield f"seed {seed}: the gradient of {name} is zero; slips would pass"
            if grad is not None and np.allclose(grad, 1):
                yield f"seed {seed}: the gradient of {name} is all ones"


def _hints(problem: Problem, seeds: int) -> Iterator[str]:
    """Look for the answer in the hints: its code, or a formula that gives the same."""
    if len(problem.hints) != 3:
        yield f"there are {len(problem.hints)} hints; three are wanted"
    hints = _bare(" ".join(problem.hints))
    variables = {problem.variable(a): a for a in problem.asks}
    for line in problem.answer_code.splitlines():
        name, _, formula = line.partition("=")
        asked = name.strip() in variables and len(_bare(formula)) >= 5
        if asked and _bare(formula) in hints:
            yield f"a hint holds {formula.strip()}"
    at = problem.instance(0)
    known = {**at.given, **{v: at.truth[a] for v, a in variables.items()}}
    for text in re.findall(r"`([^`]*)`", " ".join(problem.hints)):
        formula = text.rpartition(" = ")[2]
        with suppress(FormulaError):
            value = evaluate(formula, known).value
            if not formula.strip().isidentifier() and any(
                compare(value, at.truth[a]).ok for a in problem.asks
            ):
                yield f"a hint holds {formula.strip()}"


def _instances(problem: Problem, seeds: int) -> Iterator[Instance]:
    return (problem.instance(seed) for seed in range(seeds))


def _loss(problem: Problem, at: Instance, name: str, change: Any) -> float:
    """L, or y times its gradient, with one value of the run moved by ``change``."""
    record, inputs = at.run[name], {}
    for key in problem.inputs(np.random.default_rng(0)):
        a = at.given[key]
        moved = a + change if record.op == "leaf" and key == name else a
        inputs[key] = Tensor(moved) if np.asarray(a).dtype.kind == "f" else a
    ops = [r.id for r in at.run if r.op not in ("leaf", "constant")]
    nudge = _Nudge(ops.index(record.id) if record.id in ops else -1, change)
    with no_grad(), plugged(nudge):
        y = problem.forward(**inputs)
    g = at.given.get(gradient(at.run.backward_steps()[0].name), 1.0) if y.ndim else 1.0
    return float(np.sum(y.data * g))


class _Nudge(Plug):
    """Add something to the output of the n-th operation."""

    def __init__(self, n: int, change: Any) -> None:
        self.left, self.change = n, change

    def after(self, node: Any, inputs: Any, static: Any) -> Any:
        if self.left == 0:
            node._data = node._data + self.change
        self.left -= 1
        return node


def _bare(text: str) -> str:
    return "".join(text.split()).replace("np.", "")
