"""BatchNormLab: what a normalisation does to a batch, to gradients, and in depth."""

from typing import Any

import ipywidgets

from ...nn.batch_norm import CONVENTIONS
from ..lab import LABEL, Lab, bar, hint, reset, slider, status, toggles
from ..numerals import number
from . import panels
from .paths import MODES, MOST, NORMS, Batch, Controls, compute, default
from .running import compute as follow

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, MOST)
TRY = (
    "Move shift and scale: which norms undo them? Go down to a batch of "
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
        self.norm = toggles(NORMS, "norm")
        self.mode = toggles(MODES, "mode")
        self.shown = toggles(panels.SHOWS, "what is shown")
        self.size = ipywidgets.SelectionSlider(
            options=sorted({*SIZES, size}), value=size, description="batch size",
            style={"description_width": LABEL},
        )  # fmt: skip
        self.gamma = slider("γ", 1.0, -2.0, 2.0)
        self.beta = slider("β", 0.0, -2.0, 2.0)
        self.shift = slider("input shift", 0.0, -5.0, 5.0)
        self.scale = slider("input scale", 1.0, 0.0, 3.0)
        self.convention = ipywidgets.Dropdown(
            options=tuple(CONVENTIONS), description="convention"
        )
        self.momentum = slider("momentum", 0.1, 0.0, 1.0, 0.01)
        self.broken = ipywidgets.Checkbox(
            False, description="a NaN in the batch", indent=False
        )
        self.reset = reset()
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__(
            bar(self.shown, self.norm, self.mode, self.reset),
            bar(self.size, self.gamma, self.beta, self.shift, self.scale),
            bar(self.convention, self.momentum, self.broken),
            self._text,
            self._picture,
            hint(TRY),
        )
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
        begun = self._begun
        with self.quietly():
            self.norm.value, self.mode.value = begun.norm, begun.mode
            self.shown.value, self.size.value = self._shown, begun.size
            self.gamma.value, self.beta.value = begun.gamma, begun.beta
            self.shift.value, self.scale.value = begun.shift, begun.scale
            self.convention.value = begun.convention
            self.momentum.value, self.broken.value = default(begun), begun.broken
        self._update()

    def _adopt(self, _: Any = None) -> None:
        """A convention brings its own momentum."""
        if not self.quiet:
            with self.quietly():
                own = default(Controls(convention=self.convention.value))
                self.momentum.value = own
            self._update()

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            controls = self.controls
            self._still()
            self.batch = compute(controls)
            self.say(self.batch.error)
            text = panels.says(self.shown.value, controls, self.batch)
            self._text.value = status(text)
            self._picture.value = self._draw()

    def _still(self) -> None:
        """Hold the controls that change nothing in what is shown."""
        batch, running, deep = (self.shown.value == name for name in panels.SHOWS)
        self.mode.disabled = not batch or self.norm.value != "batch"
        self.norm.disabled = running
        for control in (self.gamma, self.beta, self.broken):
            control.disabled = not batch
        for control in (self.shift, self.scale, self.convention, self.momentum):
            control.disabled = deep

    def _draw(self, *, alone: bool = False) -> str:
        shown, controls = self.shown.value, self.controls
        if shown == panels.SHOWS[1]:
            running = follow(controls)
            return panels.running_statistics(running, controls, alone=alone)
        if shown == panels.SHOWS[2]:
            return panels.depth(controls, alone=alone)
        return panels.one_batch(self.batch, controls, alone=alone)
