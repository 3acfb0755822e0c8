"""Numbers moved, repeated or dropped; a number used twice gets both gradients."""

from typing import Any

import numpy as np

from ..errors import RangeError
from ..primitive import linear, primitive
from .indexing import scatter


def _example(*shape: int, **static: Any) -> Any:
    return lambda rng: ((rng.normal(size=shape),), static)


@linear(
    lambda g, _x, *, axis: np.flip(g, axis),
    numpy=np.flip,
    example=_example(2, 3, axis=-1),
)
def flip(x, axis=None):
    """Order reversed along an axis, several, or all (None)."""
    return np.flip(x, axis)


@linear(lambda g, _x: np.fliplr(g), numpy=np.fliplr)
def fliplr(x):
    """Columns in reverse order."""
    return np.fliplr(x)


@linear(lambda g, _x: np.flipud(g), numpy=np.flipud)
def flipud(x):
    """Rows in reverse order."""
    return np.flipud(x)


@linear(
    lambda g, _x, *, shift, axis: np.roll(g, np.negative(shift), axis),
    numpy=np.roll,
    example=_example(3, 4, shift=(1, 2), axis=(0, -1)),
)
def roll(x, shift, axis=None):
    """Numbers pushed along, those that fall off come in again at the other end.

    Args:
        x: any shape.
        shift: how far; one for each axis, or one for all.
        axis: along which axes; None rolls the flat array.
    """
    return np.roll(x, shift, axis)


@linear(
    lambda g, _x, *, k, axes: np.rot90(g, -k, axes),
    numpy=np.rot90,
    example=_example(2, 3, k=3, axes=(1, 0)),
)
def rot90(x, k=1, axes=(0, 1)):
    """A quarter turn, k times, from the first axis towards the second."""
    return np.rot90(x, k, axes)


@linear(
    lambda g, _x, *, k: np.tril(g, k),
    numpy=np.tril,
    example=_example(2, 3, 4, k=-1),
)
def tril(x, k=0):
    """Zeros above the k-th diagonal of each matrix; no gradient passes there."""
    return np.tril(x, k)


@linear(
    lambda g, _x, *, k: np.triu(g, k),
    numpy=np.triu,
    example=_example(2, 3, 4, k=1),
)
def triu(x, k=0):
    """Zeros below the k-th diagonal of each matrix; no gradient passes there."""
    return np.triu(x, k)


