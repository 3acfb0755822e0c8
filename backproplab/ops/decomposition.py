"""Inverses, determinants and Cholesky factors of matrices, on the last two axes.

The rules are those of Giles 2008, An extended collection of matrix derivative results.
Where a matrix must be symmetric, its symmetric part is read: the gradient is symmetric.
"""

from typing import Any, NamedTuple

import numpy as np

from ..node import Node
from ..primitive import implements, primitive


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


def _square(rng):
    return (rng.normal(size=(2, 3, 3)) + 3 * np.eye(3),), {}


def _positive_definite(rng):
    x = rng.normal(size=(2, 3, 3))
    return (x @ _t(x) + np.eye(3),), {}


def _t(x):
    return np.swapaxes(x, -1, -2)


def _symmetric(x):
    return 0.5 * (x + _t(x))


def _at_least_float32(f, *arrays, **options):
    """LAPACK knows no float16: compute in float32 and come back."""
    dtype = np.result_type(*arrays, np.float16)
    if dtype != np.float16:
        return f(*arrays, **options)
    return f(*(np.asarray(a, np.float32) for a in arrays), **options).astype(dtype)


@primitive(
    lambda g, y, _x: -(_t(y) @ g @ _t(y)),
    jvp=lambda t, y, _x: -(y @ t[0] @ y),
    numpy=np.linalg.inv,
    requires="x must be square matrices, not singular.",
    example=_square,
)
def inv(x):
    """Inverse of square matrices; dy = -y dx y."""
    return _at_least_float32(np.linalg.inv, x)


def _cofactors(y, x):
    """Slopes of the determinant, y x^-T; from the SVD they exist for singular x too."""
    if isinstance(x, Node):
        return np.expand_dims(y, (-1, -2)) * _t(inv(x))
    u, s, vh = np.linalg.svd(np.asarray(x, np.promote_types(x.dtype, np.float32)))
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :])
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vh))
    return (u * (sign[..., None] * np.prod(others, -1))[..., None, :] @ vh).astype(
        x.dtype
    )


@primitive(
    lambda g, y, x: np.expand_dims(g, (-1, -2)) * _cofactors(y, x),
    jvp=lambda t, y, x: np.sum(t[0] * _cofactors(y, x), axis=(-1, -2)),
    numpy=np.linalg.det,
    requires="x must be square matrices.",
    example=_square,
)
def det(x):
    """Determinant; its slopes are the cofactors, also where x is singular.

    Second derivatives need x to have an inverse.
    """
    return _at_least_float32(np.linalg.det, x)


@primitive(
    lambda g, _y, x: np.expand_dims(g, (-1, -2)) * _t(inv(x)),
    jvp=lambda t, _y, x: np.sum(t[0] * _t(inv(x)), axis=(-1, -2)),
    requires="x must be square matrices.",
    example=_square,
)
def logabsdet(x):
    """Logarithm of the absolute determinant; its slopes are x^-T. See ``slogdet``."""
    return _at_least_float32(lambda x: np.linalg.slogdet(x)[1], x)


@implements(np.linalg.slogdet)
def slogdet(x: Any) -> SlogdetResult:
    """Sign and log of the absolute determinant; the sign is constant.

    Args:
        x: (..., n, n).

    Returns:
        (sign, logabsdet), each of shape (...).

    >>> slogdet(-np.eye(1)).sign
    np.float64(-1.0)
    """
    plain: Any = getattr(x, "_data", x)
    sign = _at_least_float32(lambda x: np.linalg.slogdet(x)[0], plain)
    return SlogdetResult(sign, logabsdet(x))


def _solve_vjp(g, y, a, b, *, wrt):
    if np.ndim(b) == 1:
        g, y = np.expand_dims(g, -1), np.expand_dims(y, -1)
    db = solve(_t(a), g)
    da = -(db @ _t(y)) if 0 in wrt else None
    return da, np.squeeze(db, -1) if np.ndim(b) == 1 else db


def _solve_jvp(t, y, a, b):
    ta, tb = t
    if ta is None:
        return solve(a, tb)
    if np.ndim(b) == 1:
        y = np.expand_dims(y, -1)
        moved = ta @ y if tb is None else ta @ y - np.expand_dims(tb, -1)
        return -np.squeeze(solve(a, moved), -1)
    return -solve(a, ta @ y if tb is None else ta @ y - tb)


@primitive(
    vjp=_solve_vjp,
    jvp=_solve_jvp,
    inputs=2,
    numpy=np.linalg.solve,
    requires="a must be square matrices, not singular, with a.shape[-1] rows in b.",
    example=lambda rng: (
        (rng.normal(size=(2, 3, 3)) + 3 * np.eye(3), rng.normal(size=(3, 2))),
        {},
    ),
)
def solve(a, b):
    """The y with a y = b; db = a^-T g and da = -db y^T.

    Args:
        a: (..., n, n).
        b: (n,), or (..., n, k).
    """
    return _at_least_float32(np.linalg.solve, a, b)


def _halved(x):
    """Lower triangle with half of the diagonal."""
    n = np.shape(x)[-1]
    return x * (np.tri(n) - 0.5 * np.eye(n)).astype(x.dtype)


def _cholesky_pullback(g, y, _x, *, upper):
    y, g = (_t(y), _t(g)) if upper else (y, g)
    back = inv(y)
    return _symmetric(_t(back) @ _halved(_t(y) @ g) @ back)


def _cholesky_jvp(t, y, _x, *, upper):
    y = _t(y) if upper else y
    back = inv(y)
    dy = y @ _halved(back @ _symmetric(t[0]) @ _t(back))
    return _t(dy) if upper else dy


@primitive(
    _cholesky_pullback,
    jvp=_cholesky_jvp,
    numpy=np.linalg.cholesky,
    requires="x must be positive definite matrices.",
    example=_positive_definite,
)
def cholesky(x, *, upper=False):
    """The lower triangular y with y y^T = x, or the upper one with y^T y = x.

    x is positive definite; its symmetric part is read. The rule is that of Murray 2016,
    Differentiation of the Cholesky decomposition.
    """
    return _at_least_float32(np.linalg.cholesky, _symmetric(x), upper=upper)


def _pinv_pullback(g, y, x, **_):
    gt, yt = _t(g), _t(y)
    left = (gt - x @ (y @ gt)) @ (y @ yt)
    right = (yt @ y) @ (gt - (gt @ y) @ x)
    return left + right - yt @ g @ yt


def _pinv_jvp(t, y, x, **_):
    tt, yt = _t(t[0]), _t(y)
    left = (y @ yt) @ (tt - (tt @ x) @ y)
    right = (tt - y @ (x @ tt)) @ (yt @ y)
    return left + right - y @ t[0] @ y


@primitive(
    _pinv_pullback,
    jvp=_pinv_jvp,
    numpy=np.linalg.pinv,
    example=lambda rng: ((rng.normal(size=(2, 4, 3)),), {}),
)
def pinv(x, rcond=None, hermitian=False, *, rtol=None):
    """Moore-Penrose inverse, while the rank is constant (Golub & Pereyra 1973, 4.12).

    Args:
        x: (..., m, n).
        rcond: singular values below rcond times the greatest count as 0.
        hermitian: whether x is symmetric, which is faster.
        rtol: another name for ``rcond``.

    Returns:
        (..., n, m).
    """
    cut = {"rcond": rcond} if rtol is None else {"rtol": rtol}
    return _at_least_float32(np.linalg.pinv, x, hermitian=hermitian, **cut)
