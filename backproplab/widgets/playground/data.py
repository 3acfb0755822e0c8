"""Points of two classes in a square, and the features that a net may see of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...data import moons, spirals, xor

TRAINING, HELD_OUT = 240, 120  # points to learn from, and to be asked about after
REACH = 1.2  # the square goes from -REACH to REACH
GRID = 40  # cells of the square in each direction
SEED = 4

FEATURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "x₁": lambda x, _y: x,
    "x₂": lambda _x, y: y,
    "x₁²": lambda x, _y: x * x,
    "x₂²": lambda _x, y: y * y,
    "x₁x₂": lambda x, y: x * y,
    "sin πx₁": lambda x, _y: np.sin(np.pi * x),
    "sin πx₂": lambda _x, y: np.sin(np.pi * y),
}
DATA = ("circle", "xor", "spirals", "gaussians", "moons")
NOISES = (0.0, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What is learnt.

    Attributes:
        x: (240, 2) coordinates to learn from.
        y: (240,) their classes, 0 or 1.
        held_x: (120, 2) coordinates of the same kind that training never sees.
        held_y: (120,) their classes.
    """

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray


@lru_cache(maxsize=8)
def points(name: str, noise: float) -> Points:
    """Draw the points of a data set; the same ones each time.

    >>> points("circle", 0.1).x.shape
    (240, 2)
    """
    rng = np.random.default_rng(SEED)
    n = TRAINING + HELD_OUT
    x, y = _drawn(name, n, rng, noise)
    order = rng.permutation(n)
    x, y = np.asarray(x, float)[order], np.asarray(y, float)[order]
    k = TRAINING
    return Points(x[:k], y[:k], x[k:], y[k:])


def features(x: np.ndarray, chosen: tuple[str, ...]) -> np.ndarray:
    """Compute what the net sees of points: (n, 2) to (n, features).

    >>> features(np.array([[2.0, 3.0]]), ("x₁", "x₁x₂")).tolist()
    [[2.0, 6.0]]
    """
    return np.stack([FEATURES[name](x[:, 0], x[:, 1]) for name in chosen], axis=1)


@lru_cache(maxsize=1)
def grid() -> np.ndarray:
    """Centres of the square's cells, row by row from the upper left, (GRID², 2)."""
    step = 2 * REACH / GRID
    line = -REACH + step * (np.arange(GRID) + 0.5)
    u, v = np.meshgrid(line, line[::-1])
    return np.stack([u.ravel(), v.ravel()], axis=1)


def _drawn(
    name: str, n: int, rng: np.random.Generator, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    if name == "moons":
        found = moons(n, rng, noise=noise, dtype=np.float64)
        return (found.points - [0.5, 0.25]) * 0.7, found.labels
    if name == "spirals":
        found = spirals(n, rng, classes=2, noise=noise / 4, dtype=np.float64)
        return found.points, found.labels
    if name == "xor":
        # The whole square, not its corners alone: with a gap along the axes.
        corners = xor(n, rng, noise=0, dtype=np.float64)
        side = 2 * corners.points - 1
        x = side * rng.uniform(0.06, 1.0, (n, 2))
        return x + noise / 2 * rng.standard_normal((n, 2)), corners.labels
    y = np.arange(n) % 2
    if name == "gaussians":
        centres = np.where(y[:, None] == 1, 0.45, -0.45)
        spread = 0.12 + noise / 2
        return centres + spread * rng.standard_normal((n, 2)), y
    radius = np.where(y == 1, rng.uniform(0, 0.45, n), rng.uniform(0.7, 1.0, n))
    turn = rng.uniform(0, 2 * np.pi, n)
    x = radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return x + noise / 2 * rng.standard_normal((n, 2)), y
