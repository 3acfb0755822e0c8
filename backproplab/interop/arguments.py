"""The arguments for which gradients are taken, seen before any engine runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError, RangeError
from ..tensor import Tensor


def taken(what: str, args: Sequence[Any]) -> list[np.ndarray]:
    """Take in float32 and float64 arrays; tensors lose their history.

    Raises:
        RangeError: if there is none.
        DTypeError: if one is of another kind.
    """
    if not args:
        raise RangeError(
            f"{what}: no argument to take a gradient for; one is required.",
            help=f"pass it after the function: `{what}(fn, x)`.",
        )
    arrays = []
    for k, x in enumerate(args):
        a = x.data if isinstance(x, Tensor) else np.asarray(x)
        if a.dtype not in (np.float32, np.float64):
            raise DTypeError(
                f"{what}: argument {k} is {a.dtype}; float32 or float64 is required.",
                help="pass `x.astype(float)`; keep integers such as labels inside fn.",
            )
        arrays.append(a)
    return arrays
