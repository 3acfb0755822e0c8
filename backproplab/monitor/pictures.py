"""What a monitor saw: one step as a table, the run as pictures."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from .._table import Table
from ..errors import GradError, RangeError
from .step import ACTIVATIONS, GRADIENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from matplotlib.figure import Figure

    from ..distributions import History

UPDATES = "updates"
SHOWS = (ACTIVATIONS, GRADIENTS, UPDATES)
NOTHING = "call the model in training mode, then backward() and an optimizer step."


def table(
    values: Mapping[str, History],
    grads: Mapping[str, History],
    moved: Mapping[str, np.ndarray],
    step: int,
) -> Table:
    """One row a layer or parameter; ``step`` is a position among those kept."""
    return Table(
        {
            "name": name,
            **_columns(values.get(name), step),
            "gradient rms": _number(grads.get(name), "rms", step),
            "|gradient|": _number(grads.get(name), "peak", step),
            "update": float(moved[name][step]) if name in moved else None,
            "not finite": sum(
                int(_number(h.get(name), "nonfinite", step) or 0)
                for h in (values, grads)
            ),
        }
        for name in dict.fromkeys([*values, *grads])
    )


def drawn(
    steps: Sequence[int],
    values: Mapping[str, History],
    grads: Mapping[str, History],
    moved: Mapping[str, np.ndarray],
    shown: str,
    layers: str,
    fig: Figure | None,
) -> Figure:
    """Draw histograms of one quantity, or a line a name; see ``Monitor.plot``."""
    from .. import plot  # when first asked for: watching needs no picture

    if shown and shown not in SHOWS:
        raise RangeError(
            f"Monitor.plot: there is no {shown!r}.",
            help=f"shown is one of {', '.join(SHOWS)}; or nothing, for all.",
        )
    if not steps:
        raise GradError("Monitor.plot: no step was measured yet.", help=NOTHING)
    fits = {
        kind: {n: h for n, h in found.items() if fnmatchcase(n, layers)}
        for kind, found in ((ACTIVATIONS, values), (GRADIENTS, grads))
    }
    moved = {n: u for n, u in moved.items() if fnmatchcase(n, layers)}
    if not fits.get(shown, moved or fits[ACTIVATIONS]):
        raise RangeError(
            f"Monitor.plot: no name fits {layers!r}.",
            help="print the monitor to see the names.",
        )
    if shown in fits:
        return plot.histograms(fits[shown], shown, fig=fig)
    sizes = {
        "activations: std": {n: h.std for n, h in fits[ACTIVATIONS].items()},
        "gradients: rms": {n: fits[GRADIENTS][n].rms for n in moved},
        "updates: |Δw| / |w|": moved,
    }
    if shown == UPDATES:
        sizes = dict(list(sizes.items())[-1:])
    lines = {what: by_name for what, by_name in sizes.items() if by_name}
    return plot.over_steps(steps, lines, fig=fig)


def _number(history: History | None, field: str, step: int) -> float | None:
    if history is None:
        return None
    return float(getattr(history, field)[step])


def _columns(history: History | None, step: int) -> dict[str, float | None]:
    fields = {"mean": "mean", "std": "std", "|max|": "peak", "zeros": "zeros"}
    found = {word: _number(history, f, step) for word, f in fields.items()}
    return found | {"dead": _number(history, "dead", step)}
