"""The net of the playground: how it is set, how it trains, what it leaves behind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ...errors import RangeError, near
from .data import DATA, FEATURES, NOISES, Points, features, points

LAYERS, UNITS = 4, 8  # hidden ones at most
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "linear": nn.Identity,
}  # fmt: skip
OPTIMIZERS = ("SGD", "Adam")
RATES, DECAYS = (1e-4, 3.0), (0.0, 0.1)
BATCHES = (1, 2, 5, 10, 20, 40, 80, 240)
SNAPSHOTS = 200


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be set.

    Attributes:
        data: name of the data set.
        noise: how far points stray.
        features: what the net sees of a point.
        hidden: units of each hidden layer.
        activation: of the hidden units.
        optimizer: "SGD" or "Adam".
        lr: learning rate.
        batch: examples a step.
        decay: L2 regularisation, as ``weight_decay``.
        seed: draws first weights and batches.
    """

    data: str = "circle"
    noise: float = 0.1
    features: tuple[str, ...] = ("x₁", "x₂")
    hidden: tuple[int, ...] = (4, 2)
    activation: str = "tanh"
    optimizer: str = "SGD"
    lr: float = 0.1
    batch: int = 10
    decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _choose("data", self.data, DATA)
        _choose("activation", self.activation, ACTIVATIONS)
        _choose("optimizer", self.optimizer, OPTIMIZERS)
        _choose("batch", self.batch, BATCHES)
        for name, ends in (("noise", NOISES), ("lr", RATES), ("decay", DECAYS)):
            value = getattr(self, name)
            if not ends[0] <= value <= ends[1]:
                raise RangeError(
                    f"PlaygroundLab: {name} is {value}; "
                    f"{ends[0]:g} to {ends[1]:g} is required."
                )
        if not self.features:
            raise RangeError(
                "PlaygroundLab: there are no features; at least one is required.",
                help=f"known: {', '.join(FEATURES)}.",
            )
        for name in self.features:
            _choose("features", name, FEATURES)
        units = self.hidden
        if len(units) > LAYERS or any(not 1 <= u <= UNITS for u in units):
            raise RangeError(
                f"PlaygroundLab: hidden is {tuple(units)}; up to {LAYERS} layers of 1 "
                f"to {UNITS} units are required."
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of all layers, features first, the output last."""
        return (len(self.features), *self.hidden, 1)


def build(c: Controls) -> nn.Sequential:
    """Build the net: fc1, act1, fc2, act2, ..., out; the output is a logit.

    >>> build(Controls(hidden=(3,)))[0]
    Linear(in_features=2, out_features=3, bias=True)
    """
    rng = np.random.default_rng(c.seed)
    layers: dict[str, nn.Module] = {}
    for k, (i, o) in enumerate(zip(c.widths[:-2], c.hidden, strict=True), 1):
        layers[f"fc{k}"] = _linear(i, o, rng)
        layers[f"act{k}"] = ACTIVATIONS[c.activation]()
    layers["out"] = _linear(c.widths[-2], 1, rng)
    return nn.Sequential(**layers)


def loss_of(net: nn.Module, x: Any, y: Any) -> Any:
    """Mean cross-entropy of the logits of a batch: x (n, features), y (n,)."""
    return ops.binary_cross_entropy_with_logits(net(x)[:, 0], y)


def weights(net: nn.Module) -> np.ndarray:
    """All parameters as one row, weight before bias, layer after layer."""
    return np.concatenate([p.data.ravel() for p in net.parameters()])


def load(net: nn.Module, row: np.ndarray) -> None:
    """Put a row of ``weights`` into a net."""
    at = 0
    for p in net.parameters():
        p.data = row[at : at + p.size].reshape(p.shape)
        at += p.size


class Training:
    """A net in training, with bounded memory of how it came here.

    When there are 200 snapshots every other one goes, and the distance doubles.

    Attributes:
        taken: steps so far.
        steps: of the snapshots.
        losses: (training, held out) mean loss at each snapshot.
        batch: which examples the last step saw.

    >>> training = Training(Controls())
    >>> training.advance(30)
    >>> training.taken, training.steps[-1], len(training.snapshots)
    (30, 30, 31)
    """

    def __init__(self, controls: Controls) -> None:
        c = self.controls = controls
        self.points: Points = points(c.data, c.noise)
        self.x = features(self.points.x, c.features)
        self.held_x = features(self.points.held_x, c.features)
        self.net, self._eye = build(c), build(c)
        self._rng = np.random.default_rng((c.seed, 1))
        self.tune(c)
        self.taken, self._every = 0, 1
        self.steps: list[int] = []
        self.snapshots: list[np.ndarray] = []
        self.losses: list[tuple[float, float]] = []
        self.batch = np.arange(c.batch)
        self._remember()

    def tune(self, c: Controls) -> None:
        """Go on with another rate, batch size, decay or optimiser; weights stay."""
        self.controls = c
        kind = optim.SGD if c.optimizer == "SGD" else optim.Adam
        self._optimizer = kind(self.net.parameters(), lr=c.lr, weight_decay=c.decay)

    def advance(self, steps: int = 1) -> None:
        """Take steps of the optimiser, each on a batch drawn anew."""
        for _ in range(steps):
            self.batch = self._rng.choice(
                len(self.x), self.controls.batch, replace=False
            )
            self._optimizer.zero_grad()
            loss_of(self.net, self.x[self.batch], self.points.y[self.batch]).backward()
            self._optimizer.step()
            self.taken += 1
            if self.taken % self._every == 0:
                self._remember()

    @property
    def latest(self) -> np.ndarray:
        """The weights now."""
        return weights(self.net)

    def measured(self, row: np.ndarray) -> tuple[float, float]:
        """Mean loss on the training points and on those held out, at weights."""
        load(self._eye, row)
        with np.errstate(all="ignore"):
            z, held = self._logits(self.x), self._logits(self.held_x)
            return _mean(z, self.points.y), _mean(held, self.points.held_y)

    def _logits(self, x: np.ndarray) -> np.ndarray:
        return responses(self._eye, x)[-1][:, 0]

    def _remember(self) -> None:
        if len(self.steps) >= SNAPSHOTS:
            self._every *= 2
            kept = [k for k, s in enumerate(self.steps) if s % self._every == 0]
            self.steps = [self.steps[k] for k in kept]
            self.snapshots = [self.snapshots[k] for k in kept]
            self.losses = [self.losses[k] for k in kept]
            if self.taken % self._every:
                return
        row = self.latest
        self.steps.append(self.taken)
        self.snapshots.append(row)
        self.losses.append(self.measured(row))


def responses(net: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """What each layer gives for points: hidden layers after their activation, logits.

    Returns:
        an array (n, units) for each layer, the logits last.
    """
    found, h = [], x
    for name, module in net.named_children():
        h = module(h)
        if not name.startswith("fc"):
            found.append(h.data)
    return found


def _linear(i: int, o: int, rng: np.random.Generator) -> nn.Linear:
    return nn.Linear(i, o, rng=rng, dtype=np.float64)


def _mean(z: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, z) - y * z))


def _choose(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise RangeError(
            f"PlaygroundLab: {name} is {value!r}, which it does not know.",
            help=near(str(value), map(str, known)),
        )
