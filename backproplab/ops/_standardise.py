"""The arithmetic of normalisation; the ops with their checks are in ``normalisation``.

With c = x - mean, s = 1/sqrt(var + eps) and z = c s,

    dz = s (dx - mean(dx) - z mean(z dx)),

which is symmetric, so gradients and tangents go through the same function.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ._rows import row_dot, row_sum, wide


class Layout(NamedTuple):
    """Where the statistics are taken and where the weights act.

    ``rows`` is the shape in which they are taken over ``axes``; ``places`` the shape in
    which weights of shape ``weights`` act, each on all numbers along ``over``.
    """

    rows: tuple[int, ...]
    axes: tuple[int, ...]
    places: tuple[int, ...]
    weights: tuple[int, ...]
    over: tuple[int, ...]
    centred: bool = True

    @property
    def sharing(self) -> int:
        """How many numbers share a mean."""
        return prod(self.rows[axis] for axis in self.axes)


def sum_of(x: Any, axes: tuple[int, ...]) -> Any:
    """Sum with the axes kept; a product with ones is faster than np.sum."""
    if isinstance(x, np.ndarray) and x.dtype != np.float16:
        if axes == (0,):
            return (np.ones(len(x), x.dtype) @ x)[None]
        x, axes = row_sum(x), axes[:-1]
        if not axes:
            return x
    return np.sum(x, axis=axes, keepdims=True)


def dot_of(x: Any, y: Any, axes: tuple[int, ...]) -> Any:
    """Sum of the products, with the axes kept."""
    if axes == (0,) or not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):
        return sum_of(x * y, axes)
    x = row_dot(x, y)
    return np.sum(x, axis=axes[:-1], keepdims=True) if axes[:-1] else x


def centre(x: Any, layout: Layout, eps: float, known: Any = None) -> Any:
    """Give c = x - mean and s; ``known`` may hold mean and variance, axes kept."""
    n, axes = layout.sharing, layout.axes
    mean, variance = known or (None, None)
    c = np.reshape(x, layout.rows)
    if layout.centred:
        c = c - (sum_of(c, axes) / n if mean is None else mean)
    return c, 1 / np.sqrt(
        (dot_of(c, c, axes) / n if variance is None else variance) + eps
    )


def _through(t: Any, c: Any, s: Any, w: Any, layout: Layout, sums: Any = None) -> Any:
    """Multiply by w and the Jacobian; ``sums`` may hold the sums of t and of c t."""
    n, axes = layout.sharing, layout.axes
    total, along = sums or (None, None)
    out = c * ((dot_of(c, t, axes) if along is None else along) * s * s / -n)
    out += t  # out is ours, so in place
    if layout.centred:
        out -= (sum_of(t, axes) if total is None else total) / n
    out *= s if w is None else s * w
    return out


def _onto(operation: np.ufunc, y: np.ndarray, a: Any, layout: Layout) -> np.ndarray:
    """Add or multiply in place, unless ``a`` is of a wider dtype."""
    a = np.reshape(a, layout.weights)
    return operation(y, a, out=y if np.result_type(y, a) == y.dtype else None)


def value(
    x: Any, weight: Any, bias: Any, layout: Layout, eps: float, known: Any = None
) -> Any:
    c, s = centre(wide(x), layout, eps, known)
    if layout.over == layout.axes and weight is not None:
        y = c * (s * np.reshape(weight, layout.weights))
    else:
        y = np.reshape(c * s, layout.places)
        if weight is not None:
            y = _onto(np.multiply, y, weight, layout)
    if bias is not None:
        y = _onto(np.add, y, bias, layout)
    dtype = np.result_type(*(a for a in (x, weight, bias) if a is not None))
    return np.reshape(y, np.shape(x)).astype(dtype, copy=False), (c, s)


def pull(
    g: Any, x: Any, weight: Any, bias: Any, layout: Layout, eps: float, saved: Any
) -> list[Any]:
    c, s = saved or centre(wide(x), layout, eps)
    g = np.reshape(wide(g), layout.places)
    w = None if weight is None else np.reshape(weight, layout.weights)
    dbias: Any = None
    dweight: Any = None
    if layout.over == layout.axes:
        # a weight is constant along the axes: one pair of sums serves all three
        total, along = sum_of(g, layout.over), dot_of(c, g, layout.over)
        dx = _through(g, c, s, w, layout, (total, along))
        dbias, dweight = total, along * s
    else:
        if bias is not None:
            dbias = sum_of(g, layout.over)
        if weight is not None:
            dweight = dot_of(np.reshape(c * s, layout.places), g, layout.over)
        t = np.reshape(g if w is None else g * w, layout.rows)
        dx = _through(t, c, s, None, layout)
    return [
        np.reshape(dx, np.shape(x)),
        None if weight is None else np.reshape(dweight, np.shape(weight)),
        None if bias is None else np.reshape(dbias, np.shape(bias)),
    ]


def push(t: Any, x: Any, weight: Any, layout: Layout, eps: float, saved: Any) -> Any:
    c, s = saved or centre(wide(x), layout, eps)
    terms = []
    if t[0] is not None:
        dz = _through(np.reshape(t[0], layout.rows), c, s, None, layout)
        dz = np.reshape(dz, layout.places)
        terms.append(dz if weight is None else dz * np.reshape(weight, layout.weights))
    if t[1] is not None:
        z = np.reshape(c * s, layout.places)
        terms.append(z * np.reshape(t[1], layout.weights))
    if t[2] is not None:
        terms.append(np.reshape(t[2], layout.weights))
    total = np.broadcast_to(sum(terms[1:], terms[0]), layout.places)
    return np.reshape(total, np.shape(x))
