"""The gradient histogram of PrecisionLab, and the loss scale that slides it."""

from typing import Any

import ipywidgets

from ..lab import Lab, status
from . import gradients as model
from .frame import button, choice, framed
from .gradients_picture import render, says

TRY = (
    "Loss × 2^-20 in float16: find a scale at which less than 1 % is flushed and "
    "nothing overflows. Then push on until something does. Which formats need no scale?"
)


class GradientsSection(Lab):
    """Shows recorded gradients by size, and what a format makes of them.

    Args:
        **begin: what to begin with: fields of ``gradients.Controls``.

    >>> GradientsSection(loss="as it is", scale=20)
    <GradientsSection: float16, loss as it is, scale 2^20: 0 % flushed, 448 overflowed>
    """

    def __init__(self, **begin: Any) -> None:
        self._begun = model.Controls(**begin)
        begun = self._begun
        self.set: dict[str, Any] = {
            "scale": ipywidgets.IntSlider(
                begun.scale, *model.SCALES, description="loss scale 2^k, k",
                style={"description_width": "116px"},
            ),
            "fmt": choice(model.FORMATS, begun.fmt, "format"),
            "loss": choice(tuple(model.LOSSES), begun.loss, "loss itself", 190),
            "kind": choice(model.KINDS, begun.kind, "gradients", 200),
            "stage": choice(tuple(model.STAGES), begun.stage, "net", 220),
        }  # fmt: skip
        self.button = button("Reset", "Begin again")
        self._words, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        bars = (
            [self.set["scale"], self.set["fmt"], self.button],
            [self.set["loss"], self.set["kind"], self.set["stage"]],
        )
        super().__init__(*framed(bars, (self._picture, self._words), TRY))
        self._update()
        for control in self.set.values():
            control.observe(self._update, "value")
        self.button.on_click(lambda _: self.reset())

    @property
    def controls(self) -> model.Controls:
        """What is set now."""
        return model.Controls(**{name: c.value for name, c in self.set.items()})

    def reset(self) -> None:
        """Begin again as the section began."""
        self.put(self.set, self._begun)
        self._update()

    def picture(self) -> str:
        """Draw the histogram as SVG."""
        return render(self.shown, self.controls, alone=True)

    def __str__(self) -> str:
        c, after = self.controls, self.shown.after
        flushed = 100 * after.zero / max(after.total, 1)
        return (
            f"{c.fmt}, loss {c.loss}, scale 2^{c.scale}: {flushed:.2g} % flushed, "
            f"{after.beyond} overflowed"
        )

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            controls = self.controls
            self.shown = model.compute(controls)
            self._words.value = status(says(self.shown, controls))
            self._picture.value = render(self.shown, controls)
