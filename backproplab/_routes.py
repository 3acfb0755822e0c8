"""The graph of a run's named values, and what each sends back to the ones before it.

A hop leads from a named value to those that it was computed from, through all that lies
between; a route is a path of hops.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ._arrays import fit
from ._symbols import Symbol, lift, sent, variable
from .errors import GradError
from .trace import Path, replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .trace import Trace

_MOST_TERMS = 12


def end_of(run: Trace, b: str | int | None) -> int:
    """Where a derivative ends: at what was asked for, or where backward began."""
    if b is not None:
        return run[b].id
    seeds = replay.seeds(run)
    if not seeds:
        run.need_backward("chain_rule")
    return max(seeds)


def seed(run: Trace, i: int) -> Symbol:
    """What backward began with at a value, or ``g`` where it began elsewhere."""
    r = run[i]
    g = np.ones_like(r.value) if r.grad is None else r.grad
    if np.ndim(g) == 0 and g == 1:
        return Symbol(lift(1.0).term, np.asarray(g))
    return Symbol("g", g)


def hop(run: Trace, v: int, g: Symbol) -> dict[int, Symbol]:
    """What ``v`` sends back to the named values closest to it, when ``g`` comes in."""
    waiting, arrived = {v: g}, dict[int, Symbol]()
    while waiting:
        i = max(waiting)
        g = waiting.pop(i)
        entry = run._entries[i]
        y = Symbol(variable(entry.name), entry.value)
        xs = [None if x < 0 else replay.symbol(run, x) for x in entry.inputs]
        for k, x in replay.edges(run, i):
            c = sent(entry.primitive, k, g, y, xs, entry.static)
            value = np.asarray(run._entries[x].value)
            c = fit(c, value) if c.shape != value.shape else c
            into = waiting if _passed_over(run, x) else arrived
            into[x] = into[x] + c if x in into else c
    return arrived


def routes_between(run: Trace, start: int, end: int) -> list[tuple[int, ...]]:
    """All paths of named values, from ``end`` back to ``start``."""
    inputs: dict[int, list[int]] = {}
    count = {start: 1}
    for v in range(start + 1, end + 1):
        if v == end or not _passed_over(run, v):
            inputs[v] = sorted(hop(run, v, seed(run, v)))
            count[v] = sum(count.get(u, 0) for u in inputs[v])
    total = count.get(end, 0)
    if not total:
        raise GradError(
            f"chain_rule: no gradient flows from {run[end].name} to {run[start].name}.",
            help="the first name is an input, the second depends on it; "
            "see `run.paths(a, b)`.",
        )
    if total > _MOST_TERMS:
        raise GradError(
            f"chain_rule: there are {total} paths from {run[start].name} to "
            f"{run[end].name}; at most {_MOST_TERMS} are written out.",
            help="choose one (`path=[...]`, its names in order), "
            "or write `bp.tex.gradients(run)`.",
        )
    found: list[tuple[int, ...]] = []
    open_ends: list[tuple[int, ...]] = [(end,)]
    while open_ends:
        route = open_ends.pop()
        if route[-1] == start:
            found.append(route)
            continue
        nexts = (u for u in inputs.get(route[-1], ()) if count.get(u))
        open_ends += [(*route, u) for u in nexts]
    return sorted(found, key=len)


def chosen(
    run: Trace, routes: list[tuple[int, ...]], path: Sequence[str] | Path
) -> tuple[int, ...]:
    """The route that the reader asked for, by its names from the input on."""
    given: tuple[str, ...] = tuple(path.nodes if isinstance(path, Path) else path)
    names = [
        name for name in given if name not in run or not _passed_over(run, run[name].id)
    ]
    for route in routes:
        if [run[i].name for i in reversed(route)] == names:
            return route
    known = ", ".join(" -> ".join(run[i].name for i in reversed(r)) for r in routes)
    raise GradError(
        f"chain_rule: {' -> '.join(map(str, given))} is no path of this run.",
        help=f"there are: {known}.",
    )


def along(run: Trace, route: tuple[int, ...]) -> Symbol:
    """What a route brings to its last value: one term of the sum over paths."""
    g = seed(run, route[0])
    for v, u in pairwise(route):
        g = hop(run, v, g)[u]
    return g


def _passed_over(run: Trace, i: int) -> bool:
    """Whether a route leads through a value without a stop, since nobody named it."""
    return replay.is_nameless(run, i) and bool(run[i].contributions)
