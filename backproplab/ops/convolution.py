"""Convolutions (cross-correlations, as in PyTorch) and their two transposes.

All three are sums of x[c, h + i, w + j] w[o, c, i, j] y[o, h, w] over what the result
does not keep: each is linear in its two inputs, and its derivatives are the other two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..primitive import linear, primitive
from ._correlation import (
    correlate,
    correlate_with,
    delivered,
    laid,
    plan_of,
    spread,
)
from ._rows import row_sum, wide


def _geometry(rng: np.random.Generator, transposed: bool) -> Any:
    options = {"stride": (2, 1), "padding": 1, "dilation": (1, 2), "groups": 2}
    x, w, y = (2, 4, 5, 6), (6, 2, 3, 2), (2, 6, 3, 6)
    shapes = {"x": (y, w, x), "w": (x, y, w)}["x" if transposed else "w"]
    inputs = tuple(rng.normal(size=shape) for shape in shapes[:2])
    return inputs, {"shape": shapes[2], **options}


def _input_y(g, _y, w, *, shape, **options):
    return _conv(g, w, **options)


def _input_w(g, y, _w, *, shape, **options):
    return conv_kernel(g, y, shape=np.shape(_w), **options)


@linear(
    _input_y,
    _input_w,
    cast="low",
    example=lambda rng: _geometry(rng, transposed=True),
)
def conv_input(y, w, shape, stride=1, padding=0, dilation=1, groups=1):
    """Spread y back over an input of ``shape``: the gradient of a convolution in x.

    PyTorch's ``conv_transpose2d`` with the sizes made plain: ``shape`` and the options
    are those of the convolution that made y.
    """
    plan = plan_of(shape, np.shape(w), stride, padding, dilation, groups)
    dims = np.ndim(w) - 2
    x = spread(laid(y, dims), wide(w), plan)
    return delivered(x, dims, y, np.result_type(y, w))


@linear(
    lambda g, _x, y, *, shape, **options: conv_input(
        y, g, shape=np.shape(_x), **options
    ),
    lambda g, x, _y, *, shape, **options: _conv(x, g, **options),
    cast="low",
    example=lambda rng: _geometry(rng, transposed=False),
)
def conv_kernel(x, y, shape, stride=1, padding=0, dilation=1, groups=1):
    """Correlate x with y over a kernel of ``shape``: a convolution's gradient in w."""
    plan = plan_of(np.shape(x), shape, stride, padding, dilation, groups)
    dims = len(shape) - 2
    w = correlate_with(laid(x, dims), laid(y, dims), plan)
    return w.reshape(shape).astype(np.result_type(x, y), copy=False)


def _conv(x: Any, w: Any, b: Any = None, **options: Any) -> Any:
    return (conv1d if np.ndim(w) == 3 else conv2d)(x, w, b, **options)


def _value(op: str, x: Any, w: Any, b: Any, *options: Any) -> Any:
    dims, shape = {"conv1d": 1, "conv2d": 2}[op], np.shape(w)
    if len(shape) != dims + 2:
        raise ShapeError(
            f"{op}: w is {shape}; (o, c, {'kh, ' * (dims - 1)}kw) is required."
        )
    if b is not None and np.shape(b) != shape[:1]:
        raise ShapeError(f"{op}: b is {np.shape(b)}; it must be {shape[:1]}.")
    plan = plan_of(np.shape(x), shape, *options)
    y = correlate(laid(x, dims), wide(w), plan)
    if b is not None:
        y += np.reshape(b, (-1, 1, 1, 1))
    dtype = np.result_type(x, w) if b is None else np.result_type(x, w, b)
    return delivered(y, dims, x, dtype)


def _shift_gradient(g, _y, _x, _w, _b, **_):
    """Sum over all but the channels."""
    axis = np.ndim(g) - (np.ndim(_w) - 1)
    if isinstance(g, np.ndarray) and axis:
        rows = np.moveaxis(g, 0, -1)
        return row_sum(wide(rows.reshape(len(rows), rows[0].size)))[:, 0]
    return np.sum(g, axis=tuple(k for k in range(np.ndim(g)) if k != axis))


def _conv_jvp(t, _y, x, w, _b, **options):
    terms = []
    if t[0] is not None:
        terms.append(_conv(t[0], w, **options))
    if t[1] is not None:
        terms.append(_conv(x, t[1], **options))
    if t[2] is not None:
        places = (-1, *(1,) * (np.ndim(w) - 2))
        terms.append(np.broadcast_to(np.reshape(t[2], places), np.shape(_y)))
    return sum(terms[1:], terms[0])


def _convolution(*shapes: Any, **options: Any) -> Any:
    """Declare a convolution by its transposes."""
    return primitive(
        lambda g, _y, _x, w, _b, **options: conv_input(
            g, w, shape=np.shape(_x), **options
        ),
        lambda g, _y, x, _w, _b, **options: conv_kernel(
            x, g, shape=np.shape(_w), **options
        ),
        _shift_gradient,
        jvp=_conv_jvp,
        cast="low",
        example=lambda rng: (tuple(rng.normal(size=s) for s in shapes), options),
    )


@_convolution((2, 2, 7), (4, 1, 3), (4,), stride=2, padding=1, groups=2)
def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Slide kernels along one axis; see ``conv2d``.

    Args:
        x: (n, c, w), or (c, w) for one example.
        w: (o, c/groups, kw).
        b: (o,) or None.
        stride: step of the window.
        padding: zeros at each end, or "same" or "valid".
        dilation: distance of the window's places.
        groups: into how many parts the channels fall.
    """
    return _value("conv1d", x, w, b, stride, padding, dilation, groups)


@_convolution((2, 2, 5, 4), (3, 2, 3, 2), (3,), stride=(2, 1), padding="valid")
def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Slide kernels over images: y[o, h, w] sums x[c, h + i, w + j] w[o, c, i, j].

    A cross-correlation: the kernel is not flipped, as in PyTorch. The result may lie in
    memory with the batch innermost.

    Args:
        x: (n, c, h, w), or (c, h, w) for one image.
        w: (o, c/groups, kh, kw).
        b: (o,) or None.
        stride: step of the window, one number or (rows, columns).
        padding: zeros on each side; or "same" (stride 1; an odd one goes behind) or
            "valid" (none).
        dilation: distance of the window's places.
        groups: into how many parts the channels fall; each part sees only its own.

    Returns:
        (n, o, h', w'), h' = (h + 2 padding - dilation (kh - 1) - 1) // stride + 1.

    Raises:
        ShapeError: if shapes, channels and groups do not fit, or the window does not.
        RangeError: if an option is outside its range.
    """
    return _value("conv2d", x, w, b, stride, padding, dilation, groups)
