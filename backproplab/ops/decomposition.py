"""Inverses, determinants and factorisations of matrices, on the last two axes.

The rules are those of Giles 2008, An extended collection of matrix derivative results.
Where a matrix must be symmetric, its symmetric part is read: the gradient is symmetric.
"""

from typing import Any, NamedTuple

import numpy as np

from ..errors import RuleError
from ..primitive import implements, primitive
from ..tape import Node


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """x = U diag(S) Vh, singular values in descending order."""

    U: Any
    S: Any
    Vh: Any


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


def _gaps(w):
    """1/(w[j] - w[i]) at [i, j]; 0 where the two are equal."""
    d = np.expand_dims(w, -2) - np.expand_dims(w, -1)
    same = d == 0
    return np.where(same, 0.0, 1 / np.where(same, 1.0, d))


def _diagonals(x):
    return np.sum(x * np.eye(np.shape(x)[-1], dtype=bool), axis=-1)


def _on_diagonal(w):
    return np.expand_dims(w, -1) * np.eye(np.shape(w)[-1], dtype=bool)


def _eigenpairs_pullback(g, y, _x):
    w, v = y[..., 0, :], y[..., 1:, :]
    gw, gv = g[..., 0, :], g[..., 1:, :]
    return _symmetric(v @ (_on_diagonal(gw) + _gaps(w) * (_t(v) @ gv)) @ _t(v))


def _eigenpairs_jvp(t, y, _x):
    w, v = y[..., 0, :], y[..., 1:, :]
    d = _t(v) @ _symmetric(t[0]) @ v
    return np.concatenate(
        [np.expand_dims(_diagonals(d), -2), v @ (_gaps(w) * d)], axis=-2
    )


@primitive(
    _eigenpairs_pullback,
    jvp=_eigenpairs_jvp,
    requires="x must be square matrices.",
    example=_positive_definite,
)
def eigenpairs(x):
    """Eigenvalues of symmetric matrices, each on top of its eigenvector; see ``eigh``.

    Eigenvectors of equal eigenvalues are not unique: what turns them into each other
    gets no gradient.

    Args:
        x: (..., n, n), of which the symmetric part is read.

    Returns:
        (..., 1 + n, n): ascending eigenvalues in the first row, eigenvectors below.
    """
    w, v = np.linalg.eigh(_symmetric(np.asarray(x, np.promote_types(x.dtype, "f4"))))
    return np.concatenate([w[..., None, :], v], axis=-2).astype(x.dtype, copy=False)


@implements(np.linalg.eigh)
def eigh(x: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices.

    Args:
        x: (..., n, n), of which the symmetric part is read.
        UPLO: NumPy's; without effect, since both triangles are read.

    Returns:
        (eigenvalues, eigenvectors) of shapes (..., n) and (..., n, n).

    >>> eigh(np.diag([2.0, 1.0])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    y = eigenpairs(x if isinstance(x, Node) else np.asarray(x, float))
    return EighResult(y[..., 0, :], y[..., 1:, :])


@implements(np.linalg.eigvalsh)
def eigvalsh(x: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, ascending; arguments as ``eigh``."""
    return eigh(x).eigenvalues


def _parts(y, x):
    """Singular values, left vectors and right vectors from stacked triples."""
    m = 1 + np.shape(x)[-2]
    return y[..., 0, :], y[..., 1:m, :], y[..., m:, :]


def _reciprocals(s):
    return np.expand_dims(np.where(s == 0, 0.0, 1 / np.where(s == 0, 1.0, s)), -2)


def _triples_pullback(g, y, x):
    (s, u, v), (gs, gu, gv) = _parts(y, x), _parts(g, x)
    f, row, r = _gaps(s * s), np.expand_dims(s, -2), _reciprocals(s)
    du, dv = _t(u) @ gu, _t(v) @ gv
    core = _on_diagonal(gs) + (f * (du - _t(du))) * row
    core = core + np.expand_dims(s, -1) * (f * (dv - _t(dv)))
    beyond_u, beyond_v = (gu - u @ du) * r, (gv - v @ dv) * r
    return (u @ core + beyond_u) @ _t(v) + u @ _t(beyond_v)


def _triples_jvp(t, y, x):
    s, u, v = _parts(y, x)
    f, row, r = _gaps(s * s), np.expand_dims(s, -2), _reciprocals(s)
    tv, tu = t[0] @ v, _t(t[0]) @ u
    d = _t(u) @ tv
    a, b = d * row, np.expand_dims(s, -1) * d
    du = u @ (f * (a + _t(a))) + (tv - u @ d) * r
    dv = v @ (f * (b + _t(b))) + (tu - v @ _t(d)) * r
    return np.concatenate([np.expand_dims(_diagonals(d), -2), du, dv], axis=-2)


@primitive(
    _triples_pullback,
    jvp=_triples_jvp,
    example=lambda rng: ((rng.normal(size=(2, 4, 3)),), {}),
)
def singular_triples(x):
    """Singular values, each on top of its left and its right vector; see ``svd``.

    Args:
        x: (..., m, n), with k = min(m, n).

    Returns:
        (..., 1 + m + n, k): descending singular values in the first row, left vectors
        below, right vectors at the bottom.
    """
    wide = np.asarray(x, np.promote_types(x.dtype, "f4"))
    u, s, vh = np.linalg.svd(wide, full_matrices=False)
    y = np.concatenate([s[..., None, :], u, _t(vh)], axis=-2)
    return y.astype(x.dtype, copy=False)


@implements(np.linalg.svd)
def svd(
    x: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular value decomposition x = U diag(S) Vh.

    Args:
        x: (..., m, n), with k = min(m, n).
        full_matrices: NumPy's; the vectors beyond k are not unique and have no
            derivative, so True is refused unless m = n.
        compute_uv: whether U and Vh are wanted; False returns S alone.
        hermitian: NumPy's; without effect.

    Returns:
        (U, S, Vh) of shapes (..., m, k), (..., k) and (..., k, n).

    Raises:
        RuleError: if ``full_matrices`` asks for vectors that have no derivative.

    >>> svd(np.diag([3.0, 4.0]), compute_uv=False).tolist()
    [4.0, 3.0]
    """
    m, n = np.shape(x)[-2:]
    if full_matrices and compute_uv and m != n:
        raise RuleError(
            f"svd: x is {np.shape(x)} and full_matrices is True; "
            "the vectors beyond min(m, n) have no derivative.",
            help="pass full_matrices=False.",
        )
    y = singular_triples(x if isinstance(x, Node) else np.asarray(x, float))
    s, u, v = _parts(y, x)
    return SVDResult(u, s, _t(v)) if compute_uv else s


@implements(np.linalg.svdvals)
def svdvals(x: Any) -> Any:
    """Singular values, descending."""
    return svd(x, compute_uv=False)
