"""Floating-point formats: their limits, rounding to them, and their bits.

Rounded numbers stay in the array's own dtype, so that NumPy computes with them at full
speed. Where rounding happens in a run is decided elsewhere (``amp``).
"""

from typing import TYPE_CHECKING

from ..errors import unknown
from .bits import decode, encode
from .format import Format, Overflow, get, names
from .grid import neighbours, on_grid, ulp
from .rounding import Rounding, quantize

__all__ = [
    "Format",
    "Overflow",
    "Rounding",
    "decode",
    "encode",
    "get",
    "names",
    "neighbours",
    "on_grid",
    "quantize",
    "ulp",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
