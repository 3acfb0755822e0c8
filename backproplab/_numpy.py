"""NumPy functions on tensors: which give plain answers, how others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import RuleError
from .node import Node


def plain(x: Any) -> Any:
    """Take the arrays out of tensors, in lists and tuples too."""
    if isinstance(x, Node):
        return x._data
    if isinstance(x, (tuple, list)):
        return type(x)(plain(v) for v in x)
    return x


def no_rule(func: Any, method: str, kwargs: Any) -> RuleError:
    """Say by name what does not take tensors, and what to do instead."""
    module = getattr(func, "__module__", "numpy").replace("numpy", "np", 1)
    name = f"{module}.{func.__name__}" + ("" if method == "__call__" else f".{method}")
    if kwargs:
        return RuleError(
            f"{name}: the keyword {', '.join(kwargs)} has no derivative rule "
            "on tensors.",
            help="leave it out; choose values with bp.where.",
        )
    return RuleError(
        f"{name} has no derivative rule, so it does not take tensors.",
        help="use `t.data` if no gradient is to flow through it, or declare the op: "
        "see bp.elementwise, bp.linear, bp.primitive.",
    )


# Locally constant, or about shape alone: plain answers, no gradient to lose.
CONSTANT = {
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.isnan, np.isinf, np.isfinite, np.signbit, np.floor, np.ceil, np.rint, np.trunc,
    np.floor_divide, np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.argmax, np.argmin, np.argsort, np.searchsorted, np.nonzero, np.count_nonzero,
    np.shape, np.ndim, np.size, np.round, np.any, np.all, np.allclose, np.isclose,
    np.array_equal, np.zeros_like, np.ones_like, np.full_like, np.empty_like,
    np.result_type, np.array2string, np.array_repr, np.array_str, np.iscomplexobj,
    np.isrealobj, np.may_share_memory, np.shares_memory, np.digitize, np.unravel_index,
    np.argpartition, np.around, np.fix, np.argwhere, np.flatnonzero, np.isneginf,
    np.isposinf, np.array_equiv,
}  # fmt: skip
