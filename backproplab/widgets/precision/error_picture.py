"""The picture of errors by layer: born here, inherited, and gates that flipped."""

import numpy as np

from ... import formats
from ..numerals import number
from ..panels import Panel, sheet
from .bits_words import power_of_two
from .error import Controls, Errors, Side


def render(e: Errors, controls: Controls, *, alone: bool = False) -> str:
    """Draw relative errors by layer, forward and backward, and the flipped share."""
    u = formats.get(controls.fmt).unit_roundoff
    sides = (e.forward, e.backward)
    low, high = _decades(np.concatenate([_all(s) for s in sides] + [[u, np.sqrt(u)]]))
    panels = [
        _panel("Forward: each layer's output", e.forward, u, (low, high)),
        _panel("Backward: gradient of its weights", e.backward, u, (low, high)),
    ]
    if len(e.flipped):
        panels.append(_flips(e))
    label = f"errors of {controls.layers} layers in {controls.fmt} against float64"
    return sheet([panels], label, alone=alone)


def says(e: Errors, controls: Controls) -> str:
    """Compare the first layer's gradient error with 2u and with the root of u."""
    u = formats.get(controls.fmt).unit_roundoff
    error = e.backward.error[0]
    born, inherited = e.backward.born[0], e.backward.inherited[0]
    head = (
        f"In {controls.fmt} u = {power_of_two(round(np.log2(u)))} = {number(u)}, "
        f"2u = {number(2 * u)}, √u = {number(np.sqrt(u))}. The gradient of the first "
        f"layer's weights is off by <b>{number(error)}</b> = {number(error / u)} u: "
        f"born there {number(born / u)} u, inherited {number(inherited / u)} u. "
    )
    flipped = e.flipped.mean() if len(e.flipped) else 0.0
    if controls.gate == "ReLU":
        nearer = (
            "√u than to 2u" if error > np.sqrt(2 * u * np.sqrt(u)) else "2u than to √u"
        )
        gates = (
            f"{number(100 * flipped, 2)} % of all gates stand otherwise than in "
            "float64: there a whole entry is on that should be off, or off. The error "
            f"is nearer to {nearer}. "
            if flipped
            else "No gate stands otherwise than in float64. "
        )
    elif controls.gate == "tanh":
        gates = "A smooth net has no gates to flip: a few u, in every format. "
    else:
        gates = "The gates open where they do in float64: what is left is a few u. "
    lost = f"The loss was scaled by {power_of_two(e.scale)}; "
    lost += (
        f"{e.underflows:,} gradients still became 0"
        if e.underflows
        else "no gradient became 0"
    )
    lost += f", {e.overflows:,} overflowed." if e.overflows else ", none overflowed."
    return head + gates + lost


def _panel(title: str, side: Side, u: float, ends: tuple[float, float]) -> Panel:
    n = len(side.error)
    layers = np.arange(1, n + 1)
    panel = Panel(
        title, (0.8, n + 0.2), ends, size=(265.0, 230.0), log=(False, True),
        labels=("layer", ""),
    )  # fmt: skip
    panel.level(2 * u)
    panel.words(0.8, 2 * u, "2u")
    panel.level(float(np.sqrt(u)))
    panel.words(0.8, float(np.sqrt(u)), "√u")
    panel.line(layers, _positive(side.born), "forth", "born here", marks=True)
    panel.line(layers, _positive(side.inherited), "back", "inherited", marks=True)
    return panel


def _flips(e: Errors) -> Panel:
    layers = np.arange(1, len(e.flipped) + 1)
    share = 100 * e.flipped
    panel = Panel(
        "Flipped gates, %", (0.5, len(share) + 0.5),
        (0.0, max(1.15 * float(share.max()), 0.1)), size=(130.0, 230.0),
        labels=("layer", ""),
    )  # fmt: skip
    panel.stems(layers, share, "orange")
    return panel


def _all(side: Side) -> np.ndarray:
    both = np.concatenate([side.born, side.inherited])
    return both[np.isfinite(both) & (both > 0)]


def _positive(a: np.ndarray) -> np.ndarray:
    """Zeros have no place on a log scale."""
    return np.where(a > 0, a, np.nan)


def _decades(a: np.ndarray) -> tuple[float, float]:
    return (
        float(10 ** np.floor(np.log10(a.min()))),
        float(10 ** np.ceil(np.log10(a.max()) + 1e-9)),
    )
