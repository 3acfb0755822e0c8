"""Roots, exponentials, logarithms, trigonometric and hyperbolic functions."""

from math import inf, pi
from math import log as _log

import numpy as np

from ..primitive import elementwise

_LN2, _LN10 = _log(2), _log(10)


def _positive(rng):
    return (0.5 + rng.random((3, 4)),), {}


def _inside(rng):
    return (rng.uniform(-0.8, 0.8, size=(3, 4)),), {}


def _above_one(rng):
    return (1.5 + rng.random((3, 4)),), {}


def _pair(rng):
    return (rng.normal(size=(3, 4)), 0.5 + rng.random(4)), {}


@elementwise(lambda y, _x: 0.5 / y, ufunc=np.sqrt, example=_positive)
def sqrt(x):
    """Square root; slope 1/(2y), infinite at 0."""
    return np.sqrt(x)


@elementwise(lambda y, _x: 1 / (3 * y * y), ufunc=np.cbrt, example=_positive)
def cbrt(x):
    """Cube root, of negative numbers too; slope 1/(3y^2), infinite at 0."""
    return np.cbrt(x)


@elementwise(lambda y, _x: y, ufunc=np.exp, cast="fp32")
def exp(x):
    """Exponential; it is its own slope."""
    return np.exp(x)


@elementwise(lambda y, _x: _LN2 * y, ufunc=np.exp2, cast="fp32")
def exp2(x):
    """2 to the x; slope y log 2."""
    return np.exp2(x)


@elementwise(lambda y, _x: y + 1, ufunc=np.expm1, cast="fp32")
def expm1(x):
    """exp(x) - 1, accurate near 0; slope y + 1."""
    return np.expm1(x)


@elementwise(lambda _y, x: 1 / x, ufunc=np.log, cast="fp32", example=_positive)
def log(x):
    """Natural logarithm; slope 1/x."""
    return np.log(x)


@elementwise(
    lambda _y, x: 1 / (_LN2 * x), ufunc=np.log2, cast="fp32", example=_positive
)
def log2(x):
    """Logarithm to base 2; slope 1/(x log 2)."""
    return np.log2(x)


@elementwise(
    lambda _y, x: 1 / (_LN10 * x), ufunc=np.log10, cast="fp32", example=_positive
)
def log10(x):
    """Logarithm to base 10; slope 1/(x log 10)."""
    return np.log10(x)


@elementwise(lambda _y, x: 1 / (1 + x), ufunc=np.log1p, cast="fp32", example=_positive)
def log1p(x):
    """log(1 + x), accurate near 0; slope 1/(1 + x)."""
    return np.log1p(x)


def _finite(z):
    return np.where(z == -inf, 0.0, z)


@elementwise(
    lambda z, x, _y: np.exp(x - _finite(z)),
    lambda z, _x, y: np.exp(y - _finite(z)),
    ufunc=np.logaddexp,
    cast="widest",
    example=_pair,
)
def logaddexp(x, y):
    """log(exp(x) + exp(y)) without overflow; the slopes are a softmax of the two.

    Where both are -inf, so is the sum, and the slopes are 0.
    """
    return np.logaddexp(x, y)


@elementwise(
    lambda z, x, _y: np.exp2(x - _finite(z)),
    lambda z, _x, y: np.exp2(y - _finite(z)),
    ufunc=np.logaddexp2,
    cast="widest",
    example=_pair,
)
def logaddexp2(x, y):
    """log2(2^x + 2^y) without overflow; slopes 2^(x-z) and 2^(y-z).

    Where both are -inf, so is the sum, and the slopes are 0.
    """
    return np.logaddexp2(x, y)


@elementwise(lambda _y, x: np.cos(x), ufunc=np.sin)
def sin(x):
    """Sine (radians); slope cos x."""
    return np.sin(x)


@elementwise(lambda _y, x: -np.sin(x), ufunc=np.cos)
def cos(x):
    """Cosine (radians); slope -sin x."""
    return np.cos(x)


@elementwise(lambda y, _x: 1 + y * y, ufunc=np.tan, cast="fp32", example=_inside)
def tan(x):
    """Tangent (radians); slope 1 + y^2."""
    return np.tan(x)


