"""Formulas from the rules themselves: run a rule on symbols and read off the TeX."""

from .names import variable
from .rules import applied, partial, sent
from .symbol import Symbol, lift

__all__ = ["Symbol", "applied", "lift", "partial", "sent", "variable"]
