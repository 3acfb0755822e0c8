"""One batch through a normalisation, forward and back along three paths; no picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ...errors import RangeError, ShapeError, near
from ...nn.batch_norm import CONVENTIONS
from ...tensor import Tensor
from ...trace import Trace, record

NORMS = ("batch", "layer", "group", "RMS")
MODES = ("train", "eval")
FEATURES, GROUPS, MOST = 8, 2, 128
OFFSET = np.array([1.5, -1.0, 0.5, -1.5, 0.0, 1.0, -0.5, 0.8])
SPREAD = np.array([0.9, 0.5, 1.2, 0.4, 0.8, 0.3, 1.0, 0.6])


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        norm: one of ``NORMS``.
        mode: "train", or "eval", which is different for batch norm alone.
        size: examples in the batch, up to 128.
        gamma: scale after normalising, the same for each feature.
        beta: shift after normalising.
        shift: added to the input.
        scale: times the input, before that.
        convention: "pytorch", "flax" or "keras".
        momentum: as the convention means it; its default when None.
        broken: whether one number of the input is NaN.
    """

    norm: str = "batch"
    mode: str = "train"
    size: int = 16
    gamma: float = 1.0
    beta: float = 0.0
    shift: float = 0.0
    scale: float = 1.0
    convention: str = "pytorch"
    momentum: float | None = None
    broken: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (
            ("norm", self.norm, NORMS),
            ("mode", self.mode, MODES),
            ("convention", self.convention, tuple(CONVENTIONS)),
        ):
            if value not in known:
                raise RangeError(
                    f"BatchNormLab: {what} is {value!r}; "
                    f"one of {', '.join(known)} is required.",
                    help=near(str(value), known),
                )


@dataclass(frozen=True, slots=True)
class Paths:
    """The parts of dL/dx that reach x along each path; they add up to the gradient."""

    direct: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The whole gradient."""
        return self.direct + self.mean + self.variance


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, forward and back.

    Attributes:
        x: (n, 8) inputs.
        g: (n, 8) the incoming gradient dL/dy.
        y: (n, 8) outputs; None where the layer refused.
        run: the record of the layer; None where it refused.
        paths: of the gradient; None where the layer refused.
        error: what the layer said when it refused.
    """

    x: np.ndarray
    g: np.ndarray
    y: np.ndarray | None
    run: Trace | None
    paths: Paths | None
    error: str


def compute(controls: Controls) -> Batch:
    """Run the layer of ``bp.nn`` on a batch, and find the three paths.

    The batch is the first ``size`` of 128 examples.
    """
    n = controls.size
    x = inputs(controls, 0)[:n]
    if controls.broken:
        x[0, 0] = np.nan
    g = incoming()[:n]
    norm = layer(controls)
    given = Tensor(x, requires_grad=True, name="x")
    try:
        with np.errstate(invalid="ignore"), record() as run:
            y = norm(given).named("y")
            y.backward(g)
    except ShapeError as error:
        if n > 1:
            raise
        return Batch(x, g, None, None, None, str(error))
    with np.errstate(invalid="ignore"):
        if controls.norm == "batch" and controls.mode == "eval":
            # the running statistics are constants: nothing leads through them
            zero = np.zeros_like(x)
            paths = Paths(np.asarray(run["x"].grad), zero, zero)
        else:
            paths = split(controls.norm, x, g * controls.gamma, norm.eps)
    return Batch(x, g, y.data, run, paths, "")


def split(norm: str, x: np.ndarray, g: np.ndarray, eps: float) -> Paths:
    r"""Separate the gradient of a normalisation by the path it takes.

    .. math:: \hat x = (a - \mu(b)) / \sqrt{\sigma^2(c) + \epsilon}, \quad a = b = c = x

    Three copies of x, so that the engine keeps the three gradients apart. The slope of
    the variance with respect to the mean is zero, so no fourth path is missing.

    Args:
        norm: one of ``NORMS``; "RMS" has no path through a mean.
        x: (n, d).
        g: (n, d), the gradient dL/d xhat.
        eps: added to the variance, or to the mean square.
    """
    shape = (len(x), GROUPS, -1) if norm == "group" else x.shape
    axis = 0 if norm == "batch" else -1
    copies: Any = [Tensor(x.reshape(shape), requires_grad=True) for _ in range(3)]
    a, b, c = copies
    y: Any
    if norm == "RMS":
        y = a / np.sqrt(np.mean(c * c, axis=axis, keepdims=True) + eps)
    else:
        variance = np.var(c, axis=axis, keepdims=True)
        y = (a - np.mean(b, axis=axis, keepdims=True)) / np.sqrt(variance + eps)
    y.backward(g.reshape(shape))
    grads = (np.zeros(shape) if t.grad is None else t.grad for t in copies)
    return Paths(*(part.reshape(x.shape) for part in grads))


