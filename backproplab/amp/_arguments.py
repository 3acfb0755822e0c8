"""Arguments of a loss scaler: which are accepted, and what is said of others."""

import math
from typing import Any

import numpy as np

from ..errors import RangeError


def require_scaling(
    who: str, scale: Any, growth: Any = 2.0, backoff: Any = 0.5, *, of: str = ""
) -> None:
    """Accept a loss scale and the factors by which it changes.

    Raises:
        RangeError: if one is no number, or out of its range.
    """
    most = float(np.finfo(np.float32).max)
    if not _is_number(scale) or not 0 < scale <= most:
        raise RangeError(
            f"{who}: {of or 'init_scale'} is {scale!r}; a number above 0, up to "
            "float32's greatest, is required."
        )
    if not _is_number(growth) or not (growth > 1 and math.isfinite(growth)):
        raise RangeError(f"{who}: growth_factor is {growth!r}; it must be above 1.")
    if not _is_number(backoff) or not 0 < backoff < 1:
        raise RangeError(
            f"{who}: backoff_factor is {backoff!r}; it must be between 0 and 1."
        )


def require_interval(who: str, interval: Any) -> None:
    """Accept a number of updates.

    Raises:
        RangeError: if it is not a whole number of at least 1.
    """
    if not isinstance(interval, (int, np.integer)) or interval < 1:
        raise RangeError(
            f"{who}: growth_interval is {interval!r}; a whole number of at least 1 is "
            "required."
        )


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.integer, np.floating))
