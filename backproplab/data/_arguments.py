"""What the arguments of the generators must be, said in one form; no data here."""

from __future__ import annotations  # naming np.random would load it, 8 ms

import math
import operator
from numbers import Real

import numpy as np


def require_count(function: str, name: str, value: int, least: int = 1) -> int:
    """Give back ``value`` as an int of at least ``least``.

    Raises:
        TypeError: if it is not an integer.
        ValueError: if it is too small.

    >>> require_count("moons", "n", np.int64(3))
    3
    """
    seen = f"{function}: {name} is {value!r}"
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{seen}; an integer of at least {least} is required.\n"
            f"  help: pass {name} as a whole number, without a decimal point."
        ) from None
    if count < least:
        raise ValueError(
            f"{seen}; an integer of at least {least} is required.\n"
            f"  help: pass {name}={least} or more."
        )
    return count


def require_real(function: str, name: str, value: float, least: float = 0) -> None:
    """Accept a finite real number of at least ``least``.

    Raises:
        ValueError: if it is anything else, NaN included.
    """
    if not (isinstance(value, Real) and least <= value < math.inf):
        raise ValueError(
            f"{function}: {name} is {value!r}; "
            f"a finite number of at least {least} is required.\n"
            f"  help: pass {name}={least} or more."
        )


def require_rng(function: str, rng: np.random.Generator) -> None:
    """Accept a Generator, and nothing that would need a hidden state.

    Raises:
        TypeError: if it is anything else, such as a bare seed.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{function}: rng is {rng!r}; a numpy.random.Generator is required.\n"
            f"  help: pass rng=np.random.default_rng(0)."
        )
