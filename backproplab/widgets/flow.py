"""GradientFlow: how large values and gradients are, layer by layer."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any

import ipywidgets

from ..magnitudes import Magnitude, magnitudes
from ..trace import Trace
from .drawing import STATIC
from .lab import Lab
from .missing import missing
from .numerals import number

SHOWS = ("values and gradients", "values", "gradients", "gain")
ROW, PLOT = 26.0, 400.0  # height of a row; width of the plot
MARKS = ("circle", "square", "triangle", "cross")  # one for each run


class GradientFlow(Lab):
    """Shows root mean squares of values and gradients layer by layer, on a log scale.

    An exact zero, which has no place on a log scale, stands in a lane of its own.

    Args:
        runs: a recorded run, or several: a list, or a dict by name.

    >>> import numpy as np, backproplab as bp
    >>> x = bp.tensor([1.0, 2.0], requires_grad=True)
    >>> with bp.record() as run:
    ...     np.sum(np.tanh(x)).backward()
    >>> GradientFlow(run)
    <GradientFlow: 2 layers, 1 run>
    """

    def __init__(self, runs: Trace | Sequence[Trace] | Mapping[str, Trace]) -> None:
        named = _named(runs)
        lacks = [missing(run, "GradientFlow") for run in named.values()]
        lack = next((text for text, _ in lacks if text), "")
        self.runs = named if named and all(drawable for _, drawable in lacks) else {}
        self.shown = ipywidgets.ToggleButtons(
            options=SHOWS, value=SHOWS[0], style={"button_width": "auto"}
        )
        self.by_module = ipywidgets.Checkbox(True, description="by module", indent=False)
        self.leaves = ipywidgets.Checkbox(False, description="inputs and parameters", indent=False)
        self._picture, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        controls = [self.shown, self.by_module, self.leaves]
        bar, body = ipywidgets.Box(controls), ipywidgets.Box([self._picture, self._table])
        bar.add_class("bpl-controls")
        body.add_class("bpl-flow")
        super().__init__(*([bar, body] if self.runs else []))
        self.say(lack if named else "GradientFlow: there is no run; pass one: `GradientFlow(run)`.")
        self.rows: list[Magnitude] = []
        if self.runs:
            for control in controls:
                control.observe(self._update, "value")
            self._update()

    def picture(self) -> str:
        """Draw the flow as SVG."""
        return render(self.rows, tuple(self.runs), self.shown.value, alone=True) if self.rows else ""

    def __str__(self) -> str:
        layers, runs = len(self.rows), len(self.runs)
        return f"{layers} layers, {runs} run{'s' * (runs != 1)}"

    def _update(self, _: Any = None) -> None:
        with self.reported():
            self.rows = magnitudes(
                self.runs, by_module=self.by_module.value, leaves=self.leaves.value
            )
            self._picture.value = render(self.rows, tuple(self.runs), self.shown.value)
            self._table.value = table(self.rows, tuple(self.runs))


def _named(runs: Any) -> dict[str, Any]:
    if isinstance(runs, Mapping):
        return {str(name): run for name, run in runs.items()}
    if isinstance(runs, (list, tuple)):
        return {f"run {i}": run for i, run in enumerate(runs, 1)}
    return {"": runs}


Series = tuple[str, str, int, list[float | None]]  # label, class, run, numbers


def series(rows: Sequence[Magnitude], names: Sequence[str], shown: str) -> list[Series]:
    """Pick the lines to draw: one for each quantity and run."""
    kinds = {
        "values": ("values", "forth", "values"),
        "gradients": ("gradients", "back", "grads"),
        "gain": ("gain", "back", "gains"),
    }
    picked = [kinds[k] for k in (("values", "gradients") if shown == SHOWS[0] else (shown,))]
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
    left = 24 + 7.3 * max([len(_short(r.name)) for r in rows] + [4])
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

    style = f"<style>{STATIC.joinpath('graph.css').read_text('utf-8')}</style>" if alone else ""
    label = f"{shown} of {len(rows)} layers on a log scale"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bpl-graph bpl-svg bpl-plot" role="img" '
        f'viewBox="0 0 {wide:g} {tall:g}" width="{wide:g}" height="{tall:g}" '
        f'aria-label="{label}">{style}<rect class="bpl-paper" width="100%" height="100%"/>'
    ]
    parts += _grid(rows, low, high, across, top, bottom, left, start)
    if zero is not None:
        parts.append(f'<path class="axis" d="M{zero:g},{top - 8}V{bottom}"/>')
        parts.append(_label(zero, bottom + 16, "0", "middle"))
    if shown == "gain" and low <= 0 <= high:
        x = across(1.0)
        parts.append(f'<path class="one" d="M{x:g},{top - 8}V{bottom}"/>')
        parts.append(_label(x - 8, top - 12, "fades ←", "end") + _label(x + 8, top - 12, "→ grows"))
    x = left
    for text, kind, run, line in lines:
        points = [(across(v), top + ROW * (i + 0.5), v) for i, v in enumerate(line) if v is not None]
        path = "L".join(f"{px:.1f},{py:g}" for px, py, _ in points)
        parts.append(f'<g class="bpl-series {kind}">')
        parts.append(f'<path class="line" d="M{path}"/>' if points else "")
        parts += [_mark(MARKS[run % 4], px, py, f"{text}: {number(v)}") for px, py, v in points]
        parts.append(f'<path class="line" d="M{x:g},18h30"/>{_mark(MARKS[run % 4], x + 15, 18, text)}')
        parts.append(_label(x + 38, 22, text) + "</g>")
        x += 60 + 7 * len(text)
    what = "gain: |gradient sent on| / |gradient that came|" if shown == "gain" else "root mean square"
    parts.append(_label(start + PLOT / 2, tall - 4, what, "middle"))
    return "".join(parts) + "</svg>"


def table(rows: Sequence[Magnitude], names: Sequence[str]) -> str:
    """Write the numbers as an HTML table; gain is |gradient sent on| / |that came|."""
    head = "".join(
        f"<th>{h} {escape(name)}</th>" for name in names for h in ("values", "gradients", "gain")
    )
    body = "".join(
        f"<tr><th><code>{escape(_short(r.name))}</code></th>"
        + "".join(
            f"<td>{'' if v is None else number(v)}</td>"
            for i in range(len(names))
            for v in (r.values[i], r.grads[i], r.gains[i])
        )
        + "</tr>"
        for r in rows
    )
    return f'<table class="bpl-graph bpl-table"><tr><th>layer</th>{head}</tr>{body}</table>'


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
    across: Any,
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
            f"<title>{escape(r.name)}: {escape(r.op)}</title>{escape(_short(r.name))}</text>"
        )
    return parts


def _short(name: str) -> str:
    return name if len(name) <= 22 else "…" + name[-21:]


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text class="tick" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _mark(shape: str, x: float, y: float, title: str) -> str:
    at = f"M{x:.1f},{y:g}"
    path = {
        "circle": f"{at}m-5,0a5,5 0 1 0 10,0a5,5 0 1 0 -10,0z",
        "square": f"{at}m-4.5,-4.5h9v9h-9z",
        "triangle": f"{at}m0,-5.5l5.5,10h-11z",
        "cross": f"{at}m-5,-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    }[shape]
    return f'<path class="mark" d="{path}"><title>{escape(title)}</title></path>'
