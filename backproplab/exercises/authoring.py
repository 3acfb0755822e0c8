"""Is a problem fit for learners? ``validate`` tries it out before they do."""

from html import escape
from linecache import getline
from traceback import walk_tb

import numpy as np

from .._table import Table
from ..errors import BackpropError, RangeError
from .claims import claims, is_its_own
from .problem import Problem

_COLOURS = {"✓": "#009E73", "✗": "#D55E00", "○": "inherit"}  # Okabe-Ito
_WAITS = "waits until it runs"
_SEEDS = 20


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

    Returns:
        a row a check; where the first does not hold, those that need a run wait.

    Raises:
        RangeError: if it is no ``Problem``.

    >>> import backproplab as bp
    >>> validation = bp.exercises.validate(bp.exercises.get("chain.tanh").problem)
    >>> validation.ok, validation[0]["check"]
    (True, 'it runs and every asked name has a gradient')
    """
    if not isinstance(problem, Problem):
        raise RangeError(
            f"validate: this is a {type(problem).__name__}; a Problem is required.",
            help='of an exercise it is `bp.exercises.get("chain.tanh").problem`.',
        )
    rows = Validation()
    for claim, complaints in claims(problem.quantity):
        if rows and rows[0]["holds"] == "✗" and complaints is not is_its_own:
            rows.append({"holds": "○", "check": claim, "seen": _WAITS})
            continue
        try:
            with np.errstate(all="ignore"):  # a claim says what is not finite
                found = next(complaints(problem, seeds), "")
        except Exception as error:
            found = _told(error, problem)
        rows.append({"holds": "✗" if found else "✓", "check": claim, "seen": found})
    return rows


def _told(error: Exception, problem: Problem) -> str:
    """One line: where in the instructor's code, what was seen, what to do next."""
    first, _, helps = str(error).partition("\n  help: ")
    if isinstance(error, BackpropError):
        first = first.removeprefix(f"Problem {problem.id}: ")
        said = f"{first} {helps[:1].upper()}{helps[1:]}".strip()
    else:
        said = f"{type(error).__name__}: {error}"
    own = {getattr(f, "__code__", None): f for f in (problem.inputs, problem.forward)}
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code in own:
            name = "forward" if own[frame.f_code] is problem.forward else "inputs"
            source = getline(frame.f_code.co_filename, line).strip()
            said = f"{name}, at `{source}`: {said}" if source else f"{name}: {said}"
    return said.splitlines()[0]
