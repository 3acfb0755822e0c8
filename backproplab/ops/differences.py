"""Differences between neighbours along an axis."""

from typing import Any

import numpy as np

from ..errors import RuleError, ShapeError
from ..node import Node
from ..primitive import implements, linear


def _diff_transpose(g: Any, x: Any, *, n: int, axis: int) -> Any:
    size = np.shape(x)[axis]
    if n >= size:
        return np.zeros_like(x)
    shape = [*np.shape(x)]
    shape[axis] = n
    edge = np.zeros(shape, g.dtype)
    return (-1) ** n * np.diff(np.concatenate([edge, g, edge], axis), n, axis)


@linear(
    _diff_transpose,
    name="diff",
    example=lambda rng: ((rng.normal(size=(3, 5)),), {"n": 2, "axis": 1}),
)
def _diff(x, n=1, axis=-1):
    """x[i+1] - x[i] along an axis, n times over; the transpose pads g with zeros."""
    return np.diff(x, n, axis)


@implements(np.diff)
def diff(
    x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None
) -> Any:
    """x[i+1] - x[i] along an axis, n times over.

    Args:
        x: at least 1-d.
        n: how many times; 0 returns x as it is.
        axis: along which.
        prepend: put in front of x along ``axis`` first: an array, or one number.
        append: likewise, behind x.

    >>> diff(np.array([1.0, 4.0, 9.0]), prepend=0).tolist()
    [1.0, 3.0, 5.0]
    """
    if not n:
        return x
    parts = [_slab(prepend, x, axis), x, _slab(append, x, axis)]
    parts = [p for p in parts if p is not None]
    if len(parts) > 1:
        x = np.concatenate(parts, axis)
    return _diff(x, n, axis)


def _slab(end: Any, x: Any, axis: int) -> Any:
    end = end if end is None or isinstance(end, Node) else np.asarray(end)
    if end is None or np.ndim(end):
        return end
    shape = [*np.shape(x)]
    shape[axis] = 1
    return np.broadcast_to(end, shape)


@implements(np.ediff1d)
def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences between neighbours of x laid out flat.

    Args:
        x: any shape.
        to_end: numbers to put behind the differences.
        to_begin: numbers to put in front of them.

    >>> ediff1d(np.array([1.0, 4.0, 9.0]), to_begin=0.5).tolist()
    [0.5, 3.0, 5.0]
    """
    parts = [to_begin, _diff(np.reshape(x, -1)), to_end]
    return np.concatenate([np.reshape(p, -1) for p in parts if p is not None])


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes of sampled values: central differences inside, one-sided ones at the ends.

    Second order of accuracy inside, on uneven grids too (Fornberg 1988), as in NumPy.

    Args:
        f: samples, at least ``edge_order + 1`` along each axis.
        *varargs: nothing (spacing 1), one spacing for all axes, or for each axis a
            spacing or the coordinates.
        axis: int or tuple of ints; None for all.
        edge_order: 1 or 2, order of accuracy at the ends.

    Returns:
        an array of f's shape, or a tuple of them where there are several axes.

    >>> gradient(np.array([1.0, 4.0, 9.0, 16.0]), edge_order=2).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    f = f if isinstance(f, Node) else np.asarray(f)
    axes = range(f.ndim) if axis is None else np.atleast_1d(axis).tolist()
    steps = varargs if len(varargs) > 1 else (varargs or (1.0,)) * len(axes)
    if len(steps) != len(axes):
        raise RuleError(
            f"gradient: got {len(steps)} spacings for {len(axes)} axes; "
            "there must be none, one for all, or one for each axis."
        )
    slopes = [
        _along(f, h, a % f.ndim, edge_order) for a, h in zip(axes, steps, strict=True)
    ]
    return tuple(slopes) if len(slopes) != 1 else slopes[0]


def _along(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    if f.shape[axis] <= edge_order:
        raise ShapeError(
            f"gradient: axis {axis} has {f.shape[axis]} samples; "
            f"edge_order={edge_order} needs at least {edge_order + 1}."
        )
    h = np.asarray(h, np.result_type(f.dtype, np.float16))
    # spacings and slopes between neighbours, the axis in front
    h = np.diff(h) if h.ndim else np.full(f.shape[axis] - 1, h)
    h = h.reshape(-1, *(1,) * (f.ndim - 1))
    f = np.swapaxes(f, 0, axis)
    d = (f[1:] - f[:-1]) / h
    inside = (h[1:] * d[:-1] + h[:-1] * d[1:]) / (h[1:] + h[:-1])
    first, last = d[:1], d[-1:]
    if edge_order == 2:
        first = first - (d[1:2] - d[:1]) * (h[:1] / (h[:1] + h[1:2]))
        last = last + (d[-1:] - d[-2:-1]) * (h[-1:] / (h[-1:] + h[-2:-1]))
    return np.swapaxes(np.concatenate([first, inside, last]), 0, axis)
