"""Which rule, broken, reproduces the learner's array? Two at once are in pairs.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..trace import Trace, replay
from . import factors
from .breaks import breaks
from .compare import compare, take_in, tolerance
from .links import Break, Link, links
from .telling import Explanation, rank, unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DIRECTIONS = 2
_MOST_MULTIPLES = 12  # of one answer that are computed anew, to be sure
# Digits that an answer must hold before one of many breaks can explain it.
_DIGITS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A break, what it adds to random projections of the answer, and to its link."""

    made: Break
    effect: np.ndarray
    change: np.ndarray


class Search:
    """One answer, and the backward pass that it should have come from.

    Backward is linear: what a change at one link adds to a random projection of the
    answer is one dot product with a tangent pushed forward from the asked record.

    Args:
        run: the recorded run.
        name: the record whose gradient was asked for.
        got: the answer.
        given: gradients by name from which the learner started.
        seconds: how long may be searched.
    """

    def __init__(
        self, run: Trace, name: str, got: Any, given: Mapping[str, Any], seconds: float
    ) -> None:
        self.run, self.name = run, run[name].name
        self.t = run[name].id
        self.until = perf_counter() + seconds
        self.given = dict(_usable(run, self.t, given))
        self.grads = self.backward(())
        self.want = self.grads.get(self.t, np.asarray(run[name].grad))
        self.got = np.asarray(take_in(got)[0], float)
        rng = np.random.default_rng(0)
        self.directions = [rng.normal(size=self.want.shape) for _ in range(DIRECTIONS)]

    def backward(self, broken: Iterable[Break]) -> dict[int, np.ndarray]:
        """Walk back over the run with some rules broken."""
        at = {(b.link.output, k): b for b in broken for k in b.link.ks}
        whole = {b.link.x: b for b in broken if not b.link.ks}
        now: dict[int, np.ndarray] = {}

        def visit(i: int, g: np.ndarray) -> np.ndarray:
            if i in whole:
                sent = whole[i].link.fit(whole[i].sends(g))
                g = np.full_like(g, np.nan) if sent is None else sent
            now[i] = self.given.get(i, g)
            return now[i]

        def edge(output: int, k: int, x: int, c: np.ndarray) -> np.ndarray:
            b = at.get((output, k))
            if b is None:
                return c
            if k != b.link.ks[0]:
                return np.zeros_like(c)
            sent = b.link.fit(b.sends(now[output]))
            return np.full(c.shape, np.nan) if sent is None else sent

        return replay.backward(self.run, replay.seeds(self.run), visit, edge, self.t)

    @cached_property
    def links(self) -> list[Link]:
        """The links through which the answer came, nearest to it first."""
        found = links(self.run, self.grads, self.t)
        found = [m for m in found if m.x in self.tangents[0]]
        return sorted(found, key=lambda m: (self.distance(m.x), m.x, len(m.ks)))

    @cached_property
    def tangents(self) -> list[dict[int, np.ndarray]]:
        """How each record moves when the asked one moves in a random direction."""
        return [
            replay.tangents(self.run, self.t, r, set(self.given))
            for r in self.directions
        ]

    @cached_property
    def digits(self) -> float:
        """How much an answer says: the decimal digits in its different entries."""
        if not self.entries:
            return 0.0
        sizes = np.unique(np.abs(self.got))[-64:]
        sizes /= 2.0 ** np.floor(np.log2(sizes[-1]))
        most = -np.log10(tolerance(self.want.dtype))
        for bits in range(2, 16):
            if np.array_equal(sizes * 2.0**bits, np.round(sizes * 2.0**bits)):
                most = min(most, 0.3 * bits)
                break
        return float(most * self.entries)

    @property
    def holds_enough(self) -> bool:
        """Whether an answer says so much that no far-fetched break fits by chance."""
        return self.digits >= _DIGITS

    @cached_property
    def entries(self) -> int:
        """How many different sizes other than 0 the entries of the answer have."""
        return int(np.count_nonzero(np.unique(np.abs(self.got))))

    @cached_property
    def off(self) -> np.ndarray:
        """Random projections of how far the answer is from the truth."""
        return np.array([np.vdot(r, self.got - self.want) for r in self.directions])

    @cached_property
    def noise(self) -> float:
        """What rounding may add to such a projection."""
        size = float(np.linalg.norm(self.want)) + float(np.linalg.norm(self.got))
        return 50 * tolerance(self.want.dtype) * size + 1e-300

    def matches(self, array: Any) -> bool:
        """Whether the answer is this array."""
        if array is None or not np.isfinite(array).all():
            return False
        if not self.holds_enough and self.want.dtype == np.float32:
            scale = float(np.max(np.abs(array), initial=0))
            return bool(np.allclose(self.got, array, rtol=0, atol=4e-6 * scale))
        return compare(self.got, np.asarray(array, self.want.dtype)).ok

    def reproduces(self, *broken: Break) -> bool:
        """Whether these breaks, in a full backward pass, give the answer."""
        return self.matches(self.backward(broken).get(self.t))

    # One broken rule.

    def singles(self) -> list[Explanation]:
        """All single breaks that explain the answer, most telling first."""
        found: list[Explanation] = []
        likely = [self._explained(b, *more) for b, *more in self._multiples()]
        for e in sorted(likely, key=lambda e: e.rank):
            # A chain of links has the same multiple everywhere: the first will do.
            if len(found) < _MOST_MULTIPLES and self._is_multiple(e.breaks):
                found.append(e)
        for c in self._others():
            near = np.all(np.abs(c.effect - self.off) <= self.noise)
            if near and self.reproduces(c.made):
                found.append(self._explained(c.made))
        found += [self._explained(b, *more) for b, *more in self._several()]
        return unique(sorted(found, key=lambda e: e.rank))

    def _explained(self, b: Break, *more: Break) -> Explanation:
        return Explanation((b, *more), self.rank(b))

    def _is_multiple(self, made: tuple[Break, ...]) -> bool:
        return self.reproduces(factors.multiple("", made[0].link, _product(made), ""))

    def _multiples(self) -> Iterator[tuple[Break, ...]]:
        rounding = 0.1 * self.noise
        for link in self.links:
            unit = self.effect(link, link.sent)
            k = int(np.argmax(np.abs(unit)))
            if abs(unit[k]) <= rounding:
                continue
            c = float(1 + self.off[k] / unit[k])
            if np.any(np.abs((c - 1) * unit - self.off) > self.noise):
                continue
            close = min(max(1e-9, rounding / abs(unit[k])), 0.02)
            made = factors.named(link, c, close)
            if made and made[0].label == "constant-factor" and self.entries < 2:
                made = made if factors.is_nice(_product(made)) else ()
            if made:
                yield made

    def _others(self) -> Iterator[Candidate]:
        """Every other break, with its effect; few where the answer says little."""
        for link in self.links:
            for b in breaks(link):
                if b.cost == 0 or b.steady or self.holds_enough:
                    c = self.candidate(b)
                    if c is not None:
                        yield c
            if perf_counter() > self.until:
                return

    def candidate(self, b: Break) -> Candidate | None:
        """A break with its effect; None if it never changes a thing, or cannot be."""
        sent = b.link.fit(b.sends(b.link.g))
        if sent is None or not np.isfinite(sent).all():
            return None
        change = sent - b.link.sent
        size = float(np.max(np.abs(sent), initial=0))
        if np.max(np.abs(change), initial=0) <= 1e-9 * size and np.any(b.link.g):
            return None
        return Candidate(b, self.effect(b.link, change), change)

    def effect(self, link: Link, change: np.ndarray) -> np.ndarray:
        """What a change of what a link sends adds to the projections of the answer."""
        return np.array([np.vdot(t[link.x], change) for t in self.tangents])

    def _several(self) -> Iterator[tuple[Break, ...]]:
        """One misconception at several links: one contribution kept, all statistics."""
        by_input: dict[int, list[Link]] = {}
        for m in self.links:
            if len(m.ks) == 1:
                by_input.setdefault(m.x, []).append(m)
        for x, group in by_input.items():
            several = len(group) > 1
            effects = [self.effect(m, m.sent) for m in group] if several else []
            for kept, effect in zip(group, effects, strict=False):
                # the others are lost, all at one place: what that changes adds up
                lost_all = effect - sum(effects)
                if np.any(np.abs(lost_all - self.off) > self.noise):
                    continue
                name = self.run[x].name
                why = (
                    f"{name} is used in {len(group)} places and their contributions "
                    f"add; only the one from {kept.out} is kept."
                )
                lost = [
                    factors.multiple("path-missing", m, 0.0, why)
                    for m in group
                    if m is not kept
                ]
                if self.reproduces(*lost):
                    yield factors.multiple("overwritten", kept, 1.0, why), *lost
        lost = self.held_constant()
        if lost and self.reproduces(*lost):
            yield tuple(lost)

    def held_constant(self) -> list[Break]:
        """All statistics held constant, if there are several: one misconception."""
        held = [m for m in self.links if len(m.ks) == 1 and factors.is_statistic(m)]
        if not 2 <= len(held) <= 12:
            return []
        held.sort(key=lambda m: -float(np.abs(self.effect(m, m.sent)).max()))
        names = " and ".join(dict.fromkeys(m.out for m in held))
        why = f"{names} are held constant, but they depend on {held[0].into}."
        return [factors.multiple("statistics-constant", m, 0.0, why) for m in held]

    def rank(self, b: Break) -> tuple[float, ...]:
        """How telling a break is, and how near; smaller is better."""
        return rank(b, self.distance(b.link.x))

    def distance(self, x: int) -> int:
        """Links from the asked record up to record ``x``."""
        return self._far.get(x, len(self.run))

    @cached_property
    def _far(self) -> dict[int, int]:
        far = {self.t: 0}
        for r in self.run.records[self.t :]:
            near = [far[i] for i in r.inputs if i in far]
            if near and r.id != self.t:
                far[r.id] = min(near) + 1
        return far


def _product(made: tuple[Break, ...]) -> float:
    return prod(1.0 if b.factor is None else b.factor for b in made)


def _usable(
    run: Trace, t: int, given: Mapping[str, Any]
) -> Iterator[tuple[int, np.ndarray]]:
    """Given gradients that can stand in for the run's own."""
    for name, value in given.items():
        if name in run and run[name].id != t:
            array, _ = take_in(value)
            if array is None or array.shape != run[name].shape:
                continue
            if np.isfinite(array).all():
                yield run[name].id, array
