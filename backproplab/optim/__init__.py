"""Optimisers, learning-rate schedules and gradient clipping, to PyTorch's numbers."""

from typing import TYPE_CHECKING

from ..errors import unknown
from .clip import clip_grad_norm_, clip_grad_value_
from .descent import SGD, Adam, AdamW, RMSprop
from .optimizer import Optimizer
from .schedule import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    Schedule,
    SequentialLR,
    StepLR,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
