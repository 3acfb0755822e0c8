"""What ReplicaLab says beside its pictures, as HTML."""

import numpy as np

from ...parallel import ring
from ..numerals import number
from .controls import FAULTS, Controls
from .norm import Gap
from .ring import current, stages
from .scaling import STEPS as LARGE_STEPS
from .scaling import Curves, Order
from .step import Step
from .training import STEPS, Drift

EXACT = 1e-12  # what is closer has agreed up to rounding


def one_step(step: Step, stage: int) -> str:
    """Tell what happens at a stage of a step."""
    names, n = stages(step), len(step.losses)
    head = f"<b>{stage + 1} of {len(names)}: {names[stage]}.</b> "
    broken = _broken(step.controls)
    if stage == 0:
        rows = sum(step.controls.sizes)
        return f"{head}A batch of {rows} rows is dealt to {n} replicas. {broken}"
    if stage == 1:
        return (
            f"{head}Each replica runs its own rows through its own copy of the model, "
            f"and takes their mean loss. {broken}"
        )
    if stage == 2:
        return f"{head}{_cut(step)} {broken}"
    if stage == len(names) - 1:
        return f"{head}{_updated(step)}"
    return f"{head}{_passed(step, stage)}"


def training(drift: Drift, controls: Controls) -> str:
    """Tell how far replicas have drifted."""
    taken = len(drift.alone) - 1
    between, single = float(drift.between[-1]), float(drift.single[-1].max())
    floor = " A line at the bottom stands for 0." if between < EXACT else ""
    return (
        f"{_broken(controls)} After {taken} of {STEPS} steps: weights differ by "
        f"<b>{_gap(between)}</b> from replica to replica, and by <b>{_gap(single)}</b> "
        f"from those of one process. {_drifts(controls.fault)}{floor}"
    )


def batch_norm(gap: Gap, controls: Controls) -> str:
    """Tell what local statistics do to the gradient."""
    at = gap.rows.index(controls.rows)
    local, synchronised = (
        float(gap.off[kind][at]) for kind in ("local", "synchronised")
    )
    return (
        f"{controls.replicas} replicas with {controls.rows} digits each. If batch norm "
        f"takes mean and variance of its own rows, the mean of the gradients is "
        f"<b>{number(100 * local, 2)} %</b> off the gradient of the batch. With "
        f"synchronised statistics it is off by <b>{number(synchronised, 2)}</b>: "
        "rounding."
    )


def linear_scaling(order: Order, curves: Curves, controls: Controls) -> str:
    """Tell what a large batch does at k times the rate."""
    k, lr = controls.replicas, controls.lr
    ends = [_loss(a) for a in (curves.small, curves.large, curves.warm)]
    warm = f", <b>{ends[2]}</b> with warm-up" if controls.warmup else ""
    return (
        f"k = {k} replicas. Left: the gap between {k} small steps and one large step "
        f"at {k} times the rate grows with slope <b>{order.slope:.2f}</b> on log "
        f"scales: as η². Right, {len(curves.small) - 1} of {LARGE_STEPS} large steps "
        f"at η = {number(lr)}, kη = {number(k * lr)}: loss <b>{ends[0]}</b> with small "
        f"steps, <b>{ends[1]}</b> with large ones{warm}."
    )


def _broken(controls: Controls) -> str:
    return f"<i>{FAULTS[controls.fault]}</i>"


def _cut(step: Step) -> str:
    d, n = step.found.shape[1], len(step.losses)
    if step.controls.fault == "forget to average":
        return f"Each replica has a gradient of {d} numbers, its own."
    counts = "as it is"
    if step.controls.weights:
        counts = "times its share of the rows"
    elif step.controls.fault != "sum in place of mean":
        counts = f"times 1/{n}"
    return (
        f"Each gradient, {d} numbers, goes into the ring {counts}, cut into {n} chunks."
    )


def _passed(step: Step, stage: int) -> str:
    now, n = current(step, stage), len(step.losses)
    first = now.moves[0]
    if first.phase == ring.REDUCE_SCATTER:
        did = "which adds it to its own"
        then = "each replica holds one chunk of the whole sum"
    else:
        did = "which keeps it in place of its own"
        then = "all hold the whole sum"
    left = len(step.rounds) // 2 - (stage - 2) % (len(step.rounds) // 2)
    last = (stage - 2) % (n - 1) == 0
    end = f" Now {then}." if last else f" When this phase is over, {then}." * (left > 0)
    return (
        f"Each replica sends one chunk to the right, {did}: replica {first.source} "
        f"sends chunk {first.chunk} to replica {first.target}, and so on. So far each "
        f"has sent {number(float(np.mean(now.sent)), 4)} numbers; "
        f"2(N − 1)/N · D = {number(step.formula, 4)}.{end}"
    )


def _updated(step: Step) -> str:
    off, same = float(step.off.max()), bool((step.found == step.found[0]).all())
    agree = "All have the same gradient" if same else "They have different gradients"
    verdict = (
        "the batch's, up to rounding"
        if off < EXACT
        else f"<b>{number(off, 2)}</b> off the batch's (distance over length)"
    )
    joint = "and it is" if same else "up to"
    return (
        f"{_broken(step.controls)} {agree}, {joint} {verdict}. After the update "
        f"weights are {_gap(float(step.apart.max()))} off those of one process."
    )


def _drifts(fault: str) -> str:
    """What a fault looks like over time."""
    return {
        "forget to average": "Nothing pulls them together: these are as many models.",
        "sum in place of mean": "They agree, but each step is N times too long.",
        "unequal shards unweighted": "They agree on a gradient that is not the "
        "batch's: rows of small shards count for more.",
        "different seeds": "All take the same step, so what was between them at the "
        "start stays.",
        "local batch statistics": "Parameters agree, but not with one "
        "process; running statistics are each replica's own, and so are the losses.",
        "fp16 sums": "They agree to the bit, on sums that were rounded to 11 bits.",
        "one stale replica": "The gap is the length of one update.",
    }.get(fault, "")


def _gap(x: float) -> str:
    return "0" if x == 0 else number(x, 2)


def _loss(losses: np.ndarray) -> str:
    return number(float(losses[-1]), 2)
