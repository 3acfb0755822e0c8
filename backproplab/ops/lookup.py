"""Rows looked up by number, and numbers dropped at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, RangeError
from ..primitive import linear, primitive
from .indexing import scatter


def _kept(ids: np.ndarray, w: Any, padding_idx: int | None) -> Any:
    """1 where a row learns, 0 where it is the padding row."""
    return 1 if padding_idx is None else (ids != padding_idx % len(w))[..., None]


def _embedding_rule(g, _y, ids, _w, *, padding_idx):
    ids = np.asarray(ids)
    rows = g if padding_idx is None else g * _kept(ids, _w, padding_idx)
    return scatter(rows, index=(ids,), shape=np.shape(_w))


def _embedding_jvp(t, _y, ids, w, *, padding_idx):
    ids = np.asarray(ids)
    return t[1][ids] * _kept(ids, w, padding_idx)


@primitive(
    None,
    _embedding_rule,
    jvp=_embedding_jvp,
    example=lambda rng: (
        (rng.integers(5, size=(2, 3)), rng.normal(size=(5, 4))),
        {},
    ),
)
def embedding(ids, w, padding_idx=None):
    """The rows of w with these numbers; a row used twice gets both gradients.

    Args:
        ids: (...) integers in 0..k-1.
        w: (k, d) one row for each number.
        padding_idx: this row gets no gradient; its value is used as it is.

    Returns:
        (..., d).

    Raises:
        DTypeError: if ids are not integers.
        RangeError: if an id, or ``padding_idx``, names no row.
    """
    ids, k = np.asarray(ids), len(w)
    if ids.dtype.kind not in "iu":
        raise DTypeError(
            f"embedding: ids have dtype {ids.dtype}; integers are required.",
            help="`ids.astype(int)`.",
        )
    # seen as unsigned, a negative number is too large
    if ids.size and np.max(ids.astype(np.uintp)) >= k:
        raise RangeError(
            f"embedding: ids run from {ids.min()} to {ids.max()}; "
            f"w has {k} rows, so they must lie in 0..{k - 1}."
        )
    if padding_idx is not None and not -k <= padding_idx < k:
        raise RangeError(
            f"embedding: padding_idx is {padding_idx}; w has {k} rows, "
            f"so it must lie in {-k}..{k - 1}."
        )
    return w[ids]


@linear(
    lambda g, _x, *, keep: g * keep,
    name="dropout",
    example=lambda rng: (
        (rng.normal(size=(3, 4)),),
        {"keep": _keep_mask("dropout", (3, 4), 0.5, rng, np.dtype(float))},
    ),
)
def _dropout(x, *, keep):
    """Multiply by ``keep``: 0 where a number is dropped, 1/(1 - p) elsewhere."""
    return x * keep.astype(x.dtype, copy=False)


def dropout(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator | None = None,
) -> Any:
    """Set a share p of the numbers to 0 and divide the others by 1 - p.

    The expected value stays the same (inverted dropout, as in PyTorch).

    Args:
        x: any shape.
        p: probability of each number to be dropped.
        training: nothing is dropped where this is false.
        rng: where the randomness comes from; needed while training, unless p is 0.

    Raises:
        RangeError: if p is outside 0..1, or ``rng`` is not a Generator.
    """
    if training and p:
        keep = _keep_mask("dropout", np.shape(x), p, rng, np.result_type(x))
        return _dropout(x, keep=keep)
    _check_share("dropout", p)
    return x


def _keep_mask(op: str, shape: Any, p: float, rng: Any, dtype: Any) -> np.ndarray:
    """Draw 0 with probability p, else 1/(1 - p); the same draw in every dtype."""
    _check_share(op, p)
    if not isinstance(rng, np.random.Generator):
        raise RangeError(
            f"{op}: rng is {rng!r}; a numpy.random.Generator is required.",
            help="pass rng=np.random.default_rng(0).",
        )
    keep = (rng.random(shape, dtype=np.float32) >= p).astype(dtype)
    return keep if p == 1 else keep * np.asarray(1 / (1 - p), dtype)


def _check_share(op: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise RangeError(f"{op}: p is {p}; a probability in 0..1 is required.")
