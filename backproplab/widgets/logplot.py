"""Lines on a log scale, layers downwards: the picture of GradientFlow as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

from ..magnitudes import Magnitude
from .drawing import SHRINK, STATIC, opening
from .numerals import number

SHOWS = ("values and gradients", "values", "gradients", "gain")
ROW, PLOT = 26.0, 400.0  # height of a row; width of the plot
LONG = 18  # rows beyond which the scale stands above the plot, too

Series = tuple[str, str, int, list[float | None]]  # label, class, run, numbers


def series(rows: Sequence[Magnitude], names: Sequence[str], shown: str) -> list[Series]:
    """Pick the lines to draw: one for each quantity and run."""
    kinds = {
        "values": ("values", "forth", "values"),
        "gradients": ("gradients", "back", "grads"),
        "gain": ("gain", "back", "gains"),
    }
    picked = [
        kinds[k] for k in (("values", "gradients") if shown == SHOWS[0] else (shown,))
    ]
    return [
        (f"{label} {name}".strip(), kind, i, [getattr(r, field)[i] for r in rows])
        for label, kind, field in picked
        for i, name in enumerate(names)
    ]


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where things go: rows downwards, decades from ``low`` to ``high`` rightwards."""

    low: int
    high: int
    left: float  # right end of the names
    start: float
    zero: float | None  # middle of the lane of exact zeros
    top: float
    bottom: float

    def across(self, v: float) -> float:
        if not isfinite(v):
            return self.start + PLOT + 16
        if v == 0:
            return self.zero or self.start
        return self.start + PLOT * (log10(v) - self.low) / (self.high - self.low)

    def down(self, row: int) -> float:
        return self.top + ROW * (row + 0.5)


def render(
    rows: Sequence[Magnitude], names: Sequence[str], shown: str, *, alone: bool = False
) -> str:
    """Draw one line a quantity and run, layers downwards, magnitudes rightwards.

    Args:
        rows: the layers.
        names: of the runs.
        shown: one of ``SHOWS``.
        alone: carry the style, for a page without the widget.
    """
    lines = series(rows, names, shown)
    numbers = [v for *_, line in lines for v in line if v is not None]
    low, high = _decades([v for v in numbers if isfinite(v) and v > 0], shown == "gain")
    left = 24 + 7.3 * max([len(short(r.name)) for r in rows] + [4])
    zero = left + 12 if 0.0 in numbers else None
    start = left + (34 if zero else 12)
    key, tall, wide = _key(lines, left)
    top = tall + 30.0
    axes = _Axes(low, high, left, start, zero, top, top + ROW * max(len(rows), 1))
    width, height = max(start + PLOT + 40, wide), axes.bottom + 38
    css = STATIC.joinpath("graph.css").read_text("utf-8") if alone else ""
    gain = shown == "gain"
    what = "gain: |gradient sent on| / |gradient that came|"
    label = f"{shown} of {len(rows)} layers on a log scale"
    least = 0 if alone else SHRINK * width
    parts = [
        opening(width, height, "img", label, " bpl-plot", least),
        f"<style>{css}</style>" if alone else "",
        '<rect class="bpl-paper" width="100%" height="100%"/>',
        *_grid(rows, axes),
        *(_one(axes) if gain else []),
        *(_line(axes, *line) for line in lines),
        *key,
        _label(
            start + PLOT / 2, height - 4, what if gain else "root mean square", "middle"
        ),
        "</svg>",
    ]
    return "".join(parts)


def _line(axes: _Axes, name: str, kind: str, run: int, line: list[float | None]) -> str:
    points = [
        (axes.across(v), axes.down(i), v) for i, v in enumerate(line) if v is not None
    ]
    if not points:
        return ""
    path = "L".join(f"{x:.1f},{y:g}" for x, y, _ in points)
    marks = (_mark(run, x, y, f"{name}: {number(v)}") for x, y, v in points)
    return (
        f'<g class="bpl-series {kind}"><path class="line" d="M{path}"/>'
        f"{''.join(marks)}</g>"
    )


def _key(lines: Sequence[Series], left: float) -> tuple[list[str], float, float]:
    """What each line is, a row for each quantity; also height and width of it all."""
    parts: list[str] = []
    wide = y = 0.0
    step = 64 + 7 * max((len(name) for name, *_ in lines), default=0)
    for name, kind, run, _ in lines:
        x = left + step * run
        y = 18.0 if not parts or kind == lines[0][1] else 40.0
        parts.append(
            f'<g class="bpl-series {kind}"><path class="line" d="M{x:g},{y:g}h30"/>'
            f"{_mark(run, x + 15, y, name)}</g>{_label(x + 38, y + 4, name)}"
        )
        wide = max(wide, x + step)
    return parts, y + 8, wide


def _decades(numbers: Sequence[float], with_one: bool) -> tuple[int, int]:
    """Whole powers of ten around the numbers."""
    logs = [log10(v) for v in numbers] + ([0.0] if with_one else [])
    if not logs:
        return -1, 1
    low, high = floor(min(logs)), ceil(max(logs))
    return (low, high) if high > low else (low - 1, high + 1)


def _grid(rows: Sequence[Magnitude], axes: _Axes) -> list[str]:
    parts = []
    every = max(1, ceil((axes.high - axes.low) / 7))
    for power in range(axes.low, axes.high + 1, every):
        x = axes.across(10.0**power)
        parts.append(_upright("grid", x, axes))
        tick = f"{10.0**power:g}" if -3 < power < 4 else number(10.0**power)
        parts.append(_label(x, axes.bottom + 16, tick, "middle"))
        if len(rows) > LONG:
            parts.append(_label(x, axes.top - 12, tick, "middle"))
    if axes.zero:
        parts.append(_upright("axis", axes.zero, axes))
        parts.append(_label(axes.zero, axes.bottom + 16, "0", "middle"))
    for i, r in enumerate(rows):
        y = axes.down(i)
        parts.append(
            f'<path class="grid" d="M{axes.left + 4:g},{y:g}H{axes.start + PLOT:g}"/>'
            f'<text class="name" x="{axes.left - 6:g}" y="{y + 4:g}" text-anchor="end">'
            f"<title>{escape(r.name)}: {escape(r.op)}</title>"
            f"{escape(short(r.name))}</text>"
        )
    return parts


def _one(axes: _Axes) -> list[str]:
    """The line at gain 1, between what fades and what grows."""
    x, y = axes.across(1.0), axes.top - 12
    return [
        _upright("one", x, axes),
        _label(x - 8, y, "fades ←", "end"),
        _label(x + 8, y, "→ grows"),
    ]


def _upright(kind: str, x: float, axes: _Axes) -> str:
    return f'<path class="{kind}" d="M{x:g},{axes.top - 8:g}V{axes.bottom:g}"/>'


def short(name: str) -> str:
    """Leave out the beginning of a long name."""
    return name if len(name) <= 22 else "…" + name[-21:]


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text class="tick" {place}>{escape(text)}</text>'


def _mark(run: int, x: float, y: float, title: str) -> str:
    at = f"M{x:.1f},{y:g}"
    shapes = (
        f"{at}m-5,0a5,5 0 1 0 10,0a5,5 0 1 0 -10,0z",
        f"{at}m-4.5,-4.5h9v9h-9z",
        f"{at}m0,-5.5l5.5,10h-11z",
        f"{at}m-5,-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    )
    path = shapes[run % len(shapes)]
    return f'<path class="mark" d="{path}"><title>{escape(title)}</title></path>'
