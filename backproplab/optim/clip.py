"""Gradient clipping: bounds on gradients between backward and step."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import GradError, RangeError
from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients together so that the norm of all of them is at most a bound.

    The factor is max_norm/(norm + 1e-6) where that is below 1, as in PyTorch: the
    direction stays. ``.grad`` becomes a new array; the old one is not written into.

    Args:
        parameters: one tensor or several; those without a gradient are passed over.
        max_norm: the bound.
        norm_type: p of the p-norm; ``math.inf`` for the greatest absolute value.
        error_if_nonfinite: raise where the norm is NaN or infinite.

    Returns:
        The norm before clipping, computed in float64.

    Raises:
        GradError: if the norm is not finite and ``error_if_nonfinite`` is set.
        RangeError: if the bound is below 0 or NaN; it would turn the direction.

    >>> p = Tensor([3.0, 4.0], requires_grad=True)
    >>> p.grad = np.array([3.0, 4.0])
    >>> clip_grad_norm_(p, 1.0), p.grad.round(3).tolist()
    (5.0, [0.6, 0.8])
    """
    _require_bound("clip_grad_norm_", "max_norm", max_norm)
    held = _with_grad(parameters)
    norms = [np.linalg.norm(np.ravel(p.grad).astype(float), norm_type) for p in held]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise GradError(
            f"clip_grad_norm_: the norm of the gradients is {total}.",
            help="look for its birth with `bp.detect_anomaly()`.",
        )
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # NaN too: PyTorch spreads it
        for p in held:
            p.grad = p.grad * factor
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every entry of the gradients into [-clip_value, clip_value].

    The direction changes. ``.grad`` becomes a new array.

    Raises:
        RangeError: if the bound is below 0 or NaN.

    >>> p = Tensor([3.0, 4.0], requires_grad=True)
    >>> p.grad = np.array([-3.0, 0.5])
    >>> clip_grad_value_([p], 1.0)
    >>> p.grad.tolist()
    [-1.0, 0.5]
    """
    _require_bound("clip_grad_value_", "clip_value", clip_value)
    for p in _with_grad(parameters):
        p.grad = np.clip(p.grad, -clip_value, clip_value)


def _require_bound(function: str, name: str, bound: float) -> None:
    if not bound >= 0:
        raise RangeError(
            f"{function}: {name} is {bound}; a number of at least 0 is required."
        )


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    several = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in several if p.grad is not None]
