"""The same function in other engines: side by side, and layers there and back.

PyTorch and JAX are imported when they are asked for, and may be missing.
"""

from .comparing import ENGINES, EngineRow, SideBySide, side_by_side
from .layers import from_torch, to_torch
from .namespace import NAMES
from .source import Source, show_jax, show_torch
from .tapes import Tapes, tapes

__all__ = [
    "ENGINES",
    "NAMES",
    "EngineRow",
    "SideBySide",
    "Source",
    "Tapes",
    "from_torch",
    "show_jax",
    "show_torch",
    "side_by_side",
    "tapes",
    "to_torch",
]
