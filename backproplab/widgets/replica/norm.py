"""How wrong gradients are when batch norm sees only a shard; no picture."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import nn, ops
from ...data import digits
from ...parallel import LocalGroup, SyncBatchNorm, average_gradients
from .controls import ROWS
from .training import gradient

KINDS = ("no batch norm", "local", "synchronised")
HIDDEN = 24


@dataclass(frozen=True, slots=True)
class Gap:
    """Distance of the averaged gradient to that of the whole batch, over its length.

    Attributes:
        rows: rows of a replica.
        off: (len(rows),) for each of ``KINDS``; without batch norm only (2,), at the
            fewest and the most rows.
    """

    rows: tuple[int, ...]
    off: dict[str, np.ndarray]


@lru_cache(maxsize=16)
def compute(replicas: int) -> Gap:
    """Measure on digits, at initialisation, for each number of rows and each kind.

    The model has 64 inputs, one hidden layer with batch norm and ReLU, 10 classes.

    Args:
        replicas: N.
    """
    plain = [(KINDS[0], rows) for rows in (ROWS[0], ROWS[-1])]
    cases = plain + [(kind, rows) for kind in KINDS[1:] for rows in ROWS]

    def go(comm: Any) -> list[np.ndarray]:
        found, nets = [], {kind: _net(kind, comm) for kind in KINDS}
        for kind, rows in cases:
            x, y = _rows(replicas * rows)
            mine = slice(comm.rank * rows, (comm.rank + 1) * rows)
            _backward(nets[kind], x[mine], y[mine])
            average_gradients(nets[kind], comm)
            found.append(gradient(nets[kind]))
        return found

    averaged = LocalGroup(replicas).run(go)[0]
    off: dict[str, list[float]] = {kind: [] for kind in KINDS}
    nets = {kind: _net(kind, None) for kind in KINDS}
    for (kind, rows), mean in zip(cases, averaged, strict=True):
        _backward(nets[kind], *_rows(replicas * rows))
        whole = gradient(nets[kind])
        gap = np.linalg.norm(mean - whole) / np.linalg.norm(whole)
        off[kind].append(float(gap))
    return Gap(ROWS, {kind: np.array(gaps) for kind, gaps in off.items()})


@lru_cache(maxsize=16)
def _rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = digits(split="train", dtype=np.float64)
    return images[:count], labels[:count]


def _net(kind: str, comm: Any) -> nn.Sequential:
    rng = np.random.default_rng(0)
    layers: list[Any] = [nn.Linear(64, HIDDEN, rng=rng, dtype=np.float64)]
    if kind == "synchronised" and comm is not None:
        layers.append(SyncBatchNorm(HIDDEN, group=comm, dtype=np.float64))
    elif kind != "no batch norm":
        layers.append(nn.BatchNorm1d(HIDDEN, dtype=np.float64))
    layers += [nn.ReLU(), nn.Linear(HIDDEN, 10, rng=rng, dtype=np.float64)]
    return nn.Sequential(*layers)


def _backward(net: nn.Module, x: np.ndarray, y: np.ndarray) -> None:
    net.zero_grad()
    ops.cross_entropy(net(x), y).backward()
