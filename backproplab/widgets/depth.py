"""DepthLab: what a deep net does with values and gradients before it has learnt."""

from dataclasses import fields
from typing import Any

import ipywidgets

from ..errors import NameLookupError, near
from ..trace import Trace
from .depth_net import ACTIVATIONS, INITS, NORMS, PLACES, SKIPS, Controls, measure
from .depth_picture import render, said
from .lab import Lab, sentence

TRY = (
    "What to try: ReLU with `Xavier`, then with `He`. Sigmoid at depth 10. "
    "Tanh at the `edge of chaos`, then its weights × 1.3. "
    "`batch` norm with and without a skip. A `branch × 0`."
)
_WIDTHS = (8, 16, 32, 64, 128)


class DepthLab(Lab):
    """Shows how values and gradients fade, explode or hold in a net of 1 to 100 layers.

    The learner first says what a layer multiplies the gradient by, and places it; then
    the gradient appears beside the prediction and what mean-field theory expects.
    ``lab.run`` is the recorded run that is shown, fit for ``bp.compare_runs``.

    Args:
        **controls: what to begin with, such as ``depth=50, activation="tanh"``; the
            names are those of the controls.

    Raises:
        NameLookupError: if there is no such control.

    >>> lab = DepthLab(depth=20, init="Xavier")
    >>> lab
    <DepthLab: 20 layers, ReLU, Xavier, no skip, norm none>
    >>> lab.place(1.0)
    >>> lab.verdict[:34]
    'You said × 1 a layer; it is × 0.70'
    """

    def __init__(self, **controls: Any) -> None:
        known = [f.name for f in fields(Controls)]
        for name in controls:
            if name not in known:
                raise NameLookupError(
                    f"DepthLab has no control {name!r}.", help=near(name, known)
                )
        self._start = Controls(**controls)
        self.controls = _widgets(self._start)
        self.guess = ipywidgets.BoundedFloatText(
            1.0, min=0, max=100, step=0.05, description="× a layer"
        )
        self.guess.layout.width = "170px"
        place = ipywidgets.Button(description="Place", icon="flag")
        again = ipywidgets.Button(description="Hide again", icon="eye-slash")
        draw = ipywidgets.Button(description="New draw", icon="random")
        reset = ipywidgets.Button(description="Reset", icon="undo")
        self.buttons = {b.description: b for b in (place, again, draw, reset)}
        self._placed: float | None = None
        self._said, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        shown = [w for name, w in self.controls.items() if name != "seed"]
        bars = [
            ipywidgets.Box(shown),
            ipywidgets.Box([self.guess, *self.buttons.values()]),
        ]
        for bar in bars:
            bar.add_class("bpl-controls")
        words = ipywidgets.HTML(sentence(TRY))
        super().__init__(*bars, self._said, self._picture, words)
        self.shown = measure(self._start)
        for widget in self.controls.values():
            widget.observe(self._update, "value")
        self.guess.observe(self._retyped, "value")
        place.on_click(lambda _: self.place(self.guess.value))
        again.on_click(lambda _: self.hide())
        draw.on_click(lambda _: self._redraw())
        reset.on_click(lambda _: self.reset())
        self._draw()

    @property
    def run(self) -> Trace:
        """The recorded run that is shown; layer k is the scope ``layerk``."""
        return self.shown.run

    @property
    def verdict(self) -> str:
        """How far off the prediction is, in plain words."""
        return said(self.shown, self._placed)

    def place(self, factor: float) -> None:
        """Predict what a layer multiplies the gradient by; then the gradient shows."""
        self._placed = float(factor)
        if self.guess.value != self._placed:
            self.guess.value = self._placed
        self._draw()

    def hide(self) -> None:
        """Take the prediction back and hide the gradient."""
        self._placed = None
        self._draw()

    def reset(self) -> None:
        """Begin again as the lab began."""
        self._placed = None
        with self.hold_trait_notifications():
            self._set(self._start)
        self.guess.value = 1.0
        self._update()

    def picture(self) -> str:
        """Draw the lab as SVG."""
        return render(self.shown, self._placed, alone=True)

    def __str__(self) -> str:
        c = self.shown.controls
        norm = c.norm if c.norm == "none" else f"{c.norm} {c.place}"
        return f"{c.depth} layers, {c.activation}, {c.init}, {c.skip}, norm {norm}"

    def _set(self, controls: Controls) -> None:
        self._waiting = True
        for name, widget in self.controls.items():
            widget.value = getattr(controls, name)
        self._waiting = False

    def _redraw(self) -> None:
        self.controls["seed"].value += 1

    def _retyped(self, change: Any) -> None:
        if self._placed is not None:
            self.place(change["new"])

    def _update(self, _: Any = None) -> None:
        if self._waiting:
            return
        with self.reported():
            self.shown = measure(
                Controls(**{name: w.value for name, w in self.controls.items()})
            )
        self._draw()

    def _draw(self) -> None:
        with self.reported():
            self._picture.value = render(self.shown, self._placed)
            self._said.value = sentence(self.verdict)

    _waiting = False


def _widgets(start: Controls) -> dict[str, Any]:
    """One control for each field of ``Controls``, in reading order."""
    choice = {
        "activation": list(ACTIVATIONS),
        "init": list(INITS),
        "skip": list(SKIPS),
        "norm": list(NORMS),
        "place": list(PLACES),
    }
    words = {"init": "weights", "place": "norm stands", "scale": "weights ×"}
    made: dict[str, Any] = {
        "depth": ipywidgets.IntSlider(start.depth, min=1, max=100, description="depth"),
        "width": ipywidgets.SelectionSlider(
            options=_WIDTHS, value=start.width, description="width"
        ),
        "scale": ipywidgets.FloatSlider(
            start.scale, min=0.5, max=2, step=0.05, description=words["scale"]
        ),
        "seed": ipywidgets.IntText(start.seed),
    }
    for name, options in choice.items():
        made[name] = ipywidgets.Dropdown(
            options=options,
            value=getattr(start, name),
            description=words.get(name, name),
        )
        made[name].layout.width = "220px"
    return {f.name: made[f.name] for f in fields(Controls)}
