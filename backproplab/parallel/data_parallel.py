"""DataParallel: replicas of one model, whose gradients are averaged as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..nn import Module
from ..sockets import is_grad_enabled
from .buckets import BUCKET_BYTES, require_same
from .group import Group
from .reducer import Reducer, watched
from .sync_batch_norm import SyncBatchNorm


class DataParallel(Module):
    r"""A model whose backward pass leaves every replica with the batch's gradient.

    Each replica computes on a shard of the batch. At the start parameters and buffers
    become those of replica 0. In backward, gradients are averaged over the replicas
    from hooks, bucket by bucket in reverse order of the parameters; with MPI a full
    bucket travels while backward goes on.

    Unequal shards are weighted: where the shard's loss is a mean over its n_r rows,

    .. math:: \nabla L = \sum_r \frac{n_r}{n} \nabla L_r

    is the gradient of the whole batch. The weight N n_r / n is multiplied to the
    gradient where it enters the model, so that synchronised statistics see it, too. n_r
    is the first axis of the first argument.

    As in PyTorch the wrapped model is ``.module``, and names in ``state_dict`` begin
    with ``module.``; ``model.module.state_dict()`` has those of the model itself. As
    in PyTorch, too, what ``no_sync`` gathered is averaged with the next backward pass
    outside. Unlike it, buffers are broadcast at the start only, and a parameter that
    the loss does not reach counts as a gradient of zero.

    Args:
        module: the model; each replica builds its own.
        comm: the group. A ``SyncBatchNorm`` without a group gets this one.
        bucket_size: bytes that travel together at most.

    Raises:
        ShapeError: if the replicas' models differ.
        RangeError: if replicas share one model, or ``bucket_size`` is less than 1.

    >>> import backproplab as bp
    >>> def shard(comm):
    ...     rng = np.random.default_rng(comm.rank)  # replica 0's weights win
    ...     model = DataParallel(bp.nn.Linear(2, 1, rng=rng), comm)
    ...     (model(np.full((1, 2), comm.rank, np.float32)) ** 2).sum().backward()
    ...     return model.module.weight.grad.round(3).tolist()
    >>> one, two = bp.parallel.LocalGroup(2).run(shard)
    >>> one == two
    True
    """

    def __init__(
        self, module: Module, comm: Group, *, bucket_size: int = BUCKET_BYTES
    ) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"DataParallel: the model is a {type(module).__name__}; "
                "a backproplab.nn.Module is required.\n"
                "  help: pass the model first, then the group."
            )
        self.module = module
        self.comm = comm
        self._reducer = Reducer(comm, bucket_size)
        for layer in module.modules():
            if isinstance(layer, SyncBatchNorm) and layer.group is None:
                layer.group = comm
        require_same("DataParallel", module.named_parameters(), comm)
        state = module.state_dict()
        module.load_state_dict({n: comm.broadcast(a) for n, a in state.items()})
        self._reducer.watch(module)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model on this replica's shard; backward will average."""
        if not is_grad_enabled():
            return self.module(*args, **kwargs)
        reducer = self._reducer
        reducer.watch(self.module)
        counts = self.comm.start_agree(_rows(args))
        args, kwargs = watched((args, kwargs), partial(reducer.leave, counts))
        with reducer.gates(self.module):
            output = self.module(*args, **kwargs)
        return watched(output, partial(reducer.begin, counts), alone=True)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Leave gradients unaveraged in the backward passes of a ``with`` block.

        They add up in ``.grad``, and are averaged with the first backward after it.
        """
        before, self._reducer.on = self._reducer.on, False
        try:
            yield
        finally:
            self._reducer.on = before

    @property
    def buckets(self) -> list[list[str]]:
        """Names of the parameters that travel together, in the order of travel."""
        names = {id(p): name for name, p in self.module.named_parameters()}
        return [[names[id(p)] for p in b.members] for b in self._reducer.buckets]

    def extra_repr(self) -> str:
        """Show which replica this is, of how many."""
        return f"rank={self.comm.rank}, size={self.comm.size}"


def _rows(args: tuple[Any, ...]) -> int:
    """How many rows the shard has; -1 if no argument has rows."""
    return next((np.shape(x)[0] for x in args if np.ndim(x)), -1)
