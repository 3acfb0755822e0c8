"""Exercise: a Problem in the hands of a learner: given, check, hint, solution."""

import re
from typing import Any

from ..grade import GradeError, Report, Verdict
from ..trace import Trace
from . import attempts
from .given import Given
from .judging import judge
from .problem import Problem


class Exercise:
    """A problem on numbers drawn from a seed. Show it, look at ``given``, ``check``.

    Args:
        problem: the exercise as data.
        seed: draws the numbers.

    >>> import backproplab as bp
    >>> q = bp.exercises.get("chain.scalar")
    >>> q.check(...).label
    'not-attempted'
    >>> q.hint(2)
    Hint 2 of 3. ...
    """

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        self.problem, self.seed = problem, seed

    @property
    def id(self) -> str:
        """Name of the problem."""
        return self.problem.id

    @property
    def asks(self) -> tuple[str, ...]:
        """Names whose gradient, or value, is asked, in the order of the derivation."""
        return self.problem.asks

    @property
    def given(self) -> Given:
        """What may be used: inputs, values on the way, the incoming gradient."""
        return self.problem.instance(self.seed).given

    def check(self, answer: Any, *, strict: bool = False) -> Verdict | Report:
        """Judge an answer; the attempt is noted in ``.backproplab/progress.json``.

        Args:
            answer: an array, a formula as text, or a function whose parameters are
                names of what is given (it is tried on other numbers, shapes and formats
                too); for several gradients a dict of these by name, or a function that
                returns one. ``...`` where there is no answer yet.
            strict: raise instead of reporting, for nbgrader and tests.

        Returns:
            a ``Verdict``; a ``Report`` where several gradients are asked. Nothing that
            is handed in raises.

        Raises:
            GradeError: with ``strict=True``, unless the answer is right.
        """
        outcome = judge(self.problem, answer, self.seed)
        attempts.note(self.id, outcome, answer)
        if strict and not outcome.ok:
            raise GradeError(
                f"{self.id}: {outcome}", help="q.hint() says where to look."
            )
        return outcome

    def hint(self, rung: int = 1) -> "Prose":
        """Help a little: 1 where to look, 2 which rule, 3 the skeleton."""
        hints = self.problem.hints
        if not hints:
            return Prose("There is no hint for this one.")
        rung = min(max(int(rung), 1), len(hints))
        more = f"\n\n`q.hint({rung + 1})` says more." if rung < len(hints) else ""
        return Prose(f"**Hint {rung} of {len(hints)}.** {hints[rung - 1]}{more}")

    def solution(self) -> "Prose":
        """Show the derivation and the code."""
        problem = self.problem
        return Prose(f"{problem.solution}\n\n```python\n{problem.answer_code}\n```")

    def truth(self) -> Trace:
        """The recorded run, gradients and all: for the instructor."""
        return self.problem.instance(self.seed).run

    @property
    def prompt(self) -> str:
        """The whole task as Markdown: words, code, what is given, what is asked."""
        problem = self.problem
        parts = [
            problem.prompt.strip(),
            f"```python\n{problem.code}\n```" if problem.code else "",
            f"Given: {', '.join(f'`{w}`' for w in self.given.words())}.",
            f"Asked: {', '.join(f'`{problem.variable(name)}`' for name in self.asks)}.",
        ]
        return "\n\n".join(filter(None, parts))

    def __repr__(self) -> str:
        asked = ", ".join(self.problem.variable(name) for name in self.asks)
        return f"<Exercise {self.id}: find {asked} from {', '.join(self.given)}>"

    def _repr_markdown_(self) -> str:
        return self.prompt


class Prose(str):
    """Text that a notebook shows as Markdown; as plain text, code keeps its signs.

    >>> Prose("**Rule.** `1 - y**2`")
    Rule. `1 - y**2`
    """

    __slots__ = ()
    _CODE = re.compile("(```.*?```|`[^`]*`)", re.DOTALL)

    def _repr_markdown_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        plain = [
            part.strip("`").removeprefix("python\n").rstrip("\n")
            if part.startswith("```")
            else part
            if part.startswith("`")
            else part.replace("**", "")
            for part in self._CODE.split(self)
        ]
        return "".join(plain)
