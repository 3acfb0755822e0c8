"""The outer, the Kronecker and the cross product: no long sums, entry times entry."""

import numpy as np

from ..primitive import linear


def _vectors(rng):
    return (rng.normal(size=3), rng.normal(size=4)), {}


@linear(
    lambda g, x, y: np.reshape(g @ np.reshape(y, -1), np.shape(x)),
    lambda g, x, y: np.reshape(np.reshape(x, -1) @ g, np.shape(y)),
    numpy=(np.outer, np.linalg.outer),
    cast="widest",
    example=_vectors,
)
def outer(x, y):
    """All products x[i] y[j], both laid out flat; shape (x.size, y.size)."""
    return np.outer(x, y)


def _blocks(g, x, y):
    """Cut a Kronecker product into x's axes (even) and y's axes (odd)."""
    n = max(np.ndim(x), np.ndim(y))
    sx = (1,) * (n - np.ndim(x)) + np.shape(x)
    sy = (1,) * (n - np.ndim(y)) + np.shape(y)
    cut = tuple(s for pair in zip(sx, sy, strict=True) for s in pair)
    wide_x = tuple(s for n in sx for s in (n, 1))
    wide_y = tuple(s for n in sy for s in (1, n))
    return (
        np.reshape(g, cut),
        np.reshape(x, wide_x),
        np.reshape(y, wide_y),
        tuple(range(0, 2 * n, 2)),
        tuple(range(1, 2 * n, 2)),
    )


def _kron_x(g, x, y):
    g, _, y, _, odd = _blocks(g, x, y)
    return np.reshape(np.sum(g * y, axis=odd), np.shape(x))


def _kron_y(g, x, y):
    shape = np.shape(y)
    g, x, _, even, _ = _blocks(g, x, y)
    return np.reshape(np.sum(g * x, axis=even), shape)


@linear(
    _kron_x,
    _kron_y,
    numpy=np.kron,
    cast="widest",
    example=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=(3, 2))), {}),
)
def kron(x, y):
    """Kronecker product: y in blocks, each multiplied by one element of x."""
    return np.kron(x, y)


def _cross_axes(x, y, axisa, axisb, axisc, axis):
    """The three axes counted from the end, so that broadcasting does not move them."""
    if axis is not None:
        axisa = axisb = axisc = axis
    n = max(np.ndim(x), np.ndim(y))
    sizes = (np.ndim(x), np.ndim(y), n)
    return [a % k - k for a, k in zip((axisa, axisb, axisc), sizes, strict=True)]


def _cross_x(g, x, y, **axes):
    a, b, c = _cross_axes(x, y, **axes)
    return np.cross(y, g, b, c, a)


def _cross_y(g, x, y, **axes):
    a, b, c = _cross_axes(x, y, **axes)
    return np.cross(g, x, c, a, b)


@linear(
    _cross_x,
    _cross_y,
    numpy=(np.cross, np.linalg.cross),
    cast="widest",
    example=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=3)), {}),
)
def cross(x, y, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """Vector product in three dimensions; dx = y cross g, dy = g cross x.

    Args:
        x: vectors of 3 along ``axisa``.
        y: vectors of 3 along ``axisb``.
        axisa: axis of x's vectors.
        axisb: axis of y's vectors.
        axisc: axis of the result's vectors.
        axis: all three at once.
    """
    return np.cross(x, y, axisa, axisb, axisc, axis)
