"""Surfaces to walk down: three formulas, and a slice of the loss of a real net."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import nn, ops, optim
from ...data import moons
from ...plot import figure
from ...transforms import grad, hessian


@dataclass(frozen=True, slots=True)
class Surface:
    """A function of two numbers and the window on it.

    Attributes:
        name: as in the menu.
        formula: what it is, in few words.
        f: (u, v) -> loss, elementwise over arrays or Tensors of one shape.
        x: range of u shown.
        y: range of v shown.
        start: where a walk begins.
        minimum: a lowest point; the curvature there is what limits the learning rate.
    """

    name: str
    formula: str
    f: Callable[[Any, Any], Any]
    x: tuple[float, float]
    y: tuple[float, float]
    start: tuple[float, float]
    minimum: tuple[float, float]

    @property
    def lowest(self) -> float:
        """The loss at the minimum."""
        return float(self.f(*map(np.asarray, self.minimum)))

    def curvatures(self) -> np.ndarray:
        """Eigenvalues of the Hessian at the minimum, the smaller first."""
        at = np.array(self.minimum)
        return np.linalg.eigvalsh(np.asarray(hessian(lambda p: self.f(p[0], p[1]))(at)))


@lru_cache(maxsize=1)
def surfaces() -> dict[str, Surface]:
    """All surfaces by name; the net is trained when first asked for."""
    u = (-4.0, 4.0), (-3.0, 3.0)
    found = (
        Surface("valley", "u²/2 + 5 v²", _valley, *u, (-3.5, 1.5), (0.0, 0.0)),
        Surface(
            "saddle", "u²/2 + (v² − 1)²/4", _saddle, (-3.0, 3.0), (-2.2, 2.2),
            (2.5, 0.02), (0.0, 1.0),
        ),
        Surface(
            "Rosenbrock", "(1 − u)² + 100 (v − u²)²", _rosenbrock, (-2.0, 2.0),
            (-1.0, 3.0), (-1.2, 1.0), (1.0, 1.0),
        ),
        _slice(),
    )  # fmt: skip
    return {s.name: s for s in found}


@lru_cache(maxsize=8)
def contours(name: str) -> tuple[np.ndarray, ...]:
    """Lines of equal height, each (n, 2), closer near the lowest point."""
    surface = surfaces()[name]
    u, v = np.meshgrid(np.linspace(*surface.x, 81), np.linspace(*surface.y, 81))
    z = surface.f(u, v)
    low = surface.lowest
    levels = low + (float(z.max()) - low) * np.geomspace(1e-3, 0.9, 14)
    drawn = figure().subplots().contour(u, v, z, levels=levels)
    return tuple(line for level in drawn.allsegs for line in level if len(line) > 1)


def _valley(u: Any, v: Any) -> Any:
    return 0.5 * u * u + 5.0 * v * v


def _saddle(u: Any, v: Any) -> Any:
    gap = v * v - 1.0
    return 0.5 * u * u + 0.25 * gap * gap


def _rosenbrock(u: Any, v: Any) -> Any:
    a, b = 1.0 - u, v - u * u
    return a * a + 100.0 * b * b


def _slice() -> Surface:
    """Train a net of 2-6-1 on two moons; all but two weights of a neuron then rest."""
    rng = np.random.default_rng(3)
    x, labels = moons(60, rng, noise=0.15)
    t = 2.0 * labels[:, None] - 1.0
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    first: Any = nn.Linear(2, 6, rng=rng, dtype=np.float64)
    last = nn.Linear(6, 1, rng=rng, dtype=np.float64)
    adam = optim.Adam([*first.parameters(), *last.parameters()], lr=0.05)
    for _ in range(150):
        adam.zero_grad()
        ops.mse_loss(last(ops.tanh(first(x))), t).backward()
        adam.step()
    weight, out = first.weight.data, last.weight.data[0]
    j = int(np.argmax(np.abs(out)))
    hidden = np.tanh(first(x).data)
    rest = last(hidden).data[:, 0] - out[j] * hidden[:, j] - t[:, 0]
    bias = float(first.bias.data[j])

    def f(u: Any, v: Any) -> Any:
        z = np.expand_dims(u, -1) * x[:, 0] + np.expand_dims(v, -1) * x[:, 1] + bias
        gap = out[j] * np.tanh(z) + rest
        return np.mean(gap * gap, axis=-1)

    lowest = _lowest(f, weight[j])
    a, b = (float(w) for w in lowest)
    window = (a - 4.0, a + 4.0), (b - 3.0, b + 3.0)
    about = "mean squared error of a 2-6-1 tanh net on two moons; u, v: two weights"
    return Surface("net slice", about, f, *window, (a - 3.0, b + 2.2), (a, b))


def _lowest(f: Callable[[Any, Any], Any], w: np.ndarray) -> np.ndarray:
    """The lowest point of a fine grid around trained weights, after Newton's steps."""
    u, v = np.meshgrid(np.linspace(-4, 4, 81) + w[0], np.linspace(-4, 4, 81) + w[1])
    k = int(np.argmin(f(u, v)))
    at = np.array([u.flat[k], v.flat[k]])

    def loss(p: Any) -> Any:
        return f(p[0], p[1])

    for _ in range(4):
        at = at - np.linalg.solve(hessian(loss)(at), grad(loss)(at))
    return at
