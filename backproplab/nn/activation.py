"""Activation functions as modules: they stand in a Sequential and have names."""

from typing import Any

from .. import ops
from .module import Module


class Identity(Module):
    """x itself: a place in a network where something may stand later."""

    def forward(self, x: Any) -> Any:
        """Return x."""
        return x


class ReLU(Module):
    """max(x, 0). The slope at 0 is 0."""

    def forward(self, x: Any) -> Any:
        """Apply ``ops.relu``."""
        return ops.relu(x)


class Tanh(Module):
    """Hyperbolic tangent, R -> (-1, 1)."""

    def forward(self, x: Any) -> Any:
        """Apply ``ops.tanh``."""
        return ops.tanh(x)


class Sigmoid(Module):
    """Logistic function, R -> (0, 1). Its slope is at most 1/4."""

    def forward(self, x: Any) -> Any:
        """Apply ``ops.sigmoid``."""
        return ops.sigmoid(x)


class GELU(Module):
    """x times the standard normal's distribution function at x.

    Args:
        approximate: "none" for the exact form, "tanh" for the approximation.
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Apply ``ops.gelu``."""
        return ops.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Show the form."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x times sigmoid(x), also called swish."""

    def forward(self, x: Any) -> Any:
        """Apply ``ops.silu``."""
        return ops.silu(x)


class ELU(Module):
    """x above 0, alpha (e^x - 1) below.

    Args:
        alpha: minus the limit at minus infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Apply ``ops.elu``."""
        return ops.elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """Show alpha."""
        return f"alpha={self.alpha}"


class LeakyReLU(Module):
    """x above 0, a small multiple of x below.

    Args:
        negative_slope: that multiple; it is the slope at 0 too.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Apply ``ops.leaky_relu``."""
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """Show the slope."""
        return f"negative_slope={self.negative_slope}"


class Softplus(Module):
    """log(1 + e^(beta x))/beta: a smooth ReLU whose slope is sigmoid(beta x).

    Args:
        beta: how sharp the corner is.
        threshold: where beta x exceeds it, x itself is returned.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        """Apply ``ops.softplus``."""
        return ops.softplus(x, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """Show both numbers."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """e^x divided by its sum along an axis: positive numbers that add up to 1.

    Args:
        dim: the axis; the last one by default.
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Apply ``ops.softmax``."""
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """Show the axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x minus the logarithm of the sum of e^x along an axis.

    Args:
        dim: the axis; the last one by default.
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Apply ``ops.log_softmax``."""
        return ops.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """Show the axis."""
        return f"dim={self.dim}"
