"""Exercises on an engine of the learner's own: a tape, run on graphs that break it.

``check(Tape)`` judges a whole engine; ``get`` hands out the four steps towards one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import NameLookupError, near
from ..grade import GradeError, Verdict
from . import attempts
from .engine_code import (
    BACKWARD,
    BACKWARD_SLIPS,
    ORDER,
    ORDER_SLIPS,
    TAPE,
    TAPE_SLIPS,
    VALUE,
    VALUE_SLIPS,
    changed,
    reference,
)
from .engine_graphs import check_backward, check_order, check_tape
from .engine_ops import check_rules
from .engine_probe import MistakeError, told
from .exercise import Prose
from .problem import Slip


@dataclass(frozen=True, slots=True)
class Task:
    """A part of an engine to write; judged by running it.

    Attributes:
        id: "engine.what".
        prompt: Markdown.
        hints: three rungs.
        reason: what the solution says before its code.
        answer_code: right code, which ends in ``answer = ...``.
        slips: classic bugs, each the whole code.
        probe: raises ``MistakeError`` where an answer is wrong.
        kind: what the answer is, "class" or "function".
    """

    id: str
    prompt: str
    hints: tuple[str, ...]
    reason: str
    answer_code: str
    slips: tuple[Slip, ...]
    probe: Callable[[Any], None]
    kind: str

    @property
    def problem(self) -> "Task":
        """Itself: the task is its own data."""
        return self

    @property
    def asks(self) -> tuple[str, ...]:
        """Nothing by name: code is asked, for which there is no card.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{self.id}: a {self.kind} is asked, and a card takes formulas.\n"
            "  help: write it in a cell, and hand it to `q.check(answer)`."
        )

    def check(self, answer: Any, *, strict: bool = False) -> Verdict:
        """Judge a class or function by running it; the attempt is noted.

        Args:
            answer: the class or function; ``...`` where there is none yet.
            strict: raise instead of reporting, for nbgrader and tests.

        Raises:
            GradeError: with ``strict=True``, unless the answer is right.
        """
        verdict = _judged(self, answer)
        attempts.note(self.id, verdict, None)
        if strict and not verdict.ok:
            raise GradeError(
                f"{self.id}: {verdict}", help="q.hint() says where to look."
            )
        return verdict

    def carry_on(self, answer: Any) -> Any:
        """Return the answer if it is right, else one that is: a notebook goes on."""
        if _judged(self, answer).ok:
            return answer
        return reference()[self.answer_code.split()[-1]]

    def hint(self, rung: int = 1) -> Prose:
        """Help a little: 1 where to look, 2 which rule, 3 the skeleton."""
        rung = min(max(int(rung), 1), len(self.hints))
        more = f"\n\n`q.hint({rung + 1})` says more." if rung < len(self.hints) else ""
        return Prose(
            f"**Hint {rung} of {len(self.hints)}.** {self.hints[rung - 1]}{more}"
        )

    def solution(self) -> Prose:
        """Show the thought and the code."""
        return Prose(f"{self.reason}\n\n```python\n{self.answer_code}\n```")

    def __repr__(self) -> str:
        return f"<Task {self.id}: write a {self.kind}>"

    def _repr_markdown_(self) -> str:
        return self.prompt


def check(answer: Any, part: str = "tape") -> Verdict:
    """Judge a whole engine: a class that records, and sends gradients back.

    ``Tape(array)`` makes a value; ``+ - * @``, ``tanh()`` and ``sum()`` make others;
    ``backward()`` on a single number puts the gradient of it into each value's
    ``grad``. Operands broadcast. Whether a second pass adds to a leaf's ``grad``, as in
    PyTorch, or starts afresh, is free.

    The engine is run on graphs on which the classic bugs show, for a bounded number of
    its own lines. Nothing that it does raises here, and no attempt is noted.

    Args:
        answer: the class; a function for some parts; ``...`` where there is none yet.
        part: "tape" for the whole, or "forward", "order", "backward".

    Raises:
        NameLookupError: if there is no such part.

    >>> class Tape:
    ...     def __init__(self, data):
    ...         self.data = data
    >>> check(Tape).label
    'error'
    """
    id = f"engine.{part}"
    if id not in TASKS:
        raise NameLookupError(
            f"engine.check: there is no part {part!r}.",
            help=near(part, [known.partition(".")[2] for known in TASKS]),
        )
    return _judged(TASKS[id], answer)


