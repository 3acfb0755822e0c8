"""DescentLab: walk down a surface, and see at which learning rate the walk breaks."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ipywidgets
import numpy as np

from .. import optim
from ..errors import RangeError, near
from ..tensor import Tensor
from .descent_surface import Surface, contours, surfaces
from .keys import Keys
from .lab import Lab
from .numerals import number
from .panels import Panel, css, sheet

METHODS = ("SGD", "momentum", "RMSprop", "Adam")
RATES = np.geomspace(1e-4, 10.0, 97)  # those whose end is shown beside one's own
GONE = 1e3  # times the loss at the start: from here on the walk counts as diverged
TRY = (
    "What to try: on the valley, raise the learning rate to 0.19, then to 0.21. Choose "
    "momentum: the limit moves by the factor 1 + μ. On Rosenbrock, compare SGD at its "
    "limit with Adam. Start the saddle at v = 0: who gets away?"
)


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        surface: name of a surface.
        method: one of ``METHODS``.
        lr: learning rate.
        memory: mu of momentum, alpha of RMSprop, beta_1 of Adam.
        steps: how many.
        start: (u, v); the surface's own when None.
    """

    surface: str = "valley"
    method: str = "SGD"
    lr: float = 0.15
    memory: float = 0.9
    steps: int = 60
    start: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Descent:
    """A walk, and where walks with other learning rates end.

    Attributes:
        surface: what it walks on.
        path: (steps + 1, 2) places.
        losses: (steps + 1,) heights.
        ends: (97,) heights after the last step, for each of ``RATES``.
        curvature: lambda_max, the largest curvature at the minimum.
        limit: the critical learning rate there; None where there is no plain one.
        left: the step at which it diverged, or None.
    """

    surface: Surface
    path: np.ndarray
    losses: np.ndarray
    ends: np.ndarray
    curvature: float
    limit: float | None
    left: int | None


def compute(controls: Controls) -> Descent:
    """Walk with the learner's rate and with all of ``RATES`` at once.

    The engine gives the gradients and ``bp.optim`` the steps. Near a minimum with the
    curvatures lambda, gradient descent multiplies each coordinate by 1 - lr lambda a
    step: it converges for lr < 2/lambda_max. With momentum mu the limit is
    2 (1 + mu)/lambda_max (Polyak 1964, in PyTorch's form). Both are exact on the
    valley, elsewhere they hold close to the minimum.

    Raises:
        RangeError: if surface or method is unknown.
    """
    for what, value, known in (
        ("surface", controls.surface, surfaces()),
        ("method", controls.method, METHODS),
    ):
        if value not in known:
            raise RangeError(
                f"DescentLab: {what} is {value!r}; "
                f"one of {', '.join(known)} is required.",
                help=near(value, known),
            )
    surface = surfaces()[controls.surface]
    rates = np.append(RATES, controls.lr)
    p = Tensor(
        np.tile(controls.start or surface.start, (len(rates), 1)), requires_grad=True
    )
    optimizer = _optimizer(controls.method, p, controls.memory)
    optimizer.param_groups[0]["lr"] = rates[:, None]  # a rate for each row
    places, heights = [p.data[-1].copy()], []
    with np.errstate(all="ignore"):  # a walk may leave for infinity
        for _ in range(controls.steps):
            p.grad = None
            loss = surface.f(p[:, 0], p[:, 1])
            loss.sum().backward()
            optimizer.step()
            heights.append(loss.data[-1])
            places.append(p.data[-1].copy())
        last = surface.f(*p.data.T)
    losses = np.append(heights, last[-1])
    gone = ~(losses <= GONE * max(losses[0], 1.0))
    curvature = float(_curvatures(controls.surface)[-1])
    factor = {"SGD": 2.0, "momentum": 2.0 * (1.0 + controls.memory)}
    return Descent(
        surface,
        np.array(places),
        losses,
        last[:-1],
        curvature,
        factor[controls.method] / curvature if controls.method in factor else None,
        int(np.argmax(gone)) if gone.any() else None,
    )


def render(descent: Descent, controls: Controls, *, alone: bool = False) -> str:
    """Draw the path on the surface, the loss by step, and the end by learning rate."""
    return sheet(
        [[_map(descent), _history(descent), _sweep(descent, controls)]],
        says(descent, controls),
        alone=alone,
    )


