"""Charts of recorded runs and of trainings, in the house style."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distributions import EDGES, History
from ..trace import Trace
from .figures import BACKWARD, BLACK, CYCLE, DASHES, FORWARD, TEXT, figure, house

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gradient_flow(
    runs: Trace | Mapping[str, Trace], *, fig: "Figure | None" = None
) -> "Figure":
    """Draw root mean squares of values and gradients, layer by layer, on a log scale.

    An exact zero has no place on a log scale: it stands below the axis as a cross.

    Args:
        runs: a recorded run, or several by name.
        fig: a figure to draw anew; a new one when None.
    """
    from ..magnitudes import magnitudes

    named = {"": runs} if isinstance(runs, Trace) else dict(runs)
    rows = magnitudes(named)
    y = np.arange(len(rows))
    with house():
        if fig is None:
            fig = figure(6.4, max(2.4, 0.28 * len(rows) + 1.2))
        fig.clear()
        ax = fig.subplots()
        for i, name in enumerate(named):
            look = {"fillstyle": "none" if i else "full"}
            values = np.array([r.values[i] for r in rows], dtype=float)
            grads = np.array([r.grads[i] for r in rows], dtype=float)
            _line(ax, values, y, "-o", FORWARD, f"values {name}", look)
            _line(ax, grads, y, "--D", BACKWARD, f"gradients {name}", look)
        ax.set_xscale("log")
        ax.set_yticks(y, [r.name for r in rows])
        ax.invert_yaxis()
        ax.set_xlabel("root mean square (× at the axis: exactly 0)")
        fig.legend(loc="outside upper left", ncols=2)
    return fig


def by_layer(
    layers: Sequence[str],
    shown: Mapping[str, Mapping[str, Sequence[float | None]]],
    *,
    fig: "Figure | None" = None,
) -> "Figure":
    """Draw quantities by layer on log scales, one panel a quantity, one line a run.

    An exact zero has no place on a log scale: it is a gap in the line.

    Args:
        layers: names, from the input on.
        shown: for each quantity the numbers of each run, one a layer.
        fig: a figure to draw anew; a new one when None.
    """
    x = np.arange(1, len(layers) + 1)
    with house():
        if fig is None:
            fig = figure(3.8 * len(shown), 3.0)
        fig.clear()
        panels = fig.subplots(1, len(shown), squeeze=False)[0]
        for ax, (quantity, runs) in zip(panels, shown.items(), strict=True):
            for name, line in runs.items():
                y = np.array([v or np.nan for v in line], dtype=float)
                mark = "." if len(layers) <= 30 else ""
                ax.plot(x, y, marker=mark, label=name)
            ax.set_yscale("log")
            ax.set_xlabel("layer")
            ax.set_title(quantity)
            if len(layers) <= 6:
                ax.set_xticks(x, layers, rotation=30, ha="right")
        fig.legend(
            *panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4
        )
    return fig


def over_steps(
    steps: Sequence[int],
    shown: Mapping[str, Mapping[str, Any]],
    *,
    fig: "Figure | None" = None,
) -> "Figure":
    """Draw quantities over a training run on log scales, one panel a quantity.

    An exact zero has no place on a log scale: it is a gap in the line. More than six
    lines are shaded from the first to the last.

    Args:
        steps: the steps, (t,).
        shown: for each quantity one line (t,) for each name.
        fig: a figure to draw anew; a new one when None.
    """
    with house():
        if fig is None:
            fig = figure(max(6.4, 4.2 * len(shown)), 3.6)
        fig.clear()
        panels = fig.subplots(1, len(shown), squeeze=False)[0]
        for ax, (quantity, lines) in zip(panels, shown.items(), strict=True):
            looks = _looks(len(lines))
            mark = "." if len(steps) <= 30 and len(lines) <= len(CYCLE) else ""
            for (name, line), look in zip(lines.items(), looks, strict=True):
                y = np.asarray(line, float)
                y = np.where(np.isfinite(y) & (y > 0), y, np.nan)
                ax.plot(steps, y, marker=mark, label=name, **look)
            ax.set_yscale("log")
            ax.set_xlabel("step")
            ax.set_title(quantity)
            # Of many lines only some are named, from the first to the last.
            named = np.linspace(0, len(lines) - 1, min(len(lines), len(CYCLE)))
            handles = [ax.lines[k] for k in np.unique(named.round().astype(int))]
            place = {"loc": "upper left", "bbox_to_anchor": (0, -0.22)}
            ax.legend(handles=handles, ncols=2, **place)
    return fig


def histograms(
    histories: Mapping[str, History], shown: str, *, fig: "Figure | None" = None
) -> "Figure":
    """Draw how magnitudes are distributed over a training run, one panel a name.

    Darker is more; a row is a power of two. The line is the root mean square. A title
    says what is 0 at the last step: entries, and units that are for the whole batch.

    Args:
        histories: by name.
        shown: "activations" or "gradients", for colour and title.
        fig: a figure to draw anew; a new one when None.
    """
    from matplotlib.ticker import MaxNLocator

    forward = shown == "activations"
    ink, colours = (FORWARD, "Blues") if forward else (BACKWARD, "Oranges")
    across = min(3, max(len(histories), 1))
    down = -(-len(histories) // across)
    with house():
        if fig is None:
            fig = figure(4.0 * across, 0.4 + 2.5 * down)
        fig.clear()
        panels = fig.subplots(down, across, squeeze=False).ravel()
        for ax, (name, h) in zip(panels, histories.items(), strict=False):
            share = h.counts / np.maximum(h.counts.sum(axis=1, keepdims=True), 1)
            filled = np.flatnonzero((share > 0.01).any(axis=0))
            low, high = (filled[0], filled[-1] + 1) if filled.size else (0, 1)
            most = np.quantile(share.max(axis=1), 0.5) or 1.0
            # Each row reaches to the next; the last as far as the one before it.
            ends = [
                *h.steps,
                2 * h.steps[-1] - h.steps[-2] if len(h) > 1 else h.steps[0] + 1,
            ]
            ax.pcolormesh(
                ends,
                EDGES[low : high + 1],
                share.T[low:high],
                cmap=colours,
                vmin=0,
                vmax=most,
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                rms = np.log2(h.rms)
            ax.plot(h.steps, rms, color="white", linestyle="-", linewidth=3.5)
            ax.plot(h.steps, rms, color=BLACK, linestyle="--", linewidth=1.5)
            ax.grid(False)
            ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
            ax.yaxis.set_major_formatter(_power_of_two)
            ax.set_title(f"{name}{_said_of_zeros(h)}", color=ink, fontsize=TEXT)
            ax.set_xlabel("step")
        for ax in panels[len(histories) :]:
            ax.set_axis_off()
        fig.suptitle(f"|{shown}|: share of entries by magnitude; dashes: rms", x=0.5)
    return fig


def _power_of_two(y: float, _position: Any = None) -> str:
    return rf"$2^{{{y:g}}}$"


def _said_of_zeros(h: History) -> str:
    said = f": {h.zeros[-1]:.0%} zero" if h.zeros[-1] > 0 else ""
    if h.dead[-1] > 0:
        said += f", {h.dead[-1]:.0%} of units dead"
    if h.nonfinite.any():
        said += f", {int(np.nansum(h.nonfinite))} not finite"
    return said


def _looks(count: int) -> list[dict[str, Any]]:
    """A look for each line: the house's cycle, or shades from first to last."""
    if count <= len(CYCLE):
        return [
            {"color": c, "linestyle": d} for c, d in zip(CYCLE, DASHES, strict=True)
        ][:count]
    from matplotlib import colormaps

    # Neither end of the map: both themes show the lines.
    shades = colormaps["cividis"](np.linspace(0.3, 0.82, count))
    return [
        {"color": shade, "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.3}
        for k, shade in enumerate(shades)
    ]


def _line(
    ax: Any, x: Any, y: Any, form: str, colour: str, name: str, look: Any
) -> None:
    ax.plot(
        np.where(x > 0, x, np.nan), y, form, color=colour, label=name.strip(), **look
    )
    zeros = y[x == 0]
    side = ax.get_yaxis_transform()
    ax.plot(zeros * 0, zeros, "x", color=colour, transform=side, clip_on=False)
