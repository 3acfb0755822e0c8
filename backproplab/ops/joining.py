"""Many arrays to one, and one to many; the gradient is cut where they were joined."""

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitive import implements, primitive
from .shape import atleast_1d, atleast_2d, atleast_3d, transpose


def _concatenate_vjp(g, _y, *arrays, wrt, axis):
    if axis is None:
        sizes = [np.size(x) for x in arrays]
        lead: tuple[Any, ...] = ()
    else:
        axis %= np.ndim(g)
        sizes = [np.shape(x)[axis] for x in arrays]
        lead = (slice(None),) * axis
    ends = np.cumsum(sizes).tolist()
    parts = [None] * len(arrays)
    for k in wrt:
        part = g[(*lead, slice(ends[k] - sizes[k], ends[k]))]
        parts[k] = np.reshape(part, np.shape(arrays[k])) if axis is None else part
    return parts


def _tangents(t, arrays):
    return [
        np.zeros_like(x) if s is None else s for s, x in zip(t, arrays, strict=True)
    ]


@primitive(
    vjp=_concatenate_vjp,
    jvp=lambda t, _y, *arrays, axis: np.concatenate(_tangents(t, arrays), axis=axis),
    listed=True,
    numpy=np.concatenate,
    cast="widest",
    requires="all sizes but that of the joined axis must be equal.",
    example=lambda rng: (
        (rng.normal(size=(2, 3)), rng.normal(size=(2, 1))),
        {"axis": -1},
    ),
)
def concatenate(*arrays, axis=0):
    """Arrays laid end to end along an axis that they have; None joins them flat."""
    return np.concatenate(arrays, axis=axis)


def _stack_vjp(g, _y, *arrays, wrt, axis):
    lead = (slice(None),) * (axis % np.ndim(g))
    return [g[(*lead, k)] if k in wrt else None for k in range(len(arrays))]


@primitive(
    vjp=_stack_vjp,
    jvp=lambda t, _y, *arrays, axis: np.stack(_tangents(t, arrays), axis=axis),
    listed=True,
    numpy=np.stack,
    cast="widest",
    requires="all shapes must be equal.",
    example=lambda rng: (
        (rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        {"axis": 1},
    ),
)
def stack(*arrays, axis=0):
    """Arrays of one shape laid side by side along a new axis."""
    return np.stack(arrays, axis=axis)


@implements(np.vstack)
def vstack(arrays: Any) -> Any:
    """Join rows: (d,) counts as (1, d)."""
    return concatenate([atleast_2d(x) for x in arrays], axis=0)


@implements(np.hstack)
def hstack(arrays: Any) -> Any:
    """Join columns; 1-d arrays are laid end to end."""
    arrays = [atleast_1d(x) for x in arrays]
    return concatenate(arrays, axis=0 if arrays and np.ndim(arrays[0]) == 1 else 1)


@implements(np.dstack)
def dstack(arrays: Any) -> Any:
    """Join along the third axis: (n, d) counts as (n, d, 1)."""
    return concatenate([atleast_3d(x) for x in arrays], axis=2)


@implements(np.column_stack)
def column_stack(arrays: Any) -> Any:
    """Join columns: (n,) counts as (n, 1)."""
    return concatenate(
        [x if np.ndim(x) > 1 else transpose(atleast_2d(x)) for x in arrays], axis=1
    )


@implements(np.append)
def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """Join two arrays: flat, or along ``axis``."""
    return concatenate([x, values], axis=axis)


@implements(np.array_split)
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into parts, the first ones longer by one where the size does not divide.

    Args:
        x: any shape.
        indices_or_sections: how many parts, or where to cut.
        axis: the axis that is cut.
    """
    size = np.shape(x)[axis]
    if np.ndim(indices_or_sections):
        ends = [*map(int, indices_or_sections), size]
    else:
        count = int(indices_or_sections)
        if count < 1:
            raise ShapeError(f"array_split: {count} sections; at least 1 is required.")
        short, longer = divmod(size, count)
        ends = [(i + 1) * short + min(i + 1, longer) for i in range(count)]
    lead = (slice(None),) * (axis % np.ndim(x))
    x = x if np.ndim(x) and not isinstance(x, list) else np.asarray(x)
    return [
        x[(*lead, slice(start, end))]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


@implements(np.split)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into equal parts, or at the given places.

    Args:
        x: any shape.
        indices_or_sections: how many equal parts, or where to cut.
        axis: the axis that is cut.

    Raises:
        ShapeError: if the parts cannot be equal.
    """
    if not np.ndim(indices_or_sections):
        size, count = np.shape(x)[axis], int(indices_or_sections)
        if count < 1 or size % count:
            raise ShapeError(
                f"split: axis {axis} has size {size}, which does not divide into "
                f"{count} equal parts.",
                help="array_split allows unequal parts.",
            )
    return array_split(x, indices_or_sections, axis)


@implements(np.vsplit)
def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut the rows apart, into parts of (n', d)."""
    return split(x, indices_or_sections, axis=0)


@implements(np.hsplit)
def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut the columns apart; a 1-d array is cut along its only axis."""
    return split(x, indices_or_sections, axis=1 if np.ndim(x) > 1 else 0)


@implements(np.dsplit)
def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """Cut along the third axis."""
    return split(x, indices_or_sections, axis=2)
