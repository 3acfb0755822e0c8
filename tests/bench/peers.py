"""The competitors, and how each takes a training step. A missing one is listed."""

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from typing import Any

import numpy as np

import backproplab as bp

from .hand import fresh, preallocated

# One thread each; XLA reads this when JAX is imported.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)

Step = Callable[[], Any]


OURS, HAND, STUDENT = "backproplab", "hand", "student"
TORCH, JAX, MYGRAD, AUTOGRAD = "PyTorch", "JAX jit", "MyGrad", "autograd"
MICROGRAD = "micrograd"
_LIBRARIES = {
    TORCH: "torch", JAX: "jax", MYGRAD: "mygrad", AUTOGRAD: "autograd",
    MICROGRAD: "micrograd",
}  # fmt: skip
MISSING = [name for name, library in _LIBRARIES.items() if find_spec(library) is None]


def versions() -> str:
    """Name what takes part, with versions."""
    libraries = ["numpy", *(v for k, v in _LIBRARIES.items() if k not in MISSING)]
    return ", ".join(f"{library} {version(library)}" for library in libraries)


def trainer(
    parameters: Any, loss: Callable[[], Any], optimizer: Any, lr: float
) -> Step:
    """Take the step of PyTorch's idiom, which is also ours."""
    optimizer = optimizer(parameters, lr=lr)

    def step() -> Any:
        optimizer.zero_grad()
        z = loss()
        z.backward()
        optimizer.step()
        return z

    return step


class Eager:
    """PyTorch or backproplab: a model of modules, or a loss of parameters."""

    def __init__(self, nn: Any, F: Any, np: Any, own: Any, data: Any, **layers: Any):
        self.nn, self.F, self.np, self.own, self.data = nn, F, np, own, data
        self.relu, self.layers = F.relu, layers

    def step(self, work: Any, optimizer: Any) -> Step:
        """Prepare a workload."""
        x, y = self.data(work.x), self.data(work.y)
        if work.model is None:
            p = [self.own(w) for w in work.weights]
            return trainer(p, partial(work.loss, self, p, x, y), optimizer, work.lr)
        wants = list(signature(work.model).parameters)[2:]
        model = work.model(self.nn, self.F, *(self.layers[w] for w in wants))
        p = list(model.parameters())
        for mine, w in zip(p, work.for_modules(), strict=True):
            mine.data[...] = self.data(w)
        return trainer(p, lambda: self.F.cross_entropy(model(x), y), optimizer, work.lr)


def _our_step(work: Any) -> Step:
    nn, rng = bp.nn, np.random.default_rng(0)
    eager = Eager(
        nn, bp.ops, np,
        lambda w: bp.tensor(w, requires_grad=True), np.asarray,
        linear=partial(nn.Linear, rng=rng), conv=partial(nn.Conv2d, rng=rng),
        embedding=partial(nn.Embedding, rng=rng), positions=np.arange(64),
    )  # fmt: skip
    return eager.step(work, bp.optim.SGD)


def _torch_step(work: Any) -> Step:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    eager = Eager(
        nn, nn.functional, torch,
        lambda w: torch.tensor(w, requires_grad=True), torch.tensor,
        linear=nn.Linear, conv=nn.Conv2d, embedding=nn.Embedding,
        positions=torch.arange(64),
    )  # fmt: skip
    return eager.step(work, torch.optim.SGD)


class Written:
    """Functions that a library lacks, out of its NumPy."""

    def __init__(self, np: Any):
        self.np = np

    def relu(self, x: Any) -> Any:
        """Clip at 0."""
        return self.np.maximum(x, 0)

    def gelu(self, x: Any) -> Any:
        """Tanh form."""
        u = 0.7978845608 * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1 + self.np.tanh(u))

    def softmax(self, x: Any) -> Any:
        """Over the last axis."""
        e = self.np.exp(x - self.np.max(x, axis=-1, keepdims=True))
        return e / self.np.sum(e, axis=-1, keepdims=True)

    def cross_entropy(self, z: Any, labels: Any) -> Any:
        """Mean over rows."""
        z = z - self.np.max(z, axis=1, keepdims=True)
        total = self.np.log(self.np.sum(self.np.exp(z), axis=1))
        return self.np.mean(total - z[np.arange(len(labels)), labels])

    def causal(self, t: int) -> Any:
        """What is added to the scores."""
        return np.triu(np.full((t, t), -1e9, np.float32), 1)

    def pool(self, x: Any) -> Any:
        """Greatest of 2 x 2."""
        n, c, h, w = x.shape
        x = self.np.reshape(x, (n, c, h // 2, 2, w // 2, 2))
        return self.np.max(x, axis=(3, 5))


def _jax_step(work: Any) -> Step:
    import jax

    F = Written(jax.numpy)
    F.relu, F.softmax, F.gelu = jax.nn.relu, jax.nn.softmax, jax.nn.gelu
    F.conv = partial(
        jax.lax.conv_general_dilated, window_strides=(1, 1), padding="VALID"
    )
    slopes = jax.value_and_grad(partial(work.loss, F))

    @jax.jit
    def train(p: Any, x: Any, y: Any) -> Any:
        loss, g = slopes(p, x, y)
        return loss, [w - work.lr * v for w, v in zip(p, g, strict=True)]

    p = [jax.numpy.asarray(w) for w in work.weights]
    x, y = jax.numpy.asarray(work.x), jax.numpy.asarray(work.y)

    def step() -> Any:
        nonlocal p
        loss, p = jax.block_until_ready(train(p, x, y))
        return loss

    return step


def _autograd_step(work: Any) -> Step:
    import autograd

    convolve = import_module("autograd.scipy.signal").convolve
    F = Written(import_module("autograd.numpy"))
    F.conv = lambda x, w: convolve(
        x, w[:, :, ::-1, ::-1], axes=([2, 3], [2, 3]), dot_axes=([1], [1]), mode="valid"
    )
    slopes = autograd.value_and_grad(partial(work.loss, F))
    p = [w.copy() for w in work.weights]

    def step() -> Any:
        loss, g = slopes(p, work.x, work.y)
        for w, v in zip(p, g, strict=True):
            w -= np.float32(work.lr) * v
        return loss

    return step


def _mygrad_step(work: Any) -> Step:
    import mygrad

    mygrad.turn_memory_guarding_off()
    nnet = import_module("mygrad.nnet")
    F = Written(mygrad)
    F.relu, F.softmax = nnet.relu, nnet.softmax
    F.conv = partial(nnet.conv_nd, stride=1)
    F.pool = partial(nnet.max_pool, pool=(2, 2), stride=2)
    F.cross_entropy = nnet.softmax_crossentropy
    p = [mygrad.tensor(w) for w in work.weights]

    def step() -> Any:
        loss = work.loss(F, p, work.x, work.y)
        loss.backward()
        for w in p:
            w.data -= np.float32(work.lr) * w.grad
            w.null_grad()
        return loss

    return step


def _hand_step(work: Any, new: Any) -> Step:
    p = [w.copy() for w in work.weights]
    return work.hand(p, work.x, work.y, np.float32(work.lr), new)


def prepare(name: str, work: Any) -> Step:
    """Make a competitor's step of a workload, from the same weights and data."""
    return _STEPS[name](work)


_STEPS: dict[str, Callable[[Any], Step]] = {
    OURS: _our_step,
    HAND: partial(_hand_step, new=preallocated),
    STUDENT: partial(_hand_step, new=fresh),
    TORCH: _torch_step,
    JAX: _jax_step,
    MYGRAD: _mygrad_step,
    AUTOGRAD: _autograd_step,
}
