"""Products that sum over axes, linear in each factor; and the trace."""

from math import prod

import numpy as np

from ..primitive import linear, primitive
from ._rows import column_sum, product


def _matmul_x(g, x, w):
    if np.ndim(w) == 1:
        return np.expand_dims(g, -1) * w if np.ndim(x) > 1 else g * w
    if np.ndim(x) == 1:
        g = np.expand_dims(g, -2)
        return np.squeeze(g @ np.swapaxes(w, -1, -2), -2)
    return product(g, np.swapaxes(w, -1, -2))


def _matmul_w(g, x, w):
    if np.ndim(x) == 1:
        if np.ndim(w) == 1:
            return g * x
        return np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if np.ndim(w) == 1:
        return np.squeeze(np.swapaxes(x, -1, -2) @ np.expand_dims(g, -1), -1)
    return product(np.swapaxes(x, -1, -2), g)


@linear(
    _matmul_x,
    _matmul_w,
    numpy=(np.matmul, np.linalg.matmul),
    cast="low",
    requires="x.shape[-1] must equal w.shape[-2] (w.shape[0] if w is 1-d).",
    example=lambda rng: ((rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))), {}),
)
def matmul(x, w):
    """Matrix product, all of NumPy's shapes: y = x w, dx = g w^T, dw = x^T g."""
    return product(x, w)


def _rows(x):
    """All leading axes as one: (rows, features)."""
    shape = x.shape
    return x if len(shape) == 2 else x.reshape((prod(shape[:-1]), shape[-1]))


def _affine_vjp(g, _y, x, w, b, *, wrt):
    rows = _rows(g)
    return (
        product(g, w) if 0 in wrt else None,
        product(rows.T, _rows(x)) if 1 in wrt else None,
        column_sum(rows) if 2 in wrt else None,
    )


def _affine_jvp(t, _y, x, w, b):
    tx, tw, tb = t
    terms = (
        None if tx is None else tx @ np.swapaxes(w, -1, -2),
        None if tw is None else x @ np.swapaxes(tw, -1, -2),
        tb,
    )
    first, *more = [term for term in terms if term is not None]
    for term in more:
        first = first + term
    return first


@primitive(
    vjp=_affine_vjp,
    jvp=_affine_jvp,
    inputs=3,
    name="linear",
    cast="low",
    requires="x.shape[-1] must equal w.shape[1], and b be (w.shape[0],).",
    example=lambda rng: (
        (rng.normal(size=(3, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)),
        {},
    ),
)
def affine(x, w, b=None):
    """y = x w^T + b, as ``torch.nn.functional.linear``.

    Args:
        x: (..., d_in), or (d_in,) for one sample.
        w: (d_out, d_in).
        b: (d_out,) or None.

    Returns:
        (..., d_out).
    """
    y = product(x, np.transpose(w))
    if b is None:
        return y
    same = b.dtype == y.dtype or np.result_type(y, b) == y.dtype
    return np.add(y, b, out=y) if same else y + b


def _axes(x, y, axes):
    """Tensordot's axes in full: which of x's and y's are summed, and which are free."""
    n, m = np.ndim(x), np.ndim(y)
    if isinstance(axes, (int, np.integer)):
        axes = (range(n - axes, n), range(axes))
    of_x, of_y = ([int(a) for a in np.atleast_1d(np.asarray(s))] for s in axes)
    of_x, of_y = [a % n for a in of_x], [a % m for a in of_y]
    free_x = [a for a in range(n) if a not in of_x]
    free_y = [a for a in range(m) if a not in of_y]
    return of_x, of_y, free_x, free_y


def _tensordot_x(g, x, y, *, axes):
    of_x, of_y, free_x, free_y = _axes(x, y, axes)
    k = len(free_x)
    full = np.tensordot(g, y, (list(range(k, k + len(free_y))), free_y))
    came = free_x + [of_x[of_y.index(a)] for a in sorted(of_y)]
    return np.transpose(full, [came.index(a) for a in range(np.ndim(x))])


def _tensordot_y(g, x, y, *, axes):
    of_x, of_y, free_x, free_y = _axes(x, y, axes)
    full = np.tensordot(x, g, (free_x, list(range(len(free_x)))))
    came = [of_y[of_x.index(a)] for a in sorted(of_x)] + free_y
    return np.transpose(full, [came.index(a) for a in range(np.ndim(y))])


@linear(
    _tensordot_x,
    _tensordot_y,
    numpy=(np.tensordot, np.linalg.tensordot),
    cast="widest",
    example=lambda rng: (
        (rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5, 2))),
        {"axes": ((0, 2), (-1, 0))},
    ),
)
def tensordot(x, y, axes=2):
    """Sum over pairs of axes, one of x and one of y; the free axes of x come first.

    Args:
        x: any shape.
        y: any shape.
        axes: k for the last k of x with the first k of y, or a pair of lists of axes.
    """
    return np.tensordot(x, y, axes)


