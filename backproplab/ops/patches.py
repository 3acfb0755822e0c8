"""Windows written out as columns, and added back: each is the other's transpose."""

import numpy as np

from ..errors import ShapeError
from ..primitive import linear
from ._windows import each_axis, windows_of


def _patch_rule(g, _x, **options):
    return fold(g, np.shape(_x)[-2:], **options)


@linear(
    _patch_rule,
    example=lambda rng: (
        (rng.normal(size=(2, 3, 4, 5)),),
        {"kernel_size": (2, 3), "padding": 1, "stride": 2},
    ),
)
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Write each window out as a column: (n, c, h, w) to (n, c kh kw, positions).

    Args:
        x: (n, c, h, w), or (c, h, w) for one image.
        kernel_size: of the window, one number or (rows, columns).
        dilation: distance of the window's places.
        padding: zeros on each side.
        stride: step of the window.
    """
    windows = windows_of("unfold", np.shape(x), kernel_size, stride, padding, dilation)
    padded_x = windows.padded(x)
    patches = np.stack([padded_x[read] for read in windows.reads()], axis=-3)
    return patches.reshape(
        *x.shape[:-3],
        x.shape[-3] * patches.shape[-3],
        windows.rows.positions * windows.columns.positions,
    )


@linear(
    lambda g, _y, *, output_size, **options: unfold(g, **options),
    example=lambda rng: (
        (rng.normal(size=(2, 8, 6)),),
        {"output_size": (3, 4), "kernel_size": 2},
    ),
)
def fold(y, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Add columns back where ``unfold`` read them: its transpose.

    Args:
        y: (n, c kh kw, positions), or (c kh kw, positions).
        output_size: (h, w).
        kernel_size: as for ``unfold``, like the other options.
        dilation: distance of the window's places.
        padding: zeros on each side.
        stride: step of the window.

    Raises:
        ShapeError: if y does not have as many columns as the window has positions.
    """
    size = each_axis("fold", "output_size", output_size, 2)
    kernels = each_axis("fold", "kernel_size", kernel_size, 2)
    windows = windows_of("fold", (1, *size), kernel_size, stride, padding, dilation)
    count, area = windows.rows.positions, kernels[0] * kernels[1]
    positions = count * windows.columns.positions
    shape = np.shape(y)
    if len(shape) not in (2, 3) or shape[-1] != positions or shape[-2] % area:
        raise ShapeError(
            f"fold: y is {shape}; (n, c {area}, {positions}) is required: the window "
            f"has {area} places and {positions} positions."
        )
    lead = (*shape[:-2], shape[-2] // area)
    patches = np.reshape(y, (*lead, area, count, windows.columns.positions))
    out = np.zeros((*lead, windows.rows.padded, windows.columns.padded), y.dtype)
    for k, read in enumerate(windows.reads()):
        out[read] += patches[..., k, :, :]
    return out[windows.inside]
