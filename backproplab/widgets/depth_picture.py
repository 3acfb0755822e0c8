"""The picture of DepthLab: sizes, gains, flat shares, paths and histograms by layer."""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from .depth_net import ACTIVATIONS, Depth
from .drawing import STATIC, opening
from .numerals import number
from .panel import Panel, decades, histogram, text

WIDTH, HEIGHT = 940.0, 560.0
WAITS = "waits for your prediction"
_LEFT, _WIDE = 56.0, 520.0  # of the panels by layer
_RIGHT, _NARROW = 660.0, 250.0  # of those beside them


def render(d: Depth, guess: float | None, *, alone: bool = False) -> str:
    """Draw a run; what the learner is to predict stays hidden without a guess.

    Args:
        d: the run, measured.
        guess: what a layer multiplies the gradient by on its way back, as the learner
            said; None if nothing was said yet.
        alone: carry the style, for a page without the widget.
    """
    css = STATIC.joinpath("graph.css").read_text("utf-8") if alone else ""
    label = f"{len(d.values)} layers: sizes of values and gradients on a log scale"
    parts = [
        opening(WIDTH, HEIGHT, "img", label, " bpl-plot"),
        f"<style>{css}</style>" if alone else "",
        '<rect class="bpl-paper" width="100%" height="100%"/>',
        _sizes(d, guess),
        _gains(d, guess),
        _flat(d),
        _paths(d, guess),
        _spreads(d, guess),
        "</svg>",
    ]
    return "".join(parts)


def said(d: Depth, guess: float | None) -> str:
    """Compare a prediction with what came out, in plain sentences.

    >>> from .depth_net import Controls, measure
    >>> said(measure(Controls(depth=1)), 0.5)
    'One layer only: no layer hands its gradient on. Take a greater depth.'
    """
    if guess is None:
        return (
            "Your turn: by what does one layer multiply the gradient on its way back? "
            "Type a number and press `Place`: 1 is neither more nor less, "
            "0.5 is half."
        )
    steps = len(d.grads) - 1
    if not steps:
        return "One layer only: no layer hands its gradient on. Take a greater depth."
    theory = _mean_factor(d)
    if not isfinite(d.factor) or d.factor == 0:
        return f"You said × {number(guess)}. No finite gradient comes back to layer 1."
    off = abs(steps * np.log10(d.factor / guess)) if guess > 0 else float("inf")
    return (
        f"You said × {number(guess)} a layer; it is × {number(d.factor)} "
        f"(theory: × {number(theory)}). Over {steps} steps that makes "
        f"× {number(d.factor**steps, 2)}: {_far(off)}"
    )


def _far(decades_: float) -> str:
    if decades_ <= np.log10(2):
        return "your prediction holds within a factor of 2."
    if not isfinite(decades_):
        return "a factor of 0 leaves nothing."
    factor = number(10**decades_, 2) if decades_ < 300 else f"10^{decades_:.0f}"
    return f"your prediction is off by a factor of {factor}."


def _mean_factor(d: Depth) -> float:
    """Geometric mean of sqrt(chi)."""
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(d.chi)) / 2)) if len(d.chi) else 1.0


def _layers(d: Depth) -> np.ndarray:
    return np.arange(1, len(d.values) + 1)


def _across(n: int) -> tuple[float, float]:
    return (1.0, float(n)) if n > 1 else (0.0, 2.0)


def _sizes(d: Depth, guess: float | None) -> str:
    n = len(d.values)
    x = _layers(d)
    lines: list[tuple[Sequence[float], str, str, str]] = [
        (d.values_expected.tolist(), "forth expected", "values, theory", ""),
        (d.values.tolist(), "forth", "values", "o"),
    ]
    key = [("forth", "values", "o"), ("forth expected", "theory", "")]
    if guess is not None:
        mine = d.grads[-1] * np.power(float(guess), np.arange(n)[::-1])
        lines += [
            (d.grads_expected.tolist(), "back expected", "gradients, theory", ""),
            (mine.tolist(), "guess", f"you said × {number(guess)}", ""),
            (d.grads.tolist(), "back", "gradients", "d"),
        ]
        key += [
            ("back", "gradients", "d"),
            ("back expected", "theory", ""),
            ("guess", f"you said × {number(guess)}", ""),
        ]
    ends = decades(*(line for line, kind, *_ in lines if kind != "guess"))
    panel = Panel(_LEFT, 58, _WIDE, 200, _across(n), ends, log=True)
    parts = [panel.frame("root mean square at the end of each layer")]
    parts += [panel.line(x, line, kind, label, m) for line, kind, label, m in lines]
    if guess is None:
        middle = _LEFT + _WIDE / 2
        parts.append(text(middle, 80, f"the gradient {WAITS}", "middle", "op"))
    return "".join(parts) + _key(key)


