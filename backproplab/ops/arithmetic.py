"""Arithmetic, element by element: sums, products, powers, remainders."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitive import elementwise, implements


def _pair(rng: np.random.Generator) -> Any:
    return (rng.normal(size=(3, 4)), rng.normal(size=(4,))), {}


def _nonzero_pair(rng: np.random.Generator) -> Any:
    return (rng.normal(size=(3, 4)), 0.5 + rng.random(4)), {}


def _positive_pair(rng: np.random.Generator) -> Any:
    return (0.5 + rng.random((3, 4)), rng.normal(size=4)), {}


@elementwise(1, 1, ufunc=np.add, cast="widest", example=_pair)
def add(x, y):
    """Sum; the gradient passes unchanged to both."""
    return np.add(x, y)


@elementwise(1, -1, ufunc=np.subtract, cast="widest", example=_pair)
def subtract(x, y):
    """Difference; the second input gets the gradient with its sign turned."""
    return np.subtract(x, y)


@elementwise(
    lambda _z, _x, y: y,
    lambda _z, x, _y: x,
    ufunc=np.multiply,
    cast="widest",
    example=_pair,
)
def multiply(x, y):
    """Product; each input's slope is the other input."""
    return np.multiply(x, y)


@elementwise(
    lambda _z, _x, y: 1 / y,
    lambda z, _x, y: -z / y,
    ufunc=np.divide,
    cast="widest",
    example=_nonzero_pair,
)
def divide(x, y):
    """Quotient x/y, with slopes 1/y and -x/y^2."""
    return np.divide(x, y)


def _base_slope(_z: Any, x: Any, n: Any) -> Any:
    if isinstance(n, (int, float)):
        return n * x ** (n - 1) if n else 0.0
    return np.where(n == 0, 0.0, n * x ** (1 * n - (n != 0)))


def _exponent_slope(z: Any, x: Any, n: Any) -> Any:
    zero = (x == 0) & (n >= 0)
    return np.where(zero, 0.0, z * np.log(np.where(zero, 1.0, x)))


@elementwise(
    _base_slope, _exponent_slope, ufunc=np.power, cast="fp32", example=_positive_pair
)
def power(x, n):
    """x to the n, with slopes n x^(n-1) and x^n log x.

    As in PyTorch, x^0 has slope 0 everywhere and 0^n (n >= 0) has slope 0 in n.
    """
    return np.power(x, n)


@elementwise(-1, ufunc=np.negative)
def negative(x):
    """The opposite of x; slope -1."""
    return np.negative(x)


@implements(np.real, np.conjugate, np.real_if_close)
@elementwise(1, ufunc=np.positive)
def positive(x):
    """x itself; slope 1. So are the real part and the conjugate of a real number."""
    return np.positive(x)


@elementwise(
    lambda y, _x: -y * y,
    ufunc=np.reciprocal,
    cast="fp32",
    example=lambda rng: ((0.5 + rng.random((3, 4)),), {}),
)
def reciprocal(x):
    """1/x, with slope -1/x^2."""
    return np.reciprocal(x)


@elementwise(lambda _y, x: 2 * x, ufunc=np.square)
def square(x):
    """x times x; slope 2x."""
    return np.square(x)


@elementwise(lambda _y, x: np.sign(x), ufunc=np.absolute)
def abs(x):
    """Absolute value. At 0 the slope is 0, as in PyTorch."""
    return np.absolute(x)


@elementwise(lambda _y, x: np.sign(x), ufunc=np.fabs)
def fabs(x):
    """Absolute value, as ``abs``; NumPy has both. At 0 the slope is 0."""
    return np.fabs(x)


@elementwise(0, ufunc=np.sign)
def sign(x):
    """-1, 0 or 1; the slope is 0 everywhere, the jump at 0 included."""
    return np.sign(x)


@elementwise(
    1,
    lambda _z, x, y: -np.floor(x / y),
    ufunc=np.remainder,
    cast="widest",
    example=_nonzero_pair,
)
def remainder(x, y):
    """x - y floor(x/y), with the sign of y; slopes 1 and -floor(x/y), at jumps too."""
    return np.remainder(x, y)


@elementwise(
    1,
    lambda _z, x, y: -np.trunc(x / y),
    ufunc=np.fmod,
    cast="widest",
    example=_nonzero_pair,
)
def fmod(x, y):
    """x - y trunc(x/y), with the sign of x; slopes 1 and -trunc(x/y), at jumps too."""
    return np.fmod(x, y)
