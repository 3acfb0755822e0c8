"""Say which link of the chain broke, and how; never the right numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import near
from ..trace import replay
from .compare import OWN_SHAPE, compare, take_in
from .diagnosis import Diagnosis, forgotten_sum, told, told_of_all, unexplained
from .everywhere import everywhere
from .pairs import pairs
from .search import Search
from .shapes import mended, unsummed
from .telling import TELLING, VAGUE
from .verdict import GradeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..trace import Trace

_MOST_ALTERNATIVES = 8
_LARGE = 4_000_000  # entries up to which an answer is summed over its axes


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
    if not isinstance(name, (str, int, np.integer)):
        kind = type(name).__name__
        says = f"The name is of type {kind}; the name of a value is to be here."
        return Diagnosis("not-attempted", kind, says)
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
    return found or Diagnosis(
        "unexplained", name, unexplained(name, search.got, search.want)
    )


def _shape(search: Search, says: str) -> Diagnosis:
    """Explain an answer of the wrong shape."""
    run, name, got = search.run, search.name, search.got
    largest = max(np.size(r.value) for r in run)
    ways = list(mended(got, search.want.shape, name, max(8 * largest, _LARGE)))
    for label, why, array in ways:
        if compare(array, search.want).ok:
            above = _unsummed_above(search) if label == "no-batch-sum" else None
            says = f"The numbers are right. {why}"
            return above or Diagnosis(label, name, says)
    if got.size <= largest * 8 and (above := _unsummed_above(search)):
        return above
    for label, why, array in ways:
        second = _value(Search(run, name, array, {}, 0.5), two=False)
        if second is not None and second.label != "constant-factor":
            both = f"Two things are wrong. First, the shape. {why} Then: {second.says}"
            return Diagnosis(label, name, both, (second,), second)
    return Diagnosis("shape", name, f"{says} {OWN_SHAPE}")


def _unsummed_above(search: Search) -> Diagnosis | None:
    """Find the record on the way whose sum was forgotten, not the asked one itself."""
    for m, array in unsummed(search.run, search.t, search.grads):
        same = m != search.t and array.shape == search.got.shape
        if same and compare(search.got, array).ok:
            return forgotten_sum(search.run, m)
    return None


def _value(search: Search, two: bool = True) -> Diagnosis | None:
    """Explain an answer of the right shape, or not at all."""
    found = [*_whole(search), *((e.rank, told(e)) for e in search.singles())]
    found.sort(key=lambda pair: pair[0])
    vague = not found or found[0][0][0] >= VAGUE
    if vague and two:
        both = [e for e in pairs(search) if not found or e.rank[0] == 0]
        same = everywhere(search) if not found and not both else []
        all_of = [(e.rank, told_of_all(e)) for e in same]
        found = [*all_of, *((e.rank, told(e)) for e in both), *found]
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
            yield rank, forgotten_sum(search.run, m)
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
