"""Monitor: what ``record()`` shows of one run, over a whole training."""

from .watching import Monitor

__all__ = ["Monitor"]