def members(controls: Controls) -> tuple[Any, str]:
    """Tell which entries share one mean and variance with x[0, 0]."""
    if controls.norm == "batch":
        return (slice(None), 0), "feature 0, over the batch"
    if controls.norm == "group":
        return (0, slice(FEATURES // GROUPS)), "features 0 to 3 of example 0"
    return (0, slice(None)), "all features of example 0"


def layer(controls: Controls, d: int = FEATURES) -> Any:
    """Make the layer of ``bp.nn``; in eval a batch norm has seen 300 batches before."""
    norms = {
        "batch": lambda: nn.BatchNorm1d(
            d,
            momentum=default(controls),
            convention=controls.convention,
            dtype=np.float64,
        ),
        "layer": lambda: nn.LayerNorm(d, dtype=np.float64),
        "group": lambda: nn.GroupNorm(GROUPS, d, dtype=np.float64),
        "RMS": lambda: nn.RMSNorm(d, eps=1e-5, dtype=np.float64),
    }
    norm: Any = norms[controls.norm]()
    if controls.norm == "batch" and controls.mode == "eval" and controls.size > 1:
        for k in range(300):
            norm(inputs(controls, 1 + k % 10)[: controls.size])
    norm.weight.data[:] = controls.gamma
    if controls.norm != "RMS":
        norm.bias.data[:] = controls.beta
    return norm.eval() if controls.mode == "eval" else norm


def default(controls: Controls) -> float:
    """The momentum: the learner's, or the convention's own."""
    own = CONVENTIONS[controls.convention].momentum
    return own if controls.momentum is None else controls.momentum


def inputs(controls: Controls, seed: int) -> np.ndarray:
    """128 examples; each feature has a mean and a spread of its own."""
    return (OFFSET + SPREAD * _drawn(seed)) * controls.scale + controls.shift


def incoming() -> np.ndarray:
    """The gradient dL/dy of 128 examples: random, with a mean, and leaning on x.

    Under a plain sum, all ones, a batch norm has the gradient zero.
    """
    noise = np.random.default_rng(1).normal(size=(MOST, FEATURES))
    return 0.8 + 0.7 * _drawn(0) + 0.6 * noise


def notes(controls: Controls, batch: Batch) -> list[str]:
    """What is peculiar about this batch, in sentences."""
    if batch.error:
        return []
    found = []
    train = controls.norm != "batch" or controls.mode == "train"
    if controls.broken:
        whole = {"batch": "its feature, in every example"}.get(
            controls.norm, "its example" if controls.norm != "group" else "its group"
        )
        found.append(
            f"One NaN went in; it spoils {whole}, forward and back."
            if train
            else "One NaN went in; in eval it spoils its own entry alone."
        )
    if controls.gamma == 0:
        found.append(
            "γ = 0: y is β everywhere and no gradient reaches x. dγ is not zero, "
            "so γ can leave 0 again."
        )
    if controls.scale == 0 and (controls.norm != "RMS" or controls.shift == 0):
        found.append(
            "All examples are alike: the variance is 0, and ε alone keeps x̂ at 0 "
            "instead of 0/0. What comes back is multiplied by γ/√ε."
            if train
            else "All examples are alike, and the running variance has gone to 0."
        )
    if controls.size == 2 and train and controls.norm == "batch" and controls.scale:
        found.append(
            "Two examples: x̂ is −1 and +1 whatever x is, so the three paths cancel "
            "and nothing flows back (up to ε)."
        )
    if controls.size == 1 and controls.norm == "batch":
        found.append(
            "A batch of one cannot be trained on, so the running statistics are still "
            "those of a new layer, mean 0 and variance 1."
        )
    return found


def _drawn(seed: int) -> np.ndarray:
    return np.random.default_rng(5 + seed).normal(size=(MOST, FEATURES))
