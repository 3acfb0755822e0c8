"""What ReplicaLab shows and says, for each of its four views."""

from functools import lru_cache

from . import norm, panels, ring, scaling, words
from .controls import Controls
from .scaling import Race
from .step import Step
from .training import Replicas


def said(
    shown: str,
    controls: Controls,
    step: Step,
    stage: int,
    run: Replicas | Race | None,
) -> str:
    """Tell in words what the picture shows, as HTML."""
    if isinstance(run, Replicas):
        return words.training(run.drift, controls)
    if isinstance(run, Race):
        order = scaling.order(controls.replicas, controls.rows)
        return words.linear_scaling(order, run.curves, controls)
    if shown == "batch norm":
        return words.batch_norm(norm.compute(controls.replicas), controls)
    return words.one_step(step, stage)


def drawn(
    shown: str,
    controls: Controls,
    step: Step,
    stage: int,
    run: Replicas | Race | None,
    *,
    alone: bool = False,
) -> str:
    """Draw what is shown, as SVG."""
    c = controls
    if isinstance(run, Replicas):
        return panels.training(run.drift, alone=alone)
    if isinstance(run, Race):
        order = scaling.order(c.replicas, c.rows)
        return panels.linear_scaling(order, run.curves, c.lr, c.warmup, alone=alone)
    if shown == "batch norm":
        gap = norm.compute(c.replicas)
        return panels.batch_norm(gap, c.rows, alone=alone)
    return ring.render(step, stage, alone=alone)


def still(
    shown: str,
    controls: Controls,
    step: Step,
    stage: int,
    run: Replicas | Race | None,
) -> str:
    """Draw it for a page without a kernel: there, a training has reached its end."""
    if run is not None and run.taken < run.whole:
        run = _finished(controls, race=isinstance(run, Race))
    return drawn(shown, controls, step, stage, run, alone=True)


@lru_cache(maxsize=2)
def _finished(controls: Controls, *, race: bool) -> Replicas | Race:
    run = Race(controls) if race else Replicas(controls)
    run.advance(run.whole)
    return run
