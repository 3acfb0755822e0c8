"""Arithmetic, element by element: sums, products, powers, choices. No transcendentals."""

from typing import Any

import numpy as np

from ..primitive import elementwise, primitive


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
        return n * x ** (n - 1) if n else 0 * x
    return np.where(n == 0, 0 * x, n * x ** (n - (n != 0)))


def _exponent_slope(z: Any, x: Any, n: Any) -> Any:
    zero = (x == 0) & (n >= 0)
    return np.where(zero, 0 * z, z * np.log(np.where(zero, 1 + 0 * x, x)))


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


@elementwise(lambda _y, x: np.sign(x), ufunc=np.absolute)
def abs(x):
    """Absolute value. At 0 the slope is 0, as in PyTorch."""
    return np.absolute(x)


@elementwise(0, ufunc=np.sign)
def sign(x):
    """-1, 0 or 1; the slope is 0 everywhere, the jump at 0 included."""
    return np.sign(x)


@elementwise(lambda _y, x: 2 * x, ufunc=np.square)
def square(x):
    """x times x; slope 2x."""
    return np.square(x)


@elementwise(
    lambda _z, x, y: _share(x, y),
    lambda _z, x, y: _share(y, x),
    ufunc=np.maximum,
    cast="widest",
    example=_pair,
)
def maximum(x, y):
    """The greater of two; at a tie each gets half the gradient, as in PyTorch."""
    return np.maximum(x, y)


@elementwise(
    lambda _z, x, y: _share(y, x),
    lambda _z, x, y: _share(x, y),
    ufunc=np.minimum,
    cast="widest",
    example=_pair,
)
def minimum(x, y):
    """The lesser of two; at a tie each gets half the gradient, as in PyTorch."""
    return np.minimum(x, y)


def _share(x: Any, y: Any) -> Any:
    """1 where x wins, 1/2 at a tie, in x's dtype."""
    return ((x > y) + (x >= y)) * np.asarray(0.5, np.result_type(x, y))


def _where_jvp(t: Any, _z: Any, condition: Any, x: Any, y: Any) -> Any:
    zero = 0 * (t[1] if t[1] is not None else t[2])
    return np.where(condition, *(zero if s is None else s for s in t[1:]))


@primitive(
    None,
    lambda g, _z, condition, _x, _y: np.where(condition, g, 0 * g),
    lambda g, _z, condition, _x, _y: np.where(condition, 0 * g, g),
    jvp=_where_jvp,
    numpy=np.where,
    cast="widest",
    example=lambda rng: (
        (rng.random(4) > 0.5, rng.normal(size=(3, 4)), rng.normal(size=4)),
        {},
    ),
)
def where(condition, x, y):
    """x where the condition holds, else y; the condition itself gets no gradient."""
    return np.where(condition, x, y)
