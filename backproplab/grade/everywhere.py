"""Slips at several links: one rule wrong wherever it is used, statistics held."""

from __future__ import annotations

from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from . import factors
from .breaks import breaks
from .telling import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .links import Break, Link
    from .search import Search

_MOST_LINKS = 40
_MOST_WAYS = 60  # ways to break one rule that are tried at all its links


def everywhere(search: Search) -> list[Explanation]:
    """The slips that explain an answer if they are made at several links.

    At every link of one op, or at one link beside all statistics held constant. Who
    takes 1 - y for the slope of tanh does so in each layer. Two breaks would not
    explain that where there are three layers.
    """
    found = _beside_statistics(search) if search.holds_enough else []
    for group in _groups(search) if search.holds_enough else ():
        for made in _ways(search, group):
            if search.reproduces(*made):
                found.append(Explanation(made, (0.0, *search.rank(made[0]))))
            if perf_counter() > search.until:
                return found
    return sorted(found, key=lambda e: e.rank)


def _beside_statistics(search: Search) -> list[Explanation]:
    """All statistics held constant, and a plain slip at another link."""
    lost, found = search.held_constant(), []
    there = {b.link for b in lost}
    for link in search.links if lost else ():
        ways = [*factors.usual(link), *breaks(link)] if link not in there else []
        for b in ways:
            if b.cost == 0 and search.reproduces(*lost, b):
                made = (lost[0], b, *lost[1:])
                found.append(Explanation(made, (0.0, *search.rank(b))))
        if perf_counter() > search.until:
            break
    return found


def _groups(search: Search) -> Iterator[list[Link]]:
    """Links of one op in one operand, where there are several."""
    by_rule: dict[tuple[str, tuple[int, ...]], list[Link]] = {}
    for link in search.links:
        if len(link.ks) == 1:
            by_rule.setdefault((link.entry.op, link.ks), []).append(link)
    yield from (g for g in by_rule.values() if 2 <= len(g) <= _MOST_LINKS)


def _ways(search: Search, group: list[Link]) -> Iterator[tuple[Break, ...]]:
    """The same way to break each link, for each way that all of them have."""
    ways = [_by_way(search, link) for link in group]
    for way in islice(ways[0], _MOST_WAYS):
        if all(way in others for others in ways[1:]):
            made = tuple(others[way] for others in ways)
            if any(b.factor == 0 for b in made):
                continue  # a value that reaches nothing is no rule
            yield made


def _by_way(search: Search, link: Link) -> dict[tuple[str, str], Break]:
    """The breaks of a link by label and sentence, its own names taken out."""
    found: dict[tuple[str, str], Break] = {}
    sums, means = factors.counts(link)
    whole = [n for n in (max(sums, default=0), max(means, default=0)) if n]
    multiples = [b for b in factors.usual(link) if _is_whole(b, whole)]
    for b in [*multiples, *breaks(link)]:
        why = b.why if b.factor is None else ""
        for position, name in enumerate(link.names):
            why = why.replace(name, f"<{position}>")
        found.setdefault((b.label, why), b)
    return found


def _is_whole(b: Break, whole: list[float]) -> bool:
    """Whether a multiple is a sign, or the 1/n of all terms, not of some."""
    if b.factor is None or b.label == "constant-factor":
        return False
    n = b.factor if b.factor > 1 else 1 / b.factor if b.factor else 0.0
    return b.factor == -1 or any(np.isclose(n, m) for m in whole)
