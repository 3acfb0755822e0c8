"""k small steps against one large step, and warm-up, on digits; no picture."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ...data import digits
from .controls import Controls
from .training import weights

SIZES = (64, 32, 32, 32, 10)
GAIN = 1.5  # the first weights are He's times this, so that the start is steep
MOMENTUM, STEPS, WARM = 0.9, 60, 20
PROBES = 10.0 ** np.array(
    [-4, -3, -2, -1.5, -1, -0.5, 0]
)  # rates at which the two are compared
LOOKED_AT = 256  # digits on which the loss is looked at


@dataclass(frozen=True, slots=True)
class Order:
    """How far k small steps end from one large step.

    Attributes:
        rates: η of the small steps; the large step has k η.
        apart: distance of the weights.
        moved: length of the large step.
        slope: of log apart over log rate, where rates are small.
    """

    rates: np.ndarray
    apart: np.ndarray
    moved: np.ndarray
    slope: float


@lru_cache(maxsize=64)
def order(k: int, rows: int) -> Order:
    """Take k plain SGD steps, and one with all their rows and k times the rate.

    Both begin at the same weights; the k batches of the small steps make up the large
    one. To first order in the rate they agree, so the gap grows as its square. The net
    has tanh: at a kink of ReLU a small step would change the gradient at once.

    Args:
        k: small steps, the number of replicas.
        rows: rows of a small step.
    """
    net = _net(np.float64, tanh=True)
    state, start = net.state_dict(), weights(net)
    picks = [_pick(t, rows) for t in range(k)]
    apart, moved = [], []
    for rate in PROBES:
        ends = []
        for batches, lr in ((picks, rate), ([np.concatenate(picks)], k * rate)):
            net.load_state_dict(state)
            optimizer = optim.SGD(net.parameters(), lr=lr)
            for which in batches:
                _step(net, which, optimizer)
            ends.append(weights(net))
        apart.append(np.linalg.norm(ends[0] - ends[1]))
        moved.append(np.linalg.norm(ends[1] - start))
    slope = np.polyfit(np.log(PROBES[:3]), np.log(apart[:3]), 1)[0]
    return Order(PROBES, np.array(apart), np.array(moved), float(slope))


@dataclass(frozen=True, slots=True)
class Curves:
    """Losses after each large step, from 0 on; k small steps count as one.

    Attributes:
        small: k small steps at the rate η.
        large: one step with k times the rows, at k η.
        warm: the same, with a rate that rises from η to k η at first.
    """

    small: np.ndarray
    large: np.ndarray
    warm: np.ndarray


class Race:
    """Three runs over the same digits, kept from step to step."""

    whole = STEPS

    def __init__(self, controls: Controls) -> None:
        self.controls, self.taken = controls, 0
        state = _net(np.float32).state_dict()
        self._nets = [_net(np.float32, state) for _ in range(3)]
        k, lr = controls.replicas, controls.lr
        self._optimizers = [
            optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM)
            for net, rate in zip(self._nets, (lr, k * lr, k * lr), strict=True)
        ]
        self._warm = optim.LinearLR(self._optimizers[2], 1 / k, total_iters=WARM)
        self._seen = [self._losses()]

    def advance(self, steps: int = 1) -> None:
        """Take some large steps, and as many times k small ones."""
        k, rows = self.controls.replicas, self.controls.rows
        small, large, warm = zip(self._nets, self._optimizers, strict=True)
        for _ in range(min(steps, STEPS - self.taken)):
            picks = [_pick(self.taken * k + i, rows) for i in range(k)]
            with np.errstate(over="ignore", invalid="ignore"):
                for which in picks:
                    _step(small[0], which, small[1])
                for net, optimizer in (large, warm):
                    _step(net, np.concatenate(picks), optimizer)
                self._warm.step()
                self.taken += 1
                self._seen.append(self._losses())

    @property
    def curves(self) -> Curves:
        """What came of it so far."""
        return Curves(*np.array(self._seen).T)

    def _losses(self) -> list[float]:
        x, y = _digits("float32")
        return [
            float(ops.cross_entropy(net(x[:LOOKED_AT]).data, y[:LOOKED_AT]))
            for net in self._nets
        ]


@lru_cache(maxsize=2)
def _digits(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = digits(split="train", dtype=dtype)
    return images, labels


def _pick(step: int, rows: int) -> np.ndarray:
    return np.random.default_rng((11, step)).integers(1437, size=rows)


def _net(dtype: Any, state: Any = None, *, tanh: bool = False) -> nn.Sequential:
    rng = np.random.default_rng(1)
    layers: list[Any] = []
    bend = nn.Tanh if tanh else nn.ReLU
    for inputs, outputs in pairwise(SIZES):
        layers += [nn.Linear(inputs, outputs, rng=rng, dtype=dtype), bend()]
        he = nn.init.kaiming_normal((outputs, inputs), rng)
        layers[-2].weight.data[:] = he if tanh else GAIN * he
    net = nn.Sequential(*layers[:-1])
    if state is not None:
        net.load_state_dict(state)
    return net


def _step(net: nn.Module, which: np.ndarray, optimizer: Any) -> None:
    first = next(iter(net.parameters()))
    x, y = _digits(first.dtype.name)
    net.zero_grad()
    ops.cross_entropy(net(x[which]), y[which]).backward()
    optimizer.step()
