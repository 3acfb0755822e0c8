"""Plots of ReplicaLab: how replicas drift, batch norm's gap, linear scaling."""

import numpy as np

from ..panels import Panel, sheet
from .norm import Gap
from .scaling import STEPS as LARGE_STEPS
from .scaling import WARM, Curves, Order
from .training import STEPS, Drift

LEAST = 1e-17  # what is smaller, 0 too, stands at the bottom
WIDE, TALL = 400.0, 240.0


def training(drift: Drift, *, alone: bool = False) -> str:
    """Draw how far apart the weights are, and the losses, step by step."""
    t = np.arange(len(drift.alone))
    left = Panel(
        "How far apart the weights are", (0, STEPS), (_low(drift), 10.0),
        size=(WIDE, TALL), log=(False, True), labels=("step", "÷ their length"),
    )  # fmt: skip
    single = drift.single.max(axis=1)
    left.line(t, np.maximum(drift.between, LEAST), "back", "from replica to replica")
    left.line(t, np.maximum(single, LEAST), "forth", "from one process")
    top = max(1.0, float(np.nanmax(np.where(drift.losses < 5, drift.losses, 0))))
    right = Panel(
        "Loss on all points", (0, STEPS), (0.0, 1.05 * top),
        size=(WIDE, TALL), labels=("step", ""),
    )  # fmt: skip
    for rank, losses in enumerate(drift.losses.T):
        right.line(t, losses, "forth", "" if rank else "replicas")
    right.line(t, drift.alone, "purple", "one process, whole batch")
    return sheet([[left, right]], "drift of weights, and losses", alone=alone)


def batch_norm(gap: Gap, rows: int, *, alone: bool = False) -> str:
    """Draw how far the averaged gradient is off, by the rows of a replica."""
    ends = (gap.rows[0] / 1.2, gap.rows[-1] * 1.2)
    left = Panel(
        "Gradient off the batch's", ends, (LEAST, 10.0), size=(WIDE, TALL),
        log=(True, True), labels=("rows of a replica", "÷ its length"),
    )  # fmt: skip
    local = gap.off["local"]
    left.line(gap.rows, local, "back", "local statistics", marks=True)
    synchronised = gap.off["synchronised"]
    left.line(gap.rows, synchronised, "green", "synchronised", marks=True)
    left.line(
        gap.rows[:: len(gap.rows) - 1], gap.off["no batch norm"], "soft", "no norm"
    )
    right = Panel(
        "The same, in percent", ends, (0.0, 115 * float(local.max())),
        size=(WIDE, TALL), log=(True, False), labels=("rows of a replica", ""),
    )  # fmt: skip
    right.line(gap.rows, 100 * local, "back", "local statistics", marks=True)
    right.line(gap.rows, 100 * synchronised, "green", "synchronised", marks=True)
    for panel in (left, right):
        panel.upright(rows, "yours", "ink")
    return sheet([[left, right]], "gap of batch norm on local rows", alone=alone)


def linear_scaling(
    order: Order, curves: Curves, lr: float, warmup: bool, *, alone: bool = False
) -> str:
    """Draw the gap of one large step by the rate, and three trainings."""
    left = Panel(
        "k small steps, and one large step", (1e-4, 2.0), (1e-9, 100.0),
        size=(WIDE, TALL), log=(True, True), labels=("learning rate η", "distance"),
    )  # fmt: skip
    guide = order.apart[0] * (order.rates / order.rates[0]) ** 2
    left.line(order.rates, order.moved, "forth", "the step")
    left.line(order.rates, guide, "soft", "slope 2")
    left.line(order.rates, order.apart, "back", "their gap", marks=True)
    left.upright(lr, "yours", "ink")
    right = Panel(
        "Loss, after as many digits seen", (0, LARGE_STEPS), (0.0, 3.0),
        size=(WIDE, TALL), labels=("large steps", ""),
    )  # fmt: skip
    t = np.arange(len(curves.small))
    right.line(t, curves.small, "forth", "small, η")
    right.line(t, curves.large, "back", "large, kη")
    if warmup:
        right.line(t, curves.warm, "green", "large, warmed up")
        right.upright(WARM, "kη reached", "soft")
    label = "gap of small and large steps, and losses with and without warm-up"
    return sheet([[left, right]], label, alone=alone)


def _low(drift: Drift) -> float:
    """Leave room for exact agreement only where there is some."""
    reached = np.minimum(drift.between, drift.single.max(axis=1))[1:]
    least = float(np.nanmin(reached, initial=1.0))
    return LEAST / 3 if least < 1e-6 else float(10 ** np.floor(np.log10(least)))
