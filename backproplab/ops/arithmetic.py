"""Arithmetic, element by element: sums, products, powers, choices of the greater."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitive import elementwise, implements, primitive


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


def _wins(x: Any, y: Any) -> Any:
    """1 where x > y, 1/2 at a tie, in their dtype."""
    return np.where(x == y, np.result_type(x, y).type(0.5), x > y)


@elementwise(
    lambda _z, x, y: _wins(x, y),
    lambda _z, x, y: _wins(y, x),
    ufunc=np.maximum,
    cast="widest",
    example=_pair,
)
def maximum(x, y):
    """The greater of two; at a tie each gets half the gradient, as in PyTorch."""
    return np.maximum(x, y)


@elementwise(
    lambda _z, x, y: _wins(y, x),
    lambda _z, x, y: _wins(x, y),
    ufunc=np.minimum,
    cast="widest",
    example=_pair,
)
def minimum(x, y):
    """The lesser of two; at a tie each gets half the gradient, as in PyTorch."""
    return np.minimum(x, y)


@elementwise(
    lambda _z, x, y: (x >= y) | (y != y),
    lambda _z, x, y: ~((x >= y) | (y != y)),
    ufunc=np.fmax,
    cast="widest",
    example=_pair,
)
def fmax(x, y):
    """The greater of two, rather not NaN; at a tie x gets all, as in PyTorch."""
    return np.fmax(x, y)


@elementwise(
    lambda _z, x, y: (x <= y) | (y != y),
    lambda _z, x, y: ~((x <= y) | (y != y)),
    ufunc=np.fmin,
    cast="widest",
    example=_pair,
)
def fmin(x, y):
    """The lesser of two, rather not NaN; at a tie x gets all, as in PyTorch."""
    return np.fmin(x, y)


def _meets(x: Any, low: Any, high: Any) -> Any:
    return (low is None or x >= low) & (high is None or x <= high)


@elementwise(
    lambda _y, x, a_min, a_max: _meets(x, a_min, a_max),
    lambda _y, x, a_min, a_max: (x < a_min) & (a_max is None or a_min < a_max),
    lambda _y, x, a_min, a_max: (x > a_max) | (a_min is not None and a_max < a_min),
    name="clip",
    cast="widest",
    example=lambda rng: (
        (rng.normal(size=(3, 4)), rng.normal(size=4) - 1, rng.normal(size=(3, 1)) + 1),
        {},
    ),
)
def _clip(x, a_min, a_max):
    """x between bounds; its slope is 1 inside and on a bound, as in PyTorch's clamp.

    A bound gets the gradient where it replaces x. Where a_min > a_max, y is a_max.
    """
    return np.clip(x, a_min, a_max)


@implements(np.clip)
def clip(
    x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """x between bounds; its slope is 1 inside and on a bound, as in PyTorch's clamp.

    Args:
        x: any shape.
        a_min: lower bound, broadcast against x; None for no bound.
        a_max: upper bound; the lesser where the two contradict each other.
        min: another name for ``a_min``, as in NumPy 2.1 and PyTorch.
        max: another name for ``a_max``.

    A bound gets the gradient where it replaces x.

    >>> clip(np.array([-1.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    return _clip(x, a_min if min is None else min, a_max if max is None else max)


def _where_jvp(t: Any, _z: Any, condition: Any, _x: Any, _y: Any) -> Any:
    _, tx, ty = t
    return np.where(condition, 0.0 if tx is None else tx, 0.0 if ty is None else ty)


@primitive(
    None,
    lambda g, _z, condition, _x, _y: np.where(condition, g, 0.0),
    lambda g, _z, condition, _x, _y: np.where(condition, 0.0, g),
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


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Of several choices the first whose condition holds, made of ``where``.

    Args:
        condlist: boolean arrays.
        choicelist: for each an array that broadcasts against it.
        default: what stands where no condition holds.

    >>> x = np.array([-2.0, 0.5, 3.0])
    >>> select([x < 0, x < 1], [-x, x * x], default=1.0).tolist()
    [2.0, 0.25, 1.0]
    """
    y = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        y = where(condition, choice, y)
    return y


@elementwise(lambda _y, x, **_: np.isfinite(x), numpy=np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """Numbers in place of NaN and infinity; what was replaced has slope 0.

    ``copy`` is NumPy's and has no effect: an op never writes into its input.
    """
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
