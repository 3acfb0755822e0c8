"""Walks of SGD, momentum, RMSprop and Adam down a surface; no picture."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import optim
from ...errors import RangeError, near
from ...tensor import Tensor
from .surface import Surface, surfaces

METHODS = ("SGD", "momentum", "RMSprop", "Adam")
RATES = np.geomspace(1e-4, 10.0, 97)  # those whose end is shown beside one's own
GONE = 1e3  # times the loss at the start: from here on the walk counts as diverged


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        surface: name of a surface.
        method: one of ``METHODS``.
        lr: learning rate.
        memory: mu of momentum, alpha of RMSprop, beta_1 of Adam.
        steps: how many.
        start: (u, v); the surface's own when None.
    """

    surface: str = "valley"
    method: str = "SGD"
    lr: float = 0.15
    memory: float = 0.9
    steps: int = 60
    start: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Descent:
    """A walk, and where walks with other learning rates end.

    Attributes:
        surface: what it walks on.
        path: (steps + 1, 2) places.
        losses: (steps + 1,) heights.
        ends: (97,) heights after the last step, for each of ``RATES``.
        curvature: lambda_max, the largest curvature at the minimum.
        limit: the critical learning rate there; None where there is no plain one.
        left: the step at which it diverged, or None.
    """

    surface: Surface
    path: np.ndarray
    losses: np.ndarray
    ends: np.ndarray
    curvature: float
    limit: float | None
    left: int | None


def compute(controls: Controls) -> Descent:
    """Walk with the learner's rate and with all of ``RATES`` at once.

    The engine gives the gradients and ``bp.optim`` the steps. Near a minimum with the
    curvatures lambda, gradient descent multiplies each coordinate by 1 - lr lambda a
    step: it converges for lr < 2/lambda_max. With momentum mu the limit is
    2 (1 + mu)/lambda_max (Polyak 1964, in PyTorch's form). Both are exact on the
    valley, elsewhere they hold close to the minimum.

    Raises:
        RangeError: if surface or method is unknown.
    """
    for what, value, known in (
        ("surface", controls.surface, surfaces()),
        ("method", controls.method, METHODS),
    ):
        if value not in known:
            raise RangeError(
                f"DescentLab: {what} is {value!r}; "
                f"one of {', '.join(known)} is required.",
                help=near(value, known),
            )
    surface = surfaces()[controls.surface]
    rates = np.append(RATES, controls.lr)
    p = Tensor(
        np.tile(controls.start or surface.start, (len(rates), 1)), requires_grad=True
    )
    optimizer = _optimizer(controls.method, p, controls.memory)
    optimizer.param_groups[0]["lr"] = rates[:, None]  # a rate for each row
    places, heights = [p.data[-1].copy()], []
    with np.errstate(all="ignore"):  # a walk may leave for infinity
        for _ in range(controls.steps):
            p.grad = None
            loss = surface.f(p[:, 0], p[:, 1])
            loss.sum().backward()
            optimizer.step()
            heights.append(loss.data[-1])
            places.append(p.data[-1].copy())
        last = surface.f(*p.data.T)
    losses = np.append(heights, last[-1])
    gone = ~(losses <= GONE * max(losses[0], 1.0))
    curvature = float(_curvatures(controls.surface)[-1])
    factor = {"SGD": 2.0, "momentum": 2.0 * (1.0 + controls.memory)}
    return Descent(
        surface,
        np.array(places),
        losses,
        last[:-1],
        curvature,
        factor[controls.method] / curvature if controls.method in factor else None,
        int(np.argmax(gone)) if gone.any() else None,
    )


@lru_cache(maxsize=8)
def _curvatures(name: str) -> np.ndarray:
    return surfaces()[name].curvatures()


def _optimizer(method: str, p: Tensor, memory: float) -> Any:
    if method == "RMSprop":
        return optim.RMSprop([p], alpha=memory)
    if method == "Adam":
        return optim.Adam([p], betas=(memory, 0.999))
    return optim.SGD([p], momentum=memory if method == "momentum" else 0.0)
