"""Labelled points in the plane, drawn from a passed Generator; no files, no images."""

from __future__ import annotations  # naming np.random would load it, 8 ms

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._arguments import require_count, require_real, require_rng


class Points(NamedTuple):
    """Points and their classes; unpacks as ``points, labels = moons(...)``.

    Attributes:
        points: (n, 2) coordinates.
        labels: (n,) int64 classes 0..k-1. Point i is of class i mod k (for ``xor``:
            at corner i mod 4), so every prefix is balanced.
    """

    points: NDArray[Any]
    labels: NDArray[np.int64]

    def __repr__(self) -> str:
        shape, dtype = self.points.shape, self.points.dtype
        return f"Points(points: {shape} {dtype}, labels: {self.labels.shape} int64)"


def spirals(
    n: int,
    rng: np.random.Generator,
    *,
    classes: int = 3,
    noise: float = 0.03,
    dtype: DTypeLike = np.float32,
) -> Points:
    """Draw ``classes`` interleaved spiral arms around the origin.

    Each arm turns by 4 radians while its radius grows evenly to 1, as in the CS231n
    notes ("Putting it together: minimal neural network case study"); a straight line
    cannot part them, one hidden layer can.

    Args:
        n: points in all; arms differ by one point at most.
        rng: where the noise comes from.
        classes: k, the number of arms.
        noise: standard deviation of the Gaussian added to both coordinates.
        dtype: of the points.

    Returns:
        points (n, 2) and labels (n,), see ``Points``.

    Raises:
        TypeError: if a count is not an integer or ``rng`` is not a Generator.
        ValueError: if ``n`` < 1, ``classes`` < 2, or ``noise`` is negative or infinite.

    >>> spirals(300, np.random.default_rng(0))
    Points(points: (300, 2) float32, labels: (300,) int64)
    """
    n = require_count("spirals", "n", n)
    classes = require_count("spirals", "classes", classes, least=2)
    labels = np.arange(n) % classes
    # From one step away from the origin, where all arms would meet.
    radius = (np.arange(n) // classes + 1) / math.ceil(n / classes)
    angle = 2 * np.pi * labels / classes + 4 * radius
    arms = radius * np.stack([np.cos(angle), np.sin(angle)])
    return _scatter("spirals", arms.T, labels, rng, noise, dtype)


def moons(
    n: int,
    rng: np.random.Generator,
    *,
    noise: float = 0.1,
    dtype: DTypeLike = np.float32,
) -> Points:
    """Draw two half circles of radius 1, each reaching into the other.

    Class 0 is the upper half of the unit circle around (0, 0), class 1 the lower half
    of the one around (1, 0.5), as in scikit-learn's ``make_moons``.

    Args:
        n: points in all; the moons differ by one point at most.
        rng: where the noise comes from.
        noise: standard deviation of the Gaussian added to both coordinates.
        dtype: of the points.

    Returns:
        points (n, 2) and labels (n,), see ``Points``.

    Raises:
        TypeError: if ``n`` is not an integer or ``rng`` is not a Generator.
        ValueError: if ``n`` < 1, or ``noise`` is negative or infinite.

    >>> points, labels = moons(4, np.random.default_rng(0), noise=0)
    >>> points.round(3).tolist(), labels.tolist()
    ([[1.0, 0.0], [0.0, 0.5], [-1.0, 0.0], [2.0, 0.5]], [0, 1, 0, 1])
    """
    n = require_count("moons", "n", n)
    labels = np.arange(n) % 2
    angle = np.linspace(0, np.pi, math.ceil(n / 2))[np.arange(n) // 2]
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    moon = np.where(labels[:, None] == 0, upper, [1, 0.5] - upper)
    return _scatter("moons", moon, labels, rng, noise, dtype)


def xor(
    n: int,
    rng: np.random.Generator,
    *,
    noise: float = 0.1,
    dtype: DTypeLike = np.float32,
) -> Points:
    """Draw clouds around the corners of the unit square; opposite ones are alike.

    The class of corner (a, b) is ``a ^ b``: what a single layer cannot learn (Minsky
    & Papert 1969). ``xor(4, rng, noise=0)`` is the truth table.

    Args:
        n: points in all, dealt to the four corners in turn.
        rng: where the noise comes from.
        noise: standard deviation of the Gaussian added to both coordinates.
        dtype: of the points.

    Returns:
        points (n, 2) and labels (n,), see ``Points``.

    Raises:
        TypeError: if ``n`` is not an integer or ``rng`` is not a Generator.
        ValueError: if ``n`` < 1, or ``noise`` is negative or infinite.

    >>> points, labels = xor(4, np.random.default_rng(0), noise=0)
    >>> points.tolist(), labels.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    n = require_count("xor", "n", n)
    a, b = np.arange(n) % 4 // 2, np.arange(n) % 2
    return _scatter("xor", np.stack([a, b], axis=1), a ^ b, rng, noise, dtype)


def _scatter(
    function: str,
    centres: NDArray[Any],
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    noise: float,
    dtype: DTypeLike,
) -> Points:
    require_rng(function, rng)
    require_real(function, "noise", noise)
    points = centres + noise * rng.standard_normal(centres.shape)
    return Points(points.astype(dtype), labels)
