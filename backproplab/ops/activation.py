"""Activation functions of neural networks, with PyTorch's names, options and kinks."""

from math import inf, pi, sqrt

import numpy as np

from ..errors import RuleError
from ..primitive import elementwise, primitive
from .special import erf

_C, _A = sqrt(2 / pi), 0.044715  # of GELU's approximation by tanh


@elementwise(lambda y, _x: y * (1 - y))
def sigmoid(x):
    """Logistic function 1/(1 + exp(-x)), R -> (0, 1). Its slope is at most 1/4.

    Only exponentials of negative numbers are taken, so nothing overflows and small
    values keep all their digits.
    """
    small = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1.0, small) / (1 + small)


def _softplus_slope(_y, x, *, beta, threshold):
    bx = beta * x
    return np.where(bx > threshold, 1.0, 0.5 + 0.5 * np.tanh(0.5 * bx))


@elementwise(_softplus_slope, cast="fp32")
def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x))/beta, a smooth relu; its slope is sigmoid(beta x).

    Args:
        x: any shape.
        beta: sharpness of the bend.
        threshold: where beta x is above it, y = x and the slope is 1, as in PyTorch.
    """
    bx = np.multiply(beta, x)
    return np.where(bx > threshold, x, np.logaddexp(0, bx) / beta)


@elementwise(lambda y, _x: y > 0)
def relu(x):
    """max(x, 0). The slope at 0 is 0, as in PyTorch."""
    if type(x) is np.ndarray and x.size >= 2048 and x.dtype.kind == "f":
        return x.clip(0, inf)  # several times faster than maximum
    return np.maximum(x, 0)


@elementwise(
    lambda _y, x, *, negative_slope: np.where(
        x > 0, *np.asarray((1, negative_slope), x.dtype)
    )
)
def leaky_relu(x, negative_slope=0.01):
    """x where positive, else negative_slope x. At 0 the slope is the negative one."""
    return np.where(np.greater(x, 0), x, np.multiply(negative_slope, x))


@elementwise(lambda y, x, *, alpha: np.where(x > 0, 1.0, y + alpha))
def elu(x, alpha=1.0):
    """x where positive, else alpha (exp(x) - 1). At 0 the slope is alpha (PyTorch)."""
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))


def _silu_slope(y, x):
    s = 0.5 + 0.5 * np.tanh(0.5 * x)
    return s + y * (1 - s)


@elementwise(_silu_slope)
def silu(x):
    """x sigmoid(x), also called swish; slope s + y(1 - s) where s = sigmoid(x)."""
    return x * sigmoid(x)


def _gelu_tanh(x):
    """The tanh of GELU's approximation: of c x (1 + a x^2)."""
    u = (_A * _C) * x
    u *= x
    u += _C
    u *= x
    return np.tanh(u)


def _gelu_slope(_y, x, *, approximate):
    if approximate == "tanh":
        t = _gelu_tanh(x)
        # (1 + t + x (1 - t^2) c (1 + 3 a x^2))/2, in place on arrays
        slope = (3 * _A * _C) * x
        slope *= x
        slope += _C
        slope *= x
        slope *= 1 - t * t
        slope += t
        slope += 1
        slope *= 0.5
        return slope
    return 0.5 * (1 + erf(x * sqrt(0.5))) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)


@elementwise(_gelu_slope)
def gelu(x, approximate="none"):
    r"""x times the probability that a standard normal variable is below x.

    .. math:: y = x \, \Phi(x), \quad y' = \Phi(x) + x \, \varphi(x)

    Args:
        x: any shape.
        approximate: "none" for the exact formula (by ``erf``), or "tanh" for
            x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), both of Hendrycks & Gimpel
            2016.

    Raises:
        RuleError: if ``approximate`` is neither.
    """
    if approximate == "tanh":
        y = _gelu_tanh(x)
        y += 1
        y *= x
        y *= 0.5
        return y
    if approximate != "none":
        raise RuleError(
            f"gelu: approximate is {approximate!r}; it must be 'none' or 'tanh'."
        )
    return 0.5 * x * (1 + erf(np.multiply(x, sqrt(0.5))))


def _softmax_rule(g, y, axis):
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


@primitive(
    lambda g, y, _x, *, axis: _softmax_rule(g, y, axis),
    jvp=lambda t, y, _x, *, axis: _softmax_rule(t[0], y, axis),
    cast="fp32",
)
def softmax(x, axis=-1):
    r"""exp(x) over its sum: positive numbers that add to 1.

    .. math:: y_i = e^{x_i} / \textstyle\sum_j e^{x_j}, \quad
       \bar x = y \, (g - \textstyle\sum_j g_j y_j)

    The Jacobian diag(y) - y y^T is symmetric, so jvp and vjp are the same rule.

    Args:
        x: any shape.
        axis: the axis, or axes, that add to 1.
    """
    e = np.exp(_below_zero(x, axis))
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive(
    lambda g, y, _x, *, axis: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),
    jvp=lambda t, y, _x, *, axis: (
        t[0] - np.sum(np.exp(y) * t[0], axis=axis, keepdims=True)
    ),
    cast="fp32",
)
def log_softmax(x, axis=-1):
    r"""log(softmax(x)), without the overflow and the log of 0.

    .. math:: y_i = x_i - \log \textstyle\sum_j e^{x_j}, \quad
       \bar x = g - e^{y} \textstyle\sum_j g_j

    Args:
        x: any shape.
        axis: the axis, or axes, whose exponentials add to 1.
    """
    if not np.size(x):
        return np.array(x)
    z = _below_zero(x, axis)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


def _below_zero(x, axis):
    return x - np.max(x, axis=axis, keepdims=True) if np.size(x) else np.array(x)
