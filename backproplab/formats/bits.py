"""The bit patterns of a format, and the numbers that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import Float64s, float64s
from .format import Format, get
from .rounding import quantize


def encode(x: ArrayLike, fmt: str | Format) -> NDArray[np.unsignedinteger[Any]]:
    """Bit patterns of ``x``, rounded to nearest, in the low bits of unsigned integers.

    Returns:
        Array of ``x``'s shape; uint8, uint16, uint32 or uint64, as ``fmt`` needs.

    Raises:
        TypeError: if ``x`` is not float16, float32 or float64.
        ValueError: if ``x`` holds a NaN and the format has none.

    >>> [f"{code:08b}" for code in encode([1.0, -448.0, np.nan], "float8_e4m3fn")]
    ['00111000', '11111110', '01111111']
    """
    fmt, x = get(fmt), float64s("encode", x)
    if not fmt.has_nan and np.isnan(x).any():
        raise ValueError(
            f"encode: seen NaN in x; required numbers, since {fmt.name} has no NaN.\n"
            "  help: replace it first: np.nan_to_num(x)."
        )
    y = np.atleast_1d(quantize(x, fmt))
    width, drop, ones, top, rebias = _layout(fmt)
    sign, size = y.view(np.uint64) >> 63, np.abs(y)
    subnormal = size < fmt.min_normal
    # Added to min_normal, a subnormal number shows its bits behind a hidden one.
    np.add(size, fmt.min_normal, out=size, where=subnormal)
    kept = size.view(np.uint64) >> drop
    code = kept - ((rebias + subnormal) << width)
    unsaid = np.isnan(y) & ((kept & ones == 0) | (not fmt.has_inf))
    code = np.where(np.isfinite(y), code, top | np.where(unsaid, ones, kept & ones))
    code |= sign << (fmt.bits - 1)
    return code.astype(f"u{(fmt.bits + 7) // 8}").reshape(x.shape)


def decode(bits: ArrayLike, fmt: str | Format) -> Float64s:
    """The numbers that bit patterns stand for, exactly.

    ``encode`` gives every pattern back, those of all the NaNs included.

    Raises:
        TypeError: if ``bits`` are not integers.
        ValueError: if one is negative or has more than ``fmt.bits`` bits.

    >>> decode([0x3C00, 0x0001, 0x8000, 0x7C00], "float16").tolist()
    [1.0, 5.960464477539063e-08, -0.0, inf]
    """
    fmt, given = get(fmt), np.asarray(bits)
    if given.dtype.kind not in "iu":
        raise TypeError(
            f"decode: seen bits of dtype {given.dtype}; required integers.\n"
            "  help: bit patterns come from encode(x, fmt)."
        )
    if given.size and not 0 <= int(given.min()) <= int(given.max()) < 2**fmt.bits:
        raise ValueError(
            f"decode: seen bits from {given.min()} to {given.max()}; required 0 to "
            f"{2**fmt.bits - 1}, since {fmt.name} has {fmt.bits} bits.\n"
            "  help: bit patterns come from encode(x, fmt)."
        )
    width, drop, ones, top, rebias = _layout(fmt)
    codes = np.atleast_1d(given).astype(np.uint64)
    sign, code = codes >> (fmt.bits - 1), codes & (2 ** (fmt.bits - 1) - 1)
    subnormal = code <= ones
    field = (code + ((rebias + subnormal) << width)) << drop
    size = field.view(np.float64)
    np.subtract(size, fmt.min_normal, out=size, where=subnormal)
    special = code >= (top if fmt.has_inf else top | ones if fmt.has_nan else 2**63)
    np.copyto(field, 0x7FF << 52 | (code & ones) << drop, where=special)
    field |= sign << 63
    numbers: Float64s = field.view(np.float64).reshape(given.shape)
    return numbers


def _layout(fmt: Format) -> tuple[int, int, int, int, np.uint64]:
    """Where the fields lie, in the format and in float64.

    Returns:
        Stored significand bits, and how many more float64 has; all ones in the
        significand; all ones in the exponent; float64's bias less the format's.
    """
    width = fmt.precision - 1
    top = (2**fmt.exponent_bits - 1) << width
    return width, 52 - width, 2**width - 1, top, np.uint64(1022 + fmt.emin)
