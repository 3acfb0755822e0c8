"""What is timed: data, first weights and the texts of each loss, alike for all."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from . import functional, hand, hand_lenet, hand_transformer, models
from .peers import AUTOGRAD, HAND, JAX, MISSING, MYGRAD, OURS, STUDENT, TORCH

EVERYBODY = (OURS, HAND, STUDENT, TORCH, JAX, MYGRAD, AUTOGRAD)
# XLA would compile 1000 unrolled ops for too long; autograd's lists are quadratic.
UNROLLED = (OURS, HAND, STUDENT, TORCH, MYGRAD, AUTOGRAD)
DEEP = (OURS, HAND, STUDENT, TORCH, MYGRAD)

_rng = np.random.default_rng(7)


@dataclass(frozen=True, slots=True)
class Workload:
    """A training step: loss and gradients of one batch, then SGD.

    Attributes:
        weights: first values, in the models' order; matrices are (in, out).
        x: inputs of the batch.
        y: class numbers.
        hand: see ``hand``.
        loss: see ``functional``.
        model: see ``models``; None where the eager libraries use ``loss`` too.
        lr: learning rate.
        tables: how many leading weights are look-up tables rather than (in, out).
        peers: who takes part.
    """

    weights: list[Any]
    x: Any
    y: Any
    hand: Callable[..., Any]
    loss: Callable[..., Any]
    model: Callable[..., Any] | None = None
    lr: float = 0.05
    tables: int = 0
    peers: tuple[str, ...] = EVERYBODY

    @property
    def present(self) -> list[str]:
        """Who takes part and is installed, ours first."""
        return [name for name in self.peers if name not in MISSING]

    def for_modules(self) -> list[Any]:
        """The weights as a Module keeps them: matrices (out, in)."""
        return [
            w.T if w.ndim == 2 and k >= self.tables else w
            for k, w in enumerate(self.weights)
        ]


def _normal(*shape: int) -> Any:
    return _rng.standard_normal(shape, np.float32)


def _linear(i: int, o: int) -> list[Any]:
    return [_normal(i, o) / np.float32(np.sqrt(i)), _normal(o) / 10]


def _norm(d: int) -> list[Any]:
    return [1 + _normal(d) / 10, _normal(d) / 10]


def _classes(n: int, k: int = 10) -> Any:
    return _rng.integers(0, k, n)


def adds(size: int) -> Workload:
    """1000 additions to an array of ``size`` numbers: the cost of an op."""
    return Workload(
        [_normal(size)],
        _normal(size),
        _classes(1),
        hand.adds,
        functional.adds,
        lr=1e-5,
        peers=UNROLLED,
    )


def mlp(n: int) -> Workload:
    """784-128-10, softmax cross-entropy, a batch of n."""
    return Workload(
        _linear(784, 128) + _linear(128, 10), _normal(n, 784), _classes(n),
        hand.dense(hand.relu, hand.through_relu), functional.mlp, models.mlp,
        lr=0.05 if n > 1 else 0.001,
    )  # fmt: skip


def tanh_layers(depth: int) -> Workload:
    """Width 32, batch 32; rotations, so that gradients neither vanish nor explode."""
    turns = [np.linalg.qr(_normal(32, 32))[0] for _ in range(100)]
    none = np.zeros(32, np.float32)
    return Workload(
        [v for k in range(depth + 1) for v in (turns[k % 100], none)],
        _normal(32, 32), _classes(32, 32), hand.dense(hand.tanh, hand.through_tanh),
        functional.tanh_layers, models.tanh_layers(depth),
        peers=EVERYBODY if depth <= 100 else DEEP,
    )  # fmt: skip


def batch_norm_mlp() -> Workload:
    """784-256-256-256-10 with batch norm, a batch of 128."""
    hidden = [v for i in (784, 256, 256) for v in (*_linear(i, 256), *_norm(256))]
    return Workload(
        hidden + _linear(256, 10), _normal(128, 784), _classes(128),
        hand.batch_norm_mlp, functional.batch_norm_mlp, models.batch_norm_mlp,
    )  # fmt: skip


def lenet() -> Workload:
    """28 x 28, two convolutions, a batch of 64."""
    kernels = [
        _normal(6, 1, 5, 5) / 5,
        _normal(6),
        _normal(16, 6, 5, 5) / 12,
        _normal(16),
    ]
    return Workload(
        kernels + _linear(256, 10), _normal(64, 1, 28, 28), _classes(64),
        hand_lenet.lenet, functional.lenet, models.lenet, lr=0.01,
    )  # fmt: skip


def transformer() -> Workload:
    """2 layers, d 64, 4 heads, T 64, a batch of 8, 65 characters."""
    block = [
        [*_norm(64), *(v for _ in range(4) for v in _linear(64, 64)),
         *_norm(64), *_linear(64, 256), *_linear(256, 64)] for _ in range(2)
    ]  # fmt: skip
    weights = [_normal(65, 64), _normal(64, 64), *block[0], *block[1]]
    return Workload(
        [*weights, *_norm(64), *_linear(64, 65)], _classes(512, 65).reshape(8, 64),
        _classes(512, 65), hand_transformer.transformer, functional.transformer,
        models.transformer, tables=2,
    )  # fmt: skip


def elementwise() -> Workload:
    """50 operations on 1000 x 1000 numbers: nothing but memory traffic."""
    return Workload(
        [1 + _normal(1000, 1000) / 10], _normal(1000, 1000), _classes(1),
        hand.elementwise, functional.elementwise, lr=5e4,
    )  # fmt: skip


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "1000 adds, size 1": lambda: adds(1),
    "1000 adds, size 10": lambda: adds(10),
    "MLP, batch 1": lambda: mlp(1),
    "MLP, batch 128": lambda: mlp(128),
    "MLP, batch 1024": lambda: mlp(1024),
    "100 tanh layers": lambda: tanh_layers(100),
    "1000 tanh layers": lambda: tanh_layers(1000),
    "batch-norm MLP": batch_norm_mlp,
    "LeNet": lenet,
    "transformer": transformer,
    "50 elementwise ops": elementwise,
}


@cache
def workload(name: str) -> Workload:
    """Make a workload of ``WORKLOADS`` once."""
    return WORKLOADS[name]()
