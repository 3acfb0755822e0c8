"""Roots, exponentials, logarithms, trigonometric and hyperbolic functions."""

import numpy as np

from ..primitive import elementwise


def _positive(rng):
    return (0.5 + rng.random((3, 4)),), {}


@elementwise(lambda y, _x: 0.5 / y, ufunc=np.sqrt, example=_positive)
def sqrt(x):
    """Square root; slope 1/(2y), infinite at 0."""
    return np.sqrt(x)


@elementwise(lambda y, _x: y, ufunc=np.exp, cast="fp32")
def exp(x):
    """Exponential; it is its own slope."""
    return np.exp(x)


@elementwise(lambda _y, x: 1 / x, ufunc=np.log, cast="fp32", example=_positive)
def log(x):
    """Natural logarithm; slope 1/x."""
    return np.log(x)


@elementwise(lambda _y, x: np.cos(x), ufunc=np.sin)
def sin(x):
    """Sine (radians); slope cos x."""
    return np.sin(x)


@elementwise(lambda _y, x: -np.sin(x), ufunc=np.cos)
def cos(x):
    """Cosine (radians); slope -sin x."""
    return np.cos(x)


@elementwise(lambda y, _x: 1 - y * y, ufunc=np.tanh)
def tanh(x):
    """Hyperbolic tangent, R -> (-1, 1). Beyond |x| = 3 its slope is below 0.01."""
    return np.tanh(x)
