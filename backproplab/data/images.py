"""The handwritten digits that ship with the package; other data is generated."""

from __future__ import annotations  # naming np.random would load it, 8 ms

import os
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._arguments import require_real

_FILE = os.path.join(os.path.dirname(__file__), "digits.npz")
_TRAIN = 1437


class Digits(NamedTuple):
    """Images and their labels; unpacks as ``images, labels = digits()``.

    Attributes:
        images: (n, 64) pixels, the rows of an 8 x 8 image one after the other.
        labels: (n,) int64, the digit drawn, 0 to 9.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]

    def __repr__(self) -> str:
        shape, dtype = self.images.shape, self.images.dtype
        return f"Digits(images: {shape} {dtype}, labels: {self.labels.shape} int64)"


def digits(
    *,
    split: Literal["train", "test"] | None = None,
    dtype: DTypeLike = np.float32,
    scale: float = 1.0,
) -> Digits:
    """Read the 1797 handwritten digits of the UCI repository, 8 x 8 pixels each.

    A stored pixel counts 0 to 16 inked dots. Scaled to 0..1 it needs 5 significant
    bits, so float16 and bfloat16 hold it exactly, too. For a convolution use
    ``images.reshape(-1, 1, 8, 8)``.

    Args:
        split: None for all 1797 in stored order (scikit-learn's ``load_digits``),
            "train" for 1437 of them, "test" for the other 360. The split is one
            shuffle by seed 0, the same on every machine and NumPy version. A writer's
            digits may fall into both parts.
        dtype: of the images; an integer dtype needs ``scale=16``.
        scale: the value of a fully inked pixel; 16 gives the stored counts.

    Returns:
        Fresh arrays, yours to change: images (n, 64) and int64 labels (n,).

    Raises:
        ValueError: if ``split`` is unknown, ``scale`` is negative or infinite, or an
            integer dtype would cut off fractions.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998, the test part; CC BY 4.0 (see
    ``digits.LICENSE.txt``).

    >>> images, labels = digits()
    >>> images.shape, images.dtype.name, float(images.max()), labels[:5].tolist()
    ((1797, 64), 'float32', 1.0, [0, 1, 2, 3, 4])
    >>> digits(split="test", dtype=np.uint8, scale=16)
    Digits(images: (360, 64) uint8, labels: (360,) int64)
    """
    if split not in (None, "train", "test"):
        raise ValueError(
            f'digits: split is {split!r}; None, "train" or "test" is required.\n'
            f'  help: pass split="train" to fit and split="test" to judge.'
        )
    require_real("digits", "scale", scale)
    if np.issubdtype(dtype, np.integer) and scale != 16:
        raise ValueError(
            f"digits: dtype is {np.dtype(dtype)} and scale is {scale!r}; "
            f"an integer dtype holds only the stored counts, scale 16.\n"
            f"  help: pass scale=16, or a floating dtype."
        )
    with np.load(_FILE) as stored:
        counts, labels = stored["X"], stored["y"]
    if split is not None:
        # RandomState's stream is frozen for good; a Generator's may change (NEP 19).
        order = np.random.RandomState(0).permutation(len(labels))
        chosen = order[:_TRAIN] if split == "train" else order[_TRAIN:]
        counts, labels = counts[chosen], labels[chosen]
    images = (counts * (scale / 16)).astype(dtype)
    return Digits(images, labels.astype(np.int64))