def _fill_diagonal(g: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    shape = np.moveaxis(np.empty(np.shape(x), bool), (axis1, axis2), (-2, -1)).shape
    steps = np.arange(np.shape(g)[-1])
    index = (..., steps + max(-offset, 0), steps + max(offset, 0))
    filled = scatter(g, index=index, shape=shape)
    return np.moveaxis(filled, (-2, -1), (axis1, axis2))


@linear(
    lambda g, _x, **where: _fill_diagonal(g, _x, **where),
    numpy=np.diagonal,
    example=_example(3, 2, 4, offset=1, axis1=-1, axis2=0),
)
def diagonal(x, offset=0, axis1=0, axis2=1):
    """The diagonal of the matrices that two axes span, as a new last axis."""
    return np.diagonal(x, offset, axis1, axis2)


@linear(
    lambda g, _x, *, k: (
        np.diag(g, k) if np.ndim(_x) == 1 else _fill_diagonal(g, _x, k, 0, 1)
    ),
    numpy=np.diag,
    example=_example(3, 4, k=-1),
)
def diag(x, k=0):
    """The k-th diagonal of a matrix (n, d); or the matrix that has x (n,) there."""
    return np.diag(x, k)


@linear(
    lambda g, _x, *, k: np.reshape(np.diag(g, k), np.shape(_x)),
    numpy=np.diagflat,
    example=_example(2, 2, k=1),
)
def diagflat(x, k=0):
    """The matrix that has all numbers of x on its k-th diagonal."""
    return np.diagflat(x, k)


def _untile(g: Any, x: Any, reps: Any) -> Any:
    reps = np.atleast_1d(reps).tolist()
    rank = max(len(reps), np.ndim(x))
    reps = [1] * (rank - len(reps)) + reps
    sizes = [1] * (rank - np.ndim(x)) + list(np.shape(x))
    pairs = [n for pair in zip(reps, sizes, strict=True) for n in pair]
    summed = np.sum(np.reshape(g, pairs), axis=tuple(range(0, 2 * rank, 2)))
    return np.reshape(summed, np.shape(x))


@linear(
    lambda g, _x, *, reps: _untile(g, _x, reps),
    numpy=np.tile,
    example=_example(2, 3, reps=(2, 1, 2)),
)
def tile(x, reps):
    """The whole array again and again, ``reps`` times along each axis."""
    return np.tile(x, reps)


def _unrepeat(g: Any, x: Any, repeats: Any, axis: Any) -> Any:
    shape = np.shape(x) if axis is not None else (np.size(x),)
    axis = 0 if axis is None else axis % len(shape)
    lead, n, tail = shape[:axis], shape[axis], shape[axis + 1 :]
    if np.size(repeats) == 1:
        summed = np.sum(
            np.reshape(g, (*lead, n, int(np.max(repeats)), *tail)), axis + 1
        )
    else:
        index = (*(slice(None),) * axis, np.repeat(np.arange(n), repeats))
        summed = scatter(g, index=index, shape=shape)
    return np.reshape(summed, np.shape(x))


@linear(
    lambda g, _x, *, repeats, axis: _unrepeat(g, _x, repeats, axis),
    numpy=np.repeat,
    example=_example(2, 3, repeats=[2, 0, 3], axis=1),
)
def repeat(x, repeats, axis=None):
    """Each number several times in a row.

    Args:
        x: any shape.
        repeats: how often: one count for all, or one for each place along ``axis``.
        axis: along which axis; None repeats in the flat array.
    """
    return np.repeat(x, repeats, axis)


_PADDINGS = ("constant", "edge", "reflect", "symmetric", "wrap")


def _widths(pad_width: Any, rank: int) -> list[tuple[int, int]]:
    """Bring what NumPy allows to one (before, after) for each axis."""
    if isinstance(pad_width, dict):
        pairs = [(0, 0)] * rank
        for axis, width in pad_width.items():
            pairs[axis] = tuple(np.broadcast_to(width, 2).tolist())
        return pairs
    return [
        (before, after)
        for before, after in np.broadcast_to(np.asarray(pad_width), (rank, 2)).tolist()
    ]


def _unpad(g: Any, x: Any, pad_width: Any, mode: str) -> Any:
    shape = np.shape(x)
    widths = _widths(pad_width, len(shape))
    if mode == "constant":
        return g[
            tuple(
                slice(before, before + n)
                for (before, _), n in zip(widths, shape, strict=True)
            )
        ]
    # one axis after another: the padding reads some places several times
    for axis, (n, width) in enumerate(zip(shape, widths, strict=True)):
        if any(width):
            index = np.pad(np.arange(n), width, mode)  # type: ignore[call-overload]
            now = (*np.shape(g)[:axis], n, *np.shape(g)[axis + 1 :])
            g = scatter(g, index=(*(slice(None),) * axis, index), shape=now)
    return g


def _pad_jvp(t: Any, _y: Any, _x: Any, *, pad_width: Any, mode: str, **_: Any) -> Any:
    return np.pad(t[0], pad_width, mode)  # type: ignore[call-overload]


@primitive(
    lambda g, _y, _x, *, pad_width, mode, **_: _unpad(g, _x, pad_width, mode),
    jvp=_pad_jvp,
    numpy=np.pad,
    example=_example(3, 4, pad_width=((1, 2), (0, 3)), mode="reflect"),
)
def pad(x, pad_width, mode="constant", *, constant_values=0):
    """A border around the array; what the border repeats gets its gradient too.

    Args:
        x: any shape.
        pad_width: (before, after) for each axis, one pair for all, or one number.
        mode: "constant", "edge", "reflect", "symmetric" or "wrap", as in NumPy.
        constant_values: what a constant border holds; no gradient flows to it.

    Raises:
        RangeError: if ``mode`` is another one.
    """
    if mode not in _PADDINGS:
        raise RangeError(
            f"pad: mode is {mode!r}; a derivative is known for {', '.join(_PADDINGS)}."
        )
    if mode == "constant":
        return np.pad(x, pad_width, mode, constant_values=constant_values)
    return np.pad(x, pad_width, mode)
