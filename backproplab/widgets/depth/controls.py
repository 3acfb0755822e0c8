"""What can be set in DepthLab: depth, weights, skips and norms of a random net."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from ... import meanfield, ops
from ...errors import RangeError

ACTIVATIONS: dict[str, Any] = {
    "ReLU": ops.relu,
    "tanh": np.tanh,
    "sigmoid": ops.sigmoid,
    "none (linear)": lambda x: 1.0 * x,
}
INITS = ("He", "Xavier", "uniform 1/√n", "orthogonal", "edge of chaos")
SKIPS = ("no skip", "branch × 1", "branch × 1/√L", "branch × 0")
NORMS = ("none", "batch", "layer", "RMS")
PLACES = ("pre", "post")
WIDTHS = (8, 16, 32, 64, 128)
_WORK = 2.0e5  # depth * batch * width up to which a slider stays quick


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner can set.

    Attributes:
        depth: layers, 1 to 100.
        width: values in a layer.
        activation: of ``ACTIVATIONS``.
        init: of ``INITS``.
        scale: multiplies every weight.
        skip: of ``SKIPS``.
        norm: of ``NORMS``, without learnt scale and shift.
        place: of ``PLACES``.
        seed: draws weights, inputs, and the gradient at the end.
    """

    depth: int = 30
    width: int = 64
    activation: str = "ReLU"
    init: str = "Xavier"
    scale: float = 1.0
    skip: str = "no skip"
    norm: str = "none"
    place: str = "pre"
    seed: int = 0

    @property
    def branch(self) -> float:
        """a, the factor of the branch."""
        scales = {"branch × 1/√L": 1 / sqrt(self.depth), "branch × 0": 0.0}
        return scales.get(self.skip, 1.0)

    @property
    def bypass(self) -> float:
        """1 with a skip connection, else 0."""
        return float(self.skip != "no skip")

    @property
    def batch(self) -> int:
        """Samples: 64, fewer where depth and width would make a slider wait."""
        return int(np.clip(_WORK // (self.depth * self.width), 16, 64))

    @property
    def variances(self) -> tuple[float, float]:
        """(sw^2, sb^2): n times the variance of a weight, and that of a bias."""
        weight, bias = _variances(self.init, self.activation)
        return self.scale**2 * weight, bias


def check(c: Controls) -> None:
    """Raise unless every control is within its range.

    Raises:
        RangeError: for the first that is not; the message lists what there is.
    """
    choices: dict[str, Any] = {
        "width": WIDTHS,
        "activation": tuple(ACTIVATIONS),
        "init": INITS,
        "skip": SKIPS,
        "norm": NORMS,
        "place": PLACES,
    }
    for name, known in choices.items():
        if (value := getattr(c, name)) not in known:
            listed = ", ".join(map(repr, known))
            raise RangeError(
                f"DepthLab: {name} is {value!r}; one of {listed} is required."
            )
    for name, low, high in (("depth", 1, 100), ("scale", 0.5, 2)):
        if not low <= (value := getattr(c, name)) <= high:
            raise RangeError(
                f"DepthLab: {name} is {value!r}; {low} to {high} is required."
            )


@lru_cache
def _variances(init_: str, activation: str) -> tuple[float, float]:
    if init_ == "edge of chaos":
        if activation in ("tanh", "sigmoid"):
            bias = 0.05
            return meanfield.critical(ACTIVATIONS[activation], bias), bias
        return (2.0 if activation == "ReLU" else 1.0), 0.0
    return {"He": 2.0, "uniform 1/√n": 1 / 3}.get(init_, 1.0), 0.0
