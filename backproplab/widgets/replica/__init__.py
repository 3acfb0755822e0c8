"""ReplicaLab: data parallelism step by step, broken on purpose, and mended."""

from .lab import ReplicaLab

__all__ = ["ReplicaLab"]
