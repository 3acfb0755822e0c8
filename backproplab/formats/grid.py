"""The numbers of a format: whether one is among them, their spacing, the next ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._arguments import Float64s, float64s, floats
from .format import Format, get
from .rounding import quantize


def on_grid(x: ArrayLike, fmt: str | Format) -> bool:
    """True if every finite number of ``x`` is one of the numbers of ``fmt``.

    >>> on_grid([0.5, np.inf, -3.0], "float8_e4m3fn"), on_grid([0.1], "float16")
    (True, False)
    """
    x = floats("on_grid", x)
    return bool(np.all((quantize(x, fmt, "toward_zero") == x) | ~np.isfinite(x)))


def ulp(x: ArrayLike, fmt: str | Format) -> Float64s:
    """Spacing q of the grid of ``fmt`` from ``|x|`` outwards; NaN for inf and NaN.

    Beyond ``max`` it is the spacing at ``max``.

    >>> ulp([1.0, 2048.0, 0.0], "float16").tolist() == [2**-10, 2.0, 2**-24]
    True
    """
    fmt, x = get(fmt), float64s("ulp", x)
    power = (x.view(np.uint64) & (0x7FF << 52)).view(np.float64)
    q = np.clip(power, fmt.min_normal, 2.0**fmt.emax) * 2.0 ** (1 - fmt.precision)
    return np.where(np.isfinite(x), q, np.nan)


@np.errstate(all="ignore")
def neighbours(x: ArrayLike, fmt: str | Format) -> tuple[Float64s, Float64s]:
    """Largest number of ``fmt`` below ``x``, and smallest above: never ``x`` itself.

    Beyond ``max`` there is inf. The neighbours of NaN are NaN.

    >>> [side.item() for side in neighbours(1.0, "float8_e4m3fn")]
    [0.9375, 1.125]
    """
    fmt, x = get(fmt), float64s("neighbours", x)
    inner = quantize(np.nextafter(x, 0), fmt, "toward_zero", "saturate")
    outer = quantize(x, fmt, "toward_zero", "saturate")
    outer = outer + np.copysign(ulp(outer, fmt), x)
    outer = np.where(np.abs(outer) > fmt.max, np.copysign(np.inf, x), outer)
    inner = np.where(x == 0, -outer, inner)
    up = np.signbit(x)
    return np.where(up, outer, inner), np.where(up, inner, outer)
