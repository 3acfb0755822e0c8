"""BatchNormLab: what a normalisation does to a batch, to gradients, and in depth."""

from typing import Any

import ipywidgets

from ..nn.batch_norm import CONVENTIONS
from . import batch_norm_panels as panels
from .batch_norm_paths import MODES, MOST, NORMS, Batch, Controls, compute, default
from .batch_norm_running import compute as follow
from .keys import Keys
from .lab import Lab
from .numerals import number
from .panels import css

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, MOST)
TRY = (
    "What to try: move shift and scale; which norms undo them? Go down to a batch of "
    "2, then 1. Set γ to 0. Put a NaN in. Choose eval: which paths are left? Under "
    "running statistics, give Flax the momentum 0.9. Under depth, compare a batch of "
    "128 with one of 4."
)


class BatchNormLab(Lab):
    """Shows a normalisation at work: forward, back along three paths, over time, deep.

    Args:
        norm: "batch", "layer", "group" or "RMS".
        size: examples in the batch.
        shown: "one batch", "running statistics" or "depth".

    >>> BatchNormLab(size=2)
    <BatchNormLab: batch norm in train, batch of 2, largest dL/dx 0.000303>
    >>> BatchNormLab(size=1)
    <BatchNormLab: batch norm in train, batch of 1, refused>
    """

    def __init__(
        self, norm: str = "batch", size: int = 16, shown: str = "one batch"
    ) -> None:
        self._begun, self._shown = Controls(norm, size=size), shown
        self.batch: Batch = compute(self._begun)
        self.norm = ipywidgets.ToggleButtons(
            options=NORMS, style={"button_width": "auto"}
        )
        self.mode = ipywidgets.ToggleButtons(
            options=MODES, style={"button_width": "auto"}
        )
        self.shown = ipywidgets.ToggleButtons(
            options=panels.SHOWS, style={"button_width": "auto"}
        )
        self.size = ipywidgets.SelectionSlider(
            options=sorted({*SIZES, size}), value=size, description="batch size",
            style={"description_width": "80px"},
        )  # fmt: skip
        self.gamma = _slider(1.0, -2.0, 2.0, "γ")
        self.beta = _slider(0.0, -2.0, 2.0, "β")
        self.shift = _slider(0.0, -5.0, 5.0, "input shift")
        self.scale = _slider(1.0, 0.0, 3.0, "input scale")
        self.convention = ipywidgets.Dropdown(
            options=tuple(CONVENTIONS), description="convention"
        )
        self.momentum = _slider(0.1, 0.0, 1.0, "momentum", 0.01)
        self.broken = ipywidgets.Checkbox(
            False, description="a NaN in the batch", indent=False
        )
        self.reset = ipywidgets.Button(description="Reset", tooltip="Begin again")
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        bars = (
            [self.shown, self.norm, self.mode, self.reset],
            [self.size, self.gamma, self.beta, self.shift, self.scale],
            [self.convention, self.momentum, self.broken],
        )
        boxes = [ipywidgets.Box(bar) for bar in bars]
        for box in boxes:
            box.add_class("bpl-controls")
        style = ipywidgets.HTML(f"<style>{css()}</style>", layout={"display": "none"})
        hint = ipywidgets.HTML(f'<div class="bpl-graph bpl-try">{TRY}</div>')
        super().__init__(style, Keys(), *boxes, self._text, self._picture, hint)
        self._quiet = False
        self._restart()
        self.convention.observe(self._adopt, "value")
        for control in self._watched():
            control.observe(self._update, "value")
        self.reset.on_click(self._restart)

    @property
    def controls(self) -> Controls:
        """What is set now."""
        return Controls(
            self.norm.value, self.mode.value, self.size.value, self.gamma.value,
            self.beta.value, self.shift.value, self.scale.value, self.convention.value,
            self.momentum.value, self.broken.value,
        )  # fmt: skip

    def picture(self) -> str:
        """Draw what is shown as SVG."""
        return self._draw(alone=True)

    def __str__(self) -> str:
        c, paths = self.controls, self.batch.paths
        head = f"{c.norm} norm in {c.mode}, batch of {c.size}"
        if paths is None:
            return f"{head}, refused"
        return f"{head}, largest dL/dx {number(abs(paths.total).max())}"

    def _watched(self) -> tuple[Any, ...]:
        return (
            self.norm, self.mode, self.shown, self.size, self.gamma, self.beta,
            self.shift, self.scale, self.momentum, self.broken,
        )  # fmt: skip

    def _restart(self, _: Any = None) -> None:
        self._quiet = True
        begun = self._begun
        self.norm.value, self.mode.value = begun.norm, begun.mode
        self.shown.value, self.size.value = self._shown, begun.size
        self.gamma.value, self.beta.value = begun.gamma, begun.beta
        self.shift.value, self.scale.value = begun.shift, begun.scale
        self.convention.value = begun.convention
        self.momentum.value, self.broken.value = default(begun), begun.broken
        self._quiet = False
        self._update()

    def _adopt(self, _: Any = None) -> None:
        """A convention brings its own momentum."""
        if not self._quiet:
            self._quiet = True
            self.momentum.value = default(Controls(convention=self.convention.value))
            self._quiet = False
            self._update()

    def _update(self, _: Any = None) -> None:
        if self._quiet:
            return
        with self.reported():
            controls = self.controls
            over_batch = controls.norm == "batch"
            self.mode.disabled = not over_batch
            self.batch = compute(controls)
            self.say(self.batch.error)
            text = panels.says(self.shown.value, controls, self.batch)
            self._text.value = (
                f'<div class="bpl-graph bpl-says-so" role="status">{text}</div>'
            )
            self._picture.value = self._draw()

    def _draw(self, *, alone: bool = False) -> str:
        shown, controls = self.shown.value, self.controls
        if shown == panels.SHOWS[1]:
            running = follow(controls)
            return panels.running_statistics(running, controls, alone=alone)
        if shown == panels.SHOWS[2]:
            return panels.depth(controls, alone=alone)
        return panels.one_batch(self.batch, controls, alone=alone)


def _slider(
    value: float, low: float, high: float, name: str, step: float = 0.05
) -> Any:
    return ipywidgets.FloatSlider(
        value, min=low, max=high, step=step, description=name, readout_format=".2f",
        style={"description_width": "80px"},
    )  # fmt: skip
