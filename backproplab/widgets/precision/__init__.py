"""PrecisionLab: the bits of a number, loss scale, master weights, errors, training."""

from .lab import PrecisionLab

__all__ = ["PrecisionLab"]
