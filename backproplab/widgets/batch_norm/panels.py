"""The three pictures of BatchNormLab as SVG: one batch, running statistics, depth."""

from typing import Any

import numpy as np

from ..numerals import number
from ..panels import Panel, around, sheet
from .depth import DEPTH, RATE, exponent, growth, per_layer
from .paths import (
    FEATURES,
    Batch,
    Controls,
    Paths,
    default,
    members,
    notes,
)
from .running import BATCHES, Running, words

SHOWS = ("one batch", "running statistics", "depth")
STEMS = 32  # that many of the entries which share a mean and a variance are shown
LEAST = 1e-12  # what is smaller stands at the bottom


def one_batch(batch: Batch, controls: Controls, *, alone: bool = False) -> str:
    """Draw the values before and after, and the gradient along its three paths."""
    where, which = members(controls)
    rows = [[_strip("in: x", batch.x, where, 8.0)]]
    if batch.y is not None and batch.paths is not None:
        rows[0].append(_strip("out: y", batch.y, where, 4.0))
        rows.append(_stems(batch.paths, where))
    label = f"{controls.norm} norm: values before and after, and gradients of {which}"
    return sheet(rows, label, alone=alone)


def running_statistics(
    running: Running | None, controls: Controls, *, alone: bool = False
) -> str:
    """Draw running mean and variance by batch, each convention with its own line."""
    if running is None:
        panel = Panel("running mean", (0, BATCHES), (-1, 1))
        return sheet([[panel]], "no batch of one can be trained on", alone=alone)
    steps = np.arange(BATCHES + 1)
    panels = []
    for title, lines, dots, true in (
        ("running mean", running.mean, running.batch_mean, running.true_mean),
        (
            "running variance",
            running.variance,
            running.batch_variance,
            running.true_variance,
        ),
    ):
        y = around(*lines.values(), [true, 2 * true - min(lines["flax"])], least=0.2)
        panel = Panel(title, (0, BATCHES), y, size=(420.0, 240.0), labels=("batch", ""))
        panel.dots(steps[1:], dots, "soft")
        panel.level(true, "ink", "true")
        for name, kind in (
            ("pytorch", "forth"),
            ("flax", "orange"),
            ("keras", "purple"),
        ):
            panel.line(steps, lines[name], kind, name)
        panels.append(panel)
    label = "running mean and variance over 300 batches, by convention"
    return sheet([panels], label, alone=alone)


def depth(controls: Controls, *, alone: bool = False) -> str:
    """Draw how gradients grow towards the input, without and with skips."""
    if controls.norm == "batch" and controls.size < 2:
        panel = Panel("growth", (0, DEPTH), (1, 1e9), log=(False, True))
        return sheet([[panel]], "no batch of one can be trained on", alone=alone)
    plain = np.maximum(growth(controls.norm, controls.size), LEAST)
    skip = np.maximum(growth(controls.norm, controls.size, skip=True), LEAST)
    k = np.arange(DEPTH + 1)
    high = 10.0 ** np.ceil(np.log10(max(plain.max(), skip.max(), 1e7)))
    low = 10.0 ** np.floor(np.log10(min(plain.min(), skip.min(), 0.1)))
    y = (float(low), float(high))
    left = Panel(
        "E(grad²) against its value at the top", (0, DEPTH), y, size=(420.0, 240.0),
        log=(False, True), labels=("layers below the top", ""),
    )  # fmt: skip
    top = (0.5, float(10.0 ** np.ceil(np.log10(max(skip.max(), 1e3)))))
    right = Panel(
        "with skips, on two log scales", (RATE, DEPTH + RATE), top,
        size=(420.0, 240.0), log=(True, True), labels=("blocks from the input", ""),
    )  # fmt: skip
    left.line(k, plain, "back", "plain")
    left.line(k, skip, "purple", "with skips")
    blocks = RATE + k[::-1]
    right.line(blocks, skip, "purple", "with skips")
    if controls.norm == "batch":
        left.line(k, RATE**k, "soft", "1.467^k")
        right.line(blocks, (blocks[0] / blocks) ** RATE, "soft", "(L/l)^1.467")
    label = f"growth of gradients through {DEPTH} layers with {controls.norm} norm"
    return sheet([[left, right]], label, alone=alone)