def _dot_axes(x, y):
    return x.ndim - 1, max(y.ndim - 2, 0)


def _one_number(x, y):
    """Whether the gradient of the product is one number, or an operand is one."""
    n, m = getattr(x, "ndim", 0), getattr(y, "ndim", 0)
    return not n or not m or n == m == 1


@linear(
    lambda g, x, y: (
        g * y if _one_number(x, y) else _tensordot_x(g, x, y, axes=_dot_axes(x, y))
    ),
    lambda g, x, y: (
        g * x if _one_number(x, y) else _tensordot_y(g, x, y, axes=_dot_axes(x, y))
    ),
    numpy=np.dot,
    cast="widest",
    requires="x.shape[-1] must equal y.shape[-2] (y.shape[0] if y is 1-d).",
    example=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=(4, 3, 2))), {}),
)
def dot(x, y):
    """Sum over the last axis of x and the last but one of y; a product with a number.

    Beyond two axes it differs from ``matmul``: every row of x meets every matrix of y.
    """
    return np.dot(x, y)


@linear(
    lambda g, x, y: (
        g * y if _one_number(x, y) else _tensordot_x(g, x, y, axes=(-1, -1))
    ),
    lambda g, x, y: (
        g * x if _one_number(x, y) else _tensordot_y(g, x, y, axes=(-1, -1))
    ),
    numpy=np.inner,
    cast="widest",
    requires="x.shape[-1] must equal y.shape[-1].",
    example=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=(4, 3))), {}),
)
def inner(x, y):
    """Sum over the last axes of both; a product where one is a number."""
    return np.inner(x, y)


@linear(
    lambda g, x, y: np.reshape(g * np.reshape(y, -1), np.shape(x)),
    lambda g, x, y: np.reshape(g * np.reshape(x, -1), np.shape(y)),
    numpy=np.vdot,
    cast="widest",
    requires="both must have the same number of elements.",
    example=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=6)), {}),
)
def vdot(x, y):
    """Sum of the products of all elements, both laid out flat."""
    return np.vdot(x, y)


def _trace_transpose(g, x, *, offset, axis1, axis2):
    shape = np.shape(x)
    a, b = axis1 % len(shape), axis2 % len(shape)
    on = np.eye(shape[a], shape[b], offset, dtype=bool)
    on = on if a < b else on.T
    others = tuple(i for i in range(len(shape)) if i not in (a, b))
    return np.expand_dims(g, (a, b)) * np.expand_dims(on, others)


@linear(
    _trace_transpose,
    numpy=np.trace,
    example=lambda rng: (
        (rng.normal(size=(2, 3, 4)),),
        {"offset": 1, "axis1": -1, "axis2": 1},
    ),
)
def trace(x, offset=0, axis1=0, axis2=1):
    """Sum of a diagonal; its elements get the gradient and the others nothing."""
    return np.trace(x, offset, axis1, axis2)
