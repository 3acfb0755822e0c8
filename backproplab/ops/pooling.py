"""Windows over images: their maximum and their mean."""

from typing import Any

import numpy as np

from ..errors import RangeError
from ..primitive import linear, primitive
from ._windows import Axis, Windows, each_axis, windows_of


def _check_half(op: str, kernel_size: Any, padding: Any) -> None:
    kernels = each_axis(op, "kernel_size", kernel_size, 2)
    pads = each_axis(op, "padding", padding, 2, least=0)
    if any(2 * p > k for k, p in zip(kernels, pads, strict=True)):
        raise RangeError(
            f"{op}: padding is {padding} and kernel_size is {kernel_size}; "
            "at most half of the window may be padding."
        )


def _pick_all(x: np.ndarray, windows: Windows, hits: Any = None) -> np.ndarray:
    x = windows.padded(x)
    parts = [
        x[read] if hits is None else x[read] * hits[k]
        for k, read in enumerate(windows.reads())
    ]
    out = parts[0].copy(order="K")
    for part in parts[1:]:
        out += part
    return out


def _put_all(g: np.ndarray, windows: Windows, hits: Any = None) -> np.ndarray:
    if hits is not None:
        # the order in memory of what was pooled, so that all loops run along it
        own = np.empty_like(hits[0], dtype=g.dtype)
        own[...] = g
        g = own
    out = windows.empty_around(g)
    if not windows.tile:
        out.fill(0)
    for k, read in enumerate(windows.reads()):
        part = g if hits is None else g * hits[k]
        if windows.tile:
            out[read] = part
        else:
            out[read] += part
    return out[windows.inside]


def _put_back(g, _x, **where):
    return put_windows(g, **where)


@linear(
    _put_back,
    example=lambda rng: (
        (rng.normal(size=(2, 5, 4)),),
        {"windows": windows_of("pick_windows", (2, 5, 4), 2, 1)},
    ),
)
def pick_windows(x, windows, hits=None):
    """Sum each window of x, or only its ``hits``: the transpose of ``put_windows``."""
    return _pick_all(x, windows, hits)


@linear(
    lambda g, _y, **where: pick_windows(g, **where),
    example=lambda rng: (
        (rng.normal(size=(2, 4, 3)),),
        {"windows": windows_of("put_windows", (2, 5, 4), 2, 1)},
    ),
)
def put_windows(y, windows, hits=None):
    """Add each number of y to every place of its window, or only to its ``hits``."""
    return _put_all(y, windows, hits)


def _hits(x: Any, y: Any, windows: Windows) -> list[Any]:
    """For each place of the window, where it holds the maximum first."""
    low = -np.inf
    x = x if isinstance(x, np.ndarray) else x.data
    x, open_, hits = windows.padded(x, low), None, []
    for read in windows.reads():
        hit = x[read] == y
        if open_ is None:
            open_ = ~hit
        else:
            hit &= open_
            open_ &= ~hit
        hits.append(hit)
    return hits


def _max_rule(g, y, x, **options):
    windows = windows_of("max_pool2d", np.shape(x), **options)
    return put_windows(g, windows=windows, hits=_hits(x, y, windows))


def _max_jvp(t, y, x, **options):
    windows = windows_of("max_pool2d", np.shape(x), **options)
    return pick_windows(t[0], windows=windows, hits=_hits(x, y, windows))


@primitive(
    _max_rule,
    jvp=_max_jvp,
    example=lambda rng: ((rng.normal(size=(2, 3, 5, 4)),), {"kernel_size": 2}),
)
def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The greatest number of each window; at a tie the first gets the gradient.

    First means rows first, as in PyTorch. The padding is minus infinity.

    Args:
        x: (n, c, h, w), or (c, h, w) for one image.
        kernel_size: of the window, one number or (rows, columns).
        stride: step of the window; kernel_size where None.
        padding: at most half of kernel_size, on each side.
        dilation: distance of the window's places.
        ceil_mode: also take windows that reach beyond the end but begin inside.

    Raises:
        ShapeError: if x is not an image, or the window does not fit.
        RangeError: if an option is outside its range.
    """
    _check_half("max_pool2d", kernel_size, padding)
    windows = windows_of(
        "max_pool2d", np.shape(x), kernel_size, stride, padding, dilation, ceil_mode
    )
    first, *rest = windows.reads()
    x = windows.padded(x, -np.inf)
    y = x[first].copy(order="K")
    for read in rest:
        np.maximum(y, x[read], out=y)
    return y


def _divisors(
    windows: Windows, count_include_pad: bool, divisor_override: Any, dtype: Any
) -> Any:
    """By what each window's sum is divided."""
    if divisor_override is not None:
        return divisor_override
    rows, columns = (_places(axis, count_include_pad) for axis in windows)
    counts = np.outer(rows, columns)
    return int(counts[0, 0]) if np.ptp(counts) == 0 else counts.astype(dtype)


def _places(axis: Axis, with_padding: bool) -> np.ndarray:
    """How many places each position counts; those that ceil_mode adds never count."""
    start = np.arange(axis.positions) * axis.stride
    end = start + axis.kernel
    if with_padding:
        return np.minimum(end, axis.size + 2 * axis.before) - start
    inside = axis.before + axis.size
    return np.minimum(end, inside) - np.maximum(start, axis.before)


def _avg_options(x: Any, options: dict[str, Any]) -> Any:
    options = dict(options)
    padding = options.pop("count_include_pad"), options.pop("divisor_override")
    windows = windows_of("avg_pool2d", np.shape(x), **options)
    return windows, _divisors(windows, *padding, x.dtype)


def _avg_rule(g, _x, **options):
    windows, divisors = _avg_options(_x, options)
    return put_windows(g / divisors, windows=windows)


@linear(
    _avg_rule,
    example=lambda rng: (
        (rng.normal(size=(2, 5, 4)),),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
)
def avg_pool2d(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of each window; every place gets its share of the gradient.

    Args:
        x: (n, c, h, w), or (c, h, w) for one image.
        kernel_size: of the window, one number or (rows, columns).
        stride: step of the window; kernel_size where None.
        padding: zeros on each side, at most half of kernel_size.
        ceil_mode: also take windows that reach beyond the end but begin inside.
        count_include_pad: whether zeros of the padding count in the mean.
        divisor_override: divide the sum by this instead of the count.

    Raises:
        ShapeError: if x is not an image, or the window does not fit.
        RangeError: if an option is outside its range.
    """
    _check_half("avg_pool2d", kernel_size, padding)
    if divisor_override == 0:
        raise RangeError("avg_pool2d: divisor_override is 0; it must not be.")
    windows = windows_of(
        "avg_pool2d", np.shape(x), kernel_size, stride, padding, ceil_mode=ceil_mode
    )
    divisors = _divisors(windows, count_include_pad, divisor_override, x.dtype)
    return _pick_all(x, windows) / divisors
