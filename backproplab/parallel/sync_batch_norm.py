"""SyncBatchNorm: batch normalisation by the statistics of all replicas' shards."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import GradError, ShapeError
from ..nn import Module
from ..nn.batch_norm import _OverBatch
from ..node import Node
from ..primitive import primitive
from .group import Group


class SyncBatchNorm(_OverBatch, Module):
    r"""Each feature brought to mean 0 and variance 1 over the batch of all replicas.

    The statistics are those of the whole batch, also where shards are unequal; so are
    the two means of the backward pass. Forward and backward give what ``BatchNorm``
    gives on the whole batch, and running statistics move in the same way.

    Backward is exact for the sum of the replicas' losses. A loss that is a mean over
    its shard has to be weighted first where shards are unequal: ``DataParallel`` does.
    The gradients of scale and shift are the shard's own; average them with the others.

    Args:
        num_features: d.
        eps: added to the variance.
        momentum: as the convention means it; None keeps the mean over all batches.
        affine: whether scale ``weight`` and shift ``bias`` are there.
        track_running_stats: without, batch statistics are used after ``eval()`` too.
        convention: "pytorch", "flax" or "keras", see ``nn.BatchNorm1d``.
        dtype: of parameters and buffers.
        group: the replicas; ``DataParallel`` sets it where it is None.

    Shapes: x (n, d) or (n, d, ...); n may differ between replicas.

    >>> import backproplab as bp
    >>> def shard(comm):
    ...     norm = SyncBatchNorm(1, group=comm)
    ...     return norm(np.array([[1.0 + 2 * comm.rank]])).data.round(3).tolist()
    >>> bp.parallel.LocalGroup(2).run(shard)
    [[[-1.0]], [[1.0]]]
    """

    _shapes: ClassVar = {
        2: "(n, d)", 3: "(n, d, length)", 4: "(n, d, height, width)",
        5: "(n, d, depth, height, width)",
    }  # fmt: skip

    def __init__(
        self,
        num_features: int,
        eps: float | Literal["convention"] = "convention",
        momentum: float | Literal["convention"] | None = "convention",
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        convention: str = "pytorch",
        dtype: Any = np.float32,
        group: Group | None = None,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats,
            convention=convention, dtype=dtype,
        )  # fmt: skip
        self.group = group

    def forward(self, x: Any) -> Any:
        """Normalise by the whole batch in training, by running statistics otherwise."""
        shape = np.shape(x)
        self._check(shape)
        if not self.training and self.track_running_stats:
            return self._by_running(x, len(shape))
        if self.group is None:
            raise GradError(
                "SyncBatchNorm: it has no group, so there are no statistics to share.",
                help="pass `group=comm`, or wrap the model: `DataParallel(model, "
                "comm)`.",
            )
        array = np.asarray(x._data if isinstance(x, Node) else x)
        mean, variance, count = shared_moments(array, self.group)
        if self.training and count == 1:
            raise ShapeError(
                f"SyncBatchNorm: x is {shape}, and the {self.group.size} replicas have "
                "1 value of each feature together; in training at least 2 are "
                "required, because 1 has no variance.",
                help="pass a larger batch, or call `model.eval()` to use the running "
                "statistics.",
            )
        if self.training and self.track_running_stats:
            self._track(mean, variance, count)
        return _normalise(
            x, self.weight, self.bias, eps=self.eps,
            moments=(mean, variance, count), group=self.group,
        )  # fmt: skip


def shared_moments(x: np.ndarray, group: Group) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and biased variance of each feature over all replicas, and the count.

    In two rounds, since a sum of squares less the square of a sum loses digits: first
    count and sum, then the squares of what is left.

    Args:
        x: (n, d) or (n, d, ...).
        group: the replicas.

    Returns:
        (d,), (d,) and how many numbers share them.
    """
    rows = _rows(x).astype(np.float64)
    sums = group.all_reduce(np.append(rows.sum(axis=0), len(rows)), op="sum")
    count = round(float(sums[-1]))
    mean = sums[:-1] / max(count, 1)
    centred = rows - mean
    squares = group.all_reduce((centred * centred).sum(axis=0), op="sum")
    return mean, squares / max(count, 1), count


def _rows(x: np.ndarray) -> np.ndarray:
    """(n, d, ...) as (n ..., d): one column a feature."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _unrows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, d, *rest = shape
    return np.moveaxis(rows.reshape(n, *rest, d), -1, 1)


def _backward(
    g: Any,
    _y: Any,
    x: Any,
    gamma: Any,
    beta: Any,
    *,
    wrt: Any,
    saved: Any,
    **static: Any,
) -> list[Any]:
    """dx = (gamma/s)(g - mean g - z mean(g z)), both means over all replicas."""
    if saved is None:
        raise GradError(
            "SyncBatchNorm: there is no second derivative across replicas.",
            help="use `nn.BatchNorm1d` on the whole batch for higher derivatives.",
        )
    z, slope = saved
    rows = _rows(g).astype(z.dtype, copy=False)
    total, along = rows.sum(axis=0), (rows * z).sum(axis=0)
    dx = None
    if 0 in wrt:
        sums = np.concatenate([total, along], dtype=np.float64)
        means = static["group"].all_reduce(sums, op="sum") / static["moments"][2]
        mean_g, mean_gz = np.split(means.astype(z.dtype), 2)
        dx = _unrows(slope * (rows - mean_g - z * mean_gz), np.shape(x))
    return [
        dx,
        None if gamma is None else along,
        None if beta is None else total,
    ]


@primitive(vjp=_backward, inputs=3, saves=True, cast="fp32", name="sync_batch_norm")
def _normalise(
    x: Any, gamma: Any, beta: Any, *, eps: float, moments: Any, group: Group
) -> Any:
    """Scale and shift what is normalised by the moments of all replicas."""
    wide = np.promote_types(x.dtype, np.float32)
    mean, variance, _count = moments
    s = (1 / np.sqrt(variance + eps)).astype(wide)
    z = (_rows(x) - mean.astype(wide)) * s
    y, slope = z, s
    if gamma is not None:
        y, slope = z * gamma, s * gamma
    if beta is not None:
        y = y + beta
    dtype = np.result_type(*(a for a in (x, gamma, beta) if a is not None))
    return _unrows(y, np.shape(x)).astype(dtype), (z, slope)
