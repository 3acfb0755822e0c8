"""The update rules: SGD, RMSprop, Adam, AdamW, in PyTorch's variants and defaults.

Each works in place, in the parameter's dtype, without large new arrays after the first
step.
"""

import math
from typing import Any

import numpy as np

from ..errors import RangeError
from .optimizer import Array, Group, Optimizer

_SMALL = 2048  # numbers, up to which a new array costs less than finding a spare one


class SGD(Optimizer):
    r"""Steps against the gradient, or against a running sum of gradients.

    .. math:: b \leftarrow \mu b + (1 - \tau) g, \quad p \leftarrow p - \eta b

    The first b is g itself. This is PyTorch's form: the learning rate multiplies the
    whole sum (Sutskever et al. 2013 put it inside).

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        momentum: mu; 0 keeps no memory.
        dampening: tau.
        weight_decay: times p is added to g.
        nesterov: steps against g + mu b in place of b.
        maximize: goes up, by minus the gradient.

    >>> import backproplab as bp
    >>> p = bp.Tensor([1.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> SGD([p], lr=0.25).step()
    >>> p.data.tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if nesterov and (not momentum or dampening != 0):
            raise RangeError(
                f"SGD: nesterov with momentum={momentum} and dampening={dampening}; "
                "a momentum above 0 and no dampening are required."
            )
        options = {
            "lr": lr, "momentum": momentum, "dampening": dampening,
            "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _move(self, p: Array, g: Array, group: Group, state: dict[str, Any]) -> None:
        mu, decay = group["momentum"], group["weight_decay"]
        if not (mu or decay) and p.size < _SMALL:
            p -= g * group["lr"]
            return
        a, b = self._scratch(p)
        if decay:
            g = _decayed(p, g, decay, a)
        if mu:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = np.array(g, p.dtype)
            else:
                buffer *= mu
                np.multiply(g, 1 - group["dampening"], out=b)
                buffer += b
            if group["nesterov"]:
                np.multiply(buffer, mu, out=b)
                g = np.add(g, b, out=b)
            else:
                g = buffer
        np.multiply(g, group["lr"], out=b)
        p -= b


class RMSprop(Optimizer):
    r"""Divides the gradient by the root of its running mean square (Hinton 2012).

    .. math:: v \leftarrow \alpha v + (1-\alpha) g^2, \quad
              p \leftarrow p - \eta g/(\sqrt v + \epsilon)

    Epsilon is added to the root, as in PyTorch; TensorFlow adds it under the root.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        alpha: weight of the old mean square.
        eps: epsilon.
        weight_decay: times p is added to g.
        momentum: of the divided gradients; 0 keeps no memory of them.
        centered: takes the running mean's square off v.
        maximize: goes up, by minus the gradient.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _move(self, p: Array, g: Array, group: Group, state: dict[str, Any]) -> None:
        if not state:
            state["step"], state["square_avg"] = 0, np.zeros_like(p)
        state["step"] += 1
        a, b = self._scratch(p)
        g = _decayed(p, g, group["weight_decay"], a)
        v = state["square_avg"]
        _average_square(v, g, group["alpha"], b)
        if group["centered"]:
            mean = state.setdefault("grad_avg", np.zeros_like(p))
            _average(mean, g, group["alpha"], b)
            np.multiply(mean, mean, out=b)
            np.subtract(v, b, out=b)
            np.sqrt(b, out=b)
        else:
            np.sqrt(v, out=b)
        b += group["eps"]
        np.divide(g, b, out=b)
        if group["momentum"]:
            buffer = state.setdefault("momentum_buffer", np.zeros_like(p))
            buffer *= group["momentum"]
            buffer += b
            np.multiply(buffer, group["lr"], out=b)
        else:
            b *= group["lr"]
        p -= b


class Adam(Optimizer):
    r"""Steps by a running mean of gradients over the root of their mean square.

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1) g, \quad
              v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
              p \leftarrow p - \eta \frac{m/(1-\beta_1^t)}
              {\sqrt{v/(1-\beta_2^t)} + \epsilon}

    Kingma & Ba 2015, algorithm 1. Weight decay is added to g, and so is divided too.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: weights of the old means.
        eps: epsilon, added to the root.
        weight_decay: times p is added to g.
        amsgrad: divides by the greatest v so far (Reddi et al. 2018).
        maximize: goes up, by minus the gradient.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _move(self, p: Array, g: Array, group: Group, state: dict[str, Any]) -> None:
        a, b = self._scratch(p)
        g = _decayed(p, g, group["weight_decay"], a)
        _adam_move(p, g, group, state, b)


class AdamW(Optimizer):
    r"""Adam, with weights shrunk by their own rule: p <- (1 - lr weight_decay) p first.

    Loshchilov & Hutter 2019, with the learning rate in the decay, as PyTorch has it.

    Args:
        params: parameters or groups.
        lr: learning rate.
        betas: weights of the old means.
        eps: added to the root.
        weight_decay: share of p, times ``lr``, that a step takes off.
        amsgrad: divides by the greatest mean square so far.
        maximize: goes up, by minus the gradient.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, options)

    def _move(self, p: Array, g: Array, group: Group, state: dict[str, Any]) -> None:
        p *= 1 - group["lr"] * group["weight_decay"]
        _adam_move(p, g, group, state, self._scratch(p)[1])


def _adam_move(
    p: Array, g: Array, group: Group, state: dict[str, Any], b: Array
) -> None:
    if not state:
        state["step"] = 0
        state["exp_avg"], state["exp_avg_sq"] = np.zeros_like(p), np.zeros_like(p)
    state["step"] += 1
    t, (beta1, beta2) = state["step"], group["betas"]
    m, v = state["exp_avg"], state["exp_avg_sq"]
    _average(m, g, beta1, b)
    _average_square(v, g, beta2, b)
    if group["amsgrad"]:
        top = state.setdefault("max_exp_avg_sq", np.zeros_like(p))
        v = np.maximum(top, v, out=top)
    np.sqrt(v, out=b)
    b /= math.sqrt(1 - beta2**t)
    b += group["eps"]
    np.divide(m, b, out=b)
    b *= group["lr"] / (1 - beta1**t)
    p -= b


def _decayed(p: Array, g: Array, weight_decay: float, out: Array) -> Array:
    if not weight_decay:
        return g
    np.multiply(p, weight_decay, out=out)
    out += g
    return out


def _average(mean: Array, g: Array, keep: float, spare: Array) -> None:
    """Move ``mean`` towards g by 1 - keep of the way, in place."""
    np.subtract(g, mean, out=spare)
    spare *= 1 - keep
    mean += spare


def _average_square(mean: Array, g: Array, keep: float, spare: Array) -> None:
    mean *= keep
    np.multiply(g, g, out=spare)
    spare *= 1 - keep
    mean += spare
