"""Dropout: noise in training, nothing afterwards."""

from typing import Any

import numpy as np

from .. import ops
from ..errors import RangeError
from . import init
from .module import Module


class Dropout(Module):
    """In training each value is 0 with probability p, else divided by 1 - p.

    So the mean stays (Srivastava et al. 2014, in the inverted form of PyTorch). After
    ``eval()`` it returns x.

    Args:
        p: probability of dropping.
        rng: where the choice comes from, at each call.
    """

    def __init__(
        self, p: float = 0.5, *, rng: np.random.Generator | None = None
    ) -> None:
        if not 0 <= p <= 1:
            raise RangeError(f"Dropout: p is {p}; a probability is required.")
        self.p, self.rng = p, init.require_rng("Dropout", rng)

    def forward(self, x: Any) -> Any:
        """Apply ``ops.dropout``."""
        return ops.dropout(x, self.p, training=self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"
