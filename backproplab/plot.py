"""Pictures for paper and slides; matplotlib enters here and loads when first used."""

from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from .trace import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by all common kinds of colour vision.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
FORWARD, BACKWARD = BLUE, VERMILLION  # values; gradients
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)  # each with its own dashes
INK, SOFT = "#222222", "#777777"  # text and lines; axes
SMALL, TEXT, TITLE = 9.0, 10.0, 12.0  # the font scale, in points

_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


def figure(width: float = 6.4, height: float = 3.6) -> "Figure":
    """Make an empty figure that no window and no registry knows; draw in ``house()``.

    As the last line of a cell it shows itself, in the ink of the theme.

    Args:
        width: in inches.
        height: in inches.

    >>> with house():
    ...     fig = figure()
    ...     line = fig.subplots().plot([1, 2, 4])
    >>> svg(fig)[:5], png(fig)[1:4]
    ('<svg ', b'PNG')
    """
    return _shown()(figsize=(width, height), layout="constrained", facecolor="none")


def house() -> Any:
    """Draw in the house style within a ``with`` block."""
    from matplotlib import rc_context

    settings: Any = style()
    return rc_context(settings)


def style() -> dict[str, Any]:
    """The house style as matplotlib settings, for ``rc_context`` or ``rcParams``."""
    from cycler import cycler

    return {
        "axes.edgecolor": SOFT,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.labelsize": TEXT,
        "axes.prop_cycle": cycler(color=CYCLE) + cycler(linestyle=_DASHES),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": TITLE,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "font.size": TEXT,
        "grid.alpha": 0.25,
        "grid.color": SOFT,
        "legend.frameon": False,
        "legend.fontsize": SMALL,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "svg.hashsalt": "backproplab",
        "text.color": INK,
        "xtick.color": SOFT,
        "xtick.labelcolor": INK,
        "xtick.labelsize": SMALL,
        "ytick.color": SOFT,
        "ytick.labelcolor": INK,
        "ytick.labelsize": SMALL,
    }


def svg(fig: "Figure") -> str:
    """Write a figure as SVG for a page: its ink follows the theme, light or dark.

    Keep the figure and call this again after each change; nothing else is kept.
    """
    stream = StringIO()
    with house():
        fig.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg ") :]
    text = text.replace(INK.lower(), f"var(--jp-ui-font-color1, {INK})")
    return text.replace(SOFT.lower(), f"var(--jp-ui-font-color2, {SOFT})")


def png(fig: "Figure", dpi: int = 110) -> bytes:
    """Write a figure as PNG, for ``ipywidgets.Image.value``."""
    stream = BytesIO()
    fig.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def gradient_flow(
    runs: Trace | Mapping[str, Trace], *, fig: "Figure | None" = None
) -> "Figure":
    """Draw root mean squares of values and gradients, layer by layer, on a log scale.

    An exact zero has no place on a log scale: it stands below the axis as a cross.

    Args:
        runs: a recorded run, or several by name.
        fig: a figure to draw anew; a new one when None.
    """
    from .magnitudes import magnitudes

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


@cache
def _shown() -> "type[Figure]":
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows as SVG, without ``%matplotlib``."""

        def _repr_html_(self) -> str:
            return svg(self)

    return Shown


def _line(
    ax: Any, x: Any, y: Any, form: str, colour: str, name: str, look: Any
) -> None:
    ax.plot(
        np.where(x > 0, x, np.nan), y, form, color=colour, label=name.strip(), **look
    )
    zeros = y[x == 0]
    side = ax.get_yaxis_transform()
    ax.plot(zeros * 0, zeros, "x", color=colour, transform=side, clip_on=False)
