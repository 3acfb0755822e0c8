"""Which of several explanations is told: the most telling, then the nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .factors import is_nice, is_own, places
from .links import Break

# The most telling label wins; among equals, the link nearest to what was asked.
TELLING = {
    label: tier
    for tier, labels in enumerate(
        (
            ("transposed",),
            ("keepdims",),
            ("no-batch-sum",),
            ("statistics-constant",),
            ("sign",),
            ("mean-not-sum",),
            ("sum-not-mean",),
            ("path-missing", "overwritten"),
            ("local-factor-missing", "upstream-missing"),
            ("constant-factor",),
            ("factor-substituted",),
            ("wrong-operand",),
            ("wrong-node",),
        )
    )
    for label in labels
}
VAGUE = len(TELLING)  # any number as a factor
_ODD = VAGUE - 1


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Breaks which together give the learner's array; smaller ``rank`` is better."""

    breaks: tuple[Break, ...]
    rank: tuple[float, ...]


def rank(b: Break, distance: int) -> tuple[float, ...]:
    """How telling a break is, and how near the asked record; smaller is better.

    Where the rule itself holds the number that was left out, that is the place.
    """
    tier: float = TELLING[b.label]
    if b.link.is_half and b.factor:
        tier = _ODD  # nobody turns the sign of one x in x * x
    elif b.label == "constant-factor" and b.factor is not None:
        if not is_nice(b.factor):
            tier = VAGUE
        elif b.link.ks and is_own(b.link, b.factor):
            distance = -1
    if b.label == "upstream-missing":
        one = np.size(b.link.g) > 1 and np.ptp(b.link.g) == 0
        # one number is rather left out where it comes in
        tier += 0.5 if one or distance else 0
    few = b.label == "overwritten" and len(places(b.link)) < 3
    return tier, distance, few, b.cost, not b.link.ks


def unique(found: list[Explanation]) -> list[Explanation]:
    """Keep the first explanation of each label and place."""
    seen: dict[Any, Explanation] = {}
    for e in found:
        seen.setdefault(tuple((b.label, b.link.where) for b in e.breaks[:2]), e)
    return list(seen.values())
