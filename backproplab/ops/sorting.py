"""Sorting, whole or in part: a gradient goes back to where its number came from."""

from typing import Any

import numpy as np

from ..primitive import primitive


def _order(x: Any, axis: Any) -> Any:
    return np.argsort(x, axis=axis, kind="stable")


def _unpermute(g: Any, x: Any, order: Any, axis: Any) -> Any:
    inverse = np.argsort(order, axis=-1 if axis is None else axis)
    return np.reshape(np.take_along_axis(g, inverse, axis), np.shape(x))


@primitive(
    lambda g, _y, x, *, axis, saved, **_: _unpermute(
        g, x, _order(x, axis) if saved is None else saved, axis
    ),
    jvp=lambda t, _y, x, *, axis, **_: np.take_along_axis(t[0], _order(x, axis), axis),
    saves=True,
    numpy=np.sort,
    example=lambda rng: ((rng.normal(size=(3, 4)),), {"axis": 0}),
)
def sort(x, axis=-1, kind=None, *, stable=True):
    """Numbers in ascending order; a gradient goes back to where its number came from.

    Equal numbers keep their order.

    Args:
        x: any shape.
        axis: the axis along which to sort; None sorts the flat array.
        kind: accepted for NumPy's sake; the order is always stable.
        stable: likewise.
    """
    order = _order(x, axis)
    return np.take_along_axis(np.asarray(x), order, axis), order


def _parted(x: Any, kth: Any, axis: Any) -> Any:
    return np.argpartition(x, kth, axis=axis)


@primitive(
    lambda g, _y, x, *, kth, axis, saved: _unpermute(
        g, x, _parted(x, kth, axis) if saved is None else saved, axis
    ),
    jvp=lambda t, _y, x, *, kth, axis, **_: np.take_along_axis(
        t[0], _parted(x, kth, axis), axis
    ),
    saves=True,
    numpy=np.partition,
    example=lambda rng: ((rng.normal(size=(3, 5)),), {"kth": (1, 2, 3)}),
)
def partition(x, kth, axis=-1):
    """The kth smallest at its place, smaller ones before it, greater ones after it.

    The gradients go back to where the numbers came from, as in ``sort``.
    """
    order = _parted(x, kth, axis)
    return np.take_along_axis(np.asarray(x), order, axis), order
