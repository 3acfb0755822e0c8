"""Losses of class scores: cross-entropy and its second half, with PyTorch's options."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, RangeError, ShapeError
from ..primitive import primitive
from ._rows import row_max, row_sum, wide
from .loss import _check_reduction


def _scores(rng: np.random.Generator) -> Any:
    labels = np.array([0, 3, -100, 1, 1])
    weight = 0.5 + rng.random(4)
    return (rng.normal(size=(5, 4)), labels), {"weight": weight}


def _smoothed(rng: np.random.Generator) -> Any:
    inputs, options = _scores(rng)
    return inputs, options | {"label_smoothing": 0.1}


def _class_axis(x: Any) -> int:
    return 1 if np.ndim(x) > 1 else 0


def _shares(
    x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float = 0.0
) -> tuple[Any, float]:
    """How much each -log p counts, in x's shape, and what a mean divides by."""
    axis, shape = _class_axis(x), np.shape(x)
    k, along = shape[axis], (-1,) + (1,) * (len(shape) - 1 - axis)
    w = 1 if weight is None else np.asarray(weight, x.dtype).reshape(along)
    if np.shape(target) == shape:
        q, kept, total = target, 1, float(np.size(x) // k)
    else:
        labels = np.expand_dims(np.asarray(target), axis)
        kept = (labels != ignore_index).astype(x.dtype)
        q = (labels == np.arange(k).reshape(along)) * kept
        total = float(np.sum(q * w))
    if label_smoothing:
        q = (1 - label_smoothing) * q + (label_smoothing / k) * kept
    return q * w, total


def _spread(g: Any, x: Any, reduction: str, total: float) -> Any:
    """What of g each row gets, with an axis for the classes."""
    if reduction == "none":
        return np.expand_dims(g, _class_axis(x))
    return g / total if reduction == "mean" and total else g


def _gathered(rows: Any, reduction: str, total: float) -> Any:
    if reduction == "none":
        return rows
    whole = np.add.reduce(rows, None) if isinstance(rows, np.ndarray) else rows.sum()
    return whole if reduction == "sum" else whole / (total or np.nan)


def _log_softmax(x: Any) -> Any:
    axis = _class_axis(x)
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


def _score_slope(x: Any, shares: Any) -> Any:
    all_shares = np.sum(shares, axis=_class_axis(x), keepdims=True)
    return np.exp(_log_softmax(x)) * all_shares - shares


def _cross_entropy_x(g, _y, x, target, *, reduction, saved, **options):
    if saved is None:
        shares, total = _shares(x, target, **options)
        saved = _score_slope(x, shares), total
    slope, total = saved
    return slope * _spread(g, x, reduction, total)


def _target_slope(x: Any, weight: Any, label_smoothing: float) -> Any:
    w = _shares(x, np.ones_like(x), weight, -100)[0]
    return _log_softmax(x) * ((label_smoothing - 1) * w)


def _cross_entropy_target(g, _y, x, target, *, weight, reduction, label_smoothing, **_):
    slope = _target_slope(x, weight, label_smoothing)
    return slope * _spread(g, x, reduction, np.size(x) // np.shape(x)[_class_axis(x)])


def _cross_entropy_jvp(t, _y, x, target, *, reduction, saved=None, **options):
    shares, total = _shares(x, target, **options)
    terms = []
    if t[0] is not None:
        terms.append(_score_slope(x, shares) * t[0])
    if t[1] is not None:
        smoothing = options["label_smoothing"]
        terms.append(_target_slope(x, options["weight"], smoothing) * t[1])
    rows = np.sum(sum(terms[1:], terms[0]), axis=_class_axis(x))
    return _gathered(rows, reduction, total)


@primitive(
    _cross_entropy_x,
    _cross_entropy_target,
    jvp=_cross_entropy_jvp,
    saves=True,
    cast="fp32",
    example=_smoothed,
)
def cross_entropy(
    x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    r"""Mean over rows of :math:`-\log\mathrm{softmax}(x)_c`, c being the true class.

    The slope in x is softmax(x) - onehot(target), divided by n in a mean.

    Args:
        x: (n, k) scores, (n, k, d1, ...), or (k,) for one row.
        target: (n,), (n, d1, ...) or () class numbers; or probabilities of x's shape.
        weight: (k,) what each class counts; the mean over class numbers divides by the
            weights of the rows' classes, not by n.
        ignore_index: rows with this class number count nothing.
        reduction: "mean", "sum" or "none". A mean over no rows is NaN, as in PyTorch.
        label_smoothing: the share of the target that is spread evenly over the classes.

    Raises:
        ShapeError: if target or weight has another shape.
        DTypeError: if class numbers are not integers, or probabilities are.
        RangeError: if a class number is outside 0..k-1, the smoothing outside 0..1, or
            the reduction does not exist.

    >>> cross_entropy(np.zeros((2, 4)), np.array([3, 0])).round(4).item()  # log 4
    1.3863
    """
    _check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise RangeError(
            f"cross_entropy: label_smoothing is {label_smoothing}; "
            "it must lie between 0 and 1."
        )
    x, wide, whole = _checked("cross_entropy", x, target, weight, ignore_index)
    if whole and x.ndim == 2 and weight is None and not label_smoothing and x.size:
        losses, saved = _of_rows(wide, target)
    else:
        shares, total = _shares(wide, target, weight, ignore_index, label_smoothing)
        axis = _class_axis(x)
        z = wide - np.max(wide, axis=axis, keepdims=True)
        p = np.exp(z)
        scale = np.sum(p, axis=axis, keepdims=True)
        p /= scale
        p *= np.sum(shares, axis=axis, keepdims=True)
        p -= shares
        losses = -np.sum(_times(shares, z - np.log(scale)), axis=axis)
        saved = p, total
    loss = _gathered(losses, reduction, saved[1])
    return loss if loss.dtype == x.dtype else loss.astype(x.dtype), saved


def _of_rows(x: np.ndarray, labels: np.ndarray) -> Any:
    """The usual case, (n, k) scores and (n,) labels that all count, without detours."""
    n, k = x.shape
    at = np.arange(0, n * k, k)
    at += labels.astype(np.intp, copy=False)
    # rows first, whatever the order of x: flat is a view, and is written to
    z = np.subtract(x, row_max(x), order="C")
    flat = z.reshape(-1)
    picked = flat[at]
    p = np.exp(z, out=z)
    scale = row_sum(p)
    p /= scale
    flat[at] -= 1
    return np.log(scale[:, 0]) - picked, (p, float(n))


def _nll_x(g, _y, x, target, *, weight, ignore_index, reduction):
    shares, total = _shares(x, target, weight, ignore_index)
    return -shares * _spread(g, x, reduction, total)


def _nll_jvp(t, _y, x, target, *, weight, ignore_index, reduction):
    shares, total = _shares(x, target, weight, ignore_index)
    return _gathered(-np.sum(shares * t[0], axis=_class_axis(x)), reduction, total)


@primitive(_nll_x, None, jvp=_nll_jvp, cast="fp32", example=_scores)
def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    """Minus the log-probability of the true class; ``cross_entropy`` after log_softmax.

    Args:
        x: (n, k) log-probabilities, (n, k, d1, ...), or (k,) for one row.
        target: (n,), (n, d1, ...) or () class numbers.
        weight: (k,) what each class counts, as in ``cross_entropy``.
        ignore_index: rows with this class number count nothing.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, DTypeError, RangeError: as ``cross_entropy``.
    """
    _check_reduction("nll_loss", reduction)
    x, wide, _ = _checked("nll_loss", x, target, weight, ignore_index, numbers=True)
    shares, total = _shares(wide, target, weight, ignore_index)
    losses = -np.sum(_times(shares, wide), axis=_class_axis(x))
    return _gathered(losses, reduction, total).astype(x.dtype)


def _times(shares: Any, z: Any) -> Any:
    """Multiply; 0 where a class counts nothing, be its log-probability -inf."""
    return np.multiply(shares, z, out=np.zeros_like(z), where=shares != 0)


def _unsigned(numbers: np.ndarray) -> np.ndarray:
    """The class numbers, a negative one as a very large one."""
    if numbers.dtype == np.intp:
        return numbers.view(np.uintp)
    return numbers.astype(np.uintp)


def _checked(
    op: str, x: Any, target: Any, weight: Any, ignore_index: int, numbers: bool = False
) -> tuple[Any, Any, bool]:
    """Give x, x in at least float32, and whether every row has a class number."""
    x, target = np.asarray(x), np.asarray(target)
    axis, shape = _class_axis(x), x.shape
    if not shape:
        raise ShapeError(
            f"{op}: x is a scalar; (k,), (n, k) or (n, k, ...) is required."
        )
    k, rows = shape[axis], shape[:axis] + shape[axis + 1 :]
    either = "" if numbers else f", or {shape} probabilities"
    if target.shape != rows and (numbers or target.shape != shape):
        raise ShapeError(
            f"{op}: x is {shape} and target is {target.shape}; "
            f"target must be {rows} class numbers{either}."
        )
    if weight is not None and np.shape(weight) != (k,):
        raise ShapeError(
            f"{op}: weight is {np.shape(weight)}; with {k} classes it must be {(k,)}."
        )
    whole = target.shape == rows
    if target.dtype.kind not in ("iu" if whole else "f"):
        raise DTypeError(
            f"{op}: target is {target.shape} of {target.dtype}; "
            f"it must be {rows} integers{either}.",
            help="`target.astype(int)`." if whole else "`target.astype(float)`.",
        )
    # seen as unsigned, a negative number is too large
    if whole and target.size and np.maximum.reduce(_unsigned(target), None) >= k:
        known = target[target != ignore_index]
        if known.size and (known.min() < 0 or known.max() >= k):
            raise RangeError(
                f"{op}: the class numbers run from {known.min()} to {known.max()}; "
                f"with {k} classes they must lie in 0..{k - 1}.",
                help=f"count classes from 0; ignore_index={ignore_index} marks rows to "
                "leave out.",
            )
        whole = False
    elif whole and 0 <= ignore_index < k:
        whole = not np.any(target == ignore_index)
    if x.dtype.kind != "f":
        x = x.astype(float)
    return x, wide(x), whole
