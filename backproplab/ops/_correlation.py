"""The arithmetic of convolution on plain arrays; derivatives are in ``convolution``.

One layout: the batch is the innermost axis in memory. Then a window moves over long
contiguous runs; only its columns are copied, and one row of outputs is one matrix
product with rows of the input as they lie.
"""

from typing import Any, NamedTuple

import numpy as np

from ..errors import RangeError, ShapeError
from ._rows import wide
from ._windows import Axis, check_fit, each_axis, padded


class Plan(NamedTuple):
    rows: Axis
    columns: Axis
    groups: int
    channels: int  # of a group
    features: int  # of a group


def plan_of(
    x_shape: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Plan:
    """Lay out (n, c, w) or (n, c, h, w) with its kernel, after checking all options."""
    dims = len(w_shape) - 2
    op = f"conv{dims}d"
    axes = ["w", "h, w"][dims - 1]
    if len(x_shape) not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{op}: x is {x_shape}; (n, c, {axes}), or (c, {axes}) for one example, "
            "is required."
        )
    channels, (o, per_group, *kernel) = x_shape[-dims - 1], w_shape
    if groups < 1 or o % groups or channels != per_group * groups:
        raise ShapeError(
            f"{op}: x has {channels} channels and w is {w_shape}; with groups={groups} "
            f"w must be (o, {channels}/{groups}, ...) and {groups} divide o."
        )
    strides = each_axis(op, "stride", stride, dims)
    dilations = each_axis(op, "dilation", dilation, dims)
    if isinstance(padding, str):
        pads = _named_padding(op, padding, kernel, strides, dilations)
    else:
        pads = [(p, p) for p in each_axis(op, "padding", padding, dims, least=0)]
    moves = tuple(
        Axis.of(size, k, s, d, *pad)
        for size, k, s, d, pad in zip(
            x_shape[-dims:], kernel, strides, dilations, pads, strict=True
        )
    )
    check_fit(op, moves)
    rows, columns = (Axis.of(1, 1), *moves)[-2:]
    return Plan(rows, columns, groups, per_group, o // groups)


def _named_padding(
    op: str, name: str, kernel: Any, strides: Any, dilations: Any
) -> Any:
    if name == "valid":
        return [(0, 0)] * len(kernel)
    if name != "same":
        raise RangeError(
            f"{op}: padding is {name!r}; 'valid', 'same' or numbers are required."
        )
    if any(s != 1 for s in strides):
        raise RangeError(
            f"{op}: padding is 'same' and stride is {strides}; "
            "the size can stay the same with stride 1 only."
        )
    extra = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    return [(e // 2, e - e // 2) for e in extra]  # the odd one behind, as in PyTorch


def laid(x: Any, dims: int) -> np.ndarray:
    """View as (c, h, w, n), contiguous, to compute with."""
    x = wide(x)
    x = x if x.ndim == dims + 2 else x[None]
    x = x if dims == 2 else x[:, :, None]
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0))


def delivered(y: np.ndarray, dims: int, like: Any, dtype: Any) -> np.ndarray:
    """View (c, h, w, n) in the caller's axes, with a batch if ``like`` has one."""
    y = y.transpose(3, 0, 1, 2)
    y = y if dims == 2 else y[:, :, 0]
    y = y if np.ndim(like) == dims + 2 else y[0]
    return y.astype(dtype, copy=False)


def _columns(x: np.ndarray, plan: Plan) -> np.ndarray:
    """Copy the windows' columns: (groups, h, c j, w n), over all padded rows h."""
    x = padded(x, plan.rows, plan.columns)
    _, h, w, n = x.shape
    x = x.reshape(plan.groups, plan.channels, h, w, n).swapaxes(1, 2)
    kernel, count = plan.columns.kernel, plan.columns.positions
    out = np.empty((*x.shape[:3], kernel, count, n), x.dtype)
    for j in range(kernel):
        out[:, :, :, j] = x[:, :, :, plan.columns.places(j)]
    return out.reshape(plan.groups, h, plan.channels * kernel, count * n)


def _matrices(w: Any, plan: Plan) -> np.ndarray:
    """The kernel as one (o, i c j) for each group."""
    kernel = (plan.rows.kernel, plan.columns.kernel)
    w = np.reshape(w, (plan.groups, plan.features, plan.channels, *kernel))
    return w.swapaxes(2, 3).reshape(plan.groups, plan.features, -1)


def _merged(a: np.ndarray) -> np.ndarray:
    """(groups, a, b, run) as (groups, a b, run), a view where the numbers lie so."""
    groups, a_size, b_size, run = a.shape
    return a.reshape(groups, a_size * b_size, run)


def correlate(x: np.ndarray, w: Any, plan: Plan) -> np.ndarray:
    """The convolution of (c, h, w, n), (o, h, w, n)."""
    columns, matrices, rows = _columns(x, plan), _matrices(w, plan), plan.rows
    h, run = rows.positions, columns.shape[-1]
    dtype = np.result_type(columns, matrices)
    y = np.empty((plan.groups, plan.features, h, run), dtype)
    for i in range(h):
        np.matmul(matrices, _merged(columns[:, rows.window(i)]), out=y[:, :, i])
    o = plan.groups * plan.features
    return y.reshape(o, h, plan.columns.positions, x.shape[-1])


def correlate_with(x: np.ndarray, g: np.ndarray, plan: Plan) -> np.ndarray:
    """The gradient of the kernel, (o, c, i, j): each place of x meets its g."""
    columns, rows, groups, o = _columns(x, plan), plan.rows, plan.groups, plan.features
    g = g.reshape(groups, o, rows.positions, columns.shape[-1])
    shape = (columns.shape[2], o)
    out = np.zeros((groups, rows.kernel, *shape), np.result_type(columns, g))
    # few features make a thin matrix product: take several rows of outputs together
    many = max(1, 24 // o) if rows.dilation == 1 else 1
    for i in range(0, rows.positions, many):
        part = g[:, :, i : i + many]
        m, start = part.shape[2], i * rows.stride
        stop = start + (m - 1) * rows.stride + rows.span
        read = columns[:, start : stop : rows.dilation]
        products = _merged(read) @ _merged(part).swapaxes(1, 2)
        products = products.reshape(groups, read.shape[1], *shape, m)
        for k in range(m):
            first = k * rows.stride
            out += products[:, first : first + rows.kernel, ..., k]
    kernel = (rows.kernel, plan.columns.kernel)
    out = out.reshape(groups, rows.kernel, plan.channels, plan.columns.kernel, o)
    return out.transpose(0, 4, 2, 1, 3).reshape(groups * o, plan.channels, *kernel)


def spread(g: np.ndarray, w: Any, plan: Plan) -> np.ndarray:
    """The gradient of the input, (c, h, w, n): each g goes where its window read."""
    groups, rows, columns = plan.groups, plan.rows, plan.columns
    n, run = g.shape[-1], columns.positions * g.shape[-1]
    matrices = _matrices(w, plan).swapaxes(1, 2)
    g = g.reshape(groups, plan.features, rows.positions, run)
    dtype = np.result_type(g, matrices)
    read = np.zeros((groups, rows.padded, plan.channels * columns.kernel, run), dtype)
    per_row = (groups, rows.kernel, *read.shape[2:])
    for i in range(rows.positions):
        read[:, rows.window(i)] += (matrices @ g[:, :, i]).reshape(per_row)
    moved = (plan.channels, columns.kernel, columns.positions, n)
    read = read.reshape(groups, rows.padded, *moved).swapaxes(1, 2)
    out = np.zeros((groups, plan.channels, rows.padded, columns.padded, n), dtype)
    for j in range(columns.kernel):
        out[:, :, :, columns.places(j)] += read[:, :, :, j]
    out = out[:, :, rows.inside, columns.inside]
    return out.reshape(groups * plan.channels, rows.size, columns.size, n)