def says(descent: Descent, controls: Controls) -> str:
    """Tell in words what the picture shows."""
    rate, top = number(controls.lr), number(descent.curvature)
    if descent.limit is None:
        limit = (
            f"{controls.method} divides by the size of the gradients, so 2/λ is not "
            "its limit."
        )
    else:
        rule = "2/λ" if controls.method == "SGD" else "2(1 + μ)/λ"
        share = number(controls.lr / descent.limit)
        limit = (
            f"The largest curvature at the minimum is λ = {top}: the critical "
            f"learning rate is {rule} = {number(descent.limit)}. "
            f"Yours is {share} times that."
        )
    begun, ended = number(descent.losses[0]), number(descent.losses[-1])
    if descent.left is not None:
        went = f"The walk diverges: gone at step {descent.left}."
    elif descent.losses[-1] > descent.losses[0]:
        went = f"The loss grows, from {begun} to {ended}."
    else:
        went = f"The loss goes from {begun} to {ended} in {controls.steps} steps."
    return f"{controls.method} with learning rate {rate}. {limit} {went}"


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
        self.method = ipywidgets.ToggleButtons(
            options=METHODS, style={"button_width": "auto"}
        )
        self.lr = ipywidgets.FloatLogSlider(
            0.15, min=-4, max=1, step=0.01, description="learning rate",
            readout_format=".3g", style={"description_width": "92px"},
        )  # fmt: skip
        self.memory = _slider(0.9, 0.0, 0.99, 0.01, "memory")
        self.steps = ipywidgets.IntSlider(
            60, 5, 300, description="steps", style={"description_width": "92px"}
        )
        self.u = _slider(0.0, -4.0, 4.0, 0.02, "start u")
        self.v = _slider(0.0, -3.0, 3.0, 0.02, "start v")
        self.reset = ipywidgets.Button(description="Reset", tooltip="Begin again")
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        bar = ipywidgets.Box([self.surface, self.method, self.reset])
        sliders = ipywidgets.Box([self.lr, self.memory, self.steps, self.u, self.v])
        for box in (bar, sliders):
            box.add_class("bpl-controls")
        style = ipywidgets.HTML(f"<style>{css()}</style>", layout={"display": "none"})
        hint = ipywidgets.HTML(f'<div class="bpl-graph bpl-try">{TRY}</div>')
        super().__init__(style, Keys(), bar, sliders, self._text, self._picture, hint)
        self._quiet = False
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
        self._quiet = True
        begun = self._begun
        self.surface.value, self.method.value = begun.surface, begun.method
        self.lr.value, self.memory.value = begun.lr, begun.memory
        self.steps.value = begun.steps
        self._quiet = False
        self._moved()

    def _moved(self, _: Any = None) -> None:
        """Put the window and the start where the surface wants them."""
        if self._quiet:
            return
        self._quiet = True
        surface = surfaces()[self.surface.value]
        for slider, ends, at in zip(
            (self.u, self.v), (surface.x, surface.y), surface.start, strict=True
        ):
            slider.min, slider.max = -1e9, 1e9
            slider.value = at
            slider.min, slider.max = ends
        self._quiet = False
        self._update()

    def _update(self, _: Any = None) -> None:
        if self._quiet:
            return
        with self.reported():
            controls = self.controls
            self.memory.disabled = controls.method == "SGD"
            self.descent = compute(controls)
            text = says(self.descent, controls)
            self._text.value = (
                f'<div class="bpl-graph bpl-says-so" role="status">{text}</div>'
            )
            self._picture.value = render(self.descent, controls)


def _slider(value: float, low: float, high: float, step: float, name: str) -> Any:
    return ipywidgets.FloatSlider(
        value, min=low, max=high, step=step, description=name, readout_format=".2f",
        style={"description_width": "92px"},
    )  # fmt: skip


@lru_cache(maxsize=8)
def _curvatures(name: str) -> np.ndarray:
    return surfaces()[name].curvatures()


def _optimizer(method: str, p: Tensor, memory: float) -> Any:
    if method == "RMSprop":
        return optim.RMSprop([p], alpha=memory)
    if method == "Adam":
        return optim.Adam([p], betas=(memory, 0.999))
    return optim.SGD([p], momentum=memory if method == "momentum" else 0.0)


def _map(descent: Descent) -> Panel:
    surface = descent.surface
    shown = None if descent.left is None else descent.left + 2
    u, v = descent.path[:shown].T  # where it has gone there is nothing to see
    panel = Panel(surface.name, surface.x, surface.y, size=(330.0, 260.0))
    panel.curves(contours(surface.name), "soft")
    panel.line(u, v, "forth", "the walk", marks=True)
    panel.dots([surface.minimum[0]], [surface.minimum[1]], "ink", "")
    panel.words(*surface.minimum, "minimum")
    panel.words(float(u[0]), float(v[0]), "start")
    return panel


def _history(descent: Descent) -> Panel:
    losses = descent.losses
    top = _decade(losses[:1], 1.0)
    panel = Panel(
        "loss, step by step", (0, len(losses) - 1), (1e-6, max(100.0, top * 10)),
        size=(210.0, 260.0), log=(False, True), labels=("step", ""),
    )  # fmt: skip
    panel.line(np.arange(len(losses)), np.maximum(losses, 1e-9), "forth")
    if descent.surface.lowest > 0:
        panel.level(descent.surface.lowest, "soft", "loss at the minimum")
    if descent.left is not None:
        panel.upright(descent.left, "diverged", "back")
    return panel


def _sweep(descent: Descent, controls: Controls) -> Panel:
    top = max(100.0, _decade(descent.losses[:1], 1.0) * 10)
    panel = Panel(
        f"loss after {controls.steps} steps", (RATES[0], RATES[-1]), (1e-6, top),
        size=(270.0, 260.0), log=(True, True), labels=("learning rate", ""),
    )  # fmt: skip
    ends = np.where(np.isfinite(descent.ends), descent.ends, 1e30)
    panel.line(RATES, np.clip(ends, 1e-9, 1e30), "forth")
    plain = 2.0 / descent.curvature
    if controls.method == "momentum":
        panel.upright(plain, "2/λ", "soft", 1)
        panel.upright(float(descent.limit or plain), "2(1+μ)/λ", "back", 2)
    elif controls.method == "SGD":
        panel.upright(plain, f"2/λ = {number(plain)}", "back", 1)
    else:
        panel.upright(plain, "2/λ, SGD's limit", "soft", 1)
    panel.upright(controls.lr, "yours", "green")
    return panel


def _decade(numbers: Any, least: float) -> float:
    return float(10 ** np.ceil(np.log10(max(float(np.max(numbers)), least))))
