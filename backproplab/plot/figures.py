"""Figures in the house style: colours, type, and ink that follows the theme."""

from functools import cache
from html import escape
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by all common kinds of colour vision.
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
FORWARD, BACKWARD = BLUE, VERMILLION  # values; gradients
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)  # each with its own dashes
INK, SOFT = "#222222", "#777777"  # text and lines; axes
SMALL, TEXT, TITLE = 9.0, 10.0, 12.0  # the font scale, in points

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


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
        "axes.prop_cycle": cycler(color=CYCLE) + cycler(linestyle=DASHES),
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

    A screen reader hears what each panel shows, and the names of its lines. Keep the
    figure and call this again after each change; nothing else is kept.
    """
    stream = StringIO()
    with house():
        fig.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    opening, text = "<svg ", text.partition("<svg ")[2]
    text = f'{opening}role="img" aria-label="{escape(_heard(fig))}" {text}'
    text = text.replace(INK.lower(), f"var(--jp-ui-font-color1, {INK})")
    return text.replace(SOFT.lower(), f"var(--jp-ui-font-color2, {SOFT})")


def png(fig: "Figure", dpi: int = 110) -> bytes:
    """Write a figure as PNG, for ``ipywidgets.Image.value``."""
    stream = BytesIO()
    fig.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def _heard(fig: "Figure") -> str:
    """What a chart shows, in words: each panel, against what, which lines."""
    panels = []
    for ax in fig.axes:
        if not ax.axison:
            continue
        what = ax.get_title(loc="left") or ax.get_ylabel() or ax.get_title()
        against = " against ".join(filter(None, (what, ax.get_xlabel())))
        lines = [str(line.get_label()) for line in ax.lines]
        named = ", ".join(name for name in lines if not name.startswith("_"))
        panels.append(": ".join(filter(None, (against, named))))
    title = fig.get_suptitle()
    return ". ".join(filter(None, ("chart", title, *panels)))


@cache
def _shown() -> "type[Figure]":
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows as SVG, without ``%matplotlib``."""

        def _repr_html_(self) -> str:
            return svg(self)

    return Shown
