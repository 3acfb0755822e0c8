"""Eigenvalues and singular values of matrices (last two axes), with their vectors.

An op gives one array, so values and vectors come stacked, each value on top of its
vector; ``eigh`` and ``svd`` cut them apart as NumPy does. The rules are those of Giles
2008, An extended collection of matrix derivative results.
"""

from typing import Any, NamedTuple

import numpy as np

from ..errors import RuleError
from ..node import Node
from ..primitive import implements, primitive
from .decomposition import _positive_definite, _symmetric, _t


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """x = U diag(S) Vh, singular values in descending order."""

    U: Any
    S: Any
    Vh: Any


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
