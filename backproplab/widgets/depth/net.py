r"""A random deep net, run once: what DepthLab measures and expects.

A layer is a branch ``a * (W phi(z) + b)``, with the bypass ``z + ...`` or without it;
a norm stands before the nonlinearity ("pre") or after the sum ("post"). The backward
pass begins with N(0, 1) at the last layer. Pure: controls in, numbers out.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from ... import ops
from ...nn import init
from ...sockets import scope
from ...tensor import Tensor, tensor
from ...trace import Trace, record
from .controls import ACTIVATIONS, Controls
from .theory import expected, lengths

FLAT = 0.05  # a slope below this share of the steepest one is called flat
EPS = 1e-10  # so small that the theory may leave it out


@dataclass(frozen=True, slots=True)
class Depth:
    """One run and what was expected of it.

    Attributes:
        controls: what was set.
        values: (L,) root mean squares of the layers' outputs.
        grads: (L,) root mean squares of their gradients.
        values_expected: (L,) the same by mean-field theory.
        grads_expected: (L,) the same by mean-field theory.
        gains: (L - 1,) gradient that leaves layer l + 1 over the one that came to it.
        chi: (L - 1,) what theory expects of the squares of these.
        flat: (L,) share of entries whose slope is below 5 % of the steepest.
        dead: (L,) share of units that are flat for the whole batch.
        lengths: (L + 1,) share of paths that pass through so many branches.
        carried: (L + 1,) share of the squared gradient that such paths carry.
        inner: L arrays (batch, n), what goes into the nonlinearities.
        outer: L tensors (batch, n), what the layers put out, with their gradients.
    """

    controls: Controls
    values: np.ndarray
    grads: np.ndarray
    values_expected: np.ndarray
    grads_expected: np.ndarray
    gains: np.ndarray
    chi: np.ndarray
    flat: np.ndarray
    dead: np.ndarray
    lengths: np.ndarray
    carried: np.ndarray
    inner: tuple[np.ndarray, ...]
    outer: tuple[Tensor, ...]

    @property
    def factor_expected(self) -> float:
        """The geometric mean of sqrt(chi): what theory says of ``factor``."""
        with np.errstate(divide="ignore"):
            return float(np.exp(np.mean(np.log(self.chi)) / 2))

    @property
    def factor(self) -> float:
        """What the gradient is multiplied by in a layer on its way back, on average.

        The geometric mean over all layers: 0 where nothing comes back, NaN where there
        is one layer only.
        """
        if len(self.grads) < 2:
            return float("nan")
        last, first = self.grads[-1], self.grads[0]
        return float((first / last) ** (1 / (len(self.grads) - 1))) if last else 0.0


def measure(c: Controls) -> Depth:
    """Draw a net, run it forward and back, and measure every layer.

    >>> deep = measure(Controls(depth=20, width=128, init="He"))
    >>> bool(0.7 < deep.factor < 1.4), deep.grads.shape
    (True, (20,))
    """
    zs, inner = _run(c)
    values = np.array([_rms(z.data) for z in zs])
    grads = np.array([_rms(z.grad) for z in zs])
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = grads[:-1] / grads[1:]
    slopes = [_slope(c.activation, h) for h in inner]
    steepest = 0.25 if c.activation == "sigmoid" else 1.0
    off = [s < FLAT * steepest for s in slopes]
    values_expected, chi, share = expected(c)
    back = np.sqrt(np.append(np.cumprod(chi[::-1])[::-1], 1.0))
    return Depth(
        controls=c,
        values=values,
        grads=grads,
        values_expected=values_expected,
        grads_expected=grads[-1] * back,
        gains=gains,
        chi=chi,
        flat=np.array([o.mean() for o in off]),
        dead=np.array([o.all(axis=0).mean() for o in off]),
        lengths=lengths(np.full(c.depth, 0.5 if c.bypass else 1.0)),
        carried=lengths(share),
        inner=tuple(inner),
        outer=tuple(zs),
    )


def recorded(c: Controls) -> Trace:
    """The same run once more, recorded; layer k is the scope ``layerk``.

    >>> recorded(Controls(depth=2))["z2"].scope
    'layer2'
    """
    with record() as run:
        _run(c)
    return run


def _run(c: Controls) -> tuple[list[Tensor], list[np.ndarray]]:
    """The layers' outputs with their gradients; what goes into the nonlinearities."""
    phi, norm = ACTIVATIONS[c.activation], c.norm != "none"
    weights, biases, x, g = _drawn(c)
    inner, outer = [], []
    z: Any = tensor(x, requires_grad=True, name="x")
    for k in range(c.depth):
        with scope(f"layer{k + 1}"):
            h = _normed(z, c.norm) if norm and c.place == "pre" else z
            inner.append(h.data)
            out = phi(h) @ weights[k]
            if biases is not None:
                out = out + biases[k]
            if c.bypass:
                out = z + (out if c.branch == 1 else c.branch * out)
            if norm and c.place == "post":
                out = _normed(out, c.norm)
            z = out.named(f"z{k + 1}")
            z.retain_grad()
        outer.append(z)
    z.backward(g)
    return outer, inner


def _normed(z: Any, norm: str) -> Any:
    width = z.shape[-1]
    if norm == "batch":
        return ops.batch_norm(z, None, None, eps=EPS)
    if norm == "layer":
        return ops.layer_norm(z, (width,), eps=EPS)
    return ops.rms_norm(z, (width,), eps=EPS)


def _drawn(c: Controls) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """L weights (n, n), L biases (n,) or None, the batch, and the last gradient."""
    weight, bias = c.variances
    size = sqrt(weight)
    units = (_unit(c.init, c.width, k, c.seed) for k in range(c.depth))
    rng = np.random.default_rng(c.seed)
    x, g = rng.normal(size=(2, c.batch, c.width))
    biases = None
    if bias:
        rows = sqrt(bias) * rng.normal(size=(c.depth, c.width))
        biases = [tensor(row, name=f"b{k + 1}") for k, row in enumerate(rows)]
    # Named, so that the recorder need not look for their names.
    weights = [tensor(size * u, name=f"W{k + 1}") for k, u in enumerate(units)]
    return weights, biases, x, g


@lru_cache(maxsize=400)
def _unit(init_: str, n: int, layer: int, seed: int) -> np.ndarray:
    """A layer's weights with sw^2 = 1, kept: a slider mostly moves something else."""
    rng = np.random.default_rng((seed, n, layer))
    if init_ == "orthogonal":
        return init.orthogonal((n, n), rng)
    if init_ == "uniform 1/√n":
        return rng.uniform(-1, 1, size=(n, n)) * sqrt(3 / n)
    return rng.standard_normal((n, n)) / sqrt(n)


def _slope(activation: str, z: np.ndarray) -> np.ndarray:
    """How steep the nonlinearity is at each value."""
    if activation == "ReLU":
        return (z > 0) * 1.0
    if activation == "none (linear)":
        return np.ones_like(z)
    y = ACTIVATIONS[activation](z)
    return 1 - y * y if activation == "tanh" else y * (1 - y)


def _rms(a: Any) -> float:
    return float(np.sqrt(np.mean(np.square(a)))) if a is not None else 0.0
