"""Norms of vectors and matrices, with NumPy's orders."""

from math import inf
from typing import Any

import numpy as np

from ._axes import reduction, share


def _norm_slope(y: Any, x: Any, *, ord: Any, axis: Any) -> Any:
    n = np.ndim(x)
    axes = range(n) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if ord is None or ord == "fro" or (ord == 2 and len(axes) == 1):
        return x * np.where(y == 0, 0.0, 1 / np.where(y == 0, 1.0, y))
    if len(axes) == 2:
        return _matrix_slope(y, x, ord, axes[0] % n, axes[1] % n)
    if ord in (inf, -inf):
        return np.sign(x) * share(np.abs(x) == y, axis, x.dtype)
    zero = (x == 0) | (y == 0) | (ord == 0)
    ratio = np.where(zero, 1.0, np.abs(x)) / np.where(zero, 1.0, y)
    return np.where(zero, 0.0, np.sign(x) * ratio ** (ord - 1))


def _matrix_slope(y: Any, x: Any, ord: Any, rows: int, columns: int) -> Any:
    if ord in (1, -1, inf, -inf):
        # the greatest (or least) sum of absolute values, down a column or along a row
        along, across = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = np.sum(np.abs(x), axis=along, keepdims=True)
        return np.sign(x) * share(sums == y, across, x.dtype)
    n = np.ndim(x)
    order = [a for a in range(n) if a not in (rows, columns)] + [rows, columns]
    u, s, vh = np.linalg.svd(np.transpose(x, order), full_matrices=False)
    if ord == "nuc":
        weight = (s != 0).astype(x.dtype)
    else:
        extreme = s[..., :1] if ord == 2 else s[..., -1:]
        weight = share(s == extreme, -1, x.dtype)
    w = (u * np.expand_dims(weight, -2)) @ vh
    return np.transpose(w, [order.index(a) for a in range(n)])


@reduction(
    _norm_slope,
    numpy=np.linalg.norm,
    cast="fp32",
    example=lambda rng: (
        (rng.choice([-1, 1], (3, 4)) * (0.5 + rng.random((3, 4))),),
        {"ord": 3, "axis": -1},
    ),
)
def norm(x, ord=None, axis=None, keepdims=False):
    """Length of vectors, size of matrices; where it is 0 the slope is 0 (PyTorch).

    Args:
        x: any shape.
        ord: for vectors p (the p-th root of the sum of |x|^p; default 2), inf, -inf or
            0 (how many are not 0); for matrices "fro" (default), "nuc" (sum of the
            singular values), 2 and -2 (the greatest, the least), 1 and -1 (greatest and
            least column sum of |x|), inf and -inf (row sum).
        axis: int for vectors, pair of ints for matrices, None for all of x.
        keepdims: whether reduced axes stay, with size 1.

    Equal greatest (or least) values share the gradient evenly, as in PyTorch.
    """
    return np.linalg.norm(x, ord, axis, keepdims)
