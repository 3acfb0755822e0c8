"""The picture of DepthLab: sizes, gains, flat shares, paths and histograms by layer."""

from math import floor, isfinite, log10

import numpy as np

from ..numerals import number
from ..panels import Panel, sheet
from .controls import ACTIVATIONS
from .net import Depth

WAITS = "waits for your prediction"
_WIDE, _HALF = 470.0, 122.0  # widths of plots
_FEW = 40  # layers up to which each has a dot


def render(d: Depth, guess: float | None, *, alone: bool = False) -> str:
    """Draw a run; what the learner is to predict stays hidden without a guess.

    Args:
        d: the run, measured.
        guess: what a layer multiplies the gradient by on its way back, as the learner
            said; None if nothing was said yet.
        alone: carry the style, for a page without the widget.
    """
    n = len(d.values)
    rows = [
        [_sizes(d, guess), _paths(d, guess)],
        [_gains(d, guess), *_spreads(d, 1, guess)],
        [_flat(d), *_spreads(d, n, guess)],
    ]
    label = f"{n} layers: sizes of values and gradients, gains, flat shares, paths"
    return sheet(rows, label, alone=alone)


def says(d: Depth, guess: float | None) -> str:
    """Compare a prediction with what came out, in plain sentences, as HTML.

    >>> from .controls import Controls
    >>> from .net import measure
    >>> says(measure(Controls(depth=1)), 0.5)
    'One layer alone hands no gradient on to another. Take a greater depth.'
    """
    steps = len(d.grads) - 1
    if not steps:
        return "One layer alone hands no gradient on to another. Take a greater depth."
    if guess is None:
        return (
            "<b>Your turn.</b> By what does one layer multiply the gradient on its way "
            "back? 1 keeps its size, 0.5 halves it. Type a number and press "
            "<b>Place</b>."
        )
    head = f"You said <b>× {number(guess)}</b> a layer. "
    if not isfinite(d.factor) or d.factor == 0:
        return head + "No finite gradient comes back to layer 1."
    whole = steps * log10(d.factor)
    return (
        f"{head}It is <b>× {number(d.factor)}</b>; theory of very wide nets says "
        f"√χ = {number(d.factor_expected)}. Over {steps} steps back that makes "
        f"× {_power(whole)}. {_off(whole, steps, guess)}"
    )


def _off(whole: float, steps: int, guess: float) -> str:
    if guess == 0:
        return "A factor of 0 would leave nothing."
    off = abs(whole - steps * log10(guess))
    if off <= log10(2):
        return "Your prediction holds, within a factor of 2."
    return f"Your prediction is off by a factor of {_power(off)}."


def _power(decades: float) -> str:
    """Write 10 to a power, however large."""
    if abs(decades) < 4:
        return number(10**decades, 2)
    return f"10<sup>{decades:.0f}</sup>".replace("-", "−")


def _layers(d: Depth) -> np.ndarray:
    return np.arange(1, len(d.values) + 1)


def _ends(d: Depth) -> tuple[float, float]:
    n = len(d.values)
    return (1.0, float(n)) if n > 1 else (0.5, 1.5)


def _sizes(d: Depth, guess: float | None) -> Panel:
    x, few = _layers(d), len(d.values) <= _FEW
    lines = [d.values, d.values_expected]
    if guess is not None:
        lines += [d.grads, d.grads_expected]
    panel = Panel(
        "How large values and gradients are",
        _ends(d),
        _decades(np.concatenate(lines)),
        size=(_WIDE, 190.0),
        log=(False, True),
        labels=("layer", "root mean square"),
    )
    theory = "" if guess is not None else "dots: theory"
    panel.line(x, d.values_expected, "forth expected", theory)
    panel.line(x, d.values, "forth", "values", marks=few)
    if guess is None:
        grows = d.values[-1] > d.values[0]
        place = _corner(panel, 0.85 if grows else 0.1)
        panel.words(*place, f"the gradient {WAITS}")
        return panel
    mine = d.grads[-1] * np.power(float(guess), x[::-1] - 1.0)
    panel.line(x, d.grads_expected, "back expected", "dots: theory")
    panel.line(x, mine, "ink guess", f"you said × {number(guess)}")
    panel.line(x, d.grads, "back", "gradients", marks=few)
    return panel


