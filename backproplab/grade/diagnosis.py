"""Diagnosis: what is said of a slip, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .verdict import written

if TYPE_CHECKING:
    from ..trace import Trace
    from .links import Break, Link
    from .telling import Explanation


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What most likely went wrong.

    Attributes:
        label: one of ``LABELS``.
        where: the broken edge ``(output name, input name)``, or one node's name.
        says: one sentence where, one why; never empty, never the right numbers.
        alternatives: where two links are broken, the second comes first; then other
            explanations of the same array, most telling first.
        second: the second broken link, if there are two.
    """

    label: str
    where: tuple[str, str] | str
    says: str
    alternatives: tuple[Diagnosis, ...] = ()
    second: Diagnosis | None = None
    _hints: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether the answer was right, at least up to a format's rounding."""
        return self.label in ("correct", "rounding")

    def hint(self, level: int = 1) -> str:
        """Say where to look (1), what is wrong there (2), how to write it (3)."""
        hints = self._hints or (self.says,)
        return hints[min(max(int(level), 1), len(hints)) - 1]

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.label}. {self.says}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return f"{'✓' if self.ok else '✗'} **{self.label}**. {self.says}"

    def _repr_html_(self) -> str:
        colour = "#009E73" if self.ok else "#D55E00"  # Okabe-Ito
        return (
            f'<div role="status"><span style="color:{colour};font-weight:bold">'
            f"{'✓' if self.ok else '✗'} {self.label}.</span> {written(self.says)}</div>"
        )


def told(e: Explanation) -> Diagnosis:
    """Put an explanation into words."""
    one = _said(e.breaks[0])
    if len(e.breaks) == 1 or e.breaks[0].why == e.breaks[1].why:
        return one
    two = _said(e.breaks[1])
    says = f"{one.says} And there: {e.breaks[1].why}"
    if two.where != one.where:
        says = f"Two links are broken. {one.says} And {two.says.replace('L', 'l', 1)}"
    return Diagnosis(one.label, one.where, says, (), two, one._hints)


def told_of_all(e: Explanation) -> Diagnosis:
    """Put into words what is wrong in the same way at several links."""
    if e.breaks[0].label != e.breaks[1].label:
        return told(e)
    one, others = _said(e.breaks[0]), len(e.breaks) - 1
    places = ", ".join(b.link.out for b in e.breaks[1:4])
    more = ", .." if others > 3 else ""
    op = e.breaks[0].link.entry.op
    says = f"{one.says} And in the same way at the other {op} steps: {places}{more}."
    return Diagnosis(one.label, one.where, says, _hints=one._hints)


def forgotten_sum(run: Trace, m: int) -> Diagnosis:
    """Say that what came to a broadcast record was not summed."""
    at = run[m].name
    says = (
        f"Look at {at}. It has shape {run[m].shape} and was broadcast, so each "
        "of its numbers was used many times; their gradients are to be summed over the "
        "axes that broadcasting made."
    )
    return Diagnosis("no-batch-sum", at, says)


def unexplained(name: str, got: np.ndarray, want: np.ndarray) -> str:
    """Say that nothing was found, and what can be seen all the same."""
    size = float(np.max(np.abs(want), initial=0))
    if not np.any(got):
        return (
            f"Your d{name} is zero everywhere, but {name} does change what comes out: "
            "some path leads back to it."
        )
    off = float(np.max(np.abs(got - want), initial=0))
    if off < 1e-3 * size:
        return (
            f"Your d{name} is close, but not to the precision of its format, as finite "
            "differences are. No broken rule explains it: use the chain rule."
        )
    return (
        f"Your d{name} is not the gradient, and no broken rule that was tried explains "
        "it: check it link by link."
    )


def _said(b: Break) -> Diagnosis:
    place = f"Look at {_place(b.link)}."
    hints = (place, b.why, _skeleton(b.link))
    return Diagnosis(b.label, b.link.where, f"{place} {b.why}", _hints=hints)


def _place(link: Link) -> str:
    out, x = _gloss(link.run, link.output), _gloss(link.run, link.x)
    return f"the link from {out} back to {x}" if link.ks else x


def _skeleton(link: Link) -> str:
    if not link.ks:
        return f"`d{link.into} = ` what comes back from each use, added."
    return (
        f"`d{link.into} = ... d{link.out} ...`, with the derivative of "
        f"{link.entry.op} with respect to {link.into} at the dots."
    )


def _gloss(run: Trace, i: int) -> str:
    """A record's name; for a nameless step, also inside which named one it is."""
    entry = run[i]._entry
    if entry.given or entry.assigned or entry.aliases or entry.primitive is None:
        return run[i].name
    at = i
    while run[at].consumers:
        at = run[at].consumers[0][0]
        above = run[at]._entry
        if above.given or above.assigned or above.aliases:
            return f"{run[i].name} (inside {run[at].name})"
    return run[i].name
