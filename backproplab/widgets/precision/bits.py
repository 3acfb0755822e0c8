"""What a format makes of one number: bits, neighbours, error. No picture."""

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, isnan
from typing import Any

import numpy as np

from ... import formats
from ...errors import RangeError
from ...formats import Format
from .number import Exact, to_odd

FORMATS = formats.names()[1:]  # all that lie on float64's grid with bits to spare


@dataclass(frozen=True, slots=True)
class Bits:
    """A number as it was typed, and as a format stores it.

    Attributes:
        fmt: the format.
        typed: the number, exactly.
        stored: what is stored in its place.
        code: the bit pattern, as an integer.
        below: the largest number of the format below ``stored``.
        above: the smallest above.
        gap: the spacing (ulp) from ``stored`` outwards.
        error: ``stored`` minus ``typed``, exactly; None unless both are finite.
    """

    fmt: Format
    typed: Exact
    stored: float
    code: int
    below: float
    above: float
    gap: float
    error: Fraction | None

    @property
    def sign(self) -> int:
        """The sign bit s."""
        return self.code >> (self.fmt.bits - 1)

    @property
    def exponent(self) -> int:
        """The exponent field e, unsigned, bias included."""
        return self.code >> (self.fmt.precision - 1) & (2**self.fmt.exponent_bits - 1)

    @property
    def significand(self) -> int:
        """The stored significand bits f."""
        return self.code & (2 ** (self.fmt.precision - 1) - 1)

    @property
    def bias(self) -> int:
        """What is subtracted from e: 1 - emin."""
        return 1 - self.fmt.emin

    @property
    def kind(self) -> str:
        """One of "zero", "subnormal", "normal", "infinity", "NaN"."""
        if not isfinite(self.stored):
            return "NaN" if isnan(self.stored) else "infinity"
        if self.exponent == 0:
            return "subnormal" if self.significand else "zero"
        return "normal"

    @property
    def relative(self) -> float | None:
        """Size of the error against that of the number; None where there is none."""
        if self.error is None or self.typed == 0:
            return None
        return abs(float(self.error / Fraction(self.typed)))


def compute(typed: Exact, name: str) -> Bits:
    """Store a number: rounded once to nearest, ties to even.

    Raises:
        RangeError: if it is NaN and the format has none.

    >>> bits = compute(Fraction(1, 10), "float16")
    >>> bits.stored, f"{bits.code:016b}", bits.kind
    (0.0999755859375, '0010111001100110', 'normal')
    """
    fmt, held = formats.get(name), to_odd(typed)
    if isnan(held) and not fmt.has_nan:
        raise RangeError(
            f"{name} has no NaN: each of its {2**fmt.bits} bit patterns is a number.",
            help="choose a wider format, or type a number.",
        )
    return _of_code(int(formats.encode(held, fmt)), fmt, typed)


def from_code(code: int, name: str) -> Bits:
    """The number that a bit pattern stands for; it has no error.

    >>> from_code(1, "float16").stored == 2**-24
    True
    """
    return _of_code(code, formats.get(name), None)


def flip(bits: Bits, place: int) -> Bits:
    """Turn one bit over; place 0 is the last of the significand."""
    return from_code(bits.code ^ (1 << place), bits.fmt.name)


def stepped(bits: Bits, up: bool) -> Bits:
    """The next number of the format above, or below; at the end, the same one.

    >>> stepped(from_code(0x3C00, "float16"), up=True).stored == 1 + 2**-10
    True
    """
    to = bits.above if up else bits.below
    if isnan(to) or (not isfinite(to) and not bits.fmt.has_inf):
        return from_code(bits.code, bits.fmt.name)
    return from_code(int(formats.encode(to, bits.fmt)), bits.fmt.name)


def around(bits: Bits, reach: int = 3) -> list[float]:
    """The finite numbers of the format next to the stored one, in order.

    >>> around(from_code(0, "float4_e2m1fn"), 2)
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    fmt, at = bits.fmt, bits.stored
    if isnan(at):
        return []
    at = float(np.clip(at, -fmt.max, fmt.max))
    sides: list[list[float]] = [[], []]
    for side, found in enumerate(sides):
        v: Any = at
        for _ in range(reach):
            v = formats.neighbours(v, fmt)[side]
            if np.isfinite(v):
                found.append(float(v))
    return [*sides[0][::-1], at, *sides[1]]


def _of_code(code: int, fmt: Format, typed: Exact | None) -> Bits:
    stored = float(formats.decode(code, fmt))
    below, above = (float(v) for v in formats.neighbours(stored, fmt))
    if typed is None:
        exact = isfinite(stored) and (stored or code == 0)
        typed = Fraction(stored) if exact else stored
    error = None
    if isfinite(stored) and isfinite(to_odd(typed)):
        error = Fraction(stored) - Fraction(typed)
    gap = float(formats.ulp(stored, fmt))
    return Bits(fmt, typed, stored, code, below, above, gap, error)
