"""DescentLab: a walk down a surface, step by step."""

from .lab import DescentLab

__all__ = ["DescentLab"]
