"""Losses of a prediction x and a target y, computed entry by entry, then reduced.

Names and options are PyTorch's. Losses of class scores live in ``likelihood``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError
from ..primitive import primitive
from .activation import sigmoid

_REDUCTIONS = ("mean", "sum", "none")


def _loss(
    slope_x: Any, slope_y: Any, *, by_weight: bool = False, example: Any = None
) -> Callable[[Any], Any]:
    """Declare a loss by the slopes of one entry in x and in y.

    The reduction is linear, so both rules follow: an entry gets its share of g.
    ``by_weight`` says that a mean divides by the sum of the weights.
    """

    def count(x: Any, reduction: str, weight: Any = None, **_: Any) -> Any:
        return _divisor(x, reduction, weight if by_weight else None)

    def pull(slope: Any) -> Any:
        def rule(g: Any, _z: Any, x: Any, y: Any, **options: Any) -> Any:
            return g / count(x, **options) * slope(x, y, **options)

        return rule

    def push(t: Any, _z: Any, x: Any, y: Any, *, reduction: str, **options: Any) -> Any:
        entries = [
            s * slope(x, y, **options)
            for s, slope in zip(t, (slope_x, slope_y), strict=True)
            if s is not None
        ]
        total = np.broadcast_to(sum(entries[1:], entries[0]), np.shape(x))
        if reduction != "none":
            total = np.sum(total)
        return total / count(x, reduction, **options)

    return primitive(
        pull(slope_x), pull(slope_y), jvp=push, cast="fp32", example=example or _pair
    )


def _pair(rng: np.random.Generator) -> Any:
    return (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))), {}


def _divisor(x: Any, reduction: str, weight: Any = None) -> Any:
    """By what the sum of the entries is divided."""
    if reduction == "mean":
        if weight is None:
            return np.size(x) or np.nan
        return float(np.sum(np.broadcast_to(weight, np.shape(x))))
    return np.shape(x)[0] if reduction == "batchmean" else 1


def _check_reduction(op: str, reduction: str, known: Any = _REDUCTIONS) -> None:
    """Refuse a reduction that does not exist."""
    if reduction not in known:
        raise RangeError(
            f"{op}: reduction is {reduction!r}; "
            f"it must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}."
        )


def _reduce(op: str, entries: Any, x: Any, reduction: str, weight: Any = None) -> Any:
    _check_reduction(op, reduction)
    return entries if reduction == "none" else _total(entries, x, reduction, weight)


def _total(entries: Any, x: Any, reduction: str, weight: Any = None) -> Any:
    return np.sum(entries) / _divisor(x, reduction, weight)


def _check_target(op: str, x: Any, y: Any) -> None:
    shape = np.shape(x)
    if np.shape(y) != shape and np.broadcast_shapes(shape, np.shape(y)) != shape:
        raise ShapeError(
            f"{op}: x is {shape} and y is {np.shape(y)}; y must have, "
            "or broadcast to, x's shape.",
            help=f"`y.reshape({shape})`, if the numbers are in that order."
            if np.size(y) == np.size(x)
            else "",
        )


def _weighed(entries: Any, weight: Any) -> Any:
    return entries if weight is None else entries * np.asarray(weight, entries.dtype)


@_loss(
    lambda x, y, *, weight, **_: _weighed(2 * (x - y), weight),
    lambda x, y, *, weight, **_: _weighed(2 * (y - x), weight),
    by_weight=True,
)
def mse_loss(x, y, reduction="mean", weight=None):
    """Squared difference (x - y)^2, averaged over all entries; slope 2(x - y).

    Args:
        x: prediction, any shape.
        y: target, of x's shape or broadcasting to it.
        reduction: "mean", "sum" or "none".
        weight: of each entry; a mean then divides by the sum of the weights.

    Raises:
        ShapeError: if y does not broadcast to x's shape: (n, 1) against (n,) would
            quietly compare each with all (PyTorch only warns).
        RangeError: if the reduction does not exist.
    """
    _check_target("mse_loss", x, y)
    d = np.subtract(x, y)
    return _reduce("mse_loss", _weighed(d * d, weight), d, reduction, weight)


@_loss(
    lambda x, y, *, weight, **_: _weighed(np.sign(x - y), weight),
    lambda x, y, *, weight, **_: _weighed(np.sign(y - x), weight),
    by_weight=True,
)
def l1_loss(x, y, reduction="mean", weight=None):
    """Absolute difference; its slope is the sign, 0 where x = y, as in PyTorch.

    The arguments are those of ``mse_loss``.
    """
    _check_target("l1_loss", x, y)
    d = np.subtract(x, y)
    return _reduce("l1_loss", _weighed(np.abs(d), weight), d, reduction, weight)


@_loss(
    lambda x, y, *, delta, weight, **_: _weighed(np.clip(x - y, -delta, delta), weight),
    lambda x, y, *, delta, weight, **_: _weighed(np.clip(y - x, -delta, delta), weight),
)
def huber_loss(x, y, reduction="mean", delta=1.0, weight=None):
    """Half the squared difference up to ``delta``, beyond it a line of slope delta.

    With d = x - y: d^2/2 where abs(d) <= delta, else delta (abs(d) - delta/2);
    Huber 1964. The other arguments are those of ``mse_loss``, but a weighted mean
    divides by the count of entries, as in PyTorch.

    Raises:
        RangeError: if ``delta`` is not positive.
    """
    _check_target("huber_loss", x, y)
    _check_positive("huber_loss", "delta", delta)
    d = np.subtract(x, y)
    near = np.clip(d, -delta, delta)
    return _reduce(
        "huber_loss", _weighed(near * (d - 0.5 * near), weight), d, reduction
    )


def _smooth(d: Any, beta: float) -> Any:
    return np.clip(d / beta, -1, 1) if beta else np.sign(d)


@_loss(
    lambda x, y, *, beta, **_: _smooth(x - y, beta),
    lambda x, y, *, beta, **_: _smooth(y - x, beta),
)
def smooth_l1_loss(x, y, reduction="mean", beta=1.0):
    """Huber's loss divided by its width ``beta``: slope 1 far out; L1 where beta is 0.

    The other arguments are those of ``mse_loss``.

    Raises:
        RangeError: if ``beta`` is negative.
    """
    _check_target("smooth_l1_loss", x, y)
    if beta:
        _check_positive("smooth_l1_loss", "beta", beta)
    d = np.subtract(x, y)
    near = np.clip(d, -beta, beta)
    entries = near * (d - 0.5 * near) / beta if beta else np.abs(d)
    return _reduce("smooth_l1_loss", entries, d, reduction)


def _rise(y: Any, pos_weight: Any) -> Any:
    """The weight of softplus(-x): 1, or more for the positive share of the target."""
    if pos_weight is None:
        return 1
    return 1 + (np.asarray(pos_weight, y.dtype) - 1) * y


def _logit_slope(x: Any, y: Any, *, weight: Any, pos_weight: Any, **_: Any) -> Any:
    if pos_weight is None:
        return _weighed(sigmoid(x) - y, weight)
    return _weighed(1 - y - _rise(y, pos_weight) * sigmoid(-x), weight)


def _truth_slope(x: Any, _y: Any, *, weight: Any, pos_weight: Any, **_: Any) -> Any:
    if pos_weight is None:
        return _weighed(-1.0 * x, weight)
    extra = np.asarray(pos_weight, x.dtype) - 1
    return _weighed(extra * np.logaddexp(0, -1.0 * x) - x, weight)


@_loss(
    _logit_slope,
    _truth_slope,
    example=lambda rng: (
        (rng.normal(size=(3, 4)), rng.random((3, 4))),
        {"weight": rng.random(4), "pos_weight": 1 + rng.random(4)},
    ),
)
def binary_cross_entropy_with_logits(
    x, y, weight=None, reduction="mean", pos_weight=None
):
    """Cross-entropy of yes and no, x being the log-odds of yes; slope sigmoid(x) - y.

    Computed as (1 - y) x + softplus(-x), which does not overflow.

    Args:
        x: logits, any shape.
        y: probabilities of yes, of x's shape.
        weight: of each entry; a mean still divides by their count.
        reduction: "mean", "sum" or "none".
        pos_weight: how much more a missed yes costs.
    """
    op = "binary_cross_entropy_with_logits"
    _check_target(op, x, y)
    x, y = np.asarray(x), np.asarray(y)
    entries = (1 - y) * x + _rise(y, pos_weight) * np.logaddexp(0, -1.0 * x)
    return _reduce(op, _weighed(entries, weight), x, reduction)


def _log_or_zero(y: Any) -> Any:
    """Log y, with 0 where y is not positive."""
    return np.log(np.where(y > 0, y, np.ones_like(y)))


def _kl_target_slope(x: Any, y: Any, *, log_target: bool, **_: Any) -> Any:
    if log_target:
        return np.exp(y) * (y - x + 1)
    return (_log_or_zero(y) + 1 - x) * (y > 0)


@_loss(
    lambda _x, y, *, log_target, **_: -np.exp(y) if log_target else -1.0 * y,
    _kl_target_slope,
    example=lambda rng: (
        (rng.normal(size=(3, 4)), 0.5 + rng.random((3, 4))),
        {"reduction": "batchmean"},
    ),
)
def kl_div(x, y, reduction="mean", log_target=False):
    """Divergence y (log y - x) from the log-probabilities x to the probabilities y.

    0 log 0 is 0, and the slope in y there is taken as 0.

    Args:
        x: log-probabilities, any shape.
        y: probabilities, of x's shape; their logarithms with ``log_target``.
        reduction: "mean" over all entries, "batchmean" (the sum divided by the size of
            the first axis: the divergence proper), "sum" or "none".
        log_target: whether y holds logarithms.
    """
    _check_reduction("kl_div", reduction, ("mean", "batchmean", "sum", "none"))
    _check_target("kl_div", x, y)
    y = np.broadcast_to(y, np.shape(x))
    entries = np.exp(y) * (y - x) if log_target else y * (_log_or_zero(y) - x)
    return entries if reduction == "none" else _total(entries, x, reduction)


def _check_positive(op: str, name: str, value: float) -> None:
    if not value > 0:
        raise RangeError(f"{op}: {name} is {value}; it must be positive.")
