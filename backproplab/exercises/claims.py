"""What must hold of a problem: each claim, with what finds the complaints."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import NameLookupError, RangeError, near
from ..grade import LABELS, Report, compare
from .derivation import follow
from .differences import agrees
from .formula import FormulaError, evaluate
from .judging import judge
from .problem import Instance, Problem, Slip

Complaints = Callable[[Problem, int], Iterator[str]]


def claims(quantity: str) -> list[tuple[str, Complaints]]:
    """What must hold of a problem, each with what finds the complaints."""
    grads = quantity == "gradient"
    first = "has a gradient" if grads else "has a value"
    checks = [
        (f"it runs and every asked name {first}", _runs),
        ("the truth agrees with finite differences", agrees),
        ("the reference answer is correct", _answers),
        ("every slip is told from the truth, and blamed where it breaks", _slips),
        ("every slip comes out under its label", _labels),
        ("the upstream gradient is not vacuous", _upstream),
        ("the truth changes with the seed", _changes),
        ("there are three hints, and none holds the answer", _hints),
        ("no other exercise has its id", is_its_own),
    ]
    skipped = (_changes,) if grads else (agrees, _upstream)
    return [(claim, f) for claim, f in checks if f not in skipped]


def _runs(problem: Problem, seeds: int) -> Iterator[str]:
    for seed, at in enumerate(_instances(problem, seeds)):
        for name in problem.asks:
            if name not in at.truth:
                yield _missing(problem, at, name)
            elif at.truth[name] is None:
                yield f"no gradient flows to {name}; ask for what y depends on"
            elif not np.all(np.isfinite(at.truth[name])) or not _ends(problem, at):
                yield (
                    f"seed {seed}: the {problem.quantity} of {name}, or where it comes "
                    "from, is not finite; draw inputs at which forward is defined"
                )
            elif not np.size(at.truth[name]):
                yield f"seed {seed}: {name} has no entries; draw a size of 1 or more"
            elif (variable := problem.variable(name)) in at.given:
                yield f"{variable} is asked and given; call the input otherwise"
    yield from _draws(problem, seeds)


def _ends(problem: Problem, at: Instance) -> bool:
    """Whether what ``forward`` returned is finite; of values, each is looked at."""
    if problem.quantity == "value":
        return True
    end = at.run[at.run.backward_steps()[0].id]
    return bool(np.all(np.isfinite(end.value)))


def _missing(problem: Problem, at: Instance, name: str) -> str:
    known = at.run.names if problem.quantity == "gradient" else tuple(at.truth)
    said = f"the run has no value named {name!r}; it has {', '.join(known)}"
    plain = next((k for k in known if problem.variable(k) == name), None)
    return f"{said}; ask for {plain!r} itself" if plain else said


def _draws(problem: Problem, seeds: int) -> Iterator[str]:
    """The numbers come from the generator, and from nowhere else."""
    first, *others = (_drawn(problem, seed) for seed in range(max(seeds, 2)))
    if first != _drawn(problem, 0):
        yield "inputs draws other numbers from the same seed; take all from rng"
    if first and all(first == other for other in others):
        yield "inputs draws the same numbers for every seed; take them from rng"
    fresh, kept = problem.fresh(0).truth, problem.instance(0).truth
    if any(not np.array_equal(fresh[name], kept[name]) for name in problem.asks):
        yield "forward gives other numbers when it runs again; draw them in inputs"


def _drawn(problem: Problem, seed: int) -> str:
    arrays = problem.inputs(np.random.default_rng(seed)).items()
    return repr({name: np.asarray(a).tolist() for name, a in arrays})


def _answers(problem: Problem, seeds: int) -> Iterator[str]:
    """The answer must be right in absolute terms: credit for following is none here."""
    for seed, at in enumerate(_instances(problem, seeds)):
        answer = _follow(problem, problem.answer_code, "answer_code", at)
        outcome = judge(problem, answer, seed, explain=False)
        each = outcome.values() if isinstance(outcome, Report) else [outcome]
        for verdict in each:
            if not verdict.ok or verdict.says.startswith("It follows"):
                label = "wrong" if verdict.ok else verdict.label
                yield f"seed {seed}: {verdict.name} is {label}. {verdict.says}"


def _slips(problem: Problem, seeds: int) -> Iterator[str]:
    if len(problem.slips) < 3:
        yield f"there are {len(problem.slips)} slips; three are the least"
    for slip in problem.slips:
        if slip.label not in LABELS:
            yield f"{slip.label!r} is no label; {near(slip.label, LABELS)}"
        for seed, at in enumerate(_instances(problem, seeds)):
            answer = _follow(problem, slip.code, f"the slip {slip.label}", at)
            outcome = judge(problem, answer, seed, explain=False)
            blamed = getattr(outcome, "blamed", () if outcome.ok else problem.asks)
            said = f"seed {seed}: {slip.label} at {slip.where}, but"
            if not blamed:
                yield f"{said} it gives the truth: {_harmless(problem, slip)}"
            elif blamed != (slip.where,):
                yield f"{said} {', '.join(blamed)} is blamed; say so with `where`"
    if len({slip.code for slip in problem.slips}) < len(problem.slips):
        yield "two slips are the same; three different ones are the least"


def _harmless(problem: Problem, slip: Slip) -> str:
    """Why a slip changes nothing, and what to do about it."""
    right = problem.answer_code.splitlines()
    wrong = [line for line in slip.code.splitlines() if line not in right]
    if set(right) <= set(slip.code.splitlines()):
        names = " or ".join(f"`{problem.variable(a)} = `" for a in problem.asks)
        return f"it replaces no line of answer_code; begin it with {names}"
    return f"`{'; '.join(wrong)}` is right here; make it wrong, or take it out"


def _labels(problem: Problem, seeds: int) -> Iterator[str]:
    for slip in problem.slips:
        for seed, at in enumerate(_instances(problem, min(seeds, 3))):
            answer = _follow(problem, slip.code, f"the slip {slip.label}", at)
            outcome = judge(problem, answer, seed)
            said = outcome[slip.where] if isinstance(outcome, Report) else outcome
            if said.label not in (slip.label, "correct"):
                yield (
                    f"seed {seed}: {slip.label} at {slip.where}, seen as {said.label}; "
                    "give it that label, or write another line"
                )


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
        yield (
            f"there are {len(problem.hints)} hints; three are wanted: where to look, "
            "which rule, the skeleton with gaps"
        )
    if not all(hint.strip() for hint in problem.hints):
        yield "a hint is empty; write where to look, which rule, or the skeleton"
    hints = _bare(" ".join(problem.hints))
    variables = {problem.variable(a): a for a in problem.asks}
    for line in problem.answer_code.splitlines():
        name, _, formula = line.partition("=")
        asked = name.strip() in variables and len(_bare(formula)) >= 5
        if asked and _bare(formula) in hints:
            yield f"a hint holds {formula.strip()}; leave a gap, `...`"
    at = problem.instance(0)
    known = {**at.given, **{v: at.truth[a] for v, a in variables.items()}}
    for text in re.findall(r"`([^`]*)`", " ".join(problem.hints)):
        formula = text.rpartition(" = ")[2]
        with suppress(FormulaError):
            value = evaluate(formula, known).value
            if not formula.strip().isidentifier() and any(
                compare(value, at.truth[a]).ok for a in problem.asks
            ):
                yield f"a hint holds {formula.strip()}; leave a gap, `...`"


def is_its_own(problem: Problem, seeds: int) -> Iterator[str]:
    """A variation of a problem may keep its id; another one would mix their marks."""
    from . import get  # this file is read before the catalogue is there

    with suppress(NameLookupError):
        known = get(problem.id).problem
        if getattr(known, "forward", None) is not problem.forward:
            yield (
                f"{problem.id!r} comes with the package, and progress and reports "
                "would mix the two; choose another id"
            )


def _follow(problem: Problem, code: str, what: str, at: Instance) -> Any:
    """Run code on what is given, and say of whose it is that it does not run."""
    try:
        return follow(code, at.given)
    except NameError as error:
        name = str(error.name)
        if name in map(problem.variable, problem.asks):
            raise RangeError(
                f"{what} does not assign {name}; write `{name} = ...`"
            ) from None
        known = ", ".join(at.given)
        raise RangeError(f"{what} uses {name!r}; given are {known}") from None
    except Exception as error:
        raise RangeError(f"{what} raises {type(error).__name__}: {error}") from None


def _instances(problem: Problem, seeds: int) -> Iterator[Instance]:
    return (problem.instance(seed) for seed in range(seeds))


def _bare(text: str) -> str:
    return "".join(text.split()).replace("np.", "")
