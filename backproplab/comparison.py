"""Several runs side by side: one row a layer, one column a run; a table and a plot."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from math import exp, isfinite, log
from typing import TYPE_CHECKING

from ._table import Table
from .errors import GradError, RangeError
from .magnitudes import Magnitude, magnitudes
from .trace import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWS = {"values": "values", "gradients": "grads", "gain": "gains"}


class Comparison:
    """Runs aligned layer by layer: print it, show it, ``plot`` it, or take ``rows``.

    Attributes:
        names: of the runs.
        rows: one ``Magnitude`` a layer: root mean squares of values and of gradients
            and the gain, each with one number a run, None where a run has none.
    """

    def __init__(self, names: tuple[str, ...], rows: list[Magnitude]) -> None:
        self.names, self.rows = names, rows

    def table(self, *shown: str) -> Table:
        """One row a layer; for each quantity one column a run.

        Args:
            *shown: of "values", "gradients", "gain"; all three by default.

        Raises:
            RangeError: for any other word.
        """
        fields = [(word, _field(word)) for word in shown or SHOWS]
        return Table(
            {"layer": row.name}
            | {
                f"{word} {name}".strip(): getattr(row, field)[i]
                for word, field in fields
                for i, name in enumerate(self.names)
            }
            for row in self.rows
        )

    def growth(self, shown: str = "gradients") -> dict[str, float | None]:
        """Mean factor from a layer to the next one back (gradients) or on (values).

        Above 1 it grows on its way, below 1 it fades; None with fewer than two numbers
        above 0. The gain of a layer is such a factor itself: its mean is geometric too.

        Args:
            shown: "values", "gradients" or "gain".

        Raises:
            RangeError: for any other word.
        """
        field = _field(shown)
        lines = {
            name: [getattr(row, field)[i] for row in self.rows]
            for i, name in enumerate(self.names)
        }
        return {name: _factor(line, shown) for name, line in lines.items()}

    def plot(self, *shown: str, fig: "Figure | None" = None) -> "Figure":
        """Draw each quantity by layer on a log scale, one line a run.

        Args:
            *shown: of "values", "gradients", "gain"; the first two by default.
            fig: a figure to draw anew; a new one when None.
        """
        from .plot import by_layer

        words = shown or ("values", "gradients")
        fields = {word: _field(word) for word in words}
        lines = {
            word: {
                name: [getattr(row, field)[i] for row in self.rows]
                for i, name in enumerate(self.names)
            }
            for word, field in fields.items()
        }
        return by_layer([row.name for row in self.rows], lines, fig=fig)

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.names)}: {len(self.rows)} layers>"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def compare_runs(
    runs: Mapping[str, Trace],
    *,
    layers: str = "*",
    align: str = "name",
    depth: int | None = None,
) -> Comparison:
    """Set runs side by side, layer by layer.

    Args:
        runs: recorded runs by name, each with its backward pass.
        layers: a pattern; only layers whose name it fits are compared, ``"block*"``.
        align: "name" puts layers of one name in a row, "place" the k-th of each run.
        depth: how many parts of a dotted path make a layer; all when None.

    Raises:
        TypeError: if ``runs`` is no dict of runs.
        GradError: if a run holds no backward pass.
        RangeError: if nothing can be aligned.

    >>> import numpy as np, backproplab as bp
    >>> def net(*factors):
    ...     x = bp.tensor(np.ones(4), requires_grad=True)
    ...     with bp.record() as run:
    ...         for k, factor in enumerate(factors):
    ...             with bp.scope(f"layer{k}"):
    ...                 x = factor * x
    ...         x.backward(np.ones(4))
    ...     return run
    >>> both = bp.compare_runs({"fades": net(0.5, 0.5), "grows": net(2.0, 2.0)})
    >>> print(both.table("values", "gradients"))
    layer   values fades  values grows  gradients fades  gradients grows
    layer0           0.5             2              0.5                2
    layer1          0.25             4                1                1
    >>> both.growth()
    {'fades': 0.5, 'grows': 2.0}
    """
    _check(runs, align)
    measured = {
        name: [
            row
            for row in magnitudes({name: run}, depth=depth)
            if fnmatchcase(row.name, layers)
        ]
        for name, run in runs.items()
    }
    empty = [name for name, rows in measured.items() if not rows]
    if empty:
        raise RangeError(
            f"compare_runs: {empty[0]!r} has no layer that fits {layers!r}.",
            help=f"print the run to see its names: `print({empty[0]})`.",
        )
    keyed: list[dict[object, Magnitude]] = [
        {k if align == "place" else row.name: row for k, row in enumerate(rows)}
        for rows in measured.values()
    ]
    order = _merged([list(rows) for rows in keyed])
    if len(keyed) > 1 and not any(sum(k in rows for rows in keyed) > 1 for k in order):
        raise RangeError(
            f"compare_runs: {' and '.join(map(repr, runs))} share no name of a layer.",
            help='align them by their place: `align="place"`.',
        )
    return Comparison(tuple(runs), [_joined([r.get(k) for r in keyed]) for k in order])


def _check(runs: object, align: str) -> None:
    if not isinstance(runs, Mapping) or not runs:
        raise TypeError(
            f"compare_runs: runs is {type(runs).__name__} of length "
            f"{len(runs) if isinstance(runs, (Mapping, list, tuple)) else 1}; "
            "a dict of at least one run is required.\n"
            '  help: bp.compare_runs({"plain": run1, "residual": run2}).'
        )
    if align not in ("name", "place"):
        raise RangeError(
            f'compare_runs: align is {align!r}; "name" or "place" is required.'
        )
    for name, run in runs.items():
        if not isinstance(run, Trace):
            raise TypeError(
                f"compare_runs: {name!r} is {type(run).__name__}; "
                "a recorded run is required.\n"
                "  help: record one: `with bp.record() as run:`."
            )
        if all(r.grad is None for r in run):
            raise GradError(
                f"compare_runs: {name!r} has {len(run)} records and no gradient.",
                help="call `loss.backward()` inside the `with bp.record()` block.",
            )


def _field(shown: str) -> str:
    if shown not in SHOWS:
        raise RangeError(
            f"compare_runs: {shown!r} is not measured; one of "
            f"{', '.join(map(repr, SHOWS))} is required."
        )
    return SHOWS[shown]


def _merged(lists: Iterable[list[object]]) -> list[object]:
    """All keys once: what a list adds stands behind what precedes it there.

    >>> _merged([["fc1", "fc2"], ["fc1", "norm", "fc2"]])
    ['fc1', 'norm', 'fc2']
    """
    order: list[object] = []
    for keys in lists:
        at = 0
        for key in keys:
            if key in order:
                at = order.index(key) + 1
            else:
                order.insert(at, key)
                at += 1
    return order


def _joined(rows: Iterable[Magnitude | None]) -> Magnitude:
    """One row for all runs, from one row of each."""
    rows = list(rows)
    first = next(row for row in rows if row is not None)
    values, grads, gains = (
        tuple(None if row is None else getattr(row, field)[0] for row in rows)
        for field in SHOWS.values()
    )
    return Magnitude(first.name, first.op, values, grads, gains)


def _factor(line: list[float | None], shown: str) -> float | None:
    """Geometric mean of a gain; or the step between the two ends, on a log scale."""
    at = [(i, v) for i, v in enumerate(line) if v is not None and v > 0 and isfinite(v)]
    if shown == "gain":
        return exp(sum(log(v) for _, v in at) / len(at)) if at else None
    if len(at) < 2:
        return None
    (i, first), (j, last) = at[0], at[-1]
    ratio = first / last if shown == "gradients" else last / first
    return float(ratio ** (1 / (j - i)))
