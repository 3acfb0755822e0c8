"""The picture of training in several formats: curves, and what each would take."""

from functools import lru_cache

import numpy as np

from ..numerals import number
from ..panels import Panel, sheet
from .bits_words import power_of_two
from .memory import Memory, measure
from .training import BATCH, Race, Run

KINDS = ("ink", "back", "green", "forth", "purple")  # of the runs, in their order


def render(race: Race, *, alone: bool = False) -> str:
    """Draw loss and accuracy of each run by epoch."""
    epochs = race.controls.epochs
    seen = [v for run in race.runs for v in run.losses if np.isfinite(v)]
    top = float(np.clip(1.1 * max(seen, default=0.0), 2.8, 9.0))
    loss = Panel(
        "mean loss of an epoch", (0.8, epochs + 0.2), (0.0, top),
        size=(365.0, 230.0), labels=("epoch", ""),
    )  # fmt: skip
    right = Panel(
        "test digits that are right, %", (0.8, epochs + 0.2), (0.0, 100.0),
        size=(365.0, 230.0), labels=("epoch", ""),
    )  # fmt: skip
    right.level(10.0, label="chance")
    for kind, run in zip(KINDS, race.runs, strict=True):
        x = np.arange(1, len(run.losses) + 1)
        loss.line(x, np.array(run.losses), kind, marks=True)
        right.line(x, 100 * np.array(run.accuracies), kind, marks=True)
    label = f"loss and accuracy of {len(race.runs)} runs over {epochs} epochs"
    return sheet([[loss, right]], label, alone=alone)


def table(race: Race) -> str:
    """List each run with its line, its result, and the bytes that it would take."""
    head = (
        "run", "loss", "right", "scale", "skipped", "weights", "master", "gradients",
        "activations", "momentum", "sum",
    )  # fmt: skip
    rows = "".join(_row(kind, run) for kind, run in zip(KINDS, race.runs, strict=True))
    about = (
        f"Weights to sum: kB (1024 bytes) that a step on a batch of {BATCH} keeps, "
        "were each number stored in its own format."
    )
    return (
        f'<table class="bpl-counts tight"><caption>{about}</caption><tr>'
        + "".join(f"<th>{name}</th>" for name in head)
        + f"</tr>{rows}</table>"
    )


def says(race: Race) -> str:
    """Tell how far it is and what came out."""
    c = race.controls
    if not race.runs[0].losses:
        return (
            "<b>Your turn.</b> Which runs will learn, and which stays at chance? Then "
            f"press <b>Train</b>: {c.epochs} epochs of the digits, five runs at once."
        )
    best = race.runs[0].accuracies[-1]
    apart = [r.name for r in race.runs if r.accuracies[-1] < best - 0.1]
    state = "After" if race.over else "So far, after"
    n = len(race.runs[-1].losses)
    end = (
        f"Left behind: <b>{' and '.join(apart)}</b>."
        if apart
        else "All runs are where float32 is, give or take 10 %."
    )
    return (
        f"{state} {n} of {c.epochs} epochs float32 gets {number(100 * best)} % of the "
        f"test digits right. {end}"
    )


@lru_cache(maxsize=8)
def memory(fmt: str) -> Memory:
    """Weigh a format once."""
    return measure(fmt)


def _row(kind: str, run: Run) -> str:
    m = memory(run.fmt)
    sizes = (m.weights, m.master, m.gradients, m.activations, m.state, m.total)
    loss = number(run.losses[-1]) if run.losses else "–"
    right = f"{number(100 * run.accuracies[-1])} %" if run.accuracies else "–"
    scale = power_of_two(round(np.log2(run.scaler.get_scale()))) if run.scaled else "–"
    skipped = str(len(run.scaler.skipped)) if run.scaled else "–"
    cells = (loss, right, scale, skipped, *(f"{b / 1024:.1f}" for b in sizes))
    swatch = (
        '<svg class="bpl-graph bpl-svg" width="34" height="10" aria-hidden="true">'
        f'<g class="bpl-panel"><g class="{kind}"><path class="line" d="M2,5h30"/></g>'
        "</g></svg>"
    )
    return (
        f"<tr><td>{swatch} {run.name}</td>"
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )
