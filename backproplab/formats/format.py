"""What a format is, and the table of those that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
