"""Reductions: many values to fewer. Each takes NumPy's ``axis`` and ``keepdims``."""

from math import inf
from typing import Any

import numpy as np

from ..node import Node
from ..primitive import implements, linear
from ._axes import reduction, share, spread


def _two_axes(rng):
    return (rng.normal(size=(2, 3, 4)),), {"axis": (0, -1)}


@linear(
    lambda g, x, *, axis, keepdims, **_: spread(g, x, axis, keepdims),
    numpy=np.sum,
    cast="fp32",
    example=_two_axes,
)
def sum(x, axis=None, dtype=None, *, keepdims=False):
    """Sum over axes; every summand gets the gradient of the sum."""
    return np.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


@linear(
    lambda g, x, *, axis, keepdims, **_: spread(
        g * (g.size / (x.size or 1)), x, axis, keepdims
    ),
    numpy=np.mean,
    example=_two_axes,
)
def mean(x, axis=None, dtype=None, *, keepdims=False):
    """Mean over axes; every summand gets 1/n of the gradient."""
    return np.mean(x, axis=axis, dtype=dtype, keepdims=keepdims)


@reduction(
    lambda _y, x, *, axis, **_: _others(x, axis),
    numpy=np.prod,
    cast="fp32",
    example=_two_axes,
)
def prod(x, axis=None, dtype=None, *, keepdims=False):
    """Product over axes; the slope at a factor is the product of all the others.

    It is multiplied out, never divided: exact with one zero among the factors, or two.
    """
    return np.prod(x, axis=axis, dtype=dtype, keepdims=keepdims)


def _others(x: Any, axis: Any) -> Any:
    """For each element, the product of all the others along ``axis``."""
    n = np.ndim(x)
    over = (
        range(n)
        if axis is None
        else [a % n for a in (axis if isinstance(axis, tuple) else (axis,)) if n]
    )
    order = [a for a in range(n) if a not in over] + list(over)
    moved = np.transpose(x, order)
    kept = moved.shape[: n - len(over)]
    flat = np.reshape(moved, (*kept, np.prod(moved.shape[len(kept) :], dtype=int)))
    rest = np.reshape(_rest(flat), moved.shape)
    return np.transpose(rest, [order.index(a) for a in range(n)])


def _rest(x: Any) -> Any:
    """Products of all but one along the last axis: up and down a tree of pairs."""
    n = x.shape[-1]
    if n <= 1:
        return np.ones_like(x)
    h = n // 2
    a, b, odd = x[..., :h], x[..., h : 2 * h], x[..., 2 * h :]
    rest = _rest(np.concatenate([a * b, odd], axis=-1))
    return np.concatenate(
        [rest[..., :h] * b, rest[..., :h] * a, rest[..., h:]], axis=-1
    )


def _deviation(x: Any, axis: Any, ddof: Any, correction: Any) -> Any:
    """What each element is away from the mean, and 1/(n - ddof)."""
    m = np.mean(x, axis=axis, keepdims=True)
    dof = x.size // (m.size or 1) - _first(correction, ddof)
    return x - m, 1 / dof if dof > 0 else inf


def _var_slope(_y, x, *, axis, ddof, correction, **_):
    d, scale = _deviation(x, axis, ddof, correction)
    return (2 * scale) * d


@reduction(_var_slope, numpy=np.var, example=_two_axes)
def var(x, axis=None, dtype=None, *, ddof=0, keepdims=False, correction=None):
    """Variance over axes, with divisor n - ddof; slope 2(x - mean)/(n - ddof).

    Args:
        x: any shape.
        axis: int, tuple of ints, or None for all.
        dtype: of the result and of what is computed on the way; None for x's.
        ddof: 0 for the biased variance (NumPy's default), 1 for the unbiased one
            (PyTorch's default).
        keepdims: whether reduced axes stay, with size 1.
        correction: another name for ``ddof``, as in the array API and PyTorch.
    """
    ddof = _first(correction, ddof)
    return np.var(x, axis, dtype, ddof=ddof, keepdims=keepdims)


