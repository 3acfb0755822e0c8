"""Running statistics of batch norm in three conventions; no picture."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ... import nn
from ...nn.batch_norm import CONVENTIONS
from .paths import OFFSET, SPREAD, Controls, default

BATCHES = 300


@dataclass(frozen=True, slots=True)
class Running:
    """How running mean and variance of feature 0 come near the true ones.

    Attributes:
        mean: (301,) running mean, from 0 on, for each convention by name.
        variance: (301,) running variance, from 1 on, likewise.
        batch_mean: (300,) mean of each batch.
        batch_variance: (300,) biased variance of each batch.
        true_mean: of the source.
        true_variance: of the source.
    """

    mean: dict[str, np.ndarray]
    variance: dict[str, np.ndarray]
    batch_mean: np.ndarray
    batch_variance: np.ndarray
    true_mean: float
    true_variance: float


def compute(controls: Controls) -> Running | None:
    """Show 300 batches to a batch norm of each convention; None for batches of one.

    The chosen convention uses the learner's momentum, the others their own.
    """
    if controls.size < 2:
        return None
    c, own = controls, controls.convention
    momenta = {name: rule.momentum for name, rule in CONVENTIONS.items()}
    momenta[own] = default(c)
    runs = {
        name: _follow(name, momenta[name], c.size, c.shift, c.scale) for name in momenta
    }
    x = _source(c.size, c.shift, c.scale)
    return Running(
        {name: run[0] for name, run in runs.items()},
        {name: run[1] for name, run in runs.items()},
        x.mean(axis=1),
        x.var(axis=1),
        float(OFFSET[0] * c.scale + c.shift),
        float((SPREAD[0] * c.scale) ** 2),
    )


def words(convention: str, momentum: float) -> str:
    """Say what a momentum means in a convention."""
    rule = CONVENTIONS[convention]
    new = momentum if rule.weighs_new else 1 - momentum
    whose = "the new batch" if rule.weighs_new else "the old value"
    variance = "unbiased, n − 1" if rule.unbiased else "biased, n"
    library = {"pytorch": "PyTorch", "flax": "Flax", "keras": "Keras"}[convention]
    return (
        f"{library}: momentum {momentum:.2f} weighs {whose}, so a batch counts "
        f"{new:.2f}; the running variance is {variance}; ε = {rule.eps:g}."
    )


def _source(size: int, shift: float, scale: float) -> np.ndarray:
    z = np.random.default_rng(2).normal(size=(BATCHES, 128))[:, :size]
    return (OFFSET[0] + SPREAD[0] * z) * scale + shift


@lru_cache(maxsize=32)
def _follow(
    convention: str, momentum: float, size: int, shift: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    norm = nn.BatchNorm1d(
        1, momentum=momentum, affine=False, convention=convention, dtype=np.float64
    )
    means, variances = [0.0], [1.0]
    for x in _source(size, shift, scale):
        norm(x[:, None])
        means.append(float(norm.running_mean[0]))
        variances.append(float(norm.running_var[0]))
    return np.array(means), np.array(variances)
