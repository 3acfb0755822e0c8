"""The reducer: hooks that average gradients while backward goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from .._trees import leaves, rebuild
from ..errors import GradError
from ..nn import Module
from ..node import Handle, Node, extra
from ..primitive import elementwise
from ..sockets import current_plugs, is_grad_enabled
from ..tape import ancestors
from ..tensor import Tensor
from .buckets import Bucket, in_buckets, start
from .group import Group, Pending


class Reducer:
    """The hooks, and what they know of the backward pass that runs.

    A pass begins when a gradient reaches the model's output; from there on it is known
    which parameters will get one. Buckets start in their order, each when its last
    gradient is there, so all replicas call the same collectives. When the last
    parameter has its gradient, all buckets are waited for, and written.
    """

    def __init__(self, comm: Group, bucket_size: int) -> None:
        self.comm, self.bucket_size = comm, bucket_size
        self.on = True
        self.parameters: list[Tensor] = []
        self.buckets: list[Bucket] = []
        self._handles: list[Handle] = []
        self._forget()

    def _forget(self) -> None:
        self._missing: set[int] | None = None  # ids of parameters; None: no pass runs
        self._begun: list[Any] = []  # outputs that this pass came through
        self._total: dict[int, Any] = {}  # id of a parameter -> its gradient here
        self._early: dict[int, Any] = {}  # what a gate saw of it
        self._rest: dict[int, Any] = {}  # what else came to the parameter itself
        self._started: list[Pending] = []

    # Before backward.

    def watch(self, module: Module) -> None:
        """Stand on every parameter that wants a gradient; again when that changes."""
        self._forget()  # what an earlier pass that raised has left
        wanted = [p for p in module.parameters() if p.requires_grad]
        same = [id(p) for p in wanted] == [id(p) for p in self.parameters]
        # A learner's own hooks go first: what they return is averaged.
        if same and all(map(_is_last, wanted, self._handles)):
            return
        for handle in self._handles:
            handle.remove()
        self.parameters = wanted
        self.buckets = in_buckets(wanted, self.bucket_size)
        self._handles = [p.register_hook(partial(self._arrived, p)) for p in wanted]

    @contextmanager
    def gates(self, module: Module) -> Iterator[None]:
        """Learn of gradients as soon as their layer is passed, where that is of use.

        A leaf hears of its gradient at the end of backward, being older than all that
        was computed. A gate is a stand-in for the parameter, made when its layer is
        called, so backward comes to it when it leaves the layer.
        """
        if not self.comm.overlaps or current_plugs() or not self.on:
            yield
            return
        handles, put = [], []  # type: list[Handle], list[tuple[Any, str, Tensor]]
        passed: dict[int, int] = {}
        mine = {id(p) for p in self.parameters if len(extra(p).hooks) == 1}

        def enter(layer: Module, _args: Any) -> None:
            if not is_grad_enabled():
                return
            for name, p in list(vars(layer).items()):
                if isinstance(p, Tensor) and id(p) in mine:
                    gate = _gate(p)
                    extra(gate).change = extra(p).change
                    passed[id(p)] = passed.get(id(p), 0) + 1
                    gate.register_hook(partial(self._at_gate, p, passed))
                    put.append((layer, name, p))
                    setattr(layer, name, gate)

        def leave(layer: Module, _args: Any, _output: Any) -> None:
            while put and put[-1][0] is layer:
                owner, name, p = put.pop()
                setattr(owner, name, p)

        try:
            for layer in module.modules():
                if any(isinstance(v, Tensor) for v in vars(layer).values()):
                    handles.append(layer.register_forward_pre_hook(enter))
                    handles.append(layer.register_forward_hook(leave))
            yield
        finally:
            for owner, name, p in reversed(put):  # of layers that raised
                setattr(owner, name, p)
            for handle in handles:
                handle.remove()

    # During backward.

    def begin(self, counts: Pending, output: Tensor, g: Any) -> Any:
        """Note which parameters the pass will come to; weigh the shard's gradient."""
        if isinstance(g, Node):
            raise GradError(
                "DataParallel: a gradient that has gradients cannot be averaged by "
                "hooks.",
                help="differentiate `model.module`, and average the result with "
                "`comm.all_reduce`.",
            )
        if self.on:
            if any(y is output for y in self._begun):
                self._forget()  # a second pass through a graph that was kept
            mine = {id(p) for p in self.parameters}
            reached = {id(x) for x in ancestors([output])} & mine
            self._missing = (self._missing or set()) | reached
            self._begun.append(output)
        weight = _weight(counts.wait(), self.comm.rank)
        return g if weight == 1 else g * np.asarray(weight, g.dtype)

    def leave(self, counts: Pending, _input: Tensor, g: Any) -> Any:
        """Take the weight off: what leaves the model is the shard's own gradient."""
        weight = _weight(counts.wait(), self.comm.rank)
        return g if weight in (0, 1) else g / np.asarray(weight, g.dtype)

    def _at_gate(self, p: Tensor, passed: dict[int, int], g: Any) -> None:
        """See a gradient early; it is whole if nothing but this gate uses p."""
        for pending in self._started:
            pending.nudge()
        if self._missing is not None and passed[id(p)] == 1:
            self._early[id(p)] = g
            self._ready(p, g)

    def _arrived(self, p: Tensor, g: Any) -> Any:
        """See a whole gradient at its parameter; return the mean if all are there."""
        if self._missing is None:
            return None
        self._missing.discard(id(p))
        early = self._early.get(id(p))
        if early is None:
            self._ready(p, g)
        elif not np.may_share_memory(early, g):  # a penalty in the loss, a tied weight
            self._rest[id(p)] = g - early
        if self._missing:
            return None
        mine = p.grad
        self._finish()
        averaged, p.grad = p.grad, None
        return mine if averaged is None else averaged

    def _ready(self, p: Tensor, g: Any) -> None:
        self._total[id(p)] = g if p.grad is None else p.grad + g
        for bucket in self.buckets[len(self._started) :]:
            if not all(id(member) in self._total for member in bucket.members):
                return
            self._start(bucket)

    def _start(self, bucket: Bucket) -> None:
        grads = [self._total.get(id(p), p.grad) for p in bucket.members]
        self._started.append(start(bucket, grads, self.comm, "mean"))

    def _finish(self) -> None:
        """Start what is left, wait for all, and write the means."""
        for bucket in self.buckets[len(self._started) :]:
            self._start(bucket)
        for bucket, pending in zip(self.buckets, self._started, strict=True):
            for p, g in zip(bucket.members, pending.wait(), strict=True):
                p.grad = g
        if self.comm.overlaps and any(self.comm.start_agree(len(self._rest)).wait()):
            for bucket in self.buckets:
                rests = [self._rest.get(id(p)) for p in bucket.members]
                averaged = start(bucket, rests, self.comm, "mean").wait()
                for p, g in zip(bucket.members, averaged, strict=True):
                    if g is not None:
                        p.grad = g if p.grad is None else p.grad + g
        self._forget()


