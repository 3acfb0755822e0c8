"""The written chain rule of a recorded run: one path or all, in symbols and numbers.

The formulas come from the rules that backward runs, so text and code cannot disagree.
Values that nobody named are written out where they are used.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ._routes import along, chosen, end_of, hop, routes_between, seed
from ._symbols import Symbol, lift, variable
from .errors import GradError
from .trace import replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .trace import Path, Trace

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
    start, end = run[a].id, end_of(run, b)
    routes = routes_between(run, start, end)
    if path is not None:
        routes = [chosen(run, routes, path)]
    terms = [along(run, route) for route in routes]
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
    end = end_of(run, b)
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
            g = seed(run, end)
        for u, c in hop(run, v, g).items():
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


def _nothing_flows(run: Trace, end: int) -> GradError:
    return GradError(
        f"gradients: no gradient flows back from {run[end].name}.",
        help="make an input with `bp.tensor(..., requires_grad=True)`.",
    )


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
