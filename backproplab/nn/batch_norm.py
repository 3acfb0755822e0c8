"""Batch normalisation as a layer, with the running statistics of three conventions."""

from math import prod
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from .. import ops
from ..errors import RangeError, ShapeError, near
from ..tensor import Tensor
from .module import Module
from .norm import scale_and_shift


class Convention(NamedTuple):
    """What a library means by momentum, and which variance it keeps running."""

    eps: float
    momentum: float
    weighs_new: bool  # momentum is the weight of the new batch, not of the old value
    unbiased: bool  # the running variance divides by n - 1


CONVENTIONS = {
    "pytorch": Convention(eps=1e-5, momentum=0.1, weighs_new=True, unbiased=True),
    "flax": Convention(eps=1e-5, momentum=0.99, weighs_new=False, unbiased=False),
    "keras": Convention(eps=1e-3, momentum=0.99, weighs_new=False, unbiased=False),
}

_Own = Literal["convention"]


class _OverBatch:
    """What the batch norms share; each says which ``_shapes`` it takes, by rank."""

    _shapes: ClassVar[dict[int, str]]
    training: bool

    def __init__(
        self,
        num_features: int,
        eps: float | _Own = "convention",
        momentum: float | _Own | None = "convention",
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        convention: str = "pytorch",
        dtype: Any = np.float32,
    ) -> None:
        if convention not in CONVENTIONS:
            raise RangeError(
                f"{type(self).__name__}: convention is {convention!r}; "
                f"one of {', '.join(CONVENTIONS)} is required.",
                help=near(convention, CONVENTIONS),
            )
        self.convention, rule = convention, CONVENTIONS[convention]
        self.num_features, self.affine = num_features, affine
        self.eps = rule.eps if isinstance(eps, str) else eps
        self.momentum = rule.momentum if isinstance(momentum, str) else momentum
        self.track_running_stats = track_running_stats
        self.weight, self.bias = scale_and_shift((num_features,), affine, True, dtype)
        if track_running_stats:
            self.running_mean = np.zeros(num_features, dtype)
            self.running_var = np.ones(num_features, dtype)
            self.num_batches_tracked = np.array(0)

    def forward(self, x: Any) -> Any:
        """Normalise by the batch in training, by the running statistics otherwise."""
        shape = np.shape(x)
        self._check(shape)
        if not self.training and self.track_running_stats:
            return self._by_running(x, len(shape))
        count = shape[0] * prod(shape[2:])
        if self.training and count == 1:
            raise ShapeError(
                f"{type(self).__name__}: x is {shape}; in training each feature needs "
                "at least 2 values, because 1 has no variance.",
                help="pass a larger batch, or call `model.eval()` to use the running "
                "statistics.",
            )
        moments = None
        if self.training and self.track_running_stats:
            moments = ops.moments(x.data if isinstance(x, Tensor) else np.asarray(x))
            self._track(moments[0], moments[1], count)
        return ops.batch_norm(x, self.weight, self.bias, eps=self.eps, moments=moments)

    def _by_running(self, x: Any, rank: int) -> Any:
        along = (-1, *(1,) * (rank - 2))
        scale: Any = 1 / np.sqrt(self.running_var + self.eps)
        if self.weight is not None:
            scale = self.weight * scale
        y = (x - self.running_mean.reshape(along)) * scale.reshape(along)
        return y if self.bias is None else y + self.bias.reshape(along)

    def _track(self, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
        """Move the running statistics to new arrays: a record keeps the old ones."""
        rule = CONVENTIONS[self.convention]
        self.num_batches_tracked = np.array(self.num_batches_tracked + 1)
        if self.momentum is None:  # the plain mean over all batches
            new = 1 / float(self.num_batches_tracked)
        else:
            new = self.momentum if rule.weighs_new else 1 - self.momentum
        if rule.unbiased:
            variance = variance * (count / (count - 1))
        for name, now in (("running_mean", mean), ("running_var", variance)):
            old = vars(self)[name]
            setattr(self, name, old + (new * (now - old)).astype(old.dtype))

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in self._shapes or shape[1] != self.num_features:
            right_rank = len(shape) in self._shapes
            raise ShapeError(
                f"{type(self).__name__}: x is {shape}; "
                f"{' or '.join(self._shapes.values())} is required, "
                f"with d = {self.num_features}.",
                help=f"the layer was built with num_features={self.num_features}, "
                f"the batch has {shape[1]}."
                if right_rank
                else "",
            )

    def extra_repr(self) -> str:
        """Show sizes and convention."""
        convention = (
            "" if self.convention == "pytorch" else f", convention={self.convention!r}"
        )
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
            f"{convention}"
        )


class BatchNorm1d(_OverBatch, Module):
    """Each feature brought to mean 0 and variance 1 over the batch, scaled and shifted.

    In training by the statistics of the batch (biased variance), which also move the
    running ones; after ``eval()`` by the running ones. A convention says how they move:

    ========= ===== ======== ========================== ================
    name      eps   momentum momentum weighs            running variance
    ========= ===== ======== ========================== ================
    pytorch   1e-5  0.1      the new batch              unbiased (n - 1)
    flax      1e-5  0.99     the old value              biased (n)
    keras     1e-3  0.99     the old value              biased (n)
    ========= ===== ======== ========================== ================

    Args:
        num_features: d.
        eps: added to the variance.
        momentum: as the convention means it; None keeps the mean over all batches.
        affine: whether scale ``weight`` and shift ``bias`` are there.
        track_running_stats: without, batch statistics are used after ``eval()`` too.
        convention: "pytorch", "flax" or "keras".
        dtype: of parameters and buffers.

    Shapes: x (n, d) or (n, d, length). One value of a feature in training is an error.

    >>> norm = BatchNorm1d(1)
    >>> norm(np.array([[1.0], [3.0]])).data.round(3).ravel().tolist()
    [-1.0, 1.0]
    >>> norm.running_mean.round(3).tolist(), norm.running_var.round(3).tolist()
    ([0.20000000298023224], [1.100000023841858])
    """

    _shapes: ClassVar = {2: "(n, d)", 3: "(n, d, length)"}


class BatchNorm2d(_OverBatch, Module):
    """Each channel brought to mean 0 and variance 1 over batch and picture.

    Arguments and conventions as ``BatchNorm1d``.

    Shapes: x (n, d, height, width).
    """

    _shapes: ClassVar = {4: "(n, d, height, width)"}
