"""Case: what the rules gave, beside what numerical differentiation says."""

from typing import Any

import numpy as np

from .._numerical import Point


class Case:
    """A vjp to be explained: what the rules gave, and what the Jacobian says.

    For each input: ``entries`` that were looked at, ``jacobian`` (outputs end to end,
    entries), and ``expected`` and ``seen`` there.
    """

    def __init__(self, point: Point, vs: list[Any], got: list[Any]) -> None:
        self.point, self.vs, self.got = point, vs, got
        self.v = np.concatenate([v.ravel() for v in vs])
        self.entries: list[np.ndarray] = []
        self.jacobian: list[np.ndarray] = []
        self.expected: list[np.ndarray] = []
        self.seen: list[np.ndarray] = []

    def look(self, entries: np.ndarray) -> None:
        """Add the next input, differentiated numerically at some entries."""
        k = len(self.entries)
        self.entries.append(entries)
        self.jacobian.append(self.point.columns(k, entries.tolist()))
        self.expected.append(self.v @ self.jacobian[k] if entries.size else np.zeros(0))
        self.seen.append(np.asarray(self.got[k]).ravel()[entries])

    def wrong(self, k: int) -> Any:
        """Where the rule and the numbers differ."""
        weight = float(np.abs(self.v).max(initial=0))
        allowed = self.point.tolerance(self.expected[k], weight)
        return ~(np.abs(self.seen[k] - self.expected[k]) <= allowed)

    def whole(self, k: int) -> Any:
        """The expected gradient in its own shape, if every entry was looked at."""
        x, expected = self.point.xs[k], self.expected[k]
        return expected.reshape(x.shape) if expected.size == x.size else None


def same(a: Any, b: Any) -> bool:
    """Equal up to the error of a numerical derivative."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not a.size:
        return False
    return bool(np.abs(a - b).max() <= 1e-6 * max(np.abs(b).max(), 1e-300))


def proportion(seen: Any, expected: Any) -> float:
    """The number c with seen = c expected; 0 if there is none."""
    seen, expected = np.ravel(seen), np.ravel(expected)
    square = float(expected @ expected)
    if not square or not np.isfinite(seen).all():
        return 0.0
    c = float(seen @ expected) / square
    return c if same(seen, c * expected) else 0.0
