"""Changes of shape: the same numbers under other indices, put back by every transpose.

``joining`` joins arrays, ``rearranging`` moves and repeats numbers, ``indexing`` reads.
"""

from typing import Any

import numpy as np

from .._arrays import fit
from ..errors import RangeError
from ..primitive import implements, linear


def _example(*shape: int, **static: Any) -> Any:
    return lambda rng: ((rng.normal(size=shape),), static)


@linear(
    lambda g, _x, *, order, **_: np.reshape(g, np.shape(_x), order=order),
    numpy=np.reshape,
    requires="the new shape must hold as many numbers.",
    example=_example(2, 6, shape=(3, -1)),
)
def reshape(x, shape, order="C"):
    """The same numbers in another shape.

    Args:
        x: any shape.
        shape: new sizes; one of them may be -1.
        order: "C" reads and writes rows first, "F" columns first.

    Raises:
        ShapeError: if the new shape holds another count of numbers.
        RangeError: if ``order`` depends on how the numbers lie in memory ("A", "K").
    """
    _check_order("reshape", order)
    return np.reshape(x, shape, order=order)


@linear(
    lambda g, _x, *, order: np.reshape(g, np.shape(_x), order=order),
    numpy=np.ravel,
    example=_example(2, 3, order="F"),
)
def ravel(x, order="C"):
    """All numbers in one row, rows first ("C") or columns first ("F")."""
    _check_order("ravel", order)
    return np.ravel(x, order=order)


def _inverse(axes: Any) -> Any:
    if axes is None:
        return None
    return tuple(np.argsort([a % len(axes) for a in axes]).tolist())


@linear(
    lambda g, _x, *, axes: np.transpose(g, _inverse(axes)),
    numpy=np.transpose,
    example=_example(2, 3, 4, axes=(-1, 0, 1)),
)
def transpose(x, axes=None):
    """Axes in another order, or reversed; the gradient's axes are put back."""
    return np.transpose(x, axes)


@linear(
    lambda g, _x: np.swapaxes(g, -1, -2),
    numpy=np.matrix_transpose,
    example=_example(2, 3, 4),
)
def matrix_transpose(x):
    """Each matrix of a stack transposed: (..., n, d) to (..., d, n)."""
    return np.swapaxes(x, -1, -2)


@linear(
    lambda g, _x, *, axis1, axis2: np.swapaxes(g, axis1, axis2),
    numpy=np.swapaxes,
    example=_example(2, 3, 4, axis1=0, axis2=-1),
)
def swapaxes(x, axis1, axis2):
    """Two axes exchanged; exchanged again, the gradient fits."""
    return np.swapaxes(x, axis1, axis2)


@linear(
    lambda g, _x, *, source, destination: np.moveaxis(g, destination, source),
    numpy=np.moveaxis,
    example=_example(2, 3, 4, source=(0, -1), destination=(1, 0)),
)
def moveaxis(x, source, destination):
    """Axes moved to new places, the others in their old order."""
    return np.moveaxis(x, source, destination)


def _rolled(ndim: int, axis: int, start: int) -> tuple[int, ...]:
    axes = list(range(ndim))
    axis, start = axis % ndim, start + ndim if start < 0 else start
    axes.remove(axis)
    axes.insert(start - (axis < start), axis)
    return tuple(axes)


@linear(
    lambda g, _x, *, axis, start: np.transpose(
        g, _inverse(_rolled(np.ndim(_x), axis, start))
    ),
    numpy=np.rollaxis,
    example=_example(2, 3, 4, axis=2, start=1),
)
def rollaxis(x, axis, start=0):
    """One axis moved to just before ``start``; ``moveaxis`` is easier to read."""
    return np.rollaxis(x, axis, start)


@linear(
    lambda g, _x, **_: np.reshape(g, np.shape(_x)),
    numpy=np.expand_dims,
    example=_example(2, 3, axis=(0, -1)),
)
def expand_dims(x, axis):
    """Axes of size 1 put in; ``axis`` counts in the result."""
    return np.expand_dims(x, axis)


@linear(
    lambda g, _x, **_: np.reshape(g, np.shape(_x)),
    numpy=np.squeeze,
    example=_example(2, 1, 3, axis=-2),
)
def squeeze(x, axis=None):
    """Axes of size 1 left out: all of them, or those named."""
    return np.squeeze(x, axis)


@linear(
    lambda g, _x, **_: fit(g, _x),
    numpy=np.broadcast_to,
    example=_example(1, 3, shape=(2, 4, 3)),
)
def broadcast_to(x, shape):
    """One number seen in many places; its gradient is the sum over the places."""
    return np.broadcast_to(x, shape)


@implements(np.broadcast_arrays)
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Bring arrays to their common shape, each by ``broadcast_to``."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


@implements(np.meshgrid)
def meshgrid(
    *arrays: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True
) -> tuple[Any, ...]:
    """Coordinates of a grid from those of its axes; ``indexing`` as in NumPy.

    Args:
        *arrays: one (n_i,) for each axis.
        indexing: "xy" puts the second axis first, "ij" keeps the order.
        sparse: leave the axes of size 1 as they are.
        copy: accepted for NumPy's sake; the results are never written to.
    """
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    grids = tuple(
        reshape(x, tuple(-1 if i == place else 1 for i in range(len(arrays))))
        for x, place in zip(arrays, places, strict=True)
    )
    return grids if sparse else broadcast_arrays(*grids)


@implements(np.atleast_1d)
def atleast_1d(*arrays: Any) -> Any:
    """View numbers as arrays (1,); several inputs give a tuple."""
    return _each(arrays, lambda x: x if np.ndim(x) else reshape(x, (1,)))


@implements(np.atleast_2d)
def atleast_2d(*arrays: Any) -> Any:
    """View (d,) as one row (1, d); several inputs give a tuple."""
    return _each(
        arrays,
        lambda x: x if np.ndim(x) > 1 else reshape(x, (1, np.size(x))),
    )


@implements(np.atleast_3d)
def atleast_3d(*arrays: Any) -> Any:
    """View (d,) as (1, d, 1) and (n, d) as (n, d, 1); several inputs give a tuple."""

    def deepen(x: Any) -> Any:
        if np.ndim(x) > 2:
            return x
        return reshape(x, (*np.shape(x), 1) if np.ndim(x) == 2 else (1, np.size(x), 1))

    return _each(arrays, deepen)


def _each(arrays: tuple[Any, ...], f: Any) -> Any:
    out = tuple(f(x) for x in arrays)
    return out[0] if len(out) == 1 else out


@implements(np.linspace)
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    """Evenly spaced numbers, (num, ...): means of both ends, weighted by place."""
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    share = np.linspace(0, 1, num, endpoint).reshape((num,) + (1,) * len(shape))
    share = share.astype(np.result_type(start, stop, np.float16), copy=False)
    return start * (1 - share) + stop * share


@linear(
    lambda g, _x, *, dtype: g.astype(_x.dtype),
    numpy=getattr(np, "astype", ()),  # since NumPy 2.1
    example=_example(3, dtype=np.float64),
)
def cast(x, dtype):
    """Another number format; the gradient comes back in the input's own format."""
    return np.asarray(x).astype(dtype)


def _check_order(op: str, order: str) -> None:
    if order not in ("C", "F"):
        raise RangeError(
            f"{op}: order is {order!r}; it must be 'C' or 'F'.",
            help="leave it out: rows first.",
        )