def _gains(d: Depth, guess: float | None) -> Panel:
    n = len(d.values)
    theory = np.sqrt(d.chi)
    known = [v for v in (*d.gains, *theory) if isfinite(v)]
    high = max(1.5, 1.1 * max(known, default=0.0)) if guess is not None else 2.0
    panel = Panel(
        "Gain of each layer",
        _ends(d),
        (0.0, high),
        size=(_WIDE, 84.0),
        labels=("layer", "gradient that leaves / that came"),
    )
    panel.level(1.0)
    if guess is None:
        panel.words(*_corner(panel, 0.15), WAITS)
        return panel
    x = np.arange(2, n + 1)
    panel.line(x, theory, "back expected", "theory √χ")
    panel.line(_ends(d), (guess, guess), "ink guess")
    panel.line(x, d.gains, "back", "measured", marks=n <= _FEW)
    return panel


def _flat(d: Depth) -> Panel:
    few = len(d.values) <= _FEW
    panel = Panel(
        "Flat slopes, dead units",
        _ends(d),
        (0.0, 1.0),
        size=(_WIDE, 84.0),
        labels=("layer", "share"),
    )
    panel.line(_layers(d), d.flat, "forth", "slope under 5 %", marks=few)
    panel.line(_layers(d), d.dead, "ink guess", "unit dead for all samples", marks=few)
    return panel


def _paths(d: Depth, guess: float | None) -> Panel:
    n = len(d.lengths) - 1
    shown = [d.lengths] if guess is None else [d.lengths, d.carried]
    some = np.flatnonzero(np.max(shown, axis=0) > 1e-4)
    low, high = max(int(some[0]) - 2, -1), int(some[-1]) + 2
    panel = Panel(
        _count(d),
        (low, high),
        (0.0, 1.05 * float(np.max(shown))),
        size=(2 * _HALF + 64, 190.0),
        labels=("branches on the path", ""),
    )
    x = np.arange(n + 1)
    panel.stems(x, d.lengths, "forth", "share of paths")
    if guess is not None:
        carried = np.where(d.carried > 1e-5, d.carried, np.nan)
        panel.line(x, carried, "back", "share of gradient²", marks=True)
    return panel


def _count(d: Depth) -> str:
    n = len(d.lengths) - 1
    if not d.controls.bypass:
        return "One path"
    return f"{2**n:,} paths".replace(",", " ") if n < 20 else f"2^{n} paths"


def _spreads(d: Depth, layer: int, guess: float | None) -> list[Panel]:
    """Histograms: what the nonlinearity of a layer puts out, and its gradients."""
    phi = ACTIVATIONS[d.controls.activation]
    after = _histogram(f"After φ, layer {layer}", phi(d.inner[layer - 1]), "forth")
    if guess is None:
        back = _histogram(f"Gradients, {layer}", None, "back")
        back.words(-3.6, 0.5, "waits for you")
        return [after, back]
    grad = d.outer[layer - 1].grad
    return [after, _histogram(f"Gradients, {layer}", grad, "back")]


def _histogram(title: str, a: np.ndarray | None, kind: str) -> Panel:
    panel = Panel(title, (-4, 4), (0, 1), size=(_HALF, 84), labels=("× its rms", ""))
    if a is None:
        return panel
    size = float(np.sqrt(np.mean(np.square(a))))
    if not isfinite(size):
        panel.words(-3.6, 0.5, "not finite")
        return panel
    share, edges = np.histogram(a / size if size else a, bins=25, range=(-4, 4))
    middles = (edges[1:] + edges[:-1]) / 2
    panel.stems(middles, share / max(share.max(), 1), kind)
    return panel


def _decades(numbers: np.ndarray) -> tuple[float, float]:
    """Powers of ten around all finite numbers above 0."""
    logs = np.log10(numbers[np.isfinite(numbers) & (numbers > 0)])
    if not len(logs):
        return 0.1, 10.0
    low, high = floor(logs.min() + 1e-9), -floor(-logs.max() + 1e-9)
    if high == low:
        low, high = low - 1, high + 1
    return 10.0**low, 10.0**high


def _corner(panel: Panel, height: float) -> tuple[float, float]:
    """A place near the left edge, at a share of the height."""
    (left, right), (low, high) = panel.ranges
    linear = low + height * (high - low)
    y = low * (high / low) ** height if panel.log[1] else linear
    return left + 0.02 * (right - left), y
