"""The written chain rule of a recorded run: one path or all, in symbols and numbers.

The formulas come from the rules that backward runs, so text and code cannot disagree.
Values that nobody named are written out where they are used.
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
_LARGEST = 12  # array whose numbers are written out


class TeX(str):
    """A formula: shown set in a notebook, printed as its source."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self}$"


def chain_rule(
    run: Trace,
    a: str | int,
    b: str | int | None = None,
    *,
    path: Sequence[str] | Path | None = None,
    numbers: bool = False,
) -> TeX:
    r"""Write d(b)/d(a): the sum over paths, then with each local derivative put in.

    Between matrices a product of fractions stands for applying one link after the
    other; the line below it shows each link as it is computed, transposes and all.

    Args:
        run: a recorded run.
        a: an input or intermediate value.
        b: what depends on it; where backward began when None.
        path: write this path alone: its names from ``a`` to ``b``, or a row of
            ``run.paths(a, b)``.
        numbers: add what each path contributes in this run, and their sum.

    Raises:
        GradError: if no gradient flows from ``b`` to ``a``, or by too many paths to
            write out.

    >>> import numpy as np, backproplab as bp
    >>> w = bp.tensor(0.5, requires_grad=True, name="w")
    >>> with bp.record() as run:
    ...     h = np.tanh(w * 3.0)
    ...     loss = h * h
    ...     loss.backward()
    >>> print(chain_rule(run, "w"))
    \begin{aligned}
    \frac{\partial \mathrm{loss}}{\partial w}
    &= \frac{\partial \mathrm{loss}}{\partial h}\,\frac{\partial h}{\partial w} \\
    &= 6\,h\,\left(1 - h^{2}\right)
    \end{aligned}
    """
    start, end = run[a].id, _end(run, b)
    routes = _routes(run, start, end)
    if path is not None:
        routes = [_chosen(run, routes, path)]
    terms = [_along(run, route) for route in routes]
    lines = [
        " + ".join(_fractions(run, route) for route in routes),
        _added(terms).tex,
    ]
    if start == end:
        lines = lines[1:]
    if numbers:
        lines += _in_numbers(terms)
    left = _fraction(run, end, start)
    return _aligned([rf"{left}", *(f"&= {line}" for line in lines)], joined_first=True)


def gradients(run: Trace, b: str | int | None = None) -> TeX:
    r"""Write every gradient from the gradients closer to ``b``: backward on paper.

    Raises:
        GradError: if no gradient flows back from ``b``.

    >>> import numpy as np, backproplab as bp
    >>> x = bp.tensor(np.ones((2, 3)), requires_grad=True, name="x")
    >>> with bp.record() as run:
    ...     h = np.square(x)
    ...     L = (h * h).sum()
    ...     L.backward()
    >>> print(gradients(run))
    \begin{aligned}
    \frac{\partial L}{\partial h} &= 2\,h \\
    \frac{\partial L}{\partial x} &= 2\,\frac{\partial L}{\partial h}\,x
    \end{aligned}
    """
    end = _end(run, b)
    received: dict[int, Symbol] = {}
    lines = []
    for v in range(end, -1, -1):
        if v != end:
            if v not in received:
                continue
            left = _fraction(run, end, v)
            lines.append(f"{left} &= {received[v].tex}")
            g = Symbol(left, run[v].value)
        else:
            g = _seed(run, end)
        for u, c in _hop(run, v, g).items():
            received[u] = received[u] + c if u in received else c
    if not lines:
        raise _nothing_flows(run, end)
    return _aligned(lines)


def equations(run: Trace) -> TeX:
    r"""Write what the run computed, one line for each value that has a name.

    >>> import numpy as np, backproplab as bp
    >>> with bp.record() as run:
    ...     h = np.tanh(bp.tensor(0.5, name="w") * 3.0)
    ...     loss = h * h
    >>> print(equations(run))
    \begin{aligned}
    h &= \tanh(3\,w) \\
    \mathrm{loss} &= h^{2}
    \end{aligned}
    """
    used = {i for r in run for i in r.inputs}
    lines = [
        r.tex.replace(" = ", " &= ", 1)
        for r in run
        if r._entry.primitive is not None
        and not (r.id in used and replay.is_nameless(run, r.id))
    ]
    return _aligned(lines)


# The graph of named values: a hop leads from one to the named values that it was
# computed from, through all that lies between.


def _passed_over(run: Trace, i: int) -> bool:
    return replay.is_nameless(run, i) and bool(run[i].contributions)


def _hop(run: Trace, v: int, g: Symbol) -> dict[int, Symbol]:
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


def _routes(run: Trace, start: int, end: int) -> list[tuple[int, ...]]:
    """All paths of named values, from ``end`` back to ``start``."""
    inputs: dict[int, list[int]] = {}
    count = {start: 1}
    for v in range(start + 1, end + 1):
        if v == end or not _passed_over(run, v):
            inputs[v] = sorted(_hop(run, v, _seed(run, v)))
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


def _chosen(
    run: Trace, routes: list[tuple[int, ...]], path: Sequence[str] | Path
) -> tuple[int, ...]:
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


def _along(run: Trace, route: tuple[int, ...]) -> Symbol:
    g = _seed(run, route[0])
    for v, u in pairwise(route):
        g = _hop(run, v, g)[u]
    return g


def _seed(run: Trace, i: int) -> Symbol:
    r = run[i]
    g = np.ones_like(r.value) if r.grad is None else r.grad
    if np.ndim(g) == 0 and g == 1:
        one = lift(1.0)
        one.value = np.asarray(g)
        return one
    return Symbol("g", g)


def _end(run: Trace, b: str | int | None) -> int:
    if b is not None:
        return run[b].id
    seeds = replay.seeds(run)
    if not seeds:
        run.need_backward("chain_rule")
    return max(seeds)


def _nothing_flows(run: Trace, end: int) -> GradError:
    return GradError(
        f"gradients: no gradient flows back from {run[end].name}.",
        help="make an input with `bp.tensor(..., requires_grad=True)`.",
    )


# Writing.


def _fraction(run: Trace, of: int, by: int) -> str:
    above, below = (variable(run[i].name) for i in (of, by))
    return rf"\frac{{\partial {above}}}{{\partial {below}}}"


def _fractions(run: Trace, route: tuple[int, ...]) -> str:
    return r"\,".join(_fraction(run, v, u) for v, u in pairwise(route))


def _added(terms: list[Symbol]) -> Symbol:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _in_numbers(terms: list[Symbol]) -> list[str]:
    values = [np.asarray(t.value, float) for t in terms]
    line = _number(values[0])
    for v in values[1:]:
        text = _number(v)
        line += f" - {text[1:]}" if text.startswith("-") else f" + {text}"
    total = [_number(sum(values[1:], values[0]))] if len(values) > 1 else []
    return [line, *total]


def _number(value: np.ndarray) -> str:
    if value.ndim == 0:
        return lift(float(value)).tex
    if value.size > _LARGEST or value.ndim > 2:
        return rf"\text{{array of shape }}{value.shape}"
    rows = [" & ".join(lift(float(x)).tex for x in row) for row in np.atleast_2d(value)]
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


def _aligned(lines: list[str], *, joined_first: bool = False) -> TeX:
    """Put lines under each other; the first may be the left side of the second."""
    first = f"{lines[0]}\n" if joined_first else ""
    body = " \\\\\n".join(lines[1:] if joined_first else lines)
    return TeX(f"\\begin{{aligned}}\n{first}{body}\n\\end{{aligned}}")