@elementwise(1, name="gate")
def _gated(x: Any) -> Any:
    """The same array under a new id: a place where backward comes by early."""
    return x


def _is_last(p: Tensor, handle: Handle) -> bool:
    """Whether no hook was registered after ours, or took its place."""
    return next(reversed(extra(p).hooks), None) == handle._key


def _gate(p: Tensor) -> Tensor:
    gate: Tensor = _gated(p)
    return gate


def watched(tree: Any, see: Callable[[Tensor, Any], Any], alone: bool = False) -> Any:
    """Let ``see(tensor, g)`` answer the gradients of all tensors in nested containers.

    They get a gate, so that it hears what passes here and no more: an output may be
    made from another one. Where ``alone``, a single one does without.
    """
    found = list(leaves(tree))
    wanted = [isinstance(x, Tensor) and x.requires_grad for x in found]
    if sum(wanted) > (1 if alone else 0):
        found = [_gate(x) if want else x for x, want in zip(found, wanted, strict=True)]
        tree = rebuild(tree, iter(found))
    for x, want in zip(found, wanted, strict=True):
        if want:
            x.register_hook(partial(see, x))
    return tree


def _weight(counts: list[int], rank: int) -> float:
    """N n_r / n: 1 where all shards have the same number of rows."""
    if min(counts) < 0 or len(set(counts)) == 1:
        return 1.0
    return counts[rank] * len(counts) / sum(counts)
