"""One data-parallel step taken apart: shards, gradients, the ring, the update."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...parallel import LocalGroup, ring
from .controls import Controls
from .training import Worker, agree, gradient, points, shard, weights


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the ring moves, and what every replica holds after it.

    Attributes:
        moves: who sends which chunk to whom; none in what comes before the ring.
        buffers: (N, D) what each replica holds.
        holds: (N, N, N) whether replica r's chunk c has rank s's part in it.
        sent: (N,) numbers that each replica has sent so far.
    """

    moves: tuple[ring.Send, ...]
    buffers: np.ndarray
    holds: np.ndarray
    sent: np.ndarray


@dataclass(frozen=True, slots=True)
class Step:
    """The first step of a training, in the order in which it happens.

    Attributes:
        controls: what was set.
        shards: (points, classes) of each replica.
        losses: (N,) mean loss of each shard.
        edges: (N + 1,) where the chunks of the D numbers begin and end.
        rounds: what is held before the ring (first) and after each of its rounds.
        found: (N, D) the gradient with which each replica ends.
        alone: (D,) the gradient of the whole batch in one process.
        apart: (N,) distance of each replica's weights to the single process after
            the update, over the length of these.
    """

    controls: Controls
    shards: tuple[tuple[np.ndarray, np.ndarray], ...]
    losses: np.ndarray
    edges: tuple[int, ...]
    rounds: tuple[Round, ...]
    found: np.ndarray
    alone: np.ndarray
    apart: np.ndarray

    @property
    def off(self) -> np.ndarray:
        """(N,) distance of each gradient to that of the batch, over its length."""
        gap = np.linalg.norm(self.found - self.alone, axis=1)
        return np.asarray(gap / np.linalg.norm(self.alone))

    @property
    def formula(self) -> float:
        """2(N - 1)/N D, the numbers that a replica sends."""
        return float(ring.formula(*self.found.shape))


@lru_cache(maxsize=64)
def compute(controls: Controls) -> Step:
    """Take the first step on a group of replicas, and the ring apart."""
    n = controls.replicas

    def go(comm: Any) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        worker = Worker(controls, comm)
        loss = worker.backward(0, comm)
        own = gradient(worker.net)
        agree(controls, worker.net, comm)
        found = gradient(worker.net)
        worker.update(comm)
        return loss, own, found, weights(worker.net)

    seen = zip(*LocalGroup(n).run(go), strict=True)
    losses, own, found, after = (np.array(each) for each in seen)
    single = Worker(controls, None)
    single.backward(0, None)
    alone = gradient(single.net)
    single.update(None)
    goal = weights(single.net)
    x, y = points()
    shards = [shard(controls, 0, r) for r in range(n)]
    return Step(
        controls,
        tuple((x[which], y[which]) for which in shards),
        losses,
        (*(cut.start for cut in ring.chunks(n, len(alone))), len(alone)),
        _rounds(controls, own),
        found,
        alone,
        np.linalg.norm(after - goal, axis=1) / np.linalg.norm(goal),
    )


def _rounds(controls: Controls, own: np.ndarray) -> tuple[Round, ...]:
    """Follow the numbers around the ring, in the format in which they travel."""
    n = len(own)
    shares = _shares(controls, own)
    ranks = np.int64(1) << np.arange(n)
    # One number a chunk goes round as well: its bits tell whose parts are in it.
    bits = [np.full(n, rank) for rank in ranks]
    sent = np.zeros(n, int)
    rounds = [Round((), shares, _told(bits, ranks), sent)]
    if controls.fault == "forget to average":
        return tuple(rounds)
    both = zip(ring.states(list(shares)), ring.states(bits), strict=True)
    for (moves, held), (_, marked) in both:
        sent = sent.copy()
        for move in moves:
            sent[move.source] += move.elements
        rounds.append(Round(moves, np.array(held), _told(marked, ranks), sent))
    return tuple(rounds)


def _told(marked: list[np.ndarray], ranks: np.ndarray) -> np.ndarray:
    return np.array(marked)[:, :, None] & ranks != 0


def _shares(controls: Controls, own: np.ndarray) -> np.ndarray:
    """What goes into the ring: each gradient times what it counts in the mean."""
    n = len(own)
    if controls.fault in ("sum in place of mean", "forget to average"):
        return own
    counts = np.array(controls.weights or [1 / n] * n)
    shares = own * counts[:, None]
    return shares.astype(np.float16) if controls.fault == "fp16 sums" else shares
