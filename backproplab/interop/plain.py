"""``xp`` in plain NumPy, for real and for complex numbers: no op of ours is used.

A complex step needs a function that is analytic: an array of ``Stepped`` numbers
refuses what is not, before a wrong number comes of it.
"""

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np

from ..errors import RuleError
from .namespace import MAKERS, MATHS, Namespace, pair

_NOT_ANALYTIC = {
    np.absolute: "abs", np.fabs: "abs", np.conjugate: "conjugate",
    np.maximum: "max", np.minimum: "min", np.fmax: "max", np.fmin: "min",
    np.sign: "sign", np.amax: "max", np.amin: "min", np.sort: "sort",
    np.clip: "clip", np.real: "real", np.imag: "imag", np.angle: "angle",
    np.linalg.norm: "norm", np.var: "var", np.std: "std", np.vdot: "vdot",
    np.argmax: "argmax", np.argmin: "argmin", np.argsort: "argsort",
    np.greater: ">", np.less: "<", np.greater_equal: ">=", np.less_equal: "<=",
}  # fmt: skip


class NotAnalyticError(RuleError):
    """A complex step through a function that has no complex derivative."""

    def __init__(self, name: str) -> None:
        super().__init__(f"not analytic: {name}")


class Stepped(np.ndarray):
    """Complex numbers x + ih: what has no complex derivative is refused.

    >>> abs(np.array([1j]).view(Stepped))
    Traceback (most recent call last):
    ...
    backproplab.interop.plain.NotAnalyticError: not analytic: abs
    """

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **options: Any
    ) -> Any:
        if ufunc in _NOT_ANALYTIC:
            raise NotAnalyticError(_NOT_ANALYTIC[ufunc])
        plain = [_base(x) for x in inputs]
        if "out" in options:
            options["out"] = tuple(_base(x) for x in options["out"])
        return _stepped(getattr(ufunc, method)(*plain, **options))

    def __array_function__(self, f: Any, types: Any, args: Any, options: Any) -> Any:
        if f in _NOT_ANALYTIC:
            raise NotAnalyticError(_NOT_ANALYTIC[f])
        return super().__array_function__(f, types, args, options)

    @property  # type: ignore[misc]  # here it is read alone
    def real(self) -> Any:
        """Refused: taking the real part is not analytic."""
        raise NotAnalyticError("real")

    @property  # type: ignore[misc]  # here it is read alone
    def imag(self) -> Any:
        """Refused: taking the imaginary part is not analytic."""
        raise NotAnalyticError("imag")

    def max(self, *args: Any, **options: Any) -> Any:
        """Refused: complex numbers have no order."""
        raise NotAnalyticError("max")

    def min(self, *args: Any, **options: Any) -> Any:
        """Refused: complex numbers have no order."""
        raise NotAnalyticError("min")

    def var(self, *args: Any, **options: Any) -> Any:
        """Refused: NumPy squares absolute values."""
        raise NotAnalyticError("var")

    def std(self, *args: Any, **options: Any) -> Any:
        """Refused: NumPy squares absolute values."""
        raise NotAnalyticError("std")

    def conj(self) -> Any:
        """Refused: conjugation is not analytic."""
        raise NotAnalyticError("conjugate")

    conjugate = conj


def _base(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Stepped) else x


def _stepped(y: Any) -> Any:
    return np.asarray(y).view(Stepped) if np.iscomplexobj(y) else y


def plain(engine: str) -> Namespace:
    """NumPy's functions, and the layers written out."""
    maths = {name: getattr(np, name) for name in (*MATHS, *MAKERS)}
    own: dict[str, Callable[..., Any]] = {
        "asarray": lambda x, dtype=None: np.asanyarray(x, dtype),
        "avg_pool2d": lambda x, kernel_size: _windows(x, pair(kernel_size)).mean(
            axis=(-2, -1)
        ),
        "batch_norm": batch_norm,
        "conv2d": conv2d,
        "cross_entropy": cross_entropy,
        "gelu": gelu,
        "layer_norm": layer_norm,
        "linear": lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b,
        "log_softmax": lambda x, axis=-1: x - logsumexp(x, axis, keepdims=True),
        "logsumexp": logsumexp,
        "max_pool2d": max_pool2d,
        "mse_loss": lambda x, y: ((x - y) ** 2).mean(),
        "relu": relu,
        "scaled_dot_product_attention": attention,
        "sigmoid": sigmoid,
        "silu": lambda x: x * sigmoid(x),
        "softmax": softmax,
        "softplus": softplus,
        "var": var,
    }
    return Namespace(engine, maths | own)


