"""Learning-rate schedules: the rate after t steps as a formula of t, PyTorch's numbers.

Each is the closed form, so a rate that was set by hand meanwhile is written over.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import RangeError
from .optimizer import Optimizer


class Schedule(ABC):
    """Sets the learning rate of each group: at once for t = 0, then at each ``step``.

    Args:
        optimizer: whose rates; those that it has now are the base.

    Attributes:
        last_epoch: t, the number of steps so far (PyTorch's name).
        base_lrs: the base rate of each group.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise RangeError(
                f"{type(self).__name__}: optimizer is a {type(optimizer).__name__}; an "
                "optimizer of bp.optim is required."
            )
        self.optimizer = optimizer
        self.base_lrs = [
            float(g.setdefault("initial_lr", g["lr"]))  # type: ignore[arg-type]
            for g in optimizer.param_groups
        ]
        self.last_epoch = 0
        self._set()

    @abstractmethod
    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Return the rate after ``t`` steps, of a group whose base rate is ``base``."""

    def step(self) -> None:
        """Move on by one; call it after ``optimizer.step()``."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group."""
        return [float(g["lr"]) for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Copy what ``load_state_dict`` needs to go on."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
        self._set()

    def _set(self) -> None:
        pairs = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        for k, (group, base) in enumerate(pairs):
            group["lr"] = self.lr_at(self.last_epoch, base, k)


class StepLR(Schedule):
    """base * gamma^floor(t / step_size): constant, with drops."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1
    ) -> None:
        _require_steps("StepLR", "step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Drop every ``step_size`` steps."""
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """base * gamma^(milestones passed): constant, with a drop at each milestone."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Drop at every milestone."""
        return base * self.gamma ** bisect_right(self.milestones, t)


class ConstantLR(Schedule):
    """factor * base for total_iters steps, then base."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5
    ) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Go over to the base rate when the time has come."""
        return base * self.factor if t < self.total_iters else base


class ExponentialLR(Schedule):
    """base * gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Decay at every step."""
        return base * self.gamma**t


class CosineAnnealingLR(Schedule):
    """Half a cosine from base down to eta_min in T_max steps.

    Beyond T_max it comes up again, as PyTorch's does. Loshchilov & Hutter 2017, without
    restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        _require_steps("CosineAnnealingLR", "T_max", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Follow the cosine."""
        share = (1 + math.cos(math.pi * t / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * share


class PolynomialLR(Schedule):
    """base * (1 - t/total_iters)^power: down to 0, and it stays there."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0
    ) -> None:
        _require_steps("PolynomialLR", "total_iters", total_iters)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Follow the power of what is left."""
        return base * (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class LinearLR(Schedule):
    """Warm-up: a line from start_factor to end_factor times base in total_iters.

    Then it stays. Follow it by another schedule with ``SequentialLR``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        _require_steps("LinearLR", "total_iters", total_iters)
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise RangeError(
                f"LinearLR: start_factor is {start_factor} and end_factor is "
                f"{end_factor}; numbers up to 1 are required, the first above 0."
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Follow the line, then stay at its end."""
        share = min(t, self.total_iters) / self.total_iters
        start, end = self.start_factor, self.end_factor
        return base * (start + (end - start) * share)


class LambdaLR(Schedule):
    """base * lr_lambda(t), with a function of your own, or one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        groups = len(optimizer.param_groups)
        if not callable(lr_lambda) and not isinstance(lr_lambda, Sequence):
            raise RangeError(
                f"LambdaLR: lr_lambda is {lr_lambda!r}; a function of t is required."
            )
        several = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(several) != groups:
            raise RangeError(
                f"LambdaLR: there are {len(several)} functions for {groups} groups; "
                "one, or one for each group, is required."
            )
        self.lr_lambdas = several
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Ask the function."""
        return base * self.lr_lambdas[group](t)


class SequentialLR(Schedule):
    """One schedule after another, each with a t of its own from its milestone on.

    Args:
        optimizer: whose rates.
        schedules: made on the same optimizer, in order.
        milestones: where each but the first begins, increasing.

    >>> import backproplab as bp
    >>> sgd = bp.optim.SGD([bp.Tensor(1.0, requires_grad=True)], lr=1.0)
    >>> up, down = LinearLR(sgd, 0.25, total_iters=3), ExponentialLR(sgd, 0.5)
    >>> both = SequentialLR(sgd, [up, down], [3])
    >>> [both.lr_at(t, 1.0) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: Sequence[Schedule],
        milestones: Sequence[int],
    ) -> None:
        if len(schedules) != len(milestones) + 1:
            raise RangeError(
                f"SequentialLR: there are {len(schedules)} schedules and "
                f"{len(milestones)} milestones; one milestone fewer is required."
            )
        self.schedules, self.milestones = list(schedules), list(milestones)
        super().__init__(optimizer)

    def lr_at(self, t: int, base: float, group: int = 0) -> float:
        """Ask the schedule whose time it is."""
        k = bisect_right(self.milestones, t)
        begin = self.milestones[k - 1] if k else 0
        return self.schedules[k].lr_at(t - begin, base, group)


def _require_steps(schedule: str, name: str, steps: Any) -> None:
    if not steps >= 1:
        raise RangeError(f"{schedule}: {name} is {steps}; at least 1 is required.")
