"""The same net trained in several formats side by side, a slice at a time. No picture.

A loss that is made small on purpose stands for what large nets have: gradients that a
narrow format cannot hold unless the loss is scaled.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ... import ops, optim
from ...amp import GradScaler, autocast
from ...data import batches, digits
from ...errors import RangeError, near
from ...sockets import no_grad
from .gradients import LOSSES, network

NARROW = ("float8_e5m2", "float8_e4m3fn")
INITIAL = (16, 24)  # log2 of the scale that a scaler begins with
EPOCHS = (1, 20)
BATCH, RATE, MOMENTUM = 64, 0.02, 0.9


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        loss: what multiplies the loss, of ``LOSSES``; the learning rate makes up for
            it.
        narrow: the 8-bit format that takes part.
        initial: log2 of the scale that each scaler begins with, 16 or 24.
        epochs: 1 to 20.
        seed: draws the weights, alike for all.

    Raises:
        RangeError: if something cannot be set so.
    """

    loss: str = "× 2^-20"
    narrow: str = "float8_e5m2"
    initial: int = 16
    epochs: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("loss", tuple(LOSSES)), ("narrow", NARROW), ("initial", INITIAL)
        ):  # fmt: skip
            if (value := getattr(self, name)) not in known:
                raise RangeError(
                    f"PrecisionLab: {name} is {value!r}; one of "
                    f"{', '.join(map(str, known))} is required.",
                    help=near(str(value), map(str, known)),
                )
        if not EPOCHS[0] <= self.epochs <= EPOCHS[1]:
            raise RangeError(
                f"PrecisionLab: epochs is {self.epochs}; {EPOCHS[0]} to {EPOCHS[1]} is "
                "required."
            )

    @property
    def runs(self) -> tuple[tuple[str, bool], ...]:
        """Format of each run, and whether its loss is scaled."""
        return (
            ("float32", False),
            ("float16", False),
            ("float16", True),
            ("bfloat16", False),
            (self.narrow, True),
        )


class Run:
    """One net in training.

    Args:
        fmt: the format of its products; the weights stand in float32 all the time.
        scaled: whether a ``GradScaler`` scales the loss.
        controls: what is set for all runs.

    Attributes:
        name: the format, with "scaled" where it is.
        losses: mean loss of each epoch so far, without the factor.
        accuracies: share of the test digits that were right after each epoch.
    """

    def __init__(self, fmt: str, scaled: bool, controls: Controls) -> None:
        self.fmt, self.scaled = fmt, scaled
        self.name = f"{fmt} scaled" if scaled else fmt
        self.factor = np.float32(2.0 ** LOSSES[controls.loss])
        self.model = network(controls.seed)
        self.optimizer = optim.SGD(
            self.model.parameters(), lr=RATE / float(self.factor), momentum=MOMENTUM
        )
        self.scaler = GradScaler(init_scale=2.0**controls.initial, enabled=scaled)
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self._steps: list[float] = []

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take one step on a batch: forward, scale, backward, unscale, update."""
        self.optimizer.zero_grad()
        with self.casting():
            loss = ops.cross_entropy(self.model(x), y)
        self._steps.append(loss.item())
        self.scaler.scale(loss * self.factor).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def judge(self, x: np.ndarray, y: np.ndarray) -> None:
        """End an epoch: note the mean loss and the share of digits that are right."""
        with no_grad(), self.casting():
            right = self.model(x).data.argmax(axis=1) == y
        self.losses.append(float(np.mean(self._steps)))
        self.accuracies.append(float(np.mean(right)))
        self._steps = []

    def casting(self) -> Any:
        """Let ops run in the run's format."""
        return nullcontext() if self.fmt == "float32" else autocast(self.fmt)


class Race:
    """All runs of the lab, trained in turn, batch by batch.

    Args:
        controls: what is set.

    >>> race = Race(Controls(epochs=1))
    >>> race.advance(seconds=60.0)
    >>> race.over, [len(run.losses) for run in race.runs]
    (True, [1, 1, 1, 1, 1])
    """

    def __init__(self, controls: Controls) -> None:
        self.controls = controls
        self.runs = [Run(fmt, scaled, controls) for fmt, scaled in controls.runs]
        self.done, self.over = 0, False
        images, _ = digits(split="train")
        self.total = controls.epochs * len(self.runs) * -(-len(images) // BATCH)
        self._work = self._steps()

    def advance(self, seconds: float = 0.04) -> None:
        """Train on until the time is up, or all is done; a step takes a few ms."""
        end = perf_counter() + seconds
        while not self.over and perf_counter() < end:
            self.over = next(self._work, None) is None

    def _steps(self) -> Iterator[int]:
        """Do one step, or one judgement, at each ``next``."""
        train, test = digits(split="train"), digits(split="test")
        rng = np.random.default_rng(self.controls.seed)
        for epoch in range(self.controls.epochs):
            for x, y in batches(*train, BATCH, rng):
                for run in self.runs:
                    run.step(x, y)
                    self.done += 1
                    yield epoch
            for run in self.runs:
                run.judge(*test)
                yield epoch
