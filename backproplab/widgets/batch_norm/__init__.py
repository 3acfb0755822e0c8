"""BatchNormLab: a normalisation forward, back, over time and in depth."""

from .lab import BatchNormLab

__all__ = ["BatchNormLab"]
