"""Where a window stands along an axis; convolution, pooling and unfold share it."""

from operator import index
from typing import Any, NamedTuple

import numpy as np

from ..errors import RangeError, ShapeError


class Axis(NamedTuple):
    """An axis of ``size`` places, padded, over which a window of ``kernel`` moves.

    The window's places are ``dilation`` apart, so that it reaches over ``span``; it
    moves by ``stride`` and stands in ``positions``, one after another.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    padded: int
    span: int
    positions: int

    @classmethod
    def of(
        cls,
        size: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        before: int = 0,
        after: int = 0,
    ) -> "Axis":
        """Lay a window over an axis."""
        padded, span = before + size + after, dilation * (kernel - 1) + 1
        positions = (padded - span) // stride + 1
        return cls(
            size, kernel, stride, dilation, before, after, padded, span, positions
        )

    @property
    def inside(self) -> slice:
        """The places of the axis among the padded ones."""
        return slice(self.before, self.before + self.size)

    def places(self, k: int) -> slice:
        """Where the window's k-th place stands, over all its positions."""
        first = k * self.dilation
        return slice(first, first + (self.positions - 1) * self.stride + 1, self.stride)

    def window(self, position: int) -> slice:
        """All places of the window in one position."""
        first = position * self.stride
        return slice(first, first + self.span, self.dilation)


def padded(x: np.ndarray, rows: Axis, columns: Axis, fill: float = 0) -> np.ndarray:
    """Put the padding around (..., h, w, n) or return x itself where there is none."""
    if (rows.size, columns.size) == (rows.padded, columns.padded):
        return x
    *lead, _, _, n = x.shape
    out = np.full((*lead, rows.padded, columns.padded, n), fill, x.dtype)
    out[..., rows.inside, columns.inside, :] = x
    return out


def each_axis(op: str, name: str, value: Any, dims: int, least: int = 1) -> Any:
    """Bring a number, or one for each axis, to a tuple.

    Raises:
        ShapeError: if their positions is not that of the axes.
        RangeError: if one is less than ``least``.
    """
    if isinstance(value, int):
        values = (value,) * dims
    else:
        values = tuple(map(index, value)) if np.ndim(value) else (index(value),) * dims
    if len(values) != dims:
        raise ShapeError(
            f"{op}: {name} is {value}; one number, or {dims}, is required."
        )
    if min(values) < least:
        raise RangeError(f"{op}: {name} is {value}; at least {least} is required.")
    return values


def check_fit(op: str, axes: tuple[Axis, ...]) -> None:
    """Refuse a window that does not fit.

    Raises:
        ShapeError: with the sizes.
    """
    if any(axis.positions < 1 for axis in axes):
        spans, sizes = tuple(a.span for a in axes), tuple(a.padded for a in axes)
        raise ShapeError(
            f"{op}: the window reaches over {spans} places and the padded input has "
            f"{sizes}; the window must fit.",
            help="take a smaller kernel or more padding.",
        )


class Windows(NamedTuple):
    """How a window moves over the last two axes of an image."""

    rows: Axis
    columns: Axis

    def reads(self) -> list[Any]:
        """What each place of the window reads, over all positions; rows first."""
        return [
            (..., self.rows.places(i), self.columns.places(j))
            for i in range(self.rows.kernel)
            for j in range(self.columns.kernel)
        ]

    def padded(self, x: np.ndarray, fill: float = 0) -> np.ndarray:
        """Put the padding around x, in x's own order in memory."""
        rows, columns = self
        if (rows.size, columns.size) == (rows.padded, columns.padded):
            return x
        out = self.empty_around(x)
        out.fill(fill)
        out[self.inside] = x
        return out

    def empty_around(self, x: np.ndarray) -> np.ndarray:
        """Room for the padded image, axes in memory in the order of x's."""
        shape = (*x.shape[:-2], self.rows.padded, self.columns.padded)
        return np.empty_like(x, shape=shape)

    @property
    def tile(self) -> bool:
        """Whether every place, padding included, stands in exactly one window."""
        return all(
            a.stride == a.kernel
            and a.dilation == 1
            and a.positions * a.stride == a.padded
            for a in self
        )

    @property
    def inside(self) -> Any:
        """The image among the padding."""
        return (..., self.rows.inside, self.columns.inside)


def windows_of(
    op: str,
    shape: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Windows:
    """Lay a window over an image (n, c, h, w) or (c, h, w), after checking the options.

    Raises:
        ShapeError: if it is no image, or the window does not fit.
        RangeError: if an option is outside its range.
    """
    if len(shape) not in (3, 4):
        raise ShapeError(f"{op}: x is {shape}; (n, c, h, w) or (c, h, w) is required.")
    kernels = each_axis(op, "kernel_size", kernel_size, 2)
    strides = each_axis(op, "stride", kernel_size if stride is None else stride, 2)
    pads = each_axis(op, "padding", padding, 2, least=0)
    dilations = each_axis(op, "dilation", dilation, 2)
    axes = []
    for size, k, s, d, p in zip(
        shape[-2:], kernels, strides, dilations, pads, strict=True
    ):
        axis = Axis.of(size, k, s, d, p, p)
        if ceil_mode:
            # one more position, if it begins inside; places beyond the end are padding
            over = -(axis.padded - axis.span) % s
            if over and axis.positions * s < size + p:
                axis = Axis.of(size, k, s, d, p, p + over)
        axes.append(axis)
    check_fit(op, tuple(axes))
    return Windows(*axes)
