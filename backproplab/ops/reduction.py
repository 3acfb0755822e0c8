"""Reductions: many values to fewer. Each takes NumPy's ``axis`` and ``keepdims``."""

import numpy as np

from ..primitive import linear


def spread(g, x, axis, keepdims):
    """Broadcast what came from reduced axes back over them."""
    if axis is not None and not keepdims:
        axes = axis if isinstance(axis, tuple) else (axis,)
        g = np.expand_dims(g, tuple(a % max(np.ndim(x), 1) for a in axes))
    return np.broadcast_to(g, np.shape(x))


@linear(
    lambda g, x, *, axis, keepdims: spread(g, x, axis, keepdims),
    numpy=np.sum,
    cast="fp32",
    example=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"axis": (0, -1)}),
)
def sum(x, axis=None, keepdims=False):
    """Sum over axes; every summand gets the gradient of the sum."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@linear(
    lambda g, x, *, axis, keepdims: spread(
        g * (g.size / max(x.size, 1)), x, axis, keepdims
    ),
    numpy=np.mean,
    example=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"axis": (0, -1)}),
)
def mean(x, axis=None, keepdims=False):
    """Mean over axes; every summand gets 1/n of the gradient."""
    return np.mean(x, axis=axis, keepdims=keepdims)