@elementwise(
    lambda _y, x: 1 / np.sqrt(1 - x * x),
    ufunc=np.arcsin,
    cast="fp32",
    example=_inside,
)
def arcsin(x):
    """Inverse sine, [-1, 1] -> [-pi/2, pi/2]; the slope is infinite at -1 and 1."""
    return np.arcsin(x)


@elementwise(
    lambda _y, x: -1 / np.sqrt(1 - x * x),
    ufunc=np.arccos,
    cast="fp32",
    example=_inside,
)
def arccos(x):
    """Inverse cosine, [-1, 1] -> [0, pi]; the slope is infinite at -1 and 1."""
    return np.arccos(x)


@elementwise(lambda _y, x: 1 / (1 + x * x), ufunc=np.arctan)
def arctan(x):
    """Inverse tangent, R -> (-pi/2, pi/2); slope 1/(1 + x^2)."""
    return np.arctan(x)


def _over_square(a, x, y):
    """a / (x^2 + y^2), and 0 at the origin; 1.0 turns integers into floats."""
    r = (1.0 * x) * x + (1.0 * y) * y
    return np.where(r == 0, 0.0, a / np.where(r == 0, 1.0, r))


@elementwise(
    lambda _z, y, x: _over_square(x, x, y),
    lambda _z, y, x: _over_square(-1.0 * y, x, y),
    ufunc=np.arctan2,
    cast="widest",
    example=_pair,
)
def arctan2(y, x):
    """Angle of the point (x, y), y first; at the origin the slopes are 0 (PyTorch)."""
    return np.arctan2(y, x)


@elementwise(
    lambda z, x, _y: x / z,
    lambda z, _x, y: y / z,
    ufunc=np.hypot,
    cast="widest",
    example=_pair,
)
def hypot(x, y):
    """Length of (x, y) without overflow; slopes x/z and y/z, NaN at 0 as in PyTorch."""
    return np.hypot(x, y)


@elementwise(lambda _y, x: np.cosh(x), ufunc=np.sinh, cast="fp32")
def sinh(x):
    """Hyperbolic sine; slope cosh x."""
    return np.sinh(x)


@elementwise(lambda _y, x: np.sinh(x), ufunc=np.cosh, cast="fp32")
def cosh(x):
    """Hyperbolic cosine; slope sinh x."""
    return np.cosh(x)


@elementwise(lambda y, _x: 1 - y * y, ufunc=np.tanh)
def tanh(x):
    """Hyperbolic tangent, R -> (-1, 1). Beyond |x| = 3 its slope is below 0.01."""
    return np.tanh(x)


@elementwise(lambda _y, x: 1 / np.sqrt(x * x + 1), ufunc=np.arcsinh)
def arcsinh(x):
    """Inverse hyperbolic sine; slope 1/sqrt(x^2 + 1)."""
    return np.arcsinh(x)


@elementwise(
    lambda _y, x: 1 / np.sqrt((x - 1) * (x + 1)), ufunc=np.arccosh, example=_above_one
)
def arccosh(x):
    """Inverse hyperbolic cosine, [1, inf) -> [0, inf); the slope is infinite at 1."""
    return np.arccosh(x)


@elementwise(lambda _y, x: 1 / ((1 - x) * (1 + x)), ufunc=np.arctanh, example=_inside)
def arctanh(x):
    """Inverse hyperbolic tangent, (-1, 1) -> R; slope 1/(1 - x^2)."""
    return np.arctanh(x)


@elementwise(pi / 180, ufunc=np.deg2rad)
def deg2rad(x):
    """Degrees to radians; slope pi/180."""
    return np.deg2rad(x)


@elementwise(180 / pi, ufunc=np.rad2deg)
def rad2deg(x):
    """Radians to degrees; slope 180/pi."""
    return np.rad2deg(x)


@elementwise(pi / 180, ufunc=np.radians)
def radians(x):
    """Degrees to radians, as ``deg2rad``; NumPy has both."""
    return np.radians(x)


@elementwise(180 / pi, ufunc=np.degrees)
def degrees(x):
    """Radians to degrees, as ``rad2deg``; NumPy has both."""
    return np.degrees(x)
