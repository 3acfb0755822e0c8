"""Floating-point formats: their limits, rounding to them, and their bits.

Rounded numbers stay in the array's own dtype, so that NumPy computes with them at full
speed. Where rounding happens in a run is decided elsewhere (``amp``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Float64s: TypeAlias = NDArray[np.float64]
Chance: TypeAlias = Any  # a Generator, wherever chance is used
Rounding: TypeAlias = Literal["nearest", "stochastic", "toward_zero"]
Overflow: TypeAlias = Literal["inf", "nan", "saturate"]


@dataclass(frozen=True, slots=True)
class Format:
    """Five facts define a binary format; every limit follows from them.

    Attributes:
        name: as in NumPy and ml_dtypes ("fn": finite, with or without NaN).
        exponent_bits: width of the exponent field.
        precision: bits p of the significand, the hidden one included.
        has_inf: the top exponent is kept for infinities and NaNs, as in IEEE 754.
        has_nan: there is a NaN; without infinities it is the pattern of all ones.

    >>> half = get("float16")
    >>> half.bits, half.max, half.overflow_threshold, half.unit_roundoff == 2**-11
    (16, 65504.0, 65520.0, True)
    """

    name: str
    exponent_bits: int
    precision: int
    has_inf: bool = True
    has_nan: bool = True

    @property
    def bits(self) -> int:
        """Bits in storage: sign, exponent, significand less its hidden bit."""
        return self.exponent_bits + self.precision

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 2 - (1 << (self.exponent_bits - 1))

    @property
    def emax(self) -> int:
        """Exponent of the largest number."""
        return 1 - self.emin + (not self.has_inf)

    @property
    def max(self) -> float:
        """Largest finite number: one step below the binade's end, or two for a NaN."""
        steps = 2 if self.has_nan and not self.has_inf else 1
        return (2 - steps * 2.0 ** (1 - self.precision)) * 2.0**self.emax

    @property
    def min_normal(self) -> float:
        """Smallest number that has all p bits; below it the spacing stays."""
        return 2.0**self.emin

    @property
    def min_subnormal(self) -> float:
        """Smallest number above zero: the spacing of the subnormal numbers."""
        return 2.0 ** (self.emin + 1 - self.precision)

    @property
    def unit_roundoff(self) -> float:
        """Largest relative error, 2^-p, of rounding a normal number to nearest."""
        return 2.0**-self.precision

    @property
    def overflow_threshold(self) -> float:
        """Halfway from ``max`` to the number that would follow; inf for float64."""
        return self.max + 2.0 ** (self.emax - self.precision)

    @property
    def default_overflow(self) -> Overflow:
        """What overflow gives unless asked otherwise: ml_dtypes' choice."""
        return "inf" if self.has_inf else "nan" if self.has_nan else "saturate"


_FORMATS = {
    fmt.name: fmt
    for fmt in (
        Format("float64", 11, 53),
        Format("float32", 8, 24),
        Format("float16", 5, 11),
        Format("bfloat16", 8, 8),
        Format("float8_e5m2", 5, 3),
        Format("float8_e4m3fn", 4, 4, has_inf=False),
        Format("float6_e3m2fn", 3, 3, has_inf=False, has_nan=False),
        Format("float6_e2m3fn", 2, 4, has_inf=False, has_nan=False),
        Format("float4_e2m1fn", 2, 2, has_inf=False, has_nan=False),
    )
}


def names() -> tuple[str, ...]:
    """Every known format, widest first: IEEE 754, bfloat16, and the OCP formats.

    >>> names()[:4]
    ('float64', 'float32', 'float16', 'bfloat16')
    """
    return tuple(_FORMATS)


def get(fmt: str | Format) -> Format:
    """The format of that name; a ``Format`` is returned as it is.

    Raises:
        ValueError: if the name is unknown; the message lists the known ones.

    >>> get("float8_e4m3fn").max
    448.0
    """
    if isinstance(fmt, Format):
        return fmt
    if isinstance(fmt, str) and fmt in _FORMATS:
        return _FORMATS[fmt]
    raise ValueError(
        f"formats.get: seen {fmt!r}; required one of {', '.join(names())}.\n"
        "  help: pass one of these names, or a formats.Format of your own."
    )


