"""The digits, trained data-parallel; what ``python -m backproplab.parallel`` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from .. import data, ops
from ..nn import Linear, Module, ReLU, Sequential
from ..optim import SGD
from . import ring
from .data_parallel import DataParallel
from .group import Group

_PAIRS = 16


@dataclass(frozen=True, slots=True)
class Options:
    """What to train, and for how long.

    Attributes:
        hidden: width of both hidden layers.
        epochs: times that every image is seen.
        batch: images in a batch, of all ranks together.
        lr: learning rate of SGD with momentum 0.9.
        seed: of the first weights and of the order of images.
        dtype: "float32" or "float64".
    """

    hidden: int = 1024
    epochs: int = 5
    batch: int = 480
    lr: float = 0.3
    seed: int = 0
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Report:
    """What came out; every rank has the same, but for its own traffic.

    Attributes:
        losses: mean training loss of each epoch.
        accuracy: share of the 360 test images read right.
        disagreement: largest difference between the averaged gradient of one batch and
            the gradient that this process alone gets from it, relative to the largest
            entry of each parameter's gradient.
        parameters: D, numbers in the model.
        sent: numbers that this rank sends in a step.
        formula: 2 (N-1)/N D, what a ring sends.
        step: median seconds of a step of all ranks.
        alone: median seconds of the same step by one process.
    """

    losses: tuple[float, ...]
    accuracy: float
    disagreement: float
    parameters: int
    sent: int
    formula: float
    step: float
    alone: float


def digits_model(options: Options) -> Module:
    """64 - hidden - hidden - 10 with ReLU; the same on every rank."""
    rng = np.random.default_rng(options.seed)
    h, kind = options.hidden, np.dtype(options.dtype)
    return Sequential(
        Linear(64, h, rng=rng, dtype=kind), ReLU(),
        Linear(h, h, rng=rng, dtype=kind), ReLU(),
        Linear(h, 10, rng=rng, dtype=kind),
    )  # fmt: skip


def train(
    comm: Group,
    options: Options,
    tell: Callable[[str], Any] = lambda _line: None,
    watch: Callable[[Iterator[Any], int], Iterator[Any]] = lambda steps, _n: steps,
) -> Report:
    """Train the digits model on all ranks, and judge what that brought.

    Args:
        comm: the group.
        options: what to train.
        tell: gets a line for each epoch.
        watch: wraps the steps of an epoch, with their number; for a progress bar.

    >>> from backproplab.parallel import LocalGroup
    >>> small = Options(hidden=8, epochs=1, batch=300)
    >>> report = LocalGroup(2).run(train, small)[1]
    >>> report.disagreement < 1e-6, report.sent == report.formula
    (True, True)
    """
    images, labels = data.digits(split="train", dtype=np.dtype(options.dtype))
    model = DataParallel(digits_model(options), comm)
    disagreement = _disagreement(model, images, labels, options)
    count = len(images)
    steps = -(-count // options.batch)
    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9)
    rng = np.random.default_rng(options.seed)  # one order on all ranks
    losses, sent = [], 0
    for epoch in range(options.epochs):
        total = 0.0
        batches = data.batches(images, labels, options.batch, rng)
        for x, y in watch(batches, steps):
            before = comm.traffic.elements
            mine = np.array_split(np.arange(len(x)), comm.size)[comm.rank]
            loss = _step(model, optimizer, x[mine], y[mine])
            sent = comm.traffic.elements - before
            total += loss * len(mine)
        losses.append(float(comm.all_reduce(total, op="sum")) / count)
        tell(f"epoch {epoch + 1}  loss {losses[-1]:.4f}")
    step, alone = _seconds(comm, images[: options.batch], labels, options)
    return Report(
        losses=tuple(losses),
        accuracy=_accuracy(model, options),
        disagreement=disagreement,
        parameters=(size := sum(p.size for p in model.parameters())),
        sent=sent,
        formula=float(ring.formula(comm.size, size)),
        step=step,
        alone=alone,
    )


def _step(model: Module, optimizer: SGD, x: np.ndarray, y: np.ndarray) -> float:
    optimizer.zero_grad()
    loss: Any = ops.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def _disagreement(
    model: DataParallel, x: np.ndarray, y: np.ndarray, options: Options
) -> float:
    """Compare the averaged gradient of the first batch with one process's own."""
    comm = model.comm
    x, y = x[: options.batch], y[: options.batch]
    mine = np.array_split(np.arange(len(x)), comm.size)[comm.rank]
    ops.cross_entropy(model(x[mine]), y[mine]).backward()
    averaged = [p.grad for p in model.parameters()]
    model.zero_grad()
    whole = digits_model(options)
    ops.cross_entropy(whole(x), y).backward()
    found = 0.0
    for g, p in zip(averaged, whole.parameters(), strict=True):
        found = max(found, float(abs(g - p.grad).max() / abs(p.grad).max()))
    return float(max(comm.gather(found)))


def _accuracy(model: DataParallel, options: Options) -> float:
    x, y = data.digits(split="test", dtype=np.dtype(options.dtype))
    scores = model.module(x).data
    return float((scores.argmax(axis=1) == y).mean())


def _seconds(
    comm: Group, x: np.ndarray, labels: np.ndarray, options: Options
) -> tuple[float, float]:
    """Time a step of all ranks, and the same step of rank 0 while the others sleep.

    In turns, so that whatever else the machine does slows both.
    """
    y = labels[: len(x)]
    mine = np.array_split(np.arange(len(x)), comm.size)[comm.rank]
    model, whole = DataParallel(digits_model(options), comm), digits_model(options)
    optimizers = [SGD(m.parameters(), lr=options.lr) for m in (model, whole)]
    together, alone = [], []
    for _ in range(_PAIRS):
        comm.barrier()
        start = time.perf_counter()
        _step(model, optimizers[0], x[mine], y[mine])
        together.append(time.perf_counter() - start)
        comm.barrier()
        if comm.rank == 0:
            start = time.perf_counter()
            _step(whole, optimizers[1], x, y)
            alone.append(time.perf_counter() - start)
    comm.barrier()
    slowest = max(comm.gather(median(together[1:])))  # the first one warms up
    return float(slowest), float(comm.broadcast(median(alone[1:]) if alone else None))
