"""Reading parts of an array, and adding into parts: each is the other's transpose."""

import numpy as np

from ..primitive import linear


@linear(
    lambda g, x, *, index: scatter(g, index=index, shape=np.shape(x)),
    example=lambda rng: (
        (rng.normal(size=(4, 3)),),
        {"index": (np.array([0, 2, 2]), slice(1, None))},
    ),
)
def getitem(x, index):
    """x[index], basic, fancy or boolean; picked twice, the gradients add."""
    return x[index]


@linear(
    lambda g, _x, *, index, shape: g[index],
    example=lambda rng: (
        (rng.normal(size=(3,)),),
        {"index": (np.array([0, 2, 2]),), "shape": (4,)},
    ),
)
def scatter(x, index, shape):
    """Zeros of ``shape`` with x added at ``index``; the transpose of ``getitem``."""
    out = np.zeros(shape, np.asarray(x).dtype)
    if _basic(index):
        out[index] += x
    else:
        np.add.at(out, index, x)
    return out


def _basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, (int, slice)) for p in parts)