def relu(x: Any) -> Any:
    """max(x, 0)."""
    if isinstance(x, Stepped):
        raise NotAnalyticError("relu")
    return np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    """1/(1 + e^-x), by tanh: it overflows nowhere."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def softplus(x: Any) -> Any:
    """log(1 + e^x), by the side on which e^x is small."""
    up = _real(x) > 0
    return np.where(up, x, 0) + np.log1p(np.exp(np.where(up, -x, x)))


def gelu(x: Any) -> Any:
    """x times the normal distribution function, for real numbers."""
    if isinstance(x, Stepped):
        raise RuleError("no complex erf in NumPy: gelu")
    return 0.5 * x * (1 + np.vectorize(erf, otypes=[float])(x / np.sqrt(2)))


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x divided by its sum."""
    return np.exp(x - logsumexp(x, axis, keepdims=True))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The logarithm of the sum of e^x, shifted by the largest."""
    shift = _real(x).max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - shift).sum(axis=axis, keepdims=True)) + shift
    return total if keepdims else total.squeeze(axis=axis)


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Mean of squares about the mean; squares, not absolute values."""
    off = x - x.mean(axis=axis, keepdims=True)
    total = (off * off).sum(axis=axis, keepdims=keepdims)
    return total / (x.size // total.size - ddof)


def batch_norm(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
    """Each feature of (n, d, ...) to mean 0 and variance 1 over the rest."""
    along = (-1, *(1,) * (x.ndim - 2))
    y = _standardised(x, (0, *range(2, x.ndim)), eps)
    y = y if gamma is None else y * gamma.reshape(along)
    return y if beta is None else y + beta.reshape(along)


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: Any = 1e-5
) -> Any:
    """Each example to mean 0 and variance 1 over its last axes."""
    y = _standardised(x, tuple(range(-len(tuple(normalized_shape)), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def attention(q: Any, k: Any, v: Any, *, is_causal: bool = False) -> Any:
    """Means of values, weighted by softmax(q k^T / sqrt(d))."""
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -1e300)
    return softmax(scores) @ v


def conv2d(x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0) -> Any:
    """Cross-correlate (n, c, h, w) with (k, c, i, j)."""
    (p, q), (r, s) = pair(padding), pair(stride)
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (q, q)))
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    y = np.einsum("nchwij,kcij->nkhw", seen[:, :, ::r, ::s], w)
    return y if b is None else y + b.reshape(-1, 1, 1)


def max_pool2d(x: Any, kernel_size: Any) -> Any:
    """The greatest of each window; windows side by side."""
    if isinstance(x, Stepped):
        raise NotAnalyticError("max_pool2d")
    return _windows(x, pair(kernel_size)).max(axis=(-2, -1))


def cross_entropy(x: Any, target: Any) -> Any:
    """Mean of -log softmax(x) at the target, over the rows of (n, k)."""
    logs = x - logsumexp(x, -1, keepdims=True)
    return -logs[np.arange(len(logs)), np.asarray(target)].mean()


def _windows(x: Any, size: tuple[int, int]) -> Any:
    (a, b), (h, w) = size, x.shape[-2:]
    x = x[..., : h // a * a, : w // b * b]
    split = x.reshape(*x.shape[:-2], h // a, a, w // b, b)
    return np.swapaxes(split, -3, -2)


def _standardised(x: Any, axes: Any, eps: float) -> Any:
    off = x - x.mean(axis=axes, keepdims=True)
    return off / np.sqrt((off * off).mean(axis=axes, keepdims=True) + eps)


def _real(x: Any) -> Any:
    """Real parts, for a choice that moves no derivative."""
    return np.real(_base(x))
