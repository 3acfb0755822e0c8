"""Losses as modules, for those who like to configure first and call later."""

from typing import Any

from .. import ops
from .module import Module


class CrossEntropyLoss(Module):
    """Mean of -log softmax(x)[target]; takes logits, not probabilities.

    Args:
        weight: (k,) array, a weight for each class; the mean is then weighted.
        ignore_index: rows with this target count nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: share of the target that is spread evenly over all classes.
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        """Apply ``ops.cross_entropy``."""
        return ops.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Module):
    """Mean of -x[target]; takes log-probabilities.

    Args:
        weight: (k,) array, a weight for each class; the mean is then weighted.
        ignore_index: rows with this target count nothing.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction = reduction

    def forward(self, x: Any, target: Any) -> Any:
        """Apply ``ops.nll_loss``."""
        return ops.nll_loss(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class MSELoss(Module):
    """Mean of (x - y)^2.

    Args:
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.mse_loss``."""
        return ops.mse_loss(x, y, reduction=self.reduction)


class L1Loss(Module):
    """Mean of abs(x - y).

    Args:
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.l1_loss``."""
        return ops.l1_loss(x, y, reduction=self.reduction)


class HuberLoss(Module):
    """Mean of a loss that is quadratic up to delta and a line of slope delta beyond.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the parabola turns into the line.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction, self.delta = reduction, delta

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.huber_loss``."""
        return ops.huber_loss(x, y, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(Module):
    """Huber's loss divided by beta: the line has slope 1, whatever beta is.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where the parabola turns into the line; 0 gives ``L1Loss``.
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self.reduction, self.beta = reduction, beta

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.smooth_l1_loss``."""
        return ops.smooth_l1_loss(x, y, reduction=self.reduction, beta=self.beta)


class BCEWithLogitsLoss(Module):
    """Mean cross-entropy of yes and no; takes log-odds, not probabilities.

    Args:
        weight: array, a weight for each entry.
        reduction: "mean", "sum" or "none".
        pos_weight: array, how much more a yes counts than a no.
    """

    def __init__(
        self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        self.weight, self.reduction = weight, reduction
        self.pos_weight = pos_weight

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.binary_cross_entropy_with_logits``."""
        return ops.binary_cross_entropy_with_logits(
            x,
            y,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )


class KLDivLoss(Module):
    """Divergence from log-probabilities x to probabilities y.

    Args:
        reduction: "mean" over all entries, "batchmean" (the divergence proper, averaged
            over rows), "sum" or "none".
        log_target: whether y is given as logarithms too.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        self.reduction, self.log_target = reduction, log_target

    def forward(self, x: Any, y: Any) -> Any:
        """Apply ``ops.kl_div``."""
        return ops.kl_div(x, y, reduction=self.reduction, log_target=self.log_target)
