"""Replicas of a small model that train together on points, or fail to; no picture."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ...data import moons
from ...parallel import LocalGroup, SyncBatchNorm, average_gradients
from .controls import Controls

HIDDEN, POINTS = 6, 256
STEPS = 200  # of a whole training
SEED = 0  # of the first weights that all share


@lru_cache(maxsize=1)
def points() -> tuple[np.ndarray, np.ndarray]:
    """Draw the points that all replicas learn, and their classes."""
    found = moons(POINTS, np.random.default_rng(3), noise=0.15, dtype=np.float64)
    return found.points, found.labels


def model(norm: str = "", comm: Any = None, seed: int = SEED) -> nn.Sequential:
    """Build 2 inputs, 6 hidden units, 2 classes; 32 numbers, 44 with batch norm.

    Args:
        norm: "", "local" or "synchronised".
        comm: of the replica; None for the run that is alone.
        seed: draws the weights.
    """
    rng = np.random.default_rng(seed)
    layers: list[Any] = [nn.Linear(2, HIDDEN, rng=rng, dtype=np.float64)]
    if norm == "synchronised" and comm is not None:
        layers.append(SyncBatchNorm(HIDDEN, group=comm, dtype=np.float64))
    elif norm:
        layers.append(nn.BatchNorm1d(HIDDEN, dtype=np.float64))
    layers += [nn.Tanh(), nn.Linear(HIDDEN, 2, rng=rng, dtype=np.float64)]
    return nn.Sequential(*layers)


def batch(controls: Controls, step: int) -> np.ndarray:
    """List the points of a step, those of replica 0 first."""
    ranks = range(controls.replicas)
    return np.concatenate([shard(controls, step, rank) for rank in ranks])


def shard(controls: Controls, step: int, rank: int) -> np.ndarray:
    """Draw the points of a step for one replica, out of its own part of them all."""
    order = np.random.default_rng(5).permutation(POINTS)
    own = np.array_split(order, controls.replicas)[rank]
    draws = np.random.default_rng((7, step, rank))
    return draws.choice(own, size=controls.sizes[rank])


def agree(controls: Controls, net: nn.Module, comm: Any) -> None:
    """Make one gradient of all, in the way that the controls ask for."""
    fault = controls.fault
    if fault == "forget to average":
        return
    if fault in ("sum in place of mean", "fp16 sums"):
        for p in net.parameters():
            if fault == "fp16 sums":
                half = (p.grad / comm.size).astype(np.float16)
                p.grad = comm.all_reduce(half, "sum").astype(np.float64)
            else:
                p.grad = comm.all_reduce(p.grad, "sum")
        return
    weights = controls.weights
    average_gradients(net, comm, weight=weights[comm.rank] if weights else None)


def flat(arrays: Any) -> np.ndarray:
    """Put arrays behind one another, as one long row."""
    return np.concatenate([np.ravel(a) for a in arrays])


def weights(net: nn.Module) -> np.ndarray:
    """All parameters as one row."""
    return flat(p.data for p in net.parameters())


def gradient(net: nn.Module) -> np.ndarray:
    """All gradients as one row."""
    return flat(p.grad for p in net.parameters())


@dataclass(frozen=True, slots=True)
class Drift:
    """How far replicas are from one another and from one process, step by step.

    Attributes:
        between: (T + 1,) largest distance of a replica to replica 0, over the length
            of the weights of the single process.
        single: (T + 1, N) distance of each replica to the single process, likewise.
        losses: (T + 1, N) of each replica on all points.
        alone: (T + 1,) of the single process.
    """

    between: np.ndarray
    single: np.ndarray
    losses: np.ndarray
    alone: np.ndarray


class Replicas:
    """N replicas and one process that sees the whole batch, kept from step to step."""

    whole = STEPS

    def __init__(self, controls: Controls) -> None:
        self.controls, self.taken = controls, 0
        self._group = LocalGroup(controls.replicas)
        self._alone = Worker(controls, None)
        self._workers: list[Worker] = self._group.run(self._begin)
        first = [w.looked_at() for w in (*self._workers, self._alone)]
        self._seen = [first]

    def advance(self, steps: int = 1) -> None:
        """Train on for some steps, up to the whole."""
        start, steps = self.taken, min(steps, STEPS - self.taken)

        def go(comm: Any) -> list[tuple[np.ndarray, float]]:
            worker = self._workers[comm.rank]
            worker.join(comm)
            return [worker.step(start + k, comm) for k in range(steps)]

        found = self._group.run(go)
        found.append([self._alone.step(start + k, None) for k in range(steps)])
        self._seen += [list(at) for at in zip(*found, strict=True)]
        self.taken += steps

    @property
    def drift(self) -> Drift:
        """What came of it so far."""
        w = np.array([[weights for weights, _ in at] for at in self._seen])
        losses = np.array([[loss for _, loss in at] for at in self._seen])
        size = np.linalg.norm(w[:, -1], axis=-1)
        with np.errstate(invalid="ignore", over="ignore"):
            between = np.linalg.norm(w[:, :-1] - w[:, :1], axis=-1).max(axis=1) / size
            single = np.linalg.norm(w[:, :-1] - w[:, -1:], axis=-1) / size[:, None]
        return Drift(between, single, losses[:, :-1], losses[:, -1])

    def _begin(self, comm: Any) -> "Worker":
        return Worker(self.controls, comm)


class Worker:
    """One model, its optimiser, and what a stale one keeps back."""

    def __init__(self, controls: Controls, comm: Any) -> None:
        self.controls = controls
        rank = comm.rank if comm is not None else 0
        own = SEED + rank if controls.fault == "different seeds" else SEED
        self.net = model(controls.norm, comm, own)
        self.optimizer = optim.SGD(self.net.parameters(), lr=controls.lr)
        self._kept: list[Any] | None = None

    def join(self, comm: Any) -> None:
        """Take part in a run: a synchronised layer speaks through the run's comm."""
        for layer in self.net.modules():
            if isinstance(layer, SyncBatchNorm):
                layer.group = comm

    def step(self, t: int, comm: Any) -> tuple[np.ndarray, float]:
        """Take a step; a replica on its shard, the single process on the batch."""
        self.backward(t, comm)
        if comm is not None:
            agree(self.controls, self.net, comm)
        self.update(comm)
        return self.looked_at()

    def backward(self, t: int, comm: Any) -> float:
        """Find the gradient of a step's rows; return their mean loss."""
        c = self.controls
        which = batch(c, t) if comm is None else shard(c, t, comm.rank)
        x, y = points()
        self.net.zero_grad()
        loss = ops.cross_entropy(self.net(x[which]), y[which])
        loss.backward()
        return loss.item()

    def update(self, comm: Any) -> None:
        """Step along the gradient; a stale replica along the one before."""
        stale = self.controls.fault == "one stale replica"
        if stale and comm is not None and comm.rank == comm.size - 1:
            self._hold_back()
        self.optimizer.step()

    def looked_at(self) -> tuple[np.ndarray, float]:
        """The weights, and the loss on all points."""
        x, y = points()
        out = self._forward(x)
        return weights(self.net), float(ops.cross_entropy(out, y))

    def _forward(self, x: np.ndarray) -> Any:
        self.net.eval()
        out = self.net(x).data
        self.net.train()
        return out

    def _hold_back(self) -> None:
        """Apply the gradient of the step before, and keep this one for the next."""
        now = [p.grad for p in self.net.parameters()]
        before = self._kept or [np.zeros_like(g) for g in now]
        for p, g in zip(self.net.parameters(), before, strict=True):
            p.grad = g
        self._kept = now
