"""What may be rounded: floats that NumPy has, of any shape."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Float64s: TypeAlias = NDArray[np.float64]


def floats(caller: str, x: ArrayLike) -> Floats:
    """Take a number or an array as floats.

    Raises:
        TypeError: if they are not float16, float32 or float64.
    """
    x = np.asarray(x)
    if x.dtype.type not in (np.float16, np.float32, np.float64):
        raise TypeError(
            f"{caller}: seen x of dtype {x.dtype}; required float16, float32 or "
            "float64.\n"
            "  help: choose the floats to start from: np.asarray(x, dtype=np.float64)."
        )
    return x


@np.errstate(all="ignore")
def float64s(caller: str, x: ArrayLike) -> Float64s:
    """Take them as float64, in a new array."""
    return floats(caller, x).astype(np.float64)
