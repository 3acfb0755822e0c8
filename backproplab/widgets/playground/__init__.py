"""PlaygroundLab: a small net, trained live, with the chain rule of a chosen weight."""

from .lab import PlaygroundLab

__all__ = ["PlaygroundLab"]
