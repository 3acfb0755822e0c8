"""Layers that normalise each example by itself; over the batch: batch_norm.py."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import RangeError
from ..tensor import Tensor
from .module import Module


class LayerNorm(Module):
    """Each example brought to mean 0 and variance 1 over its own last axes.

    Args:
        normalized_shape: the sizes of those axes, or the size of the last one.
        eps: added to the variance, which is biased.
        elementwise_affine: whether the scale ``weight`` is there.
        bias: whether, with it, the shift ``bias`` is there.
        dtype: of the parameters.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight, self.bias = scale_and_shift(
            self.normalized_shape, elementwise_affine, bias, dtype
        )

    def forward(self, x: Any) -> Any:
        """Apply ``ops.layer_norm``."""
        return ops.layer_norm(
            x, self.normalized_shape, self.weight, self.bias, eps=self.eps
        )

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Each group of channels of each example brought to mean 0 and variance 1.

    Args:
        num_groups: how many groups; 1 takes all channels together.
        num_channels: c, a multiple of ``num_groups``.
        eps: added to the variance, which is biased.
        affine: whether scale and shift of each channel are there.
        dtype: of the parameters.

    Shapes: x (n, c, ...).
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        if num_channels % num_groups:
            raise RangeError(
                f"GroupNorm: num_channels is {num_channels} and num_groups "
                f"{num_groups}; the first must be a multiple of the second."
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self.weight, self.bias = scale_and_shift((num_channels,), affine, True, dtype)

    def forward(self, x: Any) -> Any:
        """Apply ``ops.group_norm``."""
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}"
        )


class RMSNorm(Module):
    """Each example divided by the root mean square over its own last axes.

    Args:
        normalized_shape: the sizes of those axes, or the size of the last one.
        eps: added to the mean square; None takes the machine epsilon of x's dtype.
        elementwise_affine: whether the scale ``weight`` is there.
        dtype: of the scale.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        self.normalized_shape = _sizes(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight, _ = scale_and_shift(
            self.normalized_shape, elementwise_affine, False, dtype
        )

    def forward(self, x: Any) -> Any:
        """Apply ``ops.rms_norm``."""
        return ops.rms_norm(x, self.normalized_shape, self.weight, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


def scale_and_shift(
    shape: tuple[int, ...], affine: bool, bias: bool, dtype: Any
) -> tuple[Tensor | None, Tensor | None]:
    """Make ones and zeros to begin with, None for what is not wanted."""
    if not affine:
        return None, None
    scale = Tensor(np.ones(shape, dtype), requires_grad=True)
    return scale, Tensor(np.zeros(shape, dtype), requires_grad=True) if bias else None


def _sizes(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
