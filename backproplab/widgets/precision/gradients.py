"""Recorded gradients of a net on digits, by size, and what a loss scale does to them.

Pure: controls in, numbers out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import formats, nn, ops, optim
from ...amp import GradScaler
from ...data import digits
from ...errors import RangeError, near
from ...tensor import Tensor
from ...trace import record

FORMATS = ("float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")
KINDS = ("all", "of activations", "of weights")
STAGES = {"before training": 0, "after 10 epochs": 10}
LOSSES = {"as it is": 0, "× 2^-10": -10, "× 2^-20": -20}
SCALES = (0, 24)  # log2 of the loss scale, from and to
BATCH, WIDTH, LAYERS = 128, 64, 6


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        fmt: the format in which gradients are stored.
        scale: log2 of the loss scale, 0 to 24.
        kind: which gradients, of ``KINDS``.
        stage: how long the net was trained, of ``STAGES``.
        loss: what multiplies the loss itself, of ``LOSSES``.

    Raises:
        RangeError: if something cannot be set so.
    """

    fmt: str = "float16"
    scale: int = 0
    kind: str = "all"
    stage: str = "before training"
    loss: str = "× 2^-20"

    def __post_init__(self) -> None:
        for name, known in (
            ("fmt", FORMATS), ("kind", KINDS), ("stage", STAGES), ("loss", LOSSES)
        ):  # fmt: skip
            if (value := getattr(self, name)) not in known:
                raise RangeError(
                    f"PrecisionLab: {name} is {value!r}; one of "
                    f"{', '.join(known)} is required.",
                    help=near(str(value), known),
                )
        if not SCALES[0] <= self.scale <= SCALES[1]:
            raise RangeError(
                f"PrecisionLab: scale is 2^{self.scale}; 2^{SCALES[0]} to "
                f"2^{SCALES[1]} is required."
            )


@dataclass(frozen=True, slots=True)
class Counts:
    """How many gradients other than 0 end where, of ``total``.

    Attributes:
        zero: stored as 0.
        subnormal: stored below the smallest normal number.
        normal: stored with all bits.
        beyond: stored as infinity, NaN or the largest number.
    """

    zero: int
    subnormal: int
    normal: int
    beyond: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.zero + self.subnormal + self.normal + self.beyond


@dataclass(frozen=True, slots=True)
class Gradients:
    """Recorded gradients, scaled and stored.

    Attributes:
        exponents: (n,) floor(log2 |g|) that occur, unscaled, ascending.
        counts: (n,) how often.
        exact_zeros: gradients that are 0 without any rounding: closed gates.
        before: where they end at loss scale 1.
        after: where they end at the loss scale that is set.
        next_scale: what ``GradScaler`` makes of the scale after this step.
        skipped: whether it skips the step.
        patience: clean steps in a row after which it doubles the scale.
    """

    exponents: np.ndarray
    counts: np.ndarray
    exact_zeros: int
    before: Counts
    after: Counts
    next_scale: float
    skipped: bool
    patience: int


def compute(controls: Controls) -> Gradients:
    """Scale the recorded gradients and round them to the format.

    >>> compute(Controls(loss="× 2^-20")).before.zero > 50_000
    True
    """
    g = recorded(controls.stage, controls.kind)
    g = g * np.float32(2.0 ** LOSSES[controls.loss])
    sizes = np.abs(g[g != 0])
    found = np.frexp(sizes)[1] - 1
    exponents, counts = np.unique(found, return_counts=True)
    after, stored = _stored(sizes, controls.fmt, 2.0**controls.scale)
    skipped, scaler = _step(stored, 2.0**controls.scale)
    return Gradients(
        exponents,
        counts,
        int(g.size - sizes.size),
        _stored(sizes, controls.fmt, 1.0)[0],
        after,
        scaler.get_scale(),
        skipped,
        scaler.growth_interval,
    )


@lru_cache(maxsize=16)
def recorded(stage: str, kind: str) -> np.ndarray:
    """All gradients of one run on 128 digits, in float32, as one row."""
    model = _trained(STAGES[stage])
    images, labels = digits(split="train")
    with record() as run:
        ops.cross_entropy(model(images[:BATCH]), labels[:BATCH]).backward()
    of_weights = {KINDS[0]: (True, False), KINDS[1]: (False,), KINDS[2]: (True,)}[kind]
    return np.concatenate(
        [
            r.grad.ravel()
            for r in run
            if r.grad is not None and r.shape and (r.op == "leaf") in of_weights
        ]
    )


def network(seed: int = 0, layers: int = LAYERS) -> nn.Sequential:
    """Build the net of the lab: 64 pixels, ReLU layers of 64, 10 classes, He's weights.

    Args:
        seed: draws the weights.
        layers: with the last one.
    """
    rng = np.random.default_rng(seed)
    parts: list[Any] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(64, WIDTH, rng=rng), nn.ReLU()]
    model = nn.Sequential(*parts, nn.Linear(WIDTH, 10, rng=rng))
    for p in model.parameters():
        if p.ndim == 2:
            p.data = nn.init.kaiming_normal(p.shape, rng)
    return model


@lru_cache(maxsize=4)
def _trained(epochs: int) -> nn.Sequential:
    model, (images, labels) = network(), digits(split="train")
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(epochs):
        for k in range(0, len(images), BATCH):
            optimizer.zero_grad()
            loss = ops.cross_entropy(
                model(images[k : k + BATCH]), labels[k : k + BATCH]
            )
            loss.backward()
            optimizer.step()
    return model


def _stored(sizes: np.ndarray, name: str, scale: float) -> tuple[Counts, np.ndarray]:
    fmt = formats.get(name)
    stored = formats.quantize(sizes * np.float32(scale), fmt)
    zero, finite = int(np.sum(stored == 0)), np.isfinite(stored)
    below = int(np.sum(stored < fmt.min_normal))
    beyond = int(stored.size - np.sum(finite))
    counts = Counts(zero, below - zero, stored.size - below - beyond, beyond)
    return counts, stored


def _step(stored: np.ndarray, scale: float) -> tuple[bool, GradScaler]:
    """Hand the stored gradients to a real ``GradScaler`` and let it step."""
    w = Tensor(np.zeros_like(stored), requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=0.0), GradScaler(init_scale=scale)
    scaler.scale(Tensor(np.float32(0.0)))
    w.grad = stored
    scaler.step(optimizer)
    scaler.update()
    return scaler.history[-1].skipped, scaler
