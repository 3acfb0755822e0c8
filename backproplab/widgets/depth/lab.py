"""DepthLab: what a deep net does with values and gradients before it has learnt."""

from dataclasses import fields
from typing import Any

import ipywidgets

from ...errors import NameLookupError, near
from ...trace import Trace
from ..lab import LABEL, Lab, bar, hint, slider, status
from .controls import (
    ACTIVATIONS,
    INITS,
    NORMS,
    PLACES,
    SKIPS,
    WIDTHS,
    Controls,
    check,
)
from .net import measure, recorded
from .picture import render, says

TRY = (
    "ReLU with Xavier weights, then with He. Sigmoid at depth 10. "
    "Tanh at the edge of chaos, then its weights × 1.3. Batch norm without and with a "
    "skip. A branch × 0. Before each: say what the gradient will do."
)
SLIDERS = "depth", "scale", "width"
CHOICES = "activation", "init", "skip", "norm", "place"


class DepthLab(Lab):
    """Shows how values and gradients fade, explode or hold in a net of 1 to 100 layers.

    The learner first says what a layer multiplies the gradient by, and places it; then
    the gradient appears beside the prediction and what mean-field theory expects.
    ``lab.run`` is the run that is shown, recorded, fit for ``bp.compare_runs``.

    Args:
        **begin: what to begin with, such as ``depth=50, activation="tanh"``: fields of
            ``Controls``, that is depth, width, activation, init, scale, skip, norm,
            place and seed.

    Raises:
        NameLookupError: if there is no such control.
        RangeError: if a control cannot be set so.

    >>> lab = DepthLab(depth=20, init="Xavier")
    >>> lab
    <DepthLab: 20 layers, ReLU, Xavier, no skip, norm none>
    >>> lab.place(1.0)
    >>> "It is <b>× 0.7" in lab.verdict
    True
    """

    def __init__(self, **begin: Any) -> None:
        known = [f.name for f in fields(Controls)]
        for name in begin:
            if name not in known:
                raise NameLookupError(
                    f"DepthLab has no control {name!r}.", help=near(name, known)
                )
        self._begun = Controls(**begin)
        check(self._begun)
        self._placed: float | None = None
        self.set = _controls(self._begun)
        self.guess = ipywidgets.BoundedFloatText(
            1.0, min=0, max=100, step=0.05, description="a layer: ×"
        )
        self.guess.layout.width = "190px"
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=tip)
            for name, tip in (
                ("Place", "Show the gradient beside the prediction"),
                ("Hide again", "Hide the gradient and predict anew"),
                ("New draw", "Draw other weights and inputs"),
                ("Reset", "Begin again"),
            )
        }
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__(
            bar(*(self.set[name] for name in SLIDERS)),
            bar(*(self.set[name] for name in CHOICES)),
            bar(self.guess, *self.buttons.values()),
            self._text,
            self._picture,
            hint(TRY),
        )
        self._update()
        for control in self.set.values():
            control.observe(self._update, "value")
        self.guess.observe(self._retype, "value")
        self.buttons["Place"].on_click(lambda _: self.place(self.guess.value))
        self.buttons["Hide again"].on_click(lambda _: self.hide())
        self.buttons["New draw"].on_click(lambda _: self.draw())
        self.buttons["Reset"].on_click(lambda _: self.reset())

    @property
    def controls(self) -> Controls:
        """What is set now."""
        return Controls(**{name: control.value for name, control in self.set.items()})

    @property
    def run(self) -> Trace:
        """The run that is shown, recorded; layer k is the scope ``layerk``."""
        return recorded(self.shown.controls)

    @property
    def verdict(self) -> str:
        """How far off the prediction is, in plain sentences."""
        return says(self.shown, self._placed)

    def place(self, factor: float) -> None:
        """Predict what a layer multiplies the gradient by; then the gradient shows."""
        self._placed = float(factor)
        self.guess.value = self._placed
        self._draw()

    def hide(self) -> None:
        """Take the prediction back and hide the gradient."""
        self._placed = None
        self._draw()

    def draw(self) -> None:
        """Draw other weights and inputs."""
        self.set["seed"].value += 1

    def reset(self) -> None:
        """Begin again as the lab began, without a prediction."""
        self._placed = None
        with self.quietly():
            self.guess.value = 1.0
            for name, control in self.set.items():
                control.value = getattr(self._begun, name)
        self._update()

    def picture(self) -> str:
        """Draw the lab as SVG."""
        return render(self.shown, self._placed, alone=True)

    def __str__(self) -> str:
        c = self.shown.controls
        norm = c.norm if c.norm == "none" else f"{c.norm} {c.place}"
        return f"{c.depth} layers, {c.activation}, {c.init}, {c.skip}, norm {norm}"

    def _retype(self, change: Any) -> None:
        if self._placed is not None and change["new"] != self._placed:
            self.place(change["new"])

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.computing():
            with self.reported():
                self.set["place"].disabled = self.set["norm"].value == "none"
                self.shown = measure(self.controls)
            self._draw()

    def _draw(self) -> None:
        with self.reported():
            self._text.value = status(self.verdict)
            self._picture.value = render(self.shown, self._placed)


def _controls(begun: Controls) -> dict[str, Any]:
    """One control for each field of ``Controls``."""
    wide = {"style": {"description_width": LABEL}}
    controls: dict[str, Any] = {
        "depth": ipywidgets.IntSlider(
            begun.depth, 1, 100, description="depth", **wide
        ),
        "width": ipywidgets.SelectionSlider(
            options=WIDTHS, value=begun.width, description="width", **wide
        ),
        "scale": slider("weights ×", begun.scale, 0.5, 2),
        "seed": ipywidgets.IntText(begun.seed),
    }  # fmt: skip
    for name, words, pixels, choices in (
        ("activation", "activation", 210, ACTIVATIONS),
        ("init", "weights", 215, INITS),
        ("skip", "skip", 220, SKIPS),
        ("norm", "norm", 175, NORMS),
        ("place", "norm stands", 165, PLACES),
    ):
        controls[name] = ipywidgets.Dropdown(
            options=tuple(choices),
            value=getattr(begun, name),
            description=words,
            layout={"width": f"{pixels}px"},
        )
    return controls
