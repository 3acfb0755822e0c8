"""ExerciseCard: one exercise, answered by typed formulas; judging is in exercises/."""

import warnings
from html import escape
from typing import Any

import ipywidgets
import numpy as np

from .. import exercises
from ..exercises.attempts import last_typed
from ..exercises.formula import Formula, FormulaError
from ..exercises.judging import read, spell
from ..grade import Report, Verdict
from .drawing import svg
from .graph import broken_links
from .lab import STATIC, Lab
from .markdown import html
from .scene import compose


class ExerciseCard(Lab):
    """Shows an exercise with a field for each formula, and judges what is typed.

    What was understood is shown as TeX while one types, or where the formula cannot be
    read. Enter checks, and so does the button. Formulas come back after a restart.

    Args:
        problem: an id, a ``Problem``, or what ``exercises.get`` returns.

    Attributes:
        exercise: the exercise that is shown.
        fields: the text fields by asked name.
        verdict: what was last said; None before the first check and after a change.

    >>> card = ExerciseCard("chain.tanh")
    >>> card
    <ExerciseCard: chain.tanh, 1 formula, not checked>
    >>> card.fields["x"].value = "dy * ("
    >>> card.type_check()["x"].splitlines()[0]
    'A value is missing at the end.'
    """

    def __init__(self, problem: Any) -> None:
        if isinstance(problem, str):
            problem = exercises.get(problem)
        elif isinstance(problem, exercises.Problem):
            problem = exercises.Exercise(problem)
        self.exercise: exercises.Exercise = problem
        self.verdict: Verdict | Report | None = None
        typed = last_typed(problem.id)
        self._attempted = bool(typed)
        self._rung = 0
        self.fields = {
            name: _field(name, problem.problem.variable(name), typed)
            for name in problem.asks
        }
        self._read = {name: ipywidgets.HTMLMath() for name in problem.asks}
        self._said = ipywidgets.HTML(_live(""))
        self._help = ipywidgets.HTMLMath(_heard(""))
        self.buttons = {
            "check": _button("Check", "check", "Judge the formulas"),
            "hint": _button("Hint", "lightbulb-o", "A little help, then a little more"),
            "solution": _button("Solution", "book", "The derivation"),
        }
        self.buttons["check"].button_style = "primary"
        rows = [
            ipywidgets.HBox([self.fields[name], self._read[name]])
            for name in problem.asks
        ]
        for row in rows:
            row.add_class("bpl-field")
        bar = ipywidgets.HBox(list(self.buttons.values()))
        bar.add_class("bpl-buttons")
        super().__init__(
            ipywidgets.HTMLMath(_STYLE + self._task()),
            *rows,
            bar,
            self._said,
            self._help,
        )
        self.add_class("bpl-card")
        for field in self.fields.values():
            field.observe(lambda _: self._typed(), "value")
            field.on_msg(self._entered)
        self.buttons["check"].on_click(lambda _: self.check())
        self.buttons["hint"].on_click(lambda _: self.hint())
        self.buttons["solution"].on_click(lambda _: self.solution())
        self._show_read()

    def check(self) -> Verdict | Report:
        """Judge what stands in the fields, and show the verdict."""
        with self.reported(), warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            typed = {name: field.value for name, field in self.fields.items()}
            self.verdict = self.exercise.check(typed)
            self._attempted |= self.verdict.label != "not-attempted"
            kind = "good" if self.verdict.ok else "bad"
            if self.verdict.label == "not-attempted":
                kind = "open"
            said = "".join(
                f"<p>{escape(str(n.message), quote=False)}</p>" for n in notes
            )
            lit = self._lit(self.verdict)
            self._said.value = _live(self._words(self.verdict) + said + lit, kind)
        return self.verdict

    def hint(self) -> None:
        """Show the next rung of the ladder; after the last one, the first."""
        rungs = len(self.exercise.problem.hints)
        self._rung = self._rung % max(rungs, 1) + 1
        text = str(self.exercise.hint(self._rung)).partition("\n\n`q.hint")[0]
        self._help.value = _heard(_prose(html(text), "bpl-help"))
        self.buttons["hint"].description = f"Hint {self._rung % max(rungs, 1) + 1}"

    def solution(self) -> None:
        """Show the derivation; without an attempt only when asked twice."""
        button = self.buttons["solution"]
        if not self._attempted:
            self._attempted = True
            button.description = "Show it anyway"
            text = "Try it first: even a wrong try tells which link to look at."
        else:
            button.description = "Solution"
            text = str(self.exercise.solution())
        self._help.value = _heard(_prose(html(text), "bpl-help"))

    def type_check(self) -> dict[str, str]:
        """For each field the TeX that was understood, or why it cannot be read."""
        found = self._formulas()
        return {
            name: "" if f is None else f.tex if isinstance(f, Formula) else str(f)
            for name, f in found.items()
        }

    def __str__(self) -> str:
        count = len(self.fields)
        state = self.verdict.label if self.verdict is not None else "not checked"
        return f"{self.exercise.id}, {count} formula{'s' * (count > 1)}, {state}"

    def page(self) -> str:
        """Write the task, for a page without a kernel."""
        note = "<p><em>Run the notebook to answer here.</em></p>"
        return f"{_STYLE}<div class='bpl-card'>{self._task(note)}</div>"

    def _task(self, note: str = "") -> str:
        field, _, rest = self.exercise.id.partition(".")
        title = (
            f"<h4>{escape(rest.replace('_', ' '))}<small>{escape(field)}</small></h4>"
        )
        return _prose(title + html(self.exercise.prompt) + note)

    def _formulas(self) -> dict[str, Formula | FormulaError | None]:
        typed = {name: field.value for name, field in self.fields.items()}
        return read(self.exercise.problem, typed, self.exercise.given)

    def _typed(self) -> None:
        with self.reported():
            self.verdict = None
            self._said.value = _live("")
            self._show_read()

    def _entered(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and content.get("event") == "submit":
            self.check()

    def _show_read(self) -> None:
        """Show what was understood; unchanged lines stay, so nothing flickers."""
        for name, formula in self._formulas().items():
            said = _understood(self.exercise.problem.variable(name), formula)
            if self._read[name].value != said:
                self._read[name].value = said

    def _lit(self, verdict: Verdict | Report) -> str:
        """Draw the exercise's graph with the broken links lit, if any was found."""
        run = self.exercise.truth()
        links = broken_links(run, verdict)
        return svg(compose(run, broken=links), 0) if links else ""

    def _words(self, verdict: Verdict | Report) -> str:
        if isinstance(verdict, Verdict) and "\n" in verdict.says:
            return f"{verdict.mark} The formula cannot be read; see beside the field."
        return verdict._repr_html_()


def _understood(variable: str, formula: Formula | FormulaError | None) -> str:
    if formula is None:
        return ""
    if isinstance(formula, FormulaError):
        return (
            f'<div class="bpl-read bpl-prose"><pre>{escape(str(formula))}</pre></div>'
        )
    shape = np.shape(formula.value)
    size = f"shape {shape}" if shape else "a number"
    left = spell(variable)
    return (
        f'<div class="bpl-read">$\\displaystyle {left} = {escape(formula.tex)}$'
        f"<small>{size}</small></div>"
    )


def _field(name: str, variable: str, typed: dict[str, str]) -> ipywidgets.Text:
    return ipywidgets.Text(
        value=typed.get(name, typed.get("", "")),
        description=f"{variable} =",
        placeholder="a formula in the names above",
        continuous_update=True,
    )


def _button(text: str, icon: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)


def _live(text: str, kind: str = "") -> str:
    """A verdict that is read out."""
    frame = f"bpl-prose bpl-verdict {kind}" if text else ""
    return _heard(f'<div class="{frame}">{text}</div>')


def _heard(text: str) -> str:
    """A region whose changes a screen reader reads out."""
    return f'<div aria-live="polite">{text}</div>'


def _prose(text: str, kind: str = "") -> str:
    return f'<div class="bpl-prose {kind}">{text}</div>'


_STYLE = f"<style>{STATIC.joinpath('card.css').read_text('utf-8')}</style>"
