"""Error by layer: the section of PrecisionLab that runs a float64 shadow."""

from typing import Any

import ipywidgets

from ..lab import Lab, status
from . import error as model
from .error_picture import render, says
from .frame import button, choice, framed

TRY = (
    "Read off the error in units of u, for ReLU in float16 and bfloat16. Freeze the "
    "gates: which part of the error is gone? Add layers. Take tanh."
)


class ErrorSection(Lab):
    """Shows where errors are born and what is inherited, layer by layer.

    Args:
        **begin: what to begin with: fields of ``error.Controls``.

    >>> section = ErrorSection(gate="tanh")
    >>> section.shown.flipped.max().item()
    0.0
    """

    def __init__(self, **begin: Any) -> None:
        self._begun = model.Controls(**begin)
        begun = self._begun
        self.set: dict[str, Any] = {
            "layers": ipywidgets.IntSlider(
                begun.layers, *model.LAYERS, description="layers",
                style={"description_width": "60px"},
            ),
            "fmt": choice(model.FORMATS, begun.fmt, "format"),
            "gate": choice(model.GATES, begun.gate, "activation", 240),
            "seed": ipywidgets.IntText(begun.seed),
        }  # fmt: skip
        self.buttons = {
            name: button(name, tip)
            for name, tip in (
                ("New draw", "Draw other weights"), ("Reset", "Begin again")
            )
        }  # fmt: skip
        self._words, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        bars = (
            [self.set["layers"], self.set["fmt"]],
            [self.set["gate"], *self.buttons.values()],
        )
        super().__init__(*framed(bars, (self._picture, self._words), TRY))
        self._update()
        for control in self.set.values():
            control.observe(self._update, "value")
        self.buttons["New draw"].on_click(lambda _: self.draw())
        self.buttons["Reset"].on_click(lambda _: self.reset())

    @property
    def controls(self) -> model.Controls:
        """What is set now."""
        return model.Controls(**{name: c.value for name, c in self.set.items()})

    def draw(self) -> None:
        """Draw other weights."""
        self.set["seed"].value += 1

    def reset(self) -> None:
        """Begin again as the section began."""
        self.put(self.set, self._begun)
        self._update()

    def picture(self) -> str:
        """Draw the errors as SVG."""
        return render(self.shown, self.controls, alone=True)

    def __str__(self) -> str:
        c, error = self.controls, self.shown.backward.error[0]
        return (
            f"{c.layers} layers, {c.gate}, {c.fmt}, first gradient off by {error:.2g}"
        )

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            controls = self.controls
            self.shown = model.compute(controls)
            self._words.value = status(says(self.shown, controls))
            self._picture.value = render(self.shown, controls)
