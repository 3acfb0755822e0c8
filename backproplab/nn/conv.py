"""Layers for signals and pictures: convolution, pooling, and flattening into rows."""

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import RangeError
from . import init
from .linear import uniform_weights
from .module import Module

Size = int | tuple[int, ...]

_USUAL = (("padding", 0), ("dilation", 1), ("groups", 1), ("padding_mode", "zeros"))

# PyTorch's padding modes, and NumPy's names for them.
_MODES = {"zeros": None, "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Conv1d(Module):
    """The same small filter at every place of a signal, as ``torch.nn.Conv1d``.

    Arguments as ``Conv2d``, with one number where that takes a pair.

    Shapes: x (n, in_channels, length) or (in_channels, length), weight (out_channels,
    in_channels/groups, kernel_size).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        rng = init.require_rng("Conv1d", rng)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _each(kernel_size, 1)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.padding_mode = groups, padding_mode
        shape = (out_channels, _share(self), *self.kernel_size)
        self.weight, self.bias = uniform_weights(shape, bias, rng, dtype)

    def forward(self, x: Any) -> Any:
        """Apply ``ops.conv1d``."""
        x, options = _bordered(self, x)
        return ops.conv1d(x, self.weight, self.bias, **options)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return _words(self)


class Conv2d(Module):
    """The same small filter at every place of a picture, as ``torch.nn.Conv2d``.

    It is a cross-correlation: the filter is not flipped. Weights and bias start in
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    Args:
        in_channels: of x.
        out_channels: of y.
        kernel_size: of the filter, one number or a pair.
        stride: step between places.
        padding: zeros on each side; "same" or "valid" too.
        dilation: step between the filter's own places.
        groups: into how many separate blocks the channels fall.
        bias: whether a number for each output channel is added.
        padding_mode: what stands in the padding: "zeros", "reflect", "replicate" or
            "circular".
        rng: where the first weights come from.
        dtype: of the parameters.

    Shapes: x (n, in_channels, h, w) or (in_channels, h, w), weight (out_channels,
    in_channels/groups, *kernel_size).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        rng = init.require_rng("Conv2d", rng)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _each(kernel_size, 2)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.padding_mode = groups, padding_mode
        shape = (out_channels, _share(self), *self.kernel_size)
        self.weight, self.bias = uniform_weights(shape, bias, rng, dtype)

    def forward(self, x: Any) -> Any:
        """Apply ``ops.conv2d``."""
        x, options = _bordered(self, x)
        return ops.conv2d(x, self.weight, self.bias, **options)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return _words(self)


class MaxPool2d(Module):
    """The greatest value of each window of a picture.

    Args:
        kernel_size: of the window, one number or a pair.
        stride: step between windows; None for windows side by side.
        padding: minus infinity on each side.
        dilation: step between a window's own places.
        ceil_mode: whether a window may reach over the end.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Any) -> Any:
        """Apply ``ops.max_pool2d``."""
        return ops.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """Show the window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}"
        )


class AvgPool2d(Module):
    """The mean of each window of a picture.

    Args:
        kernel_size: of the window, one number or a pair.
        stride: step between windows; None for windows side by side.
        padding: zeros on each side.
        ceil_mode: whether a window may reach over the end.
        count_include_pad: whether the zeros count in the mean.
        divisor_override: divides by this instead of by the window's size.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        """Apply ``ops.avg_pool2d``."""
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Show the window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class Flatten(Module):
    """Axes ``start_dim`` to ``end_dim`` joined into one; (n, c, h, w) to (n, c h w)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """Apply ``ops.reshape``."""
        shape = np.shape(x)
        start, end = self.start_dim % len(shape), self.end_dim % len(shape) + 1
        joined = math.prod(shape[start:end])
        return ops.reshape(x, (*shape[:start], joined, *shape[end:]))

    def extra_repr(self) -> str:
        """Show the axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


def _each(size: Size, axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)


def _share(layer: Any) -> int:
    """How many input channels an output channel sees."""
    if layer.padding_mode not in _MODES:
        raise RangeError(
            f"{type(layer).__name__}: padding_mode is {layer.padding_mode!r}; "
            f"it must be one of {', '.join(map(repr, _MODES))}."
        )
    if layer.in_channels % layer.groups or layer.out_channels % layer.groups:
        raise RangeError(
            f"{type(layer).__name__}: in_channels is {layer.in_channels}, out_channels "
            f"{layer.out_channels} and groups {layer.groups}; both must be multiples "
            "of groups."
        )
    return int(layer.in_channels // layer.groups)


def _bordered(layer: Any, x: Any) -> tuple[Any, dict[str, Any]]:
    """Pad where it is not with zeros, and say what is left to the convolution."""
    options = {
        "stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation,
        "groups": layer.groups,
    }  # fmt: skip
    mode = _MODES[layer.padding_mode]
    if mode is None or layer.padding == "valid":
        return x, options
    n = len(layer.kernel_size)
    if layer.padding == "same":
        reach = zip(_each(layer.dilation, n), layer.kernel_size, strict=True)
        # an odd one goes to the end
        sides = [(d * (k - 1) // 2, (d * (k - 1) + 1) // 2) for d, k in reach]
    else:
        sides = [(p, p) for p in _each(layer.padding, n)]
    width = [(0, 0)] * (np.ndim(x) - n) + sides
    return ops.pad(x, width, mode), options | {"padding": 0}


def _words(layer: Any) -> str:
    unusual = [
        f", {name}={vars(layer)[name]}"
        for name, usual in _USUAL
        if vars(layer)[name] != usual
    ]
    return (
        f"{layer.in_channels}, {layer.out_channels}, kernel_size={layer.kernel_size}, "
        f"stride={layer.stride}{''.join(unusual)}, bias={layer.bias is not None}"
    )