@np.errstate(all="ignore")
def quantize(
    x: ArrayLike,
    fmt: str | Format,
    rounding: Rounding = "nearest",
    overflow: Overflow | None = None,
    rng: np.random.Generator | None = None,
) -> Floats:
    r"""Round every number of ``x`` once, to the grid of ``fmt``.

    .. math:: y = \pm q\,\mathrm{round}(|x| / q), \quad
              q = 2^{\max(\lfloor\log_2|x|\rfloor,\, e_{min}) + 1 - p}

    Zeros keep their sign. NaN stays NaN, also where the format has none: no error
    may turn into a number. Nothing warns.

    Args:
        x: floats of any shape; Python floats are float64.
        fmt: name or :class:`Format`.
        rounding: "nearest" (ties to even), "toward_zero" (never overflows: IEEE 754,
            section 7.4) or "stochastic" (to either neighbour, with odds that make x
            the mean, to 2^-53 q; Gupta et al. 2015).
        overflow: what stands for infinities and for results beyond ``max``: "inf",
            "nan" or "saturate" (``max``, signed). Left out, the first of the three that
            the format has, as in ml_dtypes.
        rng: the source of chance, for "stochastic" only.

    Returns:
        New array, shape and dtype of ``x``; float16 widens to float32 if the format
        goes beyond float16.

    Raises:
        TypeError: if ``x`` is not float16, float32 or float64.
        ValueError: if an option is unknown or the format has no such overflow.

    >>> quantize([0.1, 1e5, -0.0], "float16").tolist()
    [0.0999755859375, inf, -0.0]
    >>> quantize(1e5, "float16", overflow="saturate").item()
    65504.0
    """
    fmt, source = get(fmt), _floats("quantize", x)
    overflow = _check_options(fmt, rounding, overflow, rng)
    held = _FORMATS["float64" if source.dtype.itemsize == 8 else "float32"]
    flat = source.astype(held.name, order="C", copy=False).reshape(-1)
    out = np.empty_like(flat)
    if fmt.precision >= held.precision:
        np.copyto(out, flat)
    elif fmt.emin == held.emin:
        _drop_bits(out, flat, fmt, held, rounding, rng)
    else:
        _add_and_subtract(out, flat, fmt, held, rounding, rng)
    _overflow(out, fmt, held, overflow)
    if np.isnan(flat.max(initial=0)):
        np.copyto(out, flat, where=np.isnan(flat))
    narrow = source.dtype.itemsize == 2 and fmt.emax <= _FORMATS["float16"].emax
    dtype = np.float16 if narrow else out.dtype
    return out.reshape(source.shape).astype(dtype, copy=False)


def on_grid(x: ArrayLike, fmt: str | Format) -> bool:
    """True if every finite number of ``x`` is one of the numbers of ``fmt``.

    >>> on_grid([0.5, np.inf, -3.0], "float8_e4m3fn"), on_grid([0.1], "float16")
    (True, False)
    """
    x = _floats("on_grid", x)
    return bool(np.all((quantize(x, fmt, "toward_zero") == x) | ~np.isfinite(x)))


def ulp(x: ArrayLike, fmt: str | Format) -> Float64s:
    """Spacing q of the grid of ``fmt`` from ``|x|`` outwards; NaN for inf and NaN.

    Beyond ``max`` it is the spacing at ``max``.

    >>> ulp([1.0, 2048.0, 0.0], "float16").tolist() == [2**-10, 2.0, 2**-24]
    True
    """
    fmt, x = get(fmt), _float64s("ulp", x)
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
    fmt, x = get(fmt), _float64s("neighbours", x)
    inner = quantize(np.nextafter(x, 0), fmt, "toward_zero", "saturate")
    outer = quantize(x, fmt, "toward_zero", "saturate")
    outer = outer + np.copysign(ulp(outer, fmt), x)
    outer = np.where(np.abs(outer) > fmt.max, np.copysign(np.inf, x), outer)
    inner = np.where(x == 0, -outer, inner)
    up = np.signbit(x)
    return np.where(up, outer, inner), np.where(up, inner, outer)


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
    fmt, x = get(fmt), _float64s("encode", x)
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


def _floats(caller: str, x: ArrayLike) -> Floats:
    x = np.asarray(x)
    if x.dtype.type not in (np.float16, np.float32, np.float64):
        raise TypeError(
            f"{caller}: seen x of dtype {x.dtype}; required float16, float32 or "
            "float64.\n"
            "  help: choose the floats to start from: np.asarray(x, dtype=np.float64)."
        )
    return x


@np.errstate(all="ignore")
def _float64s(caller: str, x: ArrayLike) -> Float64s:
    return _floats(caller, x).astype(np.float64)