def _key(entries: Sequence[tuple[str, str, str]]) -> str:
    parts, left = [], _LEFT
    for kind, label, mark in entries:
        at = Panel(left, 10, 30, 16, (0, 2), (0, 2))
        parts.append(at.line((0, 1, 2), (1, 1, 1), kind, label))
        if mark:
            parts.append(at.line((1,), (1,), kind, label, mark))
        parts.append(text(left + 36, 22, label))
        left += 58 + 6.4 * len(label)
    return "".join(parts)


def _gains(d: Depth, guess: float | None) -> str:
    n = len(d.values)
    title = "gain: gradient that leaves a layer / gradient that came (dots: √χ)"
    x = _layers(d)[1:]
    if guess is None or n < 2:
        panel = Panel(_LEFT, 306, _WIDE, 80, _across(n), (0.0, 2.0))
        words = WAITS if guess is None else "one layer hands nothing on"
        middle = _LEFT + _WIDE / 2
        return panel.frame(title) + text(middle, 350, words, "middle", "op")
    gains = np.where(np.isfinite(d.gains), d.gains, np.nan)
    theory = np.sqrt(d.chi)
    high = max(1.5, 1.1 * float(np.nanmax([*gains, *theory], initial=0.0)))
    panel = Panel(_LEFT, 306, _WIDE, 80, _across(n), (0.0, high))
    return (
        panel.frame(title)
        + panel.level(1.0)
        + panel.line(x, theory.tolist(), "back expected", "√χ")
        + panel.line(x, gains.tolist(), "back", "gain of layer", "d")
        + panel.line(_across(n), (guess, guess), "guess", "you said")
    )


def _flat(d: Depth) -> str:
    panel = Panel(_LEFT, 434, _WIDE, 80, _across(len(d.values)), (0.0, 1.0))
    x = _layers(d)
    return (
        panel.frame(
            "share of flat slopes (line), of units dead for all samples (dots)", "layer"
        )
        + panel.line(x, d.flat.tolist(), "forth", "flat share of layer", "o")
        + panel.line(x, d.dead.tolist(), "guess", "dead share of layer")
    )


def _paths(d: Depth, guess: float | None) -> str:
    n = len(d.lengths) - 1
    seen = guess is not None
    shown = [d.lengths, d.carried] if seen else [d.lengths]
    some = np.flatnonzero(sum(shown) > 1e-4)
    low, high = max(int(some[0]) - 1, 0), min(int(some[-1]) + 1, n)
    most = float(max(s.max() for s in shown))
    ends = (low - 0.5, high + 0.5)
    panel = Panel(_RIGHT, 58, _NARROW, 110, ends, (0.0, most))
    xs = list(range(low, high + 1))
    middle = int(np.argmax(np.cumsum(d.lengths) >= 0.5))
    words = [f"{_count(d)}, median length {middle}"]
    parts = [
        panel.frame("paths by their number of branches"),
        panel.area(xs, d.lengths[low : high + 1].tolist(), "bars"),
    ]
    if seen:
        carried = d.carried[low : high + 1].tolist()
        parts.append(panel.line(xs, carried, "back", "share of the squared gradient"))
        words.append("dashed: their share of the squared gradient")
    parts += [text(_RIGHT, panel.bottom + 30 + 15 * k, w) for k, w in enumerate(words)]
    return "".join(parts)


def _count(d: Depth) -> str:
    n = len(d.lengths) - 1
    if not d.controls.bypass:
        return "1 path"
    return f"{2**n} paths" if n < 14 else f"2^{n} ≈ {number(2.0**n, 2)} paths"


def _spreads(d: Depth, guess: float | None) -> str:
    """Histograms at a few layers: what the nonlinearity puts out, and gradients."""
    n, phi = len(d.values), ACTIVATIONS[d.controls.activation]
    picked = sorted({1, round(1 + (n - 1) / 3), round(1 + 2 * (n - 1) / 3), n})
    left, right, top = _RIGHT + 24, _RIGHT + 156, 262.0
    parts = [
        text(left, top - 22, "after φ", kind="op"),
        text(right, top - 22, "gradients", kind="op"),
    ]
    if guess is None:
        parts.append(text(right, top + 12, "wait for you"))
    for row, layer in enumerate(picked):
        y = top + 66 * row
        parts.append(text(left - 10, y + 34, f"{layer}", "end"))
        parts.append(
            histogram(left, y - 8, 76, 42, np.asarray(phi(d.inner(layer))), "bars")
        )
        if guess is not None:
            grad = d.run[f"z{layer}"].grad
            if grad is not None:
                parts.append(histogram(right, y - 8, 76, 42, grad, "bars grad"))
    return "".join(parts)
