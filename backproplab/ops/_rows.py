"""Maxima, sums and dot products of the rows of plain arrays, written for speed."""

from typing import Any

import numpy as np

_FEW = 16  # rows, up to which BLAS costs more than it saves


def product(x: Any, y: Any) -> Any:
    """x @ y; for a plain matrix y by np.dot, which takes BLAS for a single row too.

    Several matrices x are one with all their rows: one call of BLAS.
    """
    if type(x) is np.ndarray and type(y) is np.ndarray and y.ndim == 2:
        if x.ndim == 2:
            return np.dot(x, y)
        fits = x.shape[-1:] == y.shape[:1] and x.dtype == y.dtype
        if x.ndim > 2 and fits and x.size and y.size:
            out = np.empty((*x.shape[:-1], y.shape[1]), x.dtype)
            rows, flat = x.reshape(-1, len(y)), out.reshape(-1, y.shape[1])
            np.dot(rows, y, out=flat)
            return out
    return np.matmul(x, y)


def wide(x: Any) -> Any:
    """The array itself, in float32 if it is float16: what sums are computed in."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def row_max(x: np.ndarray) -> np.ndarray:
    """Greatest number of each row, (..., d) to (..., 1); NaN if there is one.

    NumPy's argmax is several times faster than its max where rows are short and many.
    """
    if len(x) < _FEW and x.ndim == 2:
        return np.maximum.reduce(x, 1, keepdims=True)
    flat = x.reshape(-1, x.shape[-1])
    at = flat.argmax(axis=1)
    at += np.arange(0, flat.size, flat.shape[1])
    return flat.reshape(-1)[at].reshape(*x.shape[:-1], 1)


def row_sum(x: np.ndarray) -> np.ndarray:
    """Sum of each row: a product with ones is faster than a sum, but for few rows."""
    if len(x) < _FEW and x.ndim == 2:
        return np.add.reduce(x, 1, keepdims=True)
    return product(x, np.ones((x.shape[-1], 1), x.dtype))


def row_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum of the products of each two rows."""
    return np.vecdot(x, y)[..., None]


def column_sum(x: Any) -> Any:
    """Sum of each column, (n, d) to (d,); of tensors too.

    A product with ones is faster than a sum, but for few rows.
    """
    if type(x) is np.ndarray and x.dtype != np.float16:
        n = len(x)
        return np.add.reduce(x, 0) if n < _FEW else np.dot(np.ones(n, x.dtype), x)
    return np.sum(x, axis=0)
