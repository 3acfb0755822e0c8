"""GradientFlow: how large values and gradients are, layer by layer."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets

from ..magnitudes import Magnitude, magnitudes
from ..trace import Trace
from .lab import Lab, bar, hint, reset, toggles
from .logplot import SHOWS, render, short
from .missing import missing
from .numerals import number

TRY = (
    "Choose gain: in which layer does the gradient fade or grow most? Then show the "
    "parameters, too."
)


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
        self.shown = toggles(SHOWS, "what is shown")
        self.by_module = ipywidgets.Checkbox(
            True, description="by module", indent=False
        )
        self.leaves = ipywidgets.Checkbox(
            False, description="inputs and parameters", indent=False
        )
        self.reset = reset()
        self._picture, self._table = ipywidgets.HTML(), ipywidgets.HTML()
        body = ipywidgets.Box([self._picture, self._table])
        body.add_class("bpl-flow")
        controls = bar(self.shown, self.by_module, self.leaves, self.reset)
        super().__init__(*([controls, body, hint(TRY)] if self.runs else []))
        self.say(
            lack
            if named
            else "GradientFlow: there is no run; pass one: `GradientFlow(run)`."
        )
        self.rows: list[Magnitude] = []
        if self.runs:
            self.shown.observe(self._draw, "value")
            for measured in (self.by_module, self.leaves):
                measured.observe(self._update, "value")
            self.reset.on_click(self._restart)
            self._update()

    def picture(self) -> str:
        """Draw the flow as SVG."""
        return (
            render(self.rows, tuple(self.runs), self.shown.value, alone=True)
            if self.rows
            else ""
        )

    def __str__(self) -> str:
        layers, runs = len(self.rows), len(self.runs)
        return f"{layers} layers, {runs} run{'s' * (runs != 1)}"

    def _restart(self, _: Any = None) -> None:
        with self.quietly():
            self.shown.value = SHOWS[0]
            self.by_module.value, self.leaves.value = True, False
        self._update()

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            self.rows = magnitudes(
                self.runs, by_module=self.by_module.value, leaves=self.leaves.value
            )
            self._table.value = table(self.rows, tuple(self.runs))
        self._draw()

    def _draw(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            self._picture.value = render(self.rows, tuple(self.runs), self.shown.value)


def _named(runs: Any) -> dict[str, Any]:
    if isinstance(runs, Mapping):
        return {str(name): run for name, run in runs.items()}
    if isinstance(runs, (list, tuple)):
        return {f"run {i}": run for i, run in enumerate(runs, 1)}
    return {"": runs}


def table(rows: Sequence[Magnitude], names: Sequence[str]) -> str:
    """Write the numbers as an HTML table; gain is |gradient sent on| / |that came|."""
    head = "".join(
        f"<th>{h} {escape(name)}</th>"
        for name in names
        for h in ("values", "gradients", "gain")
    )
    body = "".join(
        f"<tr><th><code>{escape(short(r.name))}</code></th>"
        + "".join(
            f"<td>{'' if v is None else number(v)}</td>"
            for i in range(len(names))
            for v in (r.values[i], r.grads[i], r.gains[i])
        )
        + "</tr>"
        for r in rows
    )
    rows_ = f"<tr><th>layer</th>{head}</tr>{body}"
    return f'<table class="bpl-graph bpl-table">{rows_}</table>'
