"""A weight and many small updates: lost in the format, kept by a float32 master.

Pure: controls in, numbers out.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ... import formats
from ...errors import RangeError, near

FORMATS = ("float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")
POWERS = (2, 12)  # k: 2^k updates of 2^-k
WALKERS = 256


@dataclass(frozen=True, slots=True)
class Weights:
    """A weight that starts at 1 and is told to grow to 2, in three ways.

    Attributes:
        fmt: the format.
        k: there are 2^k updates of 2^-k each.
        steps: (t,) after how many updates the numbers below were taken.
        narrow: (t,) the weight itself stands in the format.
        master: (t,) the weight stands in float32.
        copy: (t,) what the net sees of the master: it, rounded to the format.
        stuck: after how many updates the narrow one stopped for good; None if never.
    """

    fmt: str
    k: int
    steps: np.ndarray
    narrow: np.ndarray
    master: np.ndarray
    copy: np.ndarray
    stuck: int | None


@lru_cache(maxsize=64)
def compute(fmt: str = "float16", k: int = 12) -> Weights:
    """Apply 2^k updates of 2^-k to w = 1, and round after each.

    Args:
        fmt: of ``FORMATS``.
        k: 2 to 12.

    Raises:
        RangeError: if the format or k cannot be chosen.

    >>> found = compute("float16", 12)
    >>> found.narrow[-1].item(), found.master[-1].item(), found.stuck
    (1.0, 2.0, 0)
    """
    if fmt not in FORMATS:
        raise RangeError(
            f"PrecisionLab: fmt is {fmt!r}; one of {', '.join(FORMATS)} is required.",
            help=near(str(fmt), FORMATS),
        )
    if not POWERS[0] <= k <= POWERS[1]:
        raise RangeError(
            f"PrecisionLab: k is {k}; {POWERS[0]} to {POWERS[1]} is required."
        )
    count, update, steps = 2**k, np.float32(2.0**-k), _steps(k)
    master = np.add.accumulate(np.append(np.float32(1), np.full(count, update)))
    narrow, stuck = _narrow(fmt, count, update)
    kept = master[steps]
    seen = formats.quantize(kept, fmt)
    return Weights(fmt, k, steps, narrow[steps], kept, seen, stuck)


@lru_cache(maxsize=64)
def by_chance(fmt: str = "float16", k: int = 12, seed: int = 0) -> np.ndarray:
    """Apply the same updates to 256 weights in the format, rounding stochastically.

    Returns:
        (t, 256) weights, after as many updates as ``Weights.steps`` says.

    >>> by_chance("bfloat16", 4).shape
    (17, 256)
    """
    w, rng, kept = np.ones(WALKERS, np.float32), np.random.default_rng(seed), []
    steps = set(_steps(k).tolist())
    for step in range(2**k + 1):
        if step:
            w = formats.quantize(w + np.float32(2.0**-k), fmt, "stochastic", rng=rng)
        if step in steps:
            kept.append(w)
    return np.array(kept)


def _steps(k: int) -> np.ndarray:
    """After how many updates to look: at most 129 times."""
    return np.arange(0, 2**k + 1, max(1, 2**k // 128))


def _narrow(fmt: str, count: int, update: np.float32) -> tuple[np.ndarray, int | None]:
    """The weight in the format; where one update is lost, all later ones are."""
    found = np.empty(count + 1, np.float32)
    found[0] = w = np.ones((), np.float32)
    for step in range(1, count + 1):
        after = formats.quantize(w + update, fmt)
        if after == w:
            found[step:] = w
            return found, step - 1
        found[step] = w = after
    return found, None