def _std_slope(y, x, *, axis, ddof, correction, **_):
    d, scale = _deviation(x, axis, ddof, correction)
    return np.where(y == 0, 0.0, scale * d / np.where(y == 0, 1.0, y))


@reduction(_std_slope, numpy=np.std, example=_two_axes)
def std(x, axis=None, dtype=None, *, ddof=0, keepdims=False, correction=None):
    """Standard deviation over axes; slope (x - mean)/((n - ddof) y).

    Where all values are equal the slope is 0, as in PyTorch. Arguments as ``var``.
    """
    ddof = _first(correction, ddof)
    return np.std(x, axis, dtype, ddof=ddof, keepdims=keepdims)


def _first(correction: Any, ddof: Any) -> Any:
    return ddof if correction is None else correction


def _tie_slope(y, x, *, axis):
    return share(x == y, axis, x.dtype)


@reduction(_tie_slope, numpy=(np.max, np.amax), example=_two_axes)
def max(x, axis=None, *, keepdims=False):
    """Greatest value over axes; equal greatest values share the gradient evenly.

    So do ``torch.amax`` and ``torch.max(x)``; ``torch.max(x, dim)`` picks one of them.
    """
    return np.max(x, axis=axis, keepdims=keepdims)


@reduction(_tie_slope, numpy=(np.min, np.amin), example=_two_axes)
def min(x, axis=None, *, keepdims=False):
    """Least value over axes; equal least values share the gradient evenly.

    So do ``torch.amin`` and ``torch.min(x)``; ``torch.min(x, dim)`` picks one of them.
    """
    return np.min(x, axis=axis, keepdims=keepdims)


@reduction(
    lambda y, x, *, axis: np.exp(x - np.where(y == -inf, 0.0, y)),
    cast="fp32",
    example=_two_axes,
)
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))) without overflow; the slope is softmax(x).

    Where all of x is -inf, or there is nothing to add, y is -inf and the slope 0.
    """
    top = np.max(x, axis=axis, keepdims=True) if np.size(x) else 0.0
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        y = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return y if keepdims else np.squeeze(y, axis)


@linear(
    lambda g, x, *, axis, **_: np.reshape(
        np.flip(np.cumsum(np.flip(g, axis), axis), axis), np.shape(x)
    ),
    numpy=np.cumsum,
    cast="fp32",
    example=lambda rng: ((rng.normal(size=(3, 4)),), {"axis": -1}),
)
def cumsum(x, axis=None, dtype=None):
    """Running sums along an axis (None: of all, flat); the gradient runs backwards."""
    return np.cumsum(x, axis, dtype)


@implements(np.average)
def average(
    x: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Weighted mean: sum(w x)/sum(w) over axes; both x and w get gradients.

    Args:
        x: any shape.
        axis: int, tuple of ints, or None for all.
        weights: of x's shape, or of the shape of the averaged axes; None for equal.
        returned: whether to return the pair (average, sum of weights).
        keepdims: whether reduced axes stay, with size 1.

    >>> float(average(np.array([1.0, 4.0]), weights=np.array([3.0, 1.0])))
    1.75
    """
    if weights is None:
        y = np.mean(x, axis, keepdims=keepdims)
        total = np.full_like(y, np.size(x) / (np.size(y) or 1))
        return (y, total) if returned else y
    w: Any = weights if isinstance(weights, Node) else np.asarray(weights)
    if w.shape != np.shape(x):
        axes = [a % np.ndim(x) for a in (axis if isinstance(axis, tuple) else (axis,))]
        w = np.transpose(w, [int(i) for i in np.argsort(axes)])
        w = np.expand_dims(w, [a for a in range(np.ndim(x)) if a not in axes])
    w = w * np.ones(np.shape(x), w.dtype)
    total = np.sum(w, axis=axis, keepdims=keepdims)
    y = np.sum(x * w, axis=axis, keepdims=keepdims) / total
    return (y, total) if returned else y
