"""Which two rules, both broken, reproduce the learner's array?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..trace import replay
from . import factors
from .breaks import breaks
from .links import Break, Link, Send
from .search import DIRECTIONS, Candidate, Search
from .telling import Explanation, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS = 10.0  # that an answer must hold before two of many breaks can explain it
_MOST_COST = 3
_MOST_CHECKS = 40


def pairs(search: Search) -> list[Explanation]:
    """The pairs of breaks that explain an answer, the least far-fetched first.

    The change that one break makes is carried down once; for every other break the
    effect is then its own, and that of the change which it meets: one dot product.
    """
    candidates = _candidates(search) if search.digits >= _DIGITS else []
    if not candidates:
        return []
    effects = np.array([c.effect for c in candidates])
    costs = np.array([c.made.cost for c in candidates])
    blocks = _blocks(search, candidates)
    found = sorted(_on_one_link(search, candidates), key=lambda e: e.rank)
    for i in np.argsort(costs, kind="stable"):
        if perf_counter() > search.until or (found and costs[i] > found[0].rank[0]):
            break
        total = effects[i] + effects + _met(search, candidates, i, blocks)
        near = np.all(np.abs(total - search.off) <= search.noise, axis=1)
        near &= costs + costs[i] <= _MOST_COST
        for j in np.flatnonzero(near)[:_MOST_CHECKS]:
            one, two = candidates[i].made, candidates[j].made
            if _apart(one.link, two.link) and search.reproduces(one, two):
                found.append(_explained(search, one, two))
        found.sort(key=lambda e: e.rank)
    return unique(found)


def _on_one_link(search: Search, candidates: list[Candidate]) -> Iterator[Explanation]:
    """A broken rule whose result is also turned, or lacks a 1/n."""
    multiples: dict[Link, list[Break]] = {}
    for c in candidates:
        if c.made.factor is not None:
            multiples.setdefault(c.made.link, []).append(c.made)
    for c in candidates:
        link, sends = c.made.link, c.made.sends
        sound = search.effect(link, link.sent)
        for b in multiples.get(link, ()) if c.made.factor is None else ():
            factor = b.factor or 0.0
            total = factor * (c.effect + sound) - sound
            if np.all(np.abs(total - search.off) <= search.noise):
                both = replace(c.made, sends=partial(_times, factor, sends))
                if search.reproduces(both):
                    yield _explained(search, c.made, b)


def _times(factor: float, sends: Send, g: np.ndarray) -> Any:
    sent = sends(g)
    return None if sent is None else factor * sent


class _Block(NamedTuple):
    """The candidates at one source: what a change of its gradient does, as rows."""

    at: list[int]
    rows: np.ndarray  # (directions, candidates, entries of the gradient)
    anew: list[int]  # those whose adjoint is not at hand


def _candidates(search: Search) -> list[Candidate]:
    found = []
    for link in search.links:
        made = [b for b in breaks(link) if b.cost < _MOST_COST]
        candidates = map(search.candidate, [*factors.usual(link), *made])
        found += [c for c in candidates if c is not None]
        if perf_counter() > search.until:
            break
    return found


def _blocks(search: Search, candidates: list[Candidate]) -> dict[int, _Block]:
    sources: dict[int, list[int]] = {}
    for i, c in enumerate(candidates):
        sources.setdefault(c.made.link.output, []).append(i)
    blocks = {}
    for source, at in sources.items():
        rows, anew = [], []
        for i in at:
            b = candidates[i].made
            row = _adjoint(search, b)
            if row is None:
                anew.append(i)
                row = np.zeros((DIRECTIONS, np.size(b.link.g)))
            rows.append(row)
        blocks[source] = _Block(at, np.stack(rows, axis=1), anew)
    return blocks


def _adjoint(search: Search, b: Break) -> np.ndarray | None:
    """Rows that turn a change of the incoming gradient into one of the effect."""
    rows = []
    for t in search.tangents:
        there = t[b.link.x]
        sound = b.link.push(there)
        if sound is None:
            return None
        broken: Any = 0.0
        if b.factor is not None:
            broken = b.factor * sound
        elif not b.steady:
            broken = None if b.back is None else b.back(there)
        if broken is None or np.shape(broken) not in ((), np.shape(sound)):
            return None
        rows.append(np.ravel(broken - sound))
    return np.stack(rows)


def _met(
    search: Search, candidates: list[Candidate], i: int, blocks: dict[int, _Block]
) -> np.ndarray:
    """What each candidate adds, since candidate ``i`` changed the gradient it meets."""
    met = np.zeros((len(candidates), DIRECTIONS))
    moved = replay.backward(
        search.run,
        {candidates[i].made.link.x: candidates[i].change},
        visit=lambda r, g: np.zeros_like(g) if r in search.given else g,
        down_to=search.t,
    )
    for source, dg in moved.items():
        if source in blocks:
            block = blocks[source]
            with np.errstate(all="ignore"):
                met[block.at] = (block.rows @ np.ravel(np.asarray(dg, float))).T
            for j in block.anew:
                met[j] = _anew(search, candidates[j], dg)
    return met


def _anew(search: Search, c: Candidate, dg: np.ndarray) -> np.ndarray:
    link = c.made.link
    g = link.g + dg
    sent, sound = link.fit(c.made.sends(g)), link.fit(link.pull(g))
    if sent is None or sound is None:
        return np.full(DIRECTIONS, np.inf)
    effect: np.ndarray = search.effect(link, sent - sound) - c.effect
    return effect


def _explained(search: Search, *two: Break) -> Explanation:
    """Two breaks, in the order of the backward pass."""
    one, other = sorted(two, key=lambda b: -b.link.output)
    ranks = zip(search.rank(one), search.rank(other), strict=True)
    return Explanation((one, other), (one.cost + other.cost, *map(sum, ranks)))


def _apart(one: Link, two: Link) -> bool:
    """Whether two links can both be broken: they are not one and the same."""
    return one.output != two.output or not set(one.ks) & set(two.ks)
