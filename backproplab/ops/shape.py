"""Changes of shape: the same numbers, elsewhere. Every transpose puts them back."""

import numpy as np

from .._arrays import fit
from ..primitive import linear


@linear(
    lambda g, x, *, shape: np.reshape(g, np.shape(x)),
    numpy=np.reshape,
    example=lambda rng: ((rng.normal(size=(2, 6)),), {"shape": (3, -1)}),
)
def reshape(x, shape):
    """The same numbers in another shape, C order."""
    return np.reshape(x, shape)


def _inverse(axes):
    return (
        None
        if axes is None
        else tuple(int(i) for i in np.argsort([a % len(axes) for a in axes]))
    )


@linear(
    lambda g, _x, *, axes: np.transpose(g, _inverse(axes)),
    numpy=np.transpose,
    example=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"axes": (-1, 0, 1)}),
)
def transpose(x, axes=None):
    """Permute axes; the gradient is permuted back."""
    return np.transpose(x, axes)


@linear(
    lambda g, _x, *, axis1, axis2: np.swapaxes(g, axis1, axis2),
    numpy=np.swapaxes,
    example=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"axis1": 0, "axis2": -1}),
)
def swapaxes(x, axis1, axis2):
    """Exchange two axes."""
    return np.swapaxes(x, axis1, axis2)


@linear(
    lambda g, x, *, axis: np.reshape(g, np.shape(x)),
    numpy=np.expand_dims,
    example=lambda rng: ((rng.normal(size=(2, 3)),), {"axis": -1}),
)
def expand_dims(x, axis):
    """Insert axes of size 1."""
    return np.expand_dims(x, axis)


@linear(
    lambda g, x, *, axis: np.reshape(g, np.shape(x)),
    numpy=np.squeeze,
    example=lambda rng: ((rng.normal(size=(2, 1, 3)),), {}),
)
def squeeze(x, axis=None):
    """Drop axes of size 1."""
    return np.squeeze(x, axis)


@linear(
    lambda g, x, *, shape: fit(g, x),
    numpy=np.broadcast_to,
    example=lambda rng: ((rng.normal(size=(1, 3)),), {"shape": (2, 4, 3)}),
)
def broadcast_to(x, shape):
    """Repeat along axes of size 1; the gradient sums over the repeats."""
    return np.broadcast_to(x, shape)


@linear(
    lambda g, x, *, dtype: g.astype(x.dtype),
    example=lambda rng: ((rng.normal(size=3),), {"dtype": np.float64}),
)
def cast(x, dtype):
    """Change the number format; the gradient comes back in the input's own format."""
    return np.asarray(x).astype(dtype)
