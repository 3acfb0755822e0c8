"""Numerical derivatives: complex steps where they work, differences where not."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._trees import array, leaves
from .sockets import no_grad
from .tensor import Tensor


class Point:
    """A function of arrays at one point: its values there, and how they move.

    Args:
        call: takes as many arrays or tensors as ``xs`` has, returns any structure.
        xs: float64 arrays.
        name: what a message calls the function.
        names: what a message calls its inputs.
        op: the op that it is, if it is one.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        xs: Sequence[Any],
        name: str,
        names: Sequence[str],
        op: Any = None,
    ) -> None:
        self.call, self.xs, self.name, self.names, self.op = call, xs, name, names, op
        self.ys = self.values(xs)
        self.eps = max((float(np.finfo(y.dtype).eps) for y in self.ys), default=1.0)
        self.complex = False
        self.derived = name.startswith("the ")

    def outputs(self, *xs: Any) -> tuple[Any, ...]:
        """The floating-point outputs, in order."""
        return tuple(y for y in leaves(self.call(*xs)) if array(y).dtype.kind in "fc")

    def values(self, xs: Sequence[Any]) -> list[Any]:
        """The outputs at another point, which may be complex."""
        with no_grad(), np.errstate(all="ignore"):
            return [array(y) for y in self.outputs(*map(_holding, xs))]

    def try_complex(self, rng: np.random.Generator) -> None:
        """Take complex steps from now on, if one agrees with a difference."""
        direction = [rng.normal(size=x.shape) * (np.abs(x) + (x == 0)) for x in self.xs]
        differences = self.slope(direction)
        self.complex = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                steps = self.slope(direction)
        except Exception:  # whatever f cannot do with complex numbers
            self.complex = False
            return
        self.complex = all(
            np.isfinite(a).all() and _near(a, b, self.eps ** (1 / 3))
            for a, b in zip(steps, differences, strict=True)
        )

    def slope(self, direction: Sequence[Any]) -> list[Any]:
        """How each output moves along a direction."""
        pairs = list(zip(self.xs, direction, strict=True))
        if self.complex:
            # no difference is taken, so no digits are lost however small the step
            h = 1e-100
            return [y.imag / h for y in self.values([x + 1j * h * d for x, d in pairs])]
        # a step of the size of 1 or x; then, near an edge of the domain, of x alone
        wide = min(_room(np.maximum(np.abs(x), 1), d) for x, d in pairs)
        narrow = min(_room(np.where(x == 0, 1, np.abs(x)), d) for x, d in pairs)
        slopes: list[Any]
        slopes, smooth = self._richardson(pairs, wide)
        if narrow < wide and not all(s.all() for s in smooth):
            again, _ = self._richardson(pairs, narrow)
            slopes = [
                np.where(s, a, b) for a, b, s in zip(slopes, again, smooth, strict=True)
            ]
        return slopes

    def _richardson(self, pairs: Sequence[Any], size: float) -> tuple[Any, Any]:
        """Slopes by long steps, or by short ones where the two do not agree."""
        long, short = self.eps ** (1 / 5) * size, self.eps ** (1 / 3) * size
        slopes, smooth = [], []
        for a, b, c in zip(
            *(self._difference(pairs, h) for h in (long, long / 2, short)), strict=True
        ):
            best = (4 * b - a) / 3
            agree = np.abs(best - c) <= self.eps**0.4 * (1 + np.abs(c))
            slopes.append(np.where(agree, best, c))
            smooth.append(agree)
        return slopes, smooth

    def _difference(self, pairs: Sequence[Any], h: float) -> list[Any]:
        up = self.values([x + h * d for x, d in pairs])
        down = self.values([x - h * d for x, d in pairs])
        with np.errstate(all="ignore"):
            return [(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]

    def columns(self, k: int, entries: Sequence[int]) -> np.ndarray:
        """dy/dx of shape (outputs end to end, entries) for some entries of input k."""
        columns = []
        for i in entries:
            direction = [np.zeros_like(x) for x in self.xs]
            direction[k].flat[i] = 1
            columns.append(np.concatenate([s.ravel() for s in self.slope(direction)]))
        return np.stack(columns, axis=1) if columns else np.zeros((0, 0))

    def has_kink(self, k: int, i: int) -> bool:
        """Say whether the slopes to the left and right of an entry differ."""
        direction = [np.zeros_like(x) for x in self.xs]
        direction[k].flat[i] = self.eps**0.5 * max(1, abs(self.xs[k].flat[i]))
        up = self.values([x + d for x, d in zip(self.xs, direction, strict=True)])
        down = self.values([x - d for x, d in zip(self.xs, direction, strict=True)])
        for a, b, y in zip(up, down, self.ys, strict=True):
            steps = np.abs(a - y) + np.abs(b - y)
            if (
                np.abs(a + b - 2 * y) > 0.1 * steps + 1000 * self.eps * np.abs(y)
            ).any():
                return True
        return False

    def tolerance(self, expected: Any, weight: float) -> float:
        """How far off the numbers may be: the error of a slope times ``weight``."""
        large = max(float(np.abs(y).max(initial=0)) for y in self.ys) * weight
        scale = float(np.abs(expected).max(initial=0))
        if self.complex:
            return float(self.eps ** (2 / 3) * (scale + large))
        return float(self.eps**0.5 * scale + 100 * self.eps**0.8 * large)


def _holding(x: Any) -> Tensor:
    """A tensor around an array, complex ones too."""
    out = Tensor(0.0)
    out._data = x
    return out


def _near(a: Any, b: Any, rtol: float) -> bool:
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= rtol * size)


def _room(size: Any, direction: Any) -> float:
    """How many times a direction fits into the sizes of the entries that it moves."""
    moved = direction != 0
    return float((size[moved] / np.abs(direction[moved])).min(initial=np.inf))
