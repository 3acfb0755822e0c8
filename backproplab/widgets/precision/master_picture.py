"""The picture of the growing weight: in the format, with a master, by chance."""

import numpy as np

from ... import formats
from ..numerals import number
from ..panels import Panel, sheet
from .bits_words import plain, power_of_two
from .master import WALKERS, Weights, by_chance


def render(
    w: Weights, *, master: bool = True, chance: bool = True, alone: bool = False
) -> str:
    """Draw the weight after each update.

    Args:
        w: the weights, computed.
        master: show the float32 master weight and its copy in the format.
        chance: show the stochastically rounded weights.
        alone: carry the style, for a page without the widget.
    """
    panel = Panel(
        f"w after each of 2^{w.k} updates of 2^-{w.k}", (0, 2**w.k), (0.9, 2.2),
        size=(790.0, 270.0), labels=("updates", "w"),
    )  # fmt: skip
    panel.level(2.0)
    if chance:
        walks = by_chance(w.fmt, w.k)
        thin = [np.stack([w.steps, walks[:, i]], 1) for i in range(8)]
        panel.curves(thin, "purple")
        mean = f"stochastic: mean of {WALKERS}, 8 thin"
        panel.line(w.steps, walks.mean(axis=1), "purple", mean)
    if master:
        panel.line(w.steps, w.master, "forth", "float32 master weight")
        panel.line(w.steps, w.copy, "green", f"its copy in {w.fmt}")
    panel.line(w.steps, w.narrow, "back", f"w in {w.fmt}, to nearest")
    return sheet([[panel]], panel.title, alone=alone)


def says(w: Weights, *, master: bool = True, chance: bool = True) -> str:
    """Tell where each weight ends, and why."""
    fmt = formats.get(w.fmt)
    half = float(formats.ulp(w.narrow[-1], fmt)) / 2
    update = 2.0**-w.k
    if w.stuck is not None:
        at = plain(float(w.narrow[-1]))
        end = (
            "exactly half of it, and the tie goes back to the even number"
            if update == half
            else "less than half of it: the sum is rounded back, every time"
        )
        since = f"from update {w.stuck} on" if w.stuck else "from the first update on"
        gap = power_of_two(round(np.log2(2 * half)))
        why = (
            f"The gap above {at} in {w.fmt} is {gap}. "
            f"An update of {power_of_two(-w.k)} is {end}. So w stands at <b>{at}</b> "
            f"{since}."
        )
    else:
        why = (
            f"In {w.fmt} every update of {power_of_two(-w.k)} shows, and w ends at "
            f"<b>{plain(float(w.narrow[-1]))}</b>."
        )
    parts = [f"The exact answer is 2. {why}"]
    if master:
        parts.append(
            f"The float32 master ends at <b>{plain(float(w.master[-1]))}</b>; the net "
            f"sees {plain(float(w.copy[-1]))}."
        )
    if chance:
        ends = by_chance(w.fmt, w.k)[-1]
        parts.append(
            f"Rounded stochastically, {WALKERS} weights end at <b>"
            f"{number(float(ends.mean()), 4)}</b> on average, with standard deviation "
            f"{number(float(ends.std()), 2)}."
        )
    return " ".join(parts)
