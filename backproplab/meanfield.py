r"""What a very wide random net does with sizes, layer by layer: the mean-field theory.

A layer is ``z -> W phi(z) + b`` with weights N(0, s/n), biases N(0, b), n very large.
Each value is then N(0, q) over the random weights, and one number a layer tells all:

.. math:: q_{l+1} = s\,E[\phi(\sqrt{q_l}\,z)^2] + b, \quad
          \chi_1 = s\,E[\phi'(\sqrt{q}\,z)^2], \quad z \sim N(0, 1)

``q`` is the mean square of the values; a squared gradient is multiplied by chi_1 on its
way back through a layer, if the weights on the way back are taken as drawn anew (Poole
et al. 2016; Schoenholz et al. 2017). Here are formulas only, no net.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import RangeError
from .transforms import vjp

Phi = Callable[[Any], Any]

# Midpoints, none of them at 0: kinks there cost nothing.
_EDGES = np.linspace(-9.0, 9.0, 3601)
_Z = (_EDGES[1:] + _EDGES[:-1]) / 2
_WEIGHT = np.exp(-(_Z**2) / 2)
_WEIGHT /= _WEIGHT.sum()
_WIDEST = 1e6  # weight variance beyond which no critical point is looked for


def mean(f: Phi, q: float = 1.0) -> float:
    """E f(sqrt(q) z) for z ~ N(0, 1).

    >>> bool(np.isclose(mean(lambda x: np.maximum(x, 0)), 1 / np.sqrt(2 * np.pi)))
    True
    """
    return float(_WEIGHT @ f(np.sqrt(q) * _Z))


def energy(phi: Phi, q: float = 1.0) -> float:
    """E phi(sqrt(q) z)^2: what a nonlinearity leaves of the mean square q.

    >>> import backproplab as bp
    >>> round(energy(bp.ops.relu, 3.0), 5)
    1.5
    """
    return mean(lambda x: np.square(phi(x)), q)


def slope(phi: Phi, q: float = 1.0) -> float:
    """E phi'(sqrt(q) z)^2; the slope is the engine's, so phi may be any op or function.

    >>> import backproplab as bp
    >>> round(slope(bp.ops.relu), 5)
    0.5
    """
    x = np.sqrt(q) * _Z
    _, pull = vjp(phi, x)
    (d,) = pull(np.ones_like(x))
    return float(_WEIGHT @ np.square(d))


def forward(phi: Phi, q: float, weight: float, bias: float = 0.0) -> float:
    """Mean square one layer on: weight * E phi^2 + bias, both variances."""
    return weight * energy(phi, q) + bias


def chi(phi: Phi, q: float, weight: float) -> float:
    """chi_1: what one layer multiplies a squared gradient by on its way back.

    Below 1 gradients fade and inputs become alike; above 1 gradients explode.
    """
    return weight * slope(phi, q)


def fixed_point(phi: Phi, weight: float, bias: float = 0.0, q: float = 1.0) -> float:
    """q*, the mean square that a deep net settles at.

    Args:
        phi: the nonlinearity, bounded mostly.
        weight: sw^2, n times the variance of a weight.
        bias: sb^2, the variance of a bias.
        q: where to start.

    Raises:
        RangeError: if the values grow without end.

    >>> round(fixed_point(np.tanh, 1.761, 0.05), 3)
    0.57
    """
    for _ in range(10_000):
        last, q = q, forward(phi, q, weight, bias)
        if abs(q - last) <= 1e-12 * (1 + q):
            return q
        if not q < 1e12:
            break
    raise RangeError(
        f"fixed_point: with weight={weight:g} and bias={bias:g} q reaches {q:.3g}; "
        "it settles nowhere.",
        help="lower weight, or take a bounded phi such as np.tanh.",
    )


def critical(phi: Phi, bias: float = 0.0) -> float:
    """sw^2 at which chi_1(q*) is 1: gradients neither fade nor explode.

    For tanh and sb^2 = 0.05 it is 1.761 (Schoenholz et al. 2017, the edge of chaos).

    Args:
        phi: a bounded nonlinearity whose slope is steepest at 0.
        bias: sb^2, the variance of a bias.

    Raises:
        RangeError: if there is none up to a very large weight variance.

    >>> round(critical(np.tanh, 0.05), 3)
    1.761
    """

    def excess(weight: float) -> float:
        return chi(phi, fixed_point(phi, weight, bias), weight) - 1

    low, high = 0.0, 1.0
    while excess(high) < 0:
        low, high = high, 2 * high
        if high > _WIDEST:
            raise RangeError(
                f"critical: chi_1 stays below 1 up to weight={low:g}.",
                help="is phi constant?",
            )
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high


def on_together(c: float) -> float:
    """Share of a ReLU's open gates that are open for a second input as well.

    It is 1 - arccos(c)/pi for inputs of correlation c (Cho & Saul 2009), and so the
    factor by which a He-ReLU layer lowers the correlation of two inputs' gradients
    (Balduzzi et al. 2017): 1/2 where gates are independent, 1 where inputs are alike.

    >>> on_together(0.0), on_together(1.0)
    (0.5, 1.0)
    """
    return float(1 - np.arccos(np.clip(c, -1, 1)) / np.pi)


def relu_correlation(c: float) -> float:
    """Correlation of two inputs after one more He-ReLU layer (Cho & Saul 2009).

    >>> round(relu_correlation(0.0), 4) == round(1 / np.pi, 4), relu_correlation(1.0)
    (True, 1.0)
    """
    c = float(np.clip(c, -1, 1))
    return float((np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi)
