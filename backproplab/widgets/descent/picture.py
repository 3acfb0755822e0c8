"""The picture of DescentLab: the path, the loss, and the end by learning rate."""

from typing import Any

import numpy as np

from ..numerals import number
from ..panels import Panel, sheet
from .surface import contours
from .walk import RATES, Controls, Descent


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
    method = controls.method[:1].upper() + controls.method[1:]
    return f"{method} with learning rate {rate}. {limit} {went}"


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
