"""Say which link of the chain broke, and how; never the right numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import near
from ..trace import Trace, replay
from .compare import compare, take_in
from .pairs import pairs
from .search import Search
from .shapes import mended, unsummed
from .telling import TELLING, VAGUE, Explanation
from .verdict import GradeError, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .links import Break, Link

_MOST_ALTERNATIVES = 8


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


def diagnose(
    run: Trace,
    name: str,
    got: Any,
    *,
    given: Mapping[str, Any] | None = None,
    seconds: float = 1.0,
    strict: bool = False,
) -> Diagnosis:
    """Say which link of the chain broke: the one that, broken, gives the same array.

    The recorded tape is the model of the learner: its backward pass is run again with
    one rule broken on purpose, then with two. Any graph will do. What no break
    reproduces is ``unexplained``: never a guess.

    Args:
        run: a recorded run with a backward pass.
        name: the value whose gradient was asked for.
        got: the learner's array; any Python object is answered, none raises.
        given: gradients by name that the learner started from, instead of the run's.
        seconds: how long the search may take.
        strict: raise instead of answering, for tests.

    Returns:
        the most telling explanation, with the others as ``alternatives``.

    Raises:
        GradeError: with ``strict=True``, if the answer is not right.

    >>> import backproplab as bp
    >>> x = bp.tensor([0.3, -0.7], requires_grad=True, name="x")
    >>> with bp.record() as run:
    ...     h = np.tanh(x).named("h")
    ...     (h * h).sum().backward()
    >>> d = diagnose(run, "x", 2 * h.data)
    >>> d.label, d.where
    ('local-factor-missing', ('h', 'x'))
    >>> d.hint(1)
    'Look at the link from h back to x.'
    """
    with np.errstate(all="ignore"):
        found = _diagnosed(run, name, got, given or {}, seconds)
    if strict and not found.ok:
        raise GradeError(str(found))
    return found


def _diagnosed(
    run: Trace, name: str, got: Any, given: Mapping[str, Any], seconds: float
) -> Diagnosis:
    if name not in run:
        says = f"The run has no value called {name!r}; {near(str(name), run.names)}"
        return Diagnosis("not-attempted", str(name), says)
    name = run[name].name
    if run[name].grad is None:
        says = (
            f"No gradient came to {name} in this run; "
            "call loss.backward() inside the with block."
        )
        return Diagnosis("not-attempted", name, says)
    array, complaint = take_in(got)
    if array is None:
        verdict = compare(got, run[name].grad)
        label = "unexplained" if verdict.label == "wrong" else verdict.label
        return Diagnosis(label, name, verdict.says or complaint)
    search = Search(run, name, array, given, seconds)
    verdict = compare(got, search.want)
    if verdict.label == "shape":
        return _shape(search, verdict.says)
    if verdict.ok or verdict.label == "not-finite":
        return Diagnosis(verdict.label, name, verdict.says or "Right.")
    scale = replay.cancelled_scale(run, search.t)
    if scale and not given and compare(got, search.want, scale=scale).ok:
        return Diagnosis("correct", name, "Right.")
    found = _value(search) if np.isfinite(search.noise) else None
    return found or Diagnosis("unexplained", name, _unexplained(search))


def _shape(search: Search, says: str) -> Diagnosis:
    """Explain an answer of the wrong shape."""
    run, name, got = search.run, search.name, search.got
    largest = max(np.size(r.value) for r in run)
    ways = list(mended(got, search.want.shape, name, largest))
    for label, why, array in ways:
        if compare(array, search.want).ok:
            return Diagnosis(label, name, f"The numbers are right. {why}")
    if got.size <= largest * 8:
        for m, array in unsummed(run, search.t, search.grads):
            if array.shape == got.shape and compare(got, array).ok:
                return _forgotten_sum(search, m)
    for label, why, array in ways:
        second = _value(Search(run, name, array, {}, 0.5), two=False)
        if second is not None and second.label != "constant-factor":
            both = f"Two things are wrong. First, the shape. {why} Then: {second.says}"
            return Diagnosis(label, name, both, (second,), second)
    return Diagnosis("shape", name, says)


def _forgotten_sum(search: Search, m: int) -> Diagnosis:
    at = search.run[m].name
    says = (
        f"Look at {at}. It has shape {search.run[m].shape} and was broadcast, so each "
        "of its numbers was used many times; their gradients are to be summed over the "
        "axes that broadcasting made."
    )
    return Diagnosis("no-batch-sum", at, says)


def _value(search: Search, two: bool = True) -> Diagnosis | None:
    """Explain an answer of the right shape, or not at all."""
    found = [*_whole(search), *((e.rank, _told(search, e)) for e in search.singles())]
    found.sort(key=lambda pair: pair[0])
    vague = not found or found[0][0][0] >= VAGUE
    if vague and two:
        both = [e for e in pairs(search) if not found or e.rank[0] == 0]
        found = [*((e.rank, _told(search, e)) for e in both), *found]
    if not found:
        return None
    best, *others = (d for _, d in found)
    second = () if best.second is None else (best.second,)
    return Diagnosis(
        best.label,
        best.where,
        best.says,
        (*second, *others[:_MOST_ALTERNATIVES]),
        best.second,
        best._hints,
    )


def _whole(search: Search) -> Iterator[tuple[tuple[float, ...], Diagnosis]]:
    """What is not the break of one rule: the whole answer turned, or another's."""
    name, got, t = search.name, search.got, search.t
    square = got.ndim >= 2 and got.shape[-1] == got.shape[-2]
    if square and search.matches(np.swapaxes(search.want, -1, -2)):
        says = f"Your d{name} is the transpose of the gradient."
        yield (TELLING["transposed"], 0, 1), Diagnosis("transposed", name, says)
    for m, array in unsummed(search.run, t, search.grads):
        if array.shape == got.shape and search.matches(array):
            rank = (TELLING["no-batch-sum"], search.distance(m))
            yield rank, _forgotten_sum(search, m)
    tier = TELLING["wrong-node"]
    for r in search.run if search.holds_enough else ():
        if r.shape != got.shape:
            continue
        grad = search.grads.get(r.id) if r.id > t else r.grad
        if r.id != t and search.matches(grad):
            says = f"This is the gradient of {r.name}, not of {name}."
            entry = r._entry  # of two with this gradient, the one with a name is told
            nameless = not (entry.given or entry.assigned or entry.aliases)
            yield (tier, 0, nameless), Diagnosis("wrong-node", r.name, says)
        elif np.size(r.value) > 1 and search.matches(r.value):
            says = f"This is the value of {r.name}; the gradient of {name} is asked."
            yield (tier, 1), Diagnosis("wrong-node", r.name, says)


def _told(search: Search, e: Explanation) -> Diagnosis:
    """Put an explanation into words."""
    one = _said(search, e.breaks[0])
    if len(e.breaks) == 1 or e.breaks[0].why == e.breaks[1].why:
        return one
    two = _said(search, e.breaks[1])
    says = f"{one.says} And there: {e.breaks[1].why}"
    if two.where != one.where:
        says = f"Two links are broken. {one.says} And {two.says.replace('L', 'l', 1)}"
    return Diagnosis(one.label, one.where, says, (), two, one._hints)


def _said(search: Search, b: Break) -> Diagnosis:
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


def _unexplained(search: Search) -> str:
    name, size = search.name, float(np.max(np.abs(search.want), initial=0))
    if not np.any(search.got):
        return (
            f"Your d{name} is zero everywhere, but {name} does change what comes out: "
            "some path leads back to it."
        )
    off = float(np.max(np.abs(search.got - search.want), initial=0))
    if off < 1e-3 * size:
        return (
            f"Your d{name} is close, but not to the precision of its format, as finite "
            "differences are. No broken rule explains it: use the chain rule."
        )
    return (
        f"Your d{name} is not the gradient, and no broken rule that was tried explains "
        "it: check it link by link."
    )
