"""Ops as they are without rounding, and what tells a narrow result from theirs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import cast as plain_cast
from ..primitive import Primitive
from .rounding import Rounded

_ONE_GATE = ("relu", "leaky_relu", "elu", "abs", "fabs")
_TWO_GATES = ("maximum", "minimum", "fmax", "fmin")


def exact_op(op: Primitive) -> Primitive | None:
    """The op that rounds nothing; None for a cast, which is the identity then."""
    if isinstance(op, Rounded):
        op = op.exact  # type: ignore[assignment]
    return None if op is plain_cast.primitive else op


def double(x: Any) -> Any:
    """Floats as float64; all else as it is."""
    floats = isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f"
    return np.asarray(x, np.float64) if floats else x


def swamped(op: str, y: Any, inputs: list[Any]) -> Any:
    """Where an addition left the larger term as it was, though the other is not 0.

    >>> y = np.float16(2048) + np.float16(1)
    >>> bool(swamped("add", y, [2048.0, 1.0]))
    True
    """
    if op not in ("add", "subtract"):
        return False
    a, b = inputs[0], inputs[1] if op == "add" else -inputs[1]
    return (((y == a) & (b != 0)) | ((y == b) & (a != 0))) & np.isfinite(y)


def flipped(op: str, got: list[Any], true: list[Any]) -> Any:
    """Where a gate (relu, abs, maximum ...) stands otherwise for the true inputs."""
    if op in _ONE_GATE:
        return (got[0] > 0) != (true[0] > 0)
    if op in _TWO_GATES:
        return (got[0] > got[1]) != (true[0] > true[1])
    return False


def has_gate(op: str) -> bool:
    """Whether ``flipped`` can find anything at this op."""
    return op in _ONE_GATE or op in _TWO_GATES
