"""Products and decompositions of matrices."""

import numpy as np

from ..primitive import linear, primitive


def _matmul_x(g, x, w):
    if np.ndim(w) == 1:
        return np.expand_dims(g, -1) * w if np.ndim(x) > 1 else g * w
    if np.ndim(x) == 1:
        g = np.expand_dims(g, -2)
        return np.squeeze(g @ np.swapaxes(w, -1, -2), -2)
    return g @ np.swapaxes(w, -1, -2)


def _matmul_w(g, x, w):
    if np.ndim(x) == 1:
        if np.ndim(w) == 1:
            return g * x
        return np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if np.ndim(w) == 1:
        return np.squeeze(np.swapaxes(x, -1, -2) @ np.expand_dims(g, -1), -1)
    return np.swapaxes(x, -1, -2) @ g


@linear(
    _matmul_x,
    _matmul_w,
    ufunc=np.matmul,
    cast="low",
    requires="x.shape[-1] must equal w.shape[-2] (w.shape[0] if w is 1-d).",
    example=lambda rng: ((rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))), {}),
)
def matmul(x, w):
    """Matrix product, all of NumPy's shapes: y = x w, dx = g w^T, dw = x^T g."""
    return np.matmul(x, w)


def _affine_vjp(g, _y, x, w, b, *, wrt):
    rows = (-1, np.shape(g)[-1])
    flat = g if np.ndim(g) == 2 else np.reshape(g, rows)
    return (
        g @ w if 0 in wrt else None,
        np.transpose(flat) @ np.reshape(x, (-1, np.shape(x)[-1])) if 1 in wrt else None,
        np.sum(flat, axis=0) if 2 in wrt else None,
    )


def _affine_jvp(t, _y, x, w, b):
    terms = []
    if t[0] is not None:
        terms.append(t[0] @ np.swapaxes(w, -1, -2))
    if t[1] is not None:
        terms.append(x @ np.swapaxes(t[1], -1, -2))
    if len(t) > 2 and t[2] is not None:
        terms.append(t[2])
    return (
        terms[0]
        if len(terms) == 1
        else terms[0] + (terms[1] if len(terms) == 2 else terms[1] + terms[2])
    )


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
        x: (..., d_in).
        w: (d_out, d_in).
        b: (d_out,) or None.
    """
    y = np.matmul(x, np.transpose(w))
    if b is not None:
        y += b
    return y
