"""Maxima, sums and dot products of the rows of plain arrays, written for speed."""

from typing import Any

import numpy as np


def product(x: Any, y: Any) -> Any:
    """x @ y; two plain matrices by np.dot, which takes BLAS for a single row too."""
    if type(x) is np.ndarray and type(y) is np.ndarray and x.ndim == y.ndim == 2:
        return np.dot(x, y)
    return np.matmul(x, y)


def wide(x: Any) -> Any:
    """The array itself, in float32 if it is float16: what sums are computed in."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def row_max(x: np.ndarray) -> np.ndarray:
    """Greatest number of each row, (..., d) to (..., 1); NaN if there is one.

    NumPy's argmax is several times faster than its max where rows are short.
    """
    flat = x.reshape(-1, x.shape[-1])
    at = flat.argmax(axis=1)
    at += np.arange(0, flat.size, flat.shape[1])
    return flat.reshape(-1)[at].reshape(*x.shape[:-1], 1)


def row_sum(x: np.ndarray) -> np.ndarray:
    """Sum of each row: a product with ones is faster than np.sum."""
    return (x @ np.ones(x.shape[-1], x.dtype))[..., None]


def row_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum of the products of each two rows."""
    return np.vecdot(x, y)[..., None]


def column_sum(x: Any) -> Any:
    """Sum of each column, (n, d) to (d,); of tensors too."""
    if isinstance(x, np.ndarray) and x.dtype != np.float16:
        return np.ones(len(x), x.dtype) @ x
    return np.sum(x, axis=0)
