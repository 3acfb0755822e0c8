"""DescentLab: walk down a surface, and see at which learning rate the walk breaks."""

from typing import Any

import ipywidgets

from ..lab import LABEL, Lab, bar, hint, reset, slider, status, toggles
from ..numerals import number
from .picture import render, says
from .surface import surfaces
from .walk import METHODS, Controls, compute

TRY = (
    "On the valley, raise the learning rate to 0.19, then to 0.21. Choose "
    "momentum: the limit moves by the factor 1 + μ. On Rosenbrock, compare SGD at its "
    "limit with Adam. Start the saddle at v = 0: who gets away?"
)


class DescentLab(Lab):
    """Walks down a surface by SGD, momentum, RMSprop or Adam, up to divergence.

    Args:
        surface: "valley", "saddle", "Rosenbrock" or "net slice".
        method: "SGD", "momentum", "RMSprop" or "Adam".
        lr: learning rate, from 1e-4 to 10.

    >>> DescentLab("valley", lr=0.19)
    <DescentLab: SGD on valley, lr 0.19, loss 17.4 → 3.63e−5>
    """

    def __init__(
        self, surface: str = "valley", method: str = "SGD", lr: float = 0.15
    ) -> None:
        self._begun = Controls(surface, method, lr)
        self.descent = compute(self._begun)
        self.surface = ipywidgets.Dropdown(
            options=tuple(surfaces()), description="surface"
        )
        self.method = toggles(METHODS, "method")
        self.lr = ipywidgets.FloatLogSlider(
            0.15, min=-4, max=1, step=0.01, description="learning rate",
            readout_format=".3g", style={"description_width": LABEL},
        )  # fmt: skip
        self.memory = slider("memory", 0.9, 0.0, 0.99, 0.01)
        self.steps = ipywidgets.IntSlider(
            60, 5, 300, description="steps", style={"description_width": LABEL}
        )
        self.u = slider("start u", 0.0, -4.0, 4.0, 0.02)
        self.v = slider("start v", 0.0, -3.0, 3.0, 0.02)
        self.reset = reset()
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__(
            bar(self.surface, self.method, self.reset),
            bar(self.lr, self.memory, self.steps, self.u, self.v),
            self._text,
            self._picture,
            hint(TRY),
        )
        self._restart()
        self.surface.observe(self._moved, "value")
        for control in self._watched():
            control.observe(self._update, "value")
        self.reset.on_click(self._restart)

    @property
    def controls(self) -> Controls:
        """What is set now."""
        return Controls(
            self.surface.value, self.method.value, self.lr.value, self.memory.value,
            self.steps.value, (self.u.value, self.v.value),
        )  # fmt: skip

    def picture(self) -> str:
        """Draw the walk as SVG."""
        return render(self.descent, self.controls, alone=True)

    def __str__(self) -> str:
        c, losses = self.controls, self.descent.losses
        return (
            f"{c.method} on {c.surface}, lr {number(c.lr)}, "
            f"loss {number(losses[0])} → {number(losses[-1])}"
        )

    def _watched(self) -> tuple[Any, ...]:
        return self.method, self.lr, self.memory, self.steps, self.u, self.v

    def _restart(self, _: Any = None) -> None:
        begun = self._begun
        with self.quietly():
            self.surface.value, self.method.value = begun.surface, begun.method
            self.lr.value, self.memory.value = begun.lr, begun.memory
            self.steps.value = begun.steps
        self._moved()

    def _moved(self, _: Any = None) -> None:
        """Put the window and the start where the surface wants them."""
        if self.quiet:
            return
        surface = surfaces()[self.surface.value]
        places = zip(
            (self.u, self.v), (surface.x, surface.y), surface.start, strict=True
        )
        with self.quietly():
            for start, ends, at in places:
                start.min, start.max = -1e9, 1e9
                start.value = at
                start.min, start.max = ends
        self._update()

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            controls = self.controls
            self.memory.disabled = controls.method == "SGD"
            self.descent = compute(controls)
            text = says(self.descent, controls)
            self._text.value = status(text)
            self._picture.value = render(self.descent, controls)
