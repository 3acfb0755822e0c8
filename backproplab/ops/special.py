"""Functions that NumPy or the activations need and no elementary formula gives."""

from math import pi, sqrt

import numpy as np

from ..primitive import elementwise

# W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23
# (1969); highest power first.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_FAR = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2,
     5.37181101862009858e2, 1.62138957456669019e3, 3.29079923573345963e3,
     4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip


@elementwise(lambda _y, x: 2 / sqrt(pi) * np.exp(-x * x))
def erf(x):
    r"""Error function, R -> (-1, 1), within 3 units in the last place of float64.

    .. math:: y = \frac{2}{\sqrt\pi} \int_0^x e^{-u^2} du

    From |x| = 6 on it is 1. Two rational approximations of Cody (1969).
    """
    wide = np.asarray(x, np.float64)
    a = np.minimum(np.abs(wide), 6.0)
    s = a * a
    near = a * (np.polyval(_NEAR[0], s) / np.polyval(_NEAR[1], s))
    far = 1 - np.exp(-s) * (np.polyval(_FAR[0], a) / np.polyval(_FAR[1], a))
    y = np.copysign(np.where(a < 0.5, near, far), wide)
    return y.astype(np.result_type(x, np.float16), copy=False)


def _sinc_slope(y, x):
    u = pi * x
    near = np.abs(u) < 0.1
    v = np.where(near, u, 0.0)
    s = v * v
    series = pi * v * (s * (1 / 30 - s * (1 / 840 - s / 45360)) - 1 / 3)
    return np.where(near, series, (np.cos(u) - y) / np.where(near, 1.0, x))


@elementwise(_sinc_slope, numpy=np.sinc)
def sinc(x):
    """sin(pi x)/(pi x), and 1 at 0; slope (cos(pi x) - y)/x, and 0 at 0."""
    return np.sinc(x)
