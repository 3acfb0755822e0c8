"""Minibatches of arrays; the arrays themselves come from elsewhere."""

from __future__ import annotations  # naming np.random would load it, 8 ms

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ._arguments import require_count, require_rng


def batches(
    x: NDArray[Any], y: NDArray[Any], size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Deal every row once, in a fresh random order, ``size`` rows at a time.

    One call is one epoch. The last batch holds what is left, and may be smaller: weigh
    it by its length when averaging over the epoch.

    Args:
        x: (n, ...) inputs.
        y: (n, ...) targets, row i belonging to ``x[i]``.
        size: rows in a batch.
        rng: where the order comes from; drawn at the call, not at the first batch.

    Returns:
        An iterator over ceil(n / size) pairs of copies.

    Raises:
        ShapeError: if ``x`` and ``y`` do not have the same number of rows.
        TypeError: if ``size`` is not an integer or ``rng`` is not a Generator.
        ValueError: if ``size`` < 1.

    >>> x, y = np.arange(5.0), np.arange(5)
    >>> [len(labels) for _, labels in batches(x, y, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    x, y = np.asarray(x), np.asarray(y)
    size = require_count("batches", "size", size)
    require_rng("batches", rng)
    if x.shape[:1] != y.shape[:1] or not x.shape:
        raise ShapeError(
            f"batches: x is {x.shape} and y is {y.shape}; "
            f"both need the same number of rows.",
            help="pass the images and the labels of one and the same split.",
        )
    order = rng.permutation(len(x))
    dealt = (order[start : start + size] for start in range(0, len(x), size))
    return ((x[rows], y[rows]) for rows in dealt)
