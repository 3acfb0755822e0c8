"""DepthLab: how values and gradients fade, explode or hold from layer to layer."""

from .lab import DepthLab

__all__ = ["DepthLab"]
