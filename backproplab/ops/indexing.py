"""Reading parts of an array, and adding into parts: each is the other's transpose."""

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitive import implements, linear, primitive


def _put_back(g, _x, *, index):
    return scatter(g, index=index, shape=np.shape(_x))


@linear(
    _put_back,
    example=lambda rng: (
        (rng.normal(size=(4, 3)),),
        {"index": (np.array([0, 2, 2]), slice(1, None))},
    ),
)
def getitem(x, index):
    """Read x[index], basic, fancy or boolean; picked twice, the gradients add."""
    return x[index]


@linear(
    lambda g, _x, *, index, shape: g[index],
    example=lambda rng: (
        (rng.normal(size=(3,)),),
        {"index": (np.array([0, 2, 2]),), "shape": (4,)},
    ),
)
def scatter(x, index, shape):
    """Zeros of ``shape`` with x added at ``index``: the transpose of ``getitem``."""
    out = np.zeros(shape, np.asarray(x).dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if all(p is None or p is Ellipsis or _once(p) for p in parts):
        out[index] = x
    else:
        # np.add.at is five times faster where its index is one row of numbers
        places = np.arange(out.size).reshape(shape)[index]
        np.add.at(
            out.reshape(-1), places.ravel(), np.broadcast_to(x, places.shape).ravel()
        )
    return out


def _once(part: Any) -> bool:
    """Whether this part of an index cannot read a place twice."""
    one = isinstance(part, (int, slice, np.integer, np.bool_))
    return one or (isinstance(part, np.ndarray) and part.dtype.kind == "b")


def _take_index(indices: Any, shape: Any, axis: Any, mode: str) -> Any:
    """The index that reads what ``np.take`` reads; the flat array if axis is None."""
    indices = np.asarray(indices)
    n = int(np.prod(shape)) if axis is None else shape[axis]
    if mode == "wrap":
        indices = indices % n
    elif mode == "clip":
        indices = np.clip(indices, 0, n - 1)
    return (*(slice(None),) * (0 if axis is None else axis % len(shape)), indices)


def _untake(g: Any, x: Any, indices: Any, axis: Any, mode: str) -> Any:
    index = _take_index(indices, np.shape(x), axis, mode)
    shape = (np.size(x),) if axis is None else np.shape(x)
    return np.reshape(scatter(g, index=index, shape=shape), np.shape(x))


@linear(
    lambda g, _x, indices, *, axis, mode: _untake(g, _x, indices, axis, mode),
    None,
    numpy=np.take,
    example=lambda rng: (
        (rng.normal(size=(3, 4)), np.array([[0, -1], [2, 2]])),
        {"axis": 1},
    ),
)
def take(x, indices, axis=None, *, mode="raise"):
    """The numbers at ``indices`` along an axis, or in the flat array (None).

    Args:
        x: any shape.
        indices: integers of any shape, which takes the place of the axis.
        axis: the axis that is read.
        mode: what to do outside 0..n-1: "raise", "wrap" or "clip".
    """
    return np.take(x, indices, axis=axis, mode=mode)


def _along(indices: Any, sizes: Any, axis: int) -> tuple[Any, ...]:
    """Each place of ``indices`` with its own coordinates but for ``axis``."""
    grid = list(np.ix_(*map(np.arange, sizes)))
    grid[axis] = np.asarray(indices)
    return tuple(grid)


def _untake_along(g: Any, x: Any, indices: Any, axis: Any) -> Any:
    if axis is None:
        flat = scatter(g, index=(np.asarray(indices),), shape=(np.size(x),))
        return np.reshape(flat, np.shape(x))
    return scatter(g, index=_along(indices, np.shape(x), axis), shape=np.shape(x))


@linear(
    lambda g, _x, indices, *, axis: _untake_along(g, _x, indices, axis),
    None,
    numpy=np.take_along_axis,
    example=lambda rng: (
        (rng.normal(size=(3, 4)), rng.integers(4, size=(3, 5))),
        {"axis": -1},
    ),
)
def take_along_axis(x, indices, axis=-1):
    """For each place the number at ``indices`` along ``axis``: ``torch.gather``.

    Args:
        x: (..., n, ...).
        indices: integers of the result's shape, or broadcasting to it.
        axis: the axis that is read; None reads the flat array.
    """
    return np.take_along_axis(x, np.asarray(indices), axis)


def _gather(x: Any, index: Any, axis: int) -> Any:
    return x[_along(index, np.shape(index), axis)]


def _gather_source(g: Any, index: Any, source: Any, axis: int) -> Any:
    read, shape = _gather(g, index, axis), np.shape(source)
    if np.shape(index) == shape:
        return read
    corner = tuple(slice(n) for n in np.shape(index))
    return scatter(read, index=corner, shape=shape)


def _scatter_add_jvp(
    t: Any, _y: Any, x: Any, index: Any, source: Any, *, axis: Any
) -> Any:
    still = np.zeros_like
    return _scatter_add(
        still(x) if t[0] is None else t[0],
        index,
        still(source) if t[2] is None else t[2],
        axis=axis,
    )


@primitive(
    lambda g, _y, _x, _index, _source, **_: g,
    None,
    lambda g, _y, _x, index, _source, *, axis: _gather_source(g, index, _source, axis),
    jvp=_scatter_add_jvp,
    example=lambda rng: (
        (
            rng.normal(size=(3, 4)),
            rng.integers(3, size=(2, 4)),
            rng.normal(size=(2, 4)),
        ),
        {"axis": 0},
    ),
    name="scatter_add",
)
def _scatter_add(x, index, source, axis=0):
    """Every number of ``source`` added to x where ``index`` says along ``axis``."""
    index, shape = np.asarray(index), np.shape(x)
    axis %= max(len(shape), 1)
    if (
        not index.ndim == len(shape) == np.ndim(source)
        or any(i > s for i, s in zip(index.shape, np.shape(source), strict=True))
        or any(
            i > n
            for k, (i, n) in enumerate(zip(index.shape, shape, strict=True))
            if k != axis
        )
    ):
        raise ShapeError(
            f"scatter_add: x is {shape}, index is {index.shape} and source is "
            f"{np.shape(source)}; index must fit into source, and into x but along "
            f"axis {axis}."
        )
    out = np.array(x, dtype=np.result_type(x, source))
    corner = tuple(slice(n) for n in index.shape)
    np.add.at(out, _along(index, index.shape, axis), np.asarray(source)[corner])
    return out


def scatter_add(x: Any, dim: Any, index: Any, src: Any = None, *, axis: int = 0) -> Any:
    """Every number of ``src`` added to x where ``index`` says; what meets adds up.

    Called as ``torch.scatter_add(x, dim, index, src)``, or like ``np.put_along_axis``:
    ``scatter_add(x, index, src, axis=0)``.

    Args:
        x: (..., n, ...).
        dim: the axis along which ``index`` counts.
        index: integers in 0..n-1, nowhere larger than ``src``, nor than ``x`` but along
            that axis.
        src: at least of the shape of ``index``; what lies beyond it is not read.
        axis: ``dim`` of the second form.

    >>> scatter_add(np.zeros(3), 0, [0, 2, 2], np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.0, 5.0]
    """
    if src is None:
        dim, index, src = axis, dim, index
    return _scatter_add(x, index, src, axis=dim)


@implements(np.delete)
def delete(x: Any, obj: Any, axis: int | None = None) -> Any:
    """Leave out the places ``obj`` along an axis, or of the flat array (None)."""
    if axis is None:
        x, axis = np.ravel(x), 0
    kept = np.delete(np.arange(np.shape(x)[axis]), obj)
    return take(x, kept, axis)


@implements(np.compress)
def compress(condition: Any, x: Any, axis: int | None = None) -> Any:
    """Keep the places along an axis where the condition holds."""
    return take(x, np.flatnonzero(np.asarray(condition)), axis)


@implements(np.extract)
def extract(condition: Any, x: Any) -> Any:
    """Keep the numbers where the condition, of the same shape, holds."""
    return compress(np.ravel(np.asarray(condition)), np.ravel(x))
