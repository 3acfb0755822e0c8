"""Buckets: gradients packed into few long arrays, which are averaged one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError
from ..nn import Module
from ..tensor import Tensor
from .group import Group, Op, Pending, ranks

BUCKET_BYTES = 2**22


class Bucket:
    """Parameters whose gradients travel as one flat array, all of one dtype."""

    def __init__(self, members: Sequence[Tensor]) -> None:
        self.members = tuple(members)
        self.dtype = self.members[0].dtype
        ends = np.cumsum([0, *(p.size for p in self.members)]).tolist()
        self.places = [slice(a, b) for a, b in pairwise(ends)]
        self.elements: int = ends[-1]

    def pack(self, grads: Sequence[Any]) -> np.ndarray:
        """Put gradients one after the other; zeros where there is none."""
        flat = np.empty(self.elements, self.dtype)
        for place, g in zip(self.places, grads, strict=True):
            flat[place] = 0 if g is None else np.reshape(g, -1)
        return flat

    def unpack(self, flat: np.ndarray, had: Sequence[Any]) -> list[Any]:
        """Cut a flat array into gradients, which are views of it.

        A parameter that had no gradient here, and got nothing but zeros from the
        others, still has none: an optimiser is to leave it alone.
        """
        found: list[Any] = []
        for p, place, g in zip(self.members, self.places, had, strict=True):
            part = flat[place].reshape(p.shape)
            found.append(part if g is not None or part.any() else None)
        return found


def in_buckets(parameters: Iterable[Tensor], size: int = BUCKET_BYTES) -> list[Bucket]:
    """Fill buckets of at most ``size`` bytes in reverse order of the parameters.

    Backward comes to the last layers first, so their bucket is full first. A parameter
    that is larger than a bucket has one of its own; each dtype has its own, too.

    Args:
        parameters: in the model's order.
        size: bytes in a bucket.

    Raises:
        RangeError: if ``size`` is less than 1.
    """
    if size < 1:
        raise RangeError(f"bucket_size is {size}; at least 1 byte is required.")
    found: list[list[Tensor]] = []
    room = 0
    for p in reversed(list(parameters)):
        if not found or p.data.nbytes > room or p.dtype != found[-1][0].dtype:
            found.append([])
            room = size
        found[-1].append(p)
        room -= p.data.nbytes
    return [Bucket(members) for members in found]


def start(bucket: Bucket, grads: Sequence[Any], comm: Group, op: Op) -> Pending:
    """Begin to average (or sum) one bucket; ``wait()`` gives the gradients."""
    pending = comm.start_all_reduce(bucket.pack(grads), op)
    return Pending(lambda: bucket.unpack(pending.wait(), grads), pending.nudge)


def average_gradients(
    model: Module | Iterable[Tensor],
    comm: Group,
    weight: float | None = None,
    *,
    bucket_size: int = BUCKET_BYTES,
) -> None:
    r"""Replace each gradient by its mean over the replicas.

    .. math:: g = \sum_r w_r g_r, \quad w_r = 1/N \text{ or } n_r/n

    With equal shards and a loss that is a mean over the shard, that is the gradient of
    the whole batch. With unequal shards it is if each replica passes its share.

    Args:
        model: a module, or parameters.
        comm: the group.
        weight: this shard's share n_r / n of the batch; None for 1/N on every replica.
        bucket_size: bytes that travel together at most.

    Raises:
        RangeError: if the weights do not add up to 1, or only some replicas pass one;
            or if they are unequal and the model synchronises batch statistics, whose
            backward pass has to know the weights before (``DataParallel`` does that).
        ShapeError: if the replicas' models differ.

    >>> import backproplab as bp
    >>> def shard(comm):
    ...     w = bp.tensor(3.0, requires_grad=True)
    ...     (w * float(comm.rank)).backward()
    ...     average_gradients([w], comm)
    ...     return float(w.grad)
    >>> bp.parallel.LocalGroup(3).run(shard)
    [1.0, 1.0, 1.0]
    """
    parameters = list(model.parameters() if isinstance(model, Module) else model)
    parameters = [p for p in parameters if p.requires_grad]
    _require_weights(weight, comm)
    require_same("average_gradients", [("", p) for p in parameters], comm)
    if weight is not None and isinstance(model, Module):
        _require_weighable(model, weight, comm)
    op: Op = "mean" if weight is None else "sum"
    for bucket in in_buckets(parameters, bucket_size):
        grads = [p.grad for p in bucket.members]
        if weight is not None:
            grads = [None if g is None else g * weight for g in grads]
        averaged = start(bucket, grads, comm, op).wait()
        for p, g in zip(bucket.members, averaged, strict=True):
            p.grad = g


def require_same(what: str, named: Iterable[tuple[str, Tensor]], comm: Group) -> None:
    """Be sure that all replicas have the same parameters, each its own.

    Raises:
        ShapeError: if names, shapes or dtypes differ.
        RangeError: if replicas in one process share a parameter.
    """
    named = list(named)
    mine = [(name, p.shape, str(p.dtype)) for name, p in named]
    ids = [id(p) for _, p in named] if comm.shared_memory else []
    words = comm.agree((mine, ids))
    for rank, (theirs, _) in enumerate(words):
        if theirs != words[0][0]:
            first, other = _first_difference(words[0][0], theirs)
            raise ShapeError(
                f"{what}: the replicas' models differ: replica 0 has {first}, "
                f"replica {rank} has {other}.",
                help="build the same model on every replica, before it is wrapped.",
            )
    shared = [r for r, (_, i) in enumerate(words) if i and i == words[0][1]]
    if len(shared) > 1:
        raise RangeError(
            f"{what}: {ranks(shared)} share one and the same model; "
            "each replica must have its own.",
            help="build the model inside the function that `LocalGroup.run` calls.",
        )


def _first_difference(a: list[Any], b: list[Any]) -> tuple[str, str]:
    for one, two in zip(a, b, strict=False):
        if one != two:
            return _said(one), _said(two)
    return f"{len(a)} parameters", f"{len(b)}"


def _said(row: tuple[str, tuple[int, ...], str]) -> str:
    name, shape, dtype = row
    return f"{name} {shape} {dtype}".lstrip()


def _require_weights(weight: float | None, comm: Group) -> None:
    weights = comm.agree(weight)
    without = [rank for rank, w in enumerate(weights) if w is None]
    if len(without) == comm.size:
        return
    if without:
        raise RangeError(
            f"average_gradients: {ranks(without)} passed no weight, others did; "
            "all must, or none."
        )
    if not abs(sum(weights) - 1) < 1e-6 or min(weights) < 0:
        raise RangeError(
            f"average_gradients: the weights are {', '.join(f'{w:g}' for w in weights)}"
            f", together {sum(weights):g}; shares that add up to 1 are required.",
            help="pass the shard's rows divided by the batch's rows.",
        )


def _require_weighable(model: Module, weight: float, comm: Group) -> None:
    from .sync_batch_norm import SyncBatchNorm

    uneven = any(abs(w * comm.size - 1) > 1e-9 for w in comm.agree(weight))
    if uneven and any(isinstance(m, SyncBatchNorm) for m in model.modules()):
        raise RangeError(
            f"average_gradients: the weight is {weight:g} on replica {comm.rank}, and "
            "the model has a SyncBatchNorm, whose backward pass mixes the shards' "
            "gradients; unequal weights must be in the loss before it runs.",
            help="use DataParallel, which does that; or call `(loss * weight * "
            "comm.size).backward()` and pass no weight.",
        )
