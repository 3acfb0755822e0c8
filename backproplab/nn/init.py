"""First values for weights: each keeps a variance or a norm through the layers.

A shape is (out, in, *kernel), as PyTorch lays weights out. Numbers are drawn in float64
and rounded, so that one seed gives the same weights in every dtype. Names, gains and
definitions of fans are PyTorch's (``torch.nn.init``).
"""

import math
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError, near

__all__ = [
    "calculate_gain", "kaiming_normal", "kaiming_uniform", "orthogonal",
    "xavier_normal", "xavier_uniform",
]  # fmt: skip

Shape = tuple[int, ...]


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, *, gain: float = 1, dtype: Any = float
) -> np.ndarray:
    """U(-a, a) with variance gain^2 * 2/(fan_in + fan_out): Glorot & Bengio 2010.

    >>> w = xavier_uniform((30, 70), np.random.default_rng(0))
    >>> bool(abs(w).max() < np.sqrt(6 / 100))
    True
    """
    return _uniform(shape, rng, gain * math.sqrt(2 / sum(_fans(shape))), dtype)


def xavier_normal(
    shape: Shape, rng: np.random.Generator, *, gain: float = 1, dtype: Any = float
) -> np.ndarray:
    """N(0, s^2) with s^2 = gain^2 * 2/(fan_in + fan_out): Glorot & Bengio 2010."""
    return _normal(shape, rng, gain * math.sqrt(2 / sum(_fans(shape))), dtype)


def kaiming_uniform(
    shape: Shape,
    rng: np.random.Generator,
    *,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    gain: float | None = None,
    dtype: Any = float,
) -> np.ndarray:
    """U(-b, b) with variance gain^2/fan: He et al. 2015.

    Args:
        shape: (out, in, *kernel).
        rng: where the numbers come from.
        a: slope of leaky_relu below 0.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows the layer; see ``calculate_gain``.
        gain: given outright, in place of ``a`` and ``nonlinearity``.
        dtype: of the result.
    """
    std = _kaiming_std(shape, a, mode, nonlinearity, gain)
    return _uniform(shape, rng, std, dtype)


def kaiming_normal(
    shape: Shape,
    rng: np.random.Generator,
    *,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    gain: float | None = None,
    dtype: Any = float,
) -> np.ndarray:
    """N(0, s^2) with s^2 = gain^2/fan: He et al. 2015. Options: ``kaiming_uniform``."""
    std = _kaiming_std(shape, a, mode, nonlinearity, gain)
    return _normal(shape, rng, std, dtype)


def orthogonal(
    shape: Shape, rng: np.random.Generator, *, gain: float = 1, dtype: Any = float
) -> np.ndarray:
    """Every singular value is ``gain``, of w as (out, in * kernel): Saxe et al. 2014.

    Uniform over such matrices: R's diagonal gives its signs to Q (Mezzadri 2007).

    >>> w = orthogonal((3, 5), np.random.default_rng(0), gain=2)
    >>> np.allclose(w @ w.T, 4 * np.eye(3))
    True
    """
    _fans(shape)
    rng = require_rng("nn.init", rng)
    rows, columns = shape[0], math.prod(shape[1:])
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.sign(np.diagonal(r))
    w = q if rows >= columns else q.T
    return np.asarray(gain * w.reshape(shape), dtype)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that makes up for what a nonlinearity takes from the variance.

    Args:
        nonlinearity: name as in PyTorch; "relu" gives sqrt 2, "tanh" 5/3, "selu" 3/4.
        param: slope of leaky_relu below 0 (0.01 if None).

    >>> calculate_gain("relu") == math.sqrt(2)
    True
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise RangeError(
            f"calculate_gain: nonlinearity is {nonlinearity!r}; it has no gain here.",
            help=near(nonlinearity, [*_GAINS, "leaky_relu"]),
        )
    return _GAINS[nonlinearity]


_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def require_rng(name: str, rng: Any) -> np.random.Generator:
    """Accept a Generator, and nothing that would need a hidden state.

    Raises:
        TypeError: if it is anything else, such as None or a bare seed.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    raise TypeError(
        f"{name}: rng is {rng!r}; a numpy.random.Generator is required.\n"
        "  help: pass rng=np.random.default_rng(0)."
    )


def _fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out): values that meet in an output, or leave an input."""
    if len(shape) < 2:
        raise ShapeError(
            f"nn.init: the shape is {tuple(shape)}; (out, in, ...) is required, "
            "because the spread is set by the fans.",
            help="a bias has no fans: start it at np.zeros(n).",
        )
    if min(shape) < 0:
        raise ShapeError(
            f"nn.init: the shape is {tuple(shape)}; sizes of at least 0 are required."
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _kaiming_std(
    shape: Shape, a: float, mode: str, nonlinearity: str, gain: float | None
) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise RangeError(
            f"nn.init: mode is {mode!r}; fan_in or fan_out is required.",
            help=near(str(mode), ["fan_in", "fan_out"]),
        )
    if gain is None:
        gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(_fans(shape)[mode == "fan_out"])


def _uniform(
    shape: Shape, rng: np.random.Generator, std: float, dtype: Any
) -> np.ndarray:
    """Draw from U(-b, b), whose variance is b^2/3."""
    rng, bound = require_rng("nn.init", rng), math.sqrt(3) * std
    return rng.uniform(-bound, bound, shape).astype(dtype)


def _normal(
    shape: Shape, rng: np.random.Generator, std: float, dtype: Any
) -> np.ndarray:
    rng = require_rng("nn.init", rng)
    return (std * rng.standard_normal(shape)).astype(dtype)