def _judged(task: Task, answer: Any) -> Verdict:
    name = task.id.partition(".")[2]
    if answer is None or answer is ...:
        return Verdict(
            "not-attempted", f"Write the {task.kind}, and name it as answer.", name=name
        )
    right = isinstance(answer, type) if task.kind == "class" else callable(answer)
    if not right:
        return Verdict(
            "wrong",
            f"A {task.kind} is asked, this is {type(answer).__name__}: "
            "hand in its name, without calling it.",
            name=name,
        )
    try:
        task.probe(answer)
    except MistakeError as found:
        v = found.verdict
        return Verdict(v.label, v.says, name=name)
    except Exception as error:  # an answer stranger than any probe foresaw
        return Verdict("error", told(error), name=name)
    return Verdict("correct", "", name=name)


def _slips(code: str, bugs: Any) -> tuple[Slip, ...]:
    name = code.split()[-1]
    made = []
    for label, *bug in bugs:
        text = changed(code, *bug) if len(bug) == 2 else bug[0]
        if "answer =" not in text:
            text += f"\nanswer = {name}\n"
        made.append(Slip(label, text.strip(), where=""))
    return tuple(made)


def _task(id: str, code: str, bugs: Any, probe: Any, kind: str, **words: Any) -> Task:
    slips = tuple(
        Slip(s.label, s.code, id.partition(".")[2]) for s in _slips(code, bugs)
    )
    return Task(
        id=id, answer_code=code.strip(), slips=slips, probe=probe, kind=kind, **words
    )


TASKS = {
    task.id: task
    for task in (
        _task(
            "engine.forward",
            VALUE,
            VALUE_SLIPS,
            check_rules,
            "class",
            prompt="Write `class Value(Node)` with `-`, `*`, `@`, `.tanh()` and "
            "`.sum()`. Each returns `type(self)(data, parents, rules)`; rule number k "
            "takes the gradient `g` of the result, and returns what parent number k "
            "gets of it.",
            hints=(
                "`__add__` in `Node` is the pattern: the number, the parents, a rule "
                "for each parent.",
                "Rules: minus sends `g` and `-g`; a product sends `g` times the other "
                "factor; `x @ w` sends `g @ w.T` and `x.T @ g`; tanh has the slope "
                "`1 - y**2`; a sum sends `g` to every entry.",
                "`def __mul__(self, other): rules = (lambda g: g * ..., "
                "lambda g: g * ...)`",
            ),
            reason="One line for the number, one rule for each parent.",
        ),
        _task(
            "engine.order",
            ORDER,
            ORDER_SLIPS,
            check_order,
            "function",
            prompt="Write `order(end)`: the list of all values that `end` was made "
            "of, each once, `end` first, and each value after everything that used it.",
            hints=(
                "A value may be sent on when all its users have been visited. Count "
                "the users first.",
                "Keep a list of what is ready. Take one, put it into the order, and "
                "lower the count of its parents; a parent whose count is 0 is ready. "
                "No function calls itself.",
                "`waits[id(parent)] -= 1`, then `if waits[id(parent)] == 0: ...`",
            ),
            reason="Count the users of each value, then visit what waits for nobody "
            "(Kahn 1962).",
        ),
        _task(
            "engine.backward",
            BACKWARD,
            BACKWARD_SLIPS,
            check_backward,
            "function",
            prompt="Write `backward(end)`: visit the values in their order, and let "
            "each send to its parents what its rules say. At the end each value's "
            "`grad` is the gradient of `end`.",
            hints=(
                "Which gradient does `end` start from, and which all the others?",
                "$dL/dL = 1$. Where several contributions arrive, they add. Every pass "
                "starts from zero.",
                "`for parent, rule in zip(value.parents, value.rules): "
                "parent.grad = ... + rule(...)`",
            ),
            reason="Zeros, a one, and a sum over all arrows.",
        ),
        _task(
            "engine.tape",
            TAPE,
            TAPE_SLIPS,
            check_tape,
            "class",
            prompt="Write `fit(g, shape)`, which sums a contribution over the axes "
            "that were broadcast, and `class Tape(Value)` with a method `backward()` "
            "that uses it.",
            hints=(
                "A bias of shape (3,) is added to all rows of a (4, 3). Its gradient "
                "comes back as (4, 3).",
                "A value used many times gets the sum over its uses. Sum over axes in "
                "front that the parent has not, and over those where it has size 1.",
                "`while g.ndim > len(shape): g = g.sum(axis=...)`",
            ),
            reason="The transpose of a copy is a sum.",
        ),
    )
}
