"""What reductions share: gradients carried back over the axes that were summed away."""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

import numpy as np

from ..primitive import primitive


def restore(y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Give back to ``y`` the axes of ``x`` that a reduction dropped, with size 1.

    Args:
        y: what came from reducing ``x`` over ``axis``.
        x: its input.
        axis: int, tuple of ints, or None for all axes.
        keepdims: whether the reduction kept them.

    >>> restore(np.ones(3), np.ones((2, 3)), -2, False).shape
    (1, 3)
    """
    if keepdims or not np.ndim(x):
        return y
    if axis is None:
        return np.reshape(y, (1,) * np.ndim(x))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return np.expand_dims(y, tuple(a % np.ndim(x) for a in axes))


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Broadcast what came from reduced axes back over them."""
    return np.broadcast_to(restore(g, x, axis, keepdims), np.shape(x))


def share(hit: Any, axis: Any, dtype: Any) -> Any:
    """1/k at each of the k places along ``axis`` that hit.

    >>> share(np.array([True, False, True, False]), 0, np.float32).tolist()
    [0.5, 0.0, 0.5, 0.0]
    """
    return (hit / np.sum(hit, axis=axis, keepdims=True)).astype(dtype)


def reduction(slope: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Declare a reduction by the slopes of its result, one for each element.

    With dy = sum of w dx over the axes, both rules follow: g spread times w, and the
    sum of w times the tangent.

    Args:
        slope: ``lambda y, x, *, axis, ...: w``, where y has its axes restored; the
            op's own ``keepdims`` is not handed on. A leading ``_`` says that backward
            does not need this value.
        **options: see ``primitive``.
    """

    def pullback(
        g: Any, y: Any, x: Any, *, axis: Any, keepdims: bool, **static: Any
    ) -> Any:
        w = slope(restore(y, x, axis, keepdims), x, axis=axis, **static)
        return restore(g, x, axis, keepdims) * w

    def jvp(t: Any, y: Any, x: Any, *, axis: Any, keepdims: bool, **static: Any) -> Any:
        w = slope(restore(y, x, axis, keepdims), x, axis=axis, **static)
        return np.sum(t[0] * w, axis=axis, keepdims=keepdims)

    names = ("g", *list(signature(slope).parameters)[:2])
    kind = Parameter.POSITIONAL_OR_KEYWORD
    pullback.__signature__ = Signature([Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    return primitive(pullback, jvp=jvp, **options)
