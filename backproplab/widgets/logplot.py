"""Lines on a log scale, layers downwards: the picture of GradientFlow as SVG."""

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, isfinite, log10

from ..magnitudes import Magnitude
from .drawing import STATIC, opening
from .numerals import number

SHOWS = ("values and gradients", "values", "gradients", "gain")
ROW, PLOT = 26.0, 400.0  # height of a row; width of the plot
MARKS = ("circle", "square", "triangle", "cross")  # one for each run

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


def render(
    rows: Sequence[Magnitude], names: Sequence[str], shown: str, *, alone: bool = False
) -> str:
    """Draw one line a quantity and run, layers downwards, magnitudes rightwards.

    Args:
        rows: the layers.
        names: of the runs.
        shown: one of ``SHOWS``.
        alone: carry style and background, for a page without the widget.
    """
    lines = series(rows, names, shown)
    numbers = [v for *_, line in lines for v in line if v is not None]
    low, high = _decades([v for v in numbers if isfinite(v) and v > 0], shown == "gain")
    left = 24 + 7.3 * max([len(short(r.name)) for r in rows] + [4])
    zero = left + 12 if 0.0 in numbers else None
    start = left + (34 if zero is not None else 12)
    top, bottom = 56.0, 56 + ROW * max(len(rows), 1)
    wide, tall = start + PLOT + 40, bottom + 38

    def across(v: float) -> float:
        if not isfinite(v):
            return start + PLOT + 14
        if v == 0:
            return zero or start
        return start + PLOT * (log10(v) - low) / (high - low)

    style = (
        f"<style>{STATIC.joinpath('graph.css').read_text('utf-8')}</style>"
        if alone
        else ""
    )
    label = f"{shown} of {len(rows)} layers on a log scale"
    parts = [
        opening(wide, tall, "img", label, " bpl-plot")
        + f'{style}<rect class="bpl-paper" width="100%" height="100%"/>'
    ]
    parts += _grid(rows, low, high, across, top, bottom, left, start)
    if zero is not None:
        parts.append(f'<path class="axis" d="M{zero:g},{top - 8}V{bottom}"/>')
        parts.append(_label(zero, bottom + 16, "0", "middle"))
    if shown == "gain" and low <= 0 <= high:
        x = across(1.0)
        parts.append(f'<path class="one" d="M{x:g},{top - 8}V{bottom}"/>')
        parts.append(
            _label(x - 8, top - 12, "fades ←", "end")
            + _label(x + 8, top - 12, "→ grows")
        )
    x = left
    for text, kind, run, line in lines:
        points = [
            (across(v), top + ROW * (i + 0.5), v)
            for i, v in enumerate(line)
            if v is not None
        ]
        path = "L".join(f"{px:.1f},{py:g}" for px, py, _ in points)
        parts.append(f'<g class="bpl-series {kind}">')
        parts.append(f'<path class="line" d="M{path}"/>' if points else "")
        parts += [
            _mark(MARKS[run % 4], px, py, f"{text}: {number(v)}")
            for px, py, v in points
        ]
        parts.append(
            f'<path class="line" d="M{x:g},18h30"/>'
            + _mark(MARKS[run % 4], x + 15, 18, text)
        )
        parts.append(_label(x + 38, 22, text) + "</g>")
        x += 60 + 7 * len(text)
    what = (
        "gain: |gradient sent on| / |gradient that came|"
        if shown == "gain"
        else "root mean square"
    )
    parts.append(_label(start + PLOT / 2, tall - 4, what, "middle"))
    return "".join(parts) + "</svg>"


def _decades(numbers: Sequence[float], with_one: bool) -> tuple[int, int]:
    """Whole powers of ten around the numbers."""
    logs = [log10(v) for v in numbers] + ([0.0] if with_one else [])
    if not logs:
        return -1, 1
    low, high = floor(min(logs)), ceil(max(logs))
    return (low, high) if high > low else (low - 1, high + 1)


def _grid(
    rows: Sequence[Magnitude],
    low: int,
    high: int,
    across: Callable[[float], float],
    top: float,
    bottom: float,
    left: float,
    start: float,
) -> list[str]:
    parts = []
    every = max(1, ceil((high - low) / 7))
    for power in range(low, high + 1, every):
        x = across(10.0**power)
        parts.append(f'<path class="grid" d="M{x:g},{top - 8}V{bottom}"/>')
        tick = f"{10.0**power:g}" if -3 < power < 4 else f"1e{power}".replace("-", "−")
        parts.append(_label(x, bottom + 16, tick, "middle"))
    for i, r in enumerate(rows):
        y = top + ROW * (i + 0.5)
        parts.append(f'<path class="grid" d="M{left + 4:g},{y:g}H{start + PLOT:g}"/>')
        parts.append(
            f'<text class="name" x="{left - 6:g}" y="{y + 4:g}" text-anchor="end">'
            f"<title>{escape(r.name)}: {escape(r.op)}</title>"
            f"{escape(short(r.name))}</text>"
        )
    return parts


def short(name: str) -> str:
    """Leave out the beginning of a long name."""
    return name if len(name) <= 22 else "…" + name[-21:]


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text class="tick" {place}>{escape(text)}</text>'


def _mark(shape: str, x: float, y: float, title: str) -> str:
    at = f"M{x:.1f},{y:g}"
    path = {
        "circle": f"{at}m-5,0a5,5 0 1 0 10,0a5,5 0 1 0 -10,0z",
        "square": f"{at}m-4.5,-4.5h9v9h-9z",
        "triangle": f"{at}m0,-5.5l5.5,10h-11z",
        "cross": f"{at}m-5,-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    }[shape]
    return f'<path class="mark" d="{path}"><title>{escape(title)}</title></path>'
