"""Rounding arrays to a format, vectorised and without a slow path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import Floats, floats
from .format import Format, Overflow, get

Chance: TypeAlias = Any  # a Generator, wherever chance is used
Rounding: TypeAlias = Literal["nearest", "stochastic", "toward_zero"]

_FLOAT16, _FLOAT32, _FLOAT64 = map(get, ("float16", "float32", "float64"))


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
    fmt, source = get(fmt), floats("quantize", x)
    overflow = _check_options(fmt, rounding, overflow, rng)
    held = _FLOAT64 if source.dtype.itemsize == 8 else _FLOAT32
    flat = source.astype(held.name, order="C", copy=False).reshape(-1)
    out = np.empty_like(flat)
    if fmt.precision >= held.precision:
        np.copyto(out, flat)
    elif fmt.emin == held.emin:
        _drop_bits(out, flat, fmt, held, rounding, rng)
    else:
        _add_and_subtract(out, flat, fmt, held, rounding, rng)
    _overflow(out, fmt, held, overflow)
    if np.isnan(np.maximum.reduce(flat, initial=0)):
        np.copyto(out, flat, where=np.isnan(flat))
    narrow = source.dtype.itemsize == 2 and fmt.emax <= _FLOAT16.emax
    dtype = np.float16 if narrow else out.dtype
    return out.reshape(source.shape).astype(dtype, copy=False)


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
    unsigned, field, low, high, lift = _powers(fmt, held)
    for x, y in _blocks(flat, into):
        power = x.view(unsigned) & field
        power.clip(low, high, power)
        power += lift
        c = power.view(x.dtype)
        np.abs(x, out=y)
        y += c
        y -= c
        if rounding != "nearest":
            size, q = np.abs(x), c * 2.0 ** (1 - held.precision)
            y -= q * (y > size)
            if rounding == "toward_zero":
                np.clip(y, 0, fmt.max, out=y, where=np.isfinite(x))
            else:
                y += q * (q * rng.random(x.size) < size - y)
        np.copysign(y, x, out=y)


@lru_cache(128)
def _powers(fmt: Format, held: Format) -> tuple[Any, ...]:
    """Bit patterns in the holder: what finds powers of two, and makes c of them.

    Returns:
        Their dtype; the exponent's bits; the smallest and the largest power; the
        exponent that turns a power into c.
    """
    unsigned, stored = np.dtype(f"u{held.bits // 8}"), held.precision - 1
    fields = (
        2**held.exponent_bits - 1,
        fmt.emin + held.emax,
        fmt.emax + held.emax,
        held.precision - fmt.precision,
    )
    return unsigned, *(np.array(n << stored, unsigned) for n in fields)


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
