"""Normalisations: numbers brought to mean 0 and variance 1, each over its own axes."""

from math import prod
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError
from ..primitive import primitive
from ._rows import wide
from ._standardise import Layout, dot_of, pull, push, sum_of, value


def _by_feature(x: Any) -> Layout:
    n, d, *rest = np.shape(x)
    if not rest:
        return Layout((n, d), (0,), (n, d), (d,), (0,))
    shape = (n, d, prod(rest))
    return Layout(shape, (0, 2), shape, (d, 1), (0, 2))


def moments(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each feature, (d,) and (d,), over all else.

    Args:
        x: array (n, d) or (n, d, ...); no gradient flows.
    """
    layout = _by_feature(x)
    rows = np.reshape(wide(x), layout.rows)
    mean = sum_of(rows, layout.axes) / layout.sharing
    rows = rows - mean
    variance = dot_of(rows, rows, layout.axes) / layout.sharing
    return mean.reshape(-1), variance.reshape(-1)


@primitive(
    vjp=lambda g, _y, x, gamma, beta, *, wrt, eps, saved, **_: pull(
        g, x, gamma, beta, _by_feature(x), eps, saved
    ),
    jvp=lambda t, _y, x, gamma, _beta, *, eps, saved=None, **_: push(
        t, x, gamma, _by_feature(x), eps, saved
    ),
    inputs=3,
    saves=True,
    cast="fp32",
    example=lambda rng: (
        (rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=3)),
        {},
    ),
)
def batch_norm(x, gamma, beta, *, eps=1e-5, moments=None):
    r"""Normalise each feature over the batch, then scale and shift.

    .. math:: \hat x = (x - \mu)/\sqrt{\sigma^2 + \epsilon}, \; y = \gamma\hat x + \beta

    The variance is biased (divides by n), as in Ioffe & Szegedy 2015, algorithm 1. With
    further axes, (n, d, h, w), each feature is normalised over all axes but its own.

    Args:
        x: (n, d) batch, or (n, d, ...).
        gamma: (d,) scale, or None.
        beta: (d,) shift, or None.
        eps: added to the variance, not to the standard deviation.
        moments: what ``moments(x)`` returns, where it is already known.

    Returns:
        The shape of ``x``, same dtype.

    Raises:
        ShapeError: if ``x`` has fewer than 2 axes, or a weight is not (d,).

    >>> x = np.array([[1.0], [4.0], [1.0]])
    >>> batch_norm(x, np.ones(1), np.zeros(1), eps=0).round(3).ravel().tolist()
    [-0.707, 1.414, -0.707]
    """
    if np.ndim(x) < 2:
        raise ShapeError(
            f"batch_norm: x is {np.shape(x)}; (n, d) or (n, d, ...) is required.",
            help="a batch has one row for each example: `x[:, None]` for one feature.",
        )
    layout = _by_feature(x)
    d = (layout.rows[1],)
    _check_weights("batch_norm", x, d, gamma=gamma, beta=beta)
    if moments is not None:
        moments = [np.reshape(m, layout.weights) for m in moments]
    return value(x, gamma, beta, layout, eps, moments)


def _by_row(x: Any, normalized_shape: Any, centred: bool = True) -> Layout:
    d = prod(_sizes(normalized_shape))
    n = np.size(x) // d if d else 0
    return Layout((n, d), (1,), (n, d), (d,), (0,), centred)


@primitive(
    vjp=lambda g, _y, x, weight, bias, *, wrt, normalized_shape, eps, saved: pull(
        g, x, weight, bias, _by_row(x, normalized_shape), eps, saved
    ),
    jvp=lambda t, _y, x, weight, _bias, *, normalized_shape, eps, saved=None: push(
        t, x, weight, _by_row(x, normalized_shape), eps, saved
    ),
    inputs=3,
    saves=True,
    cast="fp32",
    name="layer_norm",
    example=lambda rng: (
        (rng.normal(size=(3, 2, 4)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))),
        {"normalized_shape": (2, 4)},
    ),
)
def _layer_norm(x, weight, bias, *, normalized_shape, eps=1e-5):
    """Normalise each example over its own last axes: z, then weight z + bias."""
    shape = _check_tail("layer_norm", x, normalized_shape)
    _check_weights("layer_norm", x, shape, weight=weight, bias=bias)
    return value(x, weight, bias, _by_row(x, shape), eps)


def layer_norm(
    x: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise each example over its own last axes, then scale and shift.

    Ba, Kiros & Hinton 2016; the variance is biased, and eps is added to it.

    Args:
        x: (..., *normalized_shape).
        normalized_shape: sizes of the last axes, or the size of the last one.
        weight: normalized_shape, or None.
        bias: normalized_shape, or None.
        eps: added to the variance.

    Raises:
        ShapeError: if ``x`` does not end with that shape, or a weight has another.

    >>> layer_norm(np.array([1.0, 2.0, 3.0]), 3, eps=0).round(3).tolist()
    [-1.225, 0.0, 1.225]
    """
    return _layer_norm(x, weight, bias, normalized_shape=normalized_shape, eps=eps)


def _by_group(x: Any, num_groups: int) -> Layout:
    n, c, *rest = np.shape(x)
    length = prod(rest)
    rows = (n * num_groups, c // num_groups * length)
    return Layout(rows, (1,), (n, c, length), (c, 1), (0, 2))


@primitive(
    vjp=lambda g, _y, x, weight, bias, *, wrt, num_groups, eps, saved: pull(
        g, x, weight, bias, _by_group(x, num_groups), eps, saved
    ),
    jvp=lambda t, _y, x, weight, _bias, *, num_groups, eps, saved=None: push(
        t, x, weight, _by_group(x, num_groups), eps, saved
    ),
    inputs=3,
    saves=True,
    cast="fp32",
    name="group_norm",
    example=lambda rng: (
        (rng.normal(size=(2, 4, 3)), rng.normal(size=4), rng.normal(size=4)),
        {"num_groups": 2},
    ),
)
def _group_norm(x, weight, bias, *, num_groups, eps=1e-5):
    """Normalise groups of channels within each example: z, then weight z + bias."""
    if np.ndim(x) < 2:
        raise ShapeError(
            f"group_norm: x is {np.shape(x)}; (n, c) or (n, c, ...) is required."
        )
    c = np.shape(x)[1]
    if num_groups < 1 or c % num_groups:
        raise RangeError(
            f"group_norm: num_groups is {num_groups}; it must divide the {c} channels."
        )
    _check_weights("group_norm", x, (c,), weight=weight, bias=bias)
    return value(x, weight, bias, _by_group(x, num_groups), eps)


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise groups of channels within each example, then scale and shift channels.

    Wu & He 2018. One group normalises whole examples, c groups each channel alone
    (instance norm).

    Args:
        x: (n, c, ...).
        num_groups: a divisor of c.
        weight: (c,) or None.
        bias: (c,) or None.
        eps: added to the biased variance.

    Raises:
        ShapeError: if ``x`` has fewer than 2 axes, or a weight is not (c,).
        RangeError: if the groups do not divide the channels.
    """
    return _group_norm(x, weight, bias, num_groups=num_groups, eps=eps)


@primitive(
    vjp=lambda g, _y, x, weight, *, wrt, normalized_shape, eps, saved: pull(
        g, x, weight, None, _by_row(x, normalized_shape, False), _floor(eps, x), saved
    ),
    jvp=lambda t, _y, x, weight, *, normalized_shape, eps, saved=None: push(
        (*t, None),
        x,
        weight,
        _by_row(x, normalized_shape, False),
        _floor(eps, x),
        saved,
    ),
    inputs=2,
    saves=True,
    cast="fp32",
    name="rms_norm",
    example=lambda rng: (
        (rng.normal(size=(3, 4)), rng.normal(size=4)),
        {"normalized_shape": 4, "eps": 0.1},
    ),
)
def _rms_norm(x, weight, *, normalized_shape, eps=None):
    """Divide each example by its root mean square: z, then weight z."""
    shape = _check_tail("rms_norm", x, normalized_shape)
    _check_weights("rms_norm", x, shape, weight=weight)
    return value(x, weight, None, _by_row(x, shape, False), _floor(eps, x))


def rms_norm(
    x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divide each example by its root mean square, then scale; the mean stays.

    Zhang & Sennrich 2019.

    Args:
        x: (..., *normalized_shape).
        normalized_shape: sizes of the last axes, or the size of the last one.
        weight: normalized_shape, or None.
        eps: added to the mean square; the machine epsilon of x's dtype where None.

    Raises:
        ShapeError: if ``x`` does not end with that shape, or the weight has another.
    """
    return _rms_norm(x, weight, normalized_shape=normalized_shape, eps=eps)


def _floor(eps: float | None, x: Any) -> float:
    return float(np.finfo(np.result_type(x)).eps) if eps is None else eps


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(shape) if np.ndim(shape) else (int(shape),)


def _check_tail(op: str, x: Any, normalized_shape: Any) -> tuple[int, ...]:
    tail, shape = _sizes(normalized_shape), np.shape(x)
    if not tail or shape[-len(tail) :] != tail:
        raise ShapeError(
            f"{op}: x is {shape} and normalized_shape is {tail}; x must end with it."
        )
    return tail


def _check_weights(op: str, x: Any, required: tuple[int, ...], **weights: Any) -> None:
    for name, weight in weights.items():
        if weight is not None and np.shape(weight) != required:
            raise ShapeError(
                f"{op}: x is {np.shape(x)} and {name} is {np.shape(weight)}; "
                f"{name} must be {required}."
            )
