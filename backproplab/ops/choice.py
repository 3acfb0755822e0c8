"""Choices, element by element: the greater, what lies between bounds, ``where``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitive import elementwise, implements, primitive


def _pair(rng: np.random.Generator) -> Any:
    return (rng.normal(size=(3, 4)), rng.normal(size=(4,))), {}


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