def _check_options(
    fmt: Format, rounding: str, overflow: Overflow | None, rng: object
) -> Overflow:
    """The overflow to use, or an error about the first option that cannot be had."""
    if rounding not in ("nearest", "stochastic", "toward_zero"):
        raise ValueError(
            f"quantize: seen rounding={rounding!r}; required 'nearest', 'stochastic' "
            "or 'toward_zero'.\n"
            "  help: leave it out to round to nearest, ties to even."
        )
    if rounding == "stochastic" and not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"quantize: seen rounding='stochastic' and rng={rng!r}; required a "
            "np.random.Generator.\n"
            "  help: pass rng=np.random.default_rng(0)."
        )
    can = {"inf": fmt.has_inf, "nan": fmt.has_nan, "saturate": True}
    if overflow is not None and not can.get(overflow):
        choices = " or ".join(repr(choice) for choice in can if can[choice])
        raise ValueError(
            f"quantize: seen overflow={overflow!r}; required {choices} for "
            f"{fmt.name}.\n"
            f"  help: leave it out for {fmt.default_overflow!r}."
        )
    return overflow or fmt.default_overflow


def _blocks(*arrays: NDArray[Any]) -> Iterator[list[NDArray[Any]]]:
    """The flat arrays piece by piece: few calls, and each piece stays in the cache."""
    for start in range(0, arrays[0].size, 2**16):
        yield [array[start : start + 2**16] for array in arrays]


def _drop_bits(
    into: Floats, flat: Floats, fmt: Format, held: Format, rounding: str, rng: Chance
) -> None:
    """Where subnormal numbers lie alike: drop the low bits, carry into the others.

    NaN comes out as any number.
    """
    unsigned = np.dtype(f"u{held.bits // 8}")
    drop = held.precision - fmt.precision
    numbers = drop, 1, 2 ** (drop - 1) - 1, 2**held.bits - 2**drop
    shift, one, below_half, keep = (np.array(n, unsigned) for n in numbers)
    for bits, out in _blocks(flat.view(unsigned), into.view(unsigned)):
        if rounding == "nearest":
            np.right_shift(bits, shift, out)
            np.bitwise_and(out, one, out)
            np.add(out, below_half, out)
            np.add(out, bits, out)
        elif rounding == "toward_zero":
            np.copyto(out, bits)
        else:
            np.add(bits, rng.integers(2**drop, size=bits.size, dtype=unsigned), out)
        np.bitwise_and(out, keep, out)


def _add_and_subtract(
    into: Floats, flat: Floats, fmt: Format, held: Format, rounding: str, rng: Chance
) -> None:
    """Elsewhere: (|x| + c) - c, with the power of two c so large that its ulp is q."""
    unsigned = np.dtype(f"u{held.bits // 8}")
    stored = held.precision - 1
    low, high = ((e + held.emax) << stored for e in (fmt.emin, fmt.emax))
    for x, y in _blocks(flat, into):
        power = x.view(unsigned) & ((2**held.exponent_bits - 1) << stored)
        np.clip(power, low, high, out=power)
        power += (held.precision - fmt.precision) << stored
        c = power.view(x.dtype)
        np.abs(x, out=y)
        y += c
        y -= c
        if rounding != "nearest":
            size, q = np.abs(x), c * 2.0**-stored
            y -= q * (y > size)
            if rounding == "toward_zero":
                np.clip(y, 0, fmt.max, out=y, where=np.isfinite(x))
            else:
                y += q * (q * rng.random(x.size) < size - y)
        np.copysign(y, x, out=y)


def _overflow(into: Floats, fmt: Format, held: Format, overflow: Overflow) -> None:
    """Turn what lies beyond ``max`` into inf, NaN or ``max``, without a branch."""
    limit = min(fmt.max, held.max)
    if overflow == "saturate":
        np.clip(into, -limit, limit, out=into)
    elif overflow == "nan":
        # Times this, max stays finite and the next number does not; times 0: 0 or NaN.
        scale = (1 - fmt.unit_roundoff / 2) * (held.max / limit)
        for (y,) in _blocks(into):
            y += np.copysign(y * scale * 0.0, y)
    elif fmt.emax < held.emax:
        # Scaled, the format overflows where its holder does.
        into *= 2.0 ** (held.emax - fmt.emax)
        into *= 2.0 ** (fmt.emax - held.emax)