def says(shown: str, controls: Controls, batch: Batch) -> str:
    """Tell in words what the picture shows."""
    if batch.error and (shown != SHOWS[0] or controls.mode == "train"):
        return "A batch of one went in, and the layer refused it."
    if shown == SHOWS[1]:
        return words(controls.convention, default(controls)) + (
            " Dots: each batch's own statistics. The biased variance of Flax and Keras "
            "ends "
            f"{number(100 / controls.size, 2)} % too low with {controls.size} examples."
        )
    if shown == SHOWS[2]:
        return _growth_says(controls)
    return " ".join([_batch_says(controls, batch), *notes(controls, batch)])


def _batch_says(controls: Controls, batch: Batch) -> str:
    _, which = members(controls)
    if batch.paths is None or batch.y is None:
        return ""
    where, _ = members(controls)
    total = batch.paths.total[where]
    size = number(float(np.sqrt(np.mean(np.square(total)))))
    if controls.norm == "batch" and controls.mode == "eval":
        return (
            "In eval the running statistics are constants: only the direct path is "
            f"there. Feature 0: mean of y {number(np.mean(batch.y[:, 0]))}, standard "
            f"deviation {number(np.std(batch.y[:, 0]))}."
        )
    shared = "one mean square" if controls.norm == "RMS" else "one mean and variance"
    zero = (
        f" It sums to {number(np.sum(total), 2)}."
        if controls.norm != "RMS" and np.isfinite(total).all()
        else ""
    )
    return (
        f"Orange: {which}, which share {shared}. "
        f"Root mean square of their dL/dx: {size}.{zero}"
    )


def _growth_says(controls: Controls) -> str:
    n, norm = controls.size, controls.norm
    plain, skip = growth(norm, n), growth(norm, n, skip=True)
    if norm == "batch" and n == 2:
        return (
            "With two examples x̂ is −1 and +1 whatever x is: without skips no gradient "
            f"gets through. Below {LEAST:g} the line stays at the bottom."
        )
    rate, power = number(per_layer(plain)), number(exponent(skip))
    known = (
        " Known for large batches and wide layers: π/(π − 1) = 1.467 (Yang et al. "
        "2019; ReLU, Gaussian weights, at initialisation)."
        if norm == "batch"
        else ""
    )
    return (
        f"{DEPTH} layers of 64, batch of {n}. Plain: times {rate} each layer. "
        f"With skips: a power of depth, about L^{power}.{known}"
    )


def _strip(title: str, values: np.ndarray, where: Any, least: float) -> Panel:
    finite = values[np.isfinite(values)]
    m = max(least, 1.05 * float(np.max(np.abs(finite), initial=0.0)))
    panel = Panel(
        title, (-m, m), (FEATURES - 0.4, -0.6), size=(420.0, 150.0),
        labels=("", "a row for each feature"),
    )  # fmt: skip
    rows = np.broadcast_to(np.arange(FEATURES), values.shape)
    shared = np.zeros(values.shape, bool)
    shared[where] = True
    panel.dots(values[~shared], rows[~shared], "forth")
    panel.dots(values[shared], rows[shared], "orange")
    return panel


def _stems(paths: Paths, where: Any) -> list[Panel]:
    parts = {
        "direct": paths.direct,
        "through the mean": paths.mean,
        "through the variance": paths.variance,
        "sum = dL/dx": paths.total,
    }
    shown = {name: part[where][:STEMS] for name, part in parts.items()}
    finite = np.concatenate([p[np.isfinite(p)] for p in shown.values()])
    m = 1.08 * float(np.max(np.abs(finite), initial=0.0)) or 1.0
    panels = []
    for name, part in shown.items():
        panel = Panel(name, (-0.7, len(part) - 0.3), (-m, m), size=(182.0, 130.0))
        panel.level(0.0)
        panel.stems(np.arange(len(part)), part, "back")
        panels.append(panel)
    return panels
