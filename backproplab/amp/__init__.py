"""Mixed precision: where a run rounds, how a loss is scaled, where errors are born.

The rounding itself is in ``formats``; which op runs in which format is declared with
the op.
"""

from typing import TYPE_CHECKING

from ..errors import unknown
from .autocasting import Autocast, autocast
from .divergence import NodeError, ShadowRun
from .rounding import format_of
from .scaler import GradScaler, Step
from .shadowing import shadow

__all__ = [
    "Autocast",
    "GradScaler",
    "NodeError",
    "ShadowRun",
    "Step",
    "autocast",
    "format_of",
    "shadow",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
