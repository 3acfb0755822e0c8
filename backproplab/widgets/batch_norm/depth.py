"""How gradients grow through a deep normalised net at initialisation; no picture."""

from functools import lru_cache
from math import pi
from typing import Any

import numpy as np

from ... import ops
from ...tensor import Tensor

RATE = pi / (pi - 1)  # 1.467, growth of E(grad^2) a layer: Yang et al. 2019
DEPTH = 32


@lru_cache(maxsize=64)
def growth(
    norm: str,
    size: int,
    *,
    skip: bool = False,
    width: int = 64,
    depth: int = DEPTH,
    seed: int = 0,
) -> np.ndarray:
    r"""Mean square of the gradient, k layers below the top, over that at the top.

    Each block is ``relu(norm(h)) @ W`` with He's W, alone or added to h (pre-norm). The
    gradient at the top is drawn at random. For batch norm the growth per layer goes to
    pi/(pi - 1) = 1.467 as batch and width grow (Yang et al. 2019, A Mean Field Theory
    of Batch Normalization: Gaussian weights, ReLU, at initialisation). With skips the
    values grow too, by the same variance at each block, and dividing by them leaves
    1 + 1.467/l at block l: over L blocks about L^1.467, a power in place of an
    exponential.

    Args:
        norm: "batch", "layer", "group" (4 groups) or "RMS".
        size: examples in the batch.
        skip: whether the block is added to its input.
        width: features in each layer.
        depth: blocks L.
        seed: draws inputs, weights and the gradient at the top.

    Returns:
        (depth + 1,), at k = 0 it is 1.
    """
    rng = np.random.default_rng(seed)
    h: Any = Tensor(
        rng.normal(size=(size, width)).astype(np.float32), requires_grad=True
    )
    passed = [h]
    for _ in range(depth):
        w = rng.normal(size=(width, width)) * np.sqrt(2 / width)
        block = ops.relu(_normalised(norm, h)) @ w.astype(np.float32)
        h = h + block if skip else block
        h.retain_grad()
        passed.append(h)
    h.backward(rng.normal(size=h.shape).astype(np.float32))
    squares = [float(np.mean(np.square(h.grad, dtype=float))) for h in passed[::-1]]
    return np.array(squares) / squares[0]


def per_layer(squares: np.ndarray) -> float:
    """Fit the growth factor of a layer, without five layers at either end."""
    k = np.arange(len(squares))[5:-5]
    return float(np.exp(np.polyfit(k, np.log(squares[5:-5]), 1)[0]))


def exponent(squares: np.ndarray) -> float:
    """Fit the power p of a growth as (L/l)^p, l being the block from the input.

    The input has variance 1 and each block adds 1/1.467, so that l counts from 1.467.
    """
    blocks = RATE + np.arange(len(squares))[::-1]
    return -float(np.polyfit(np.log(blocks[5:-5]), np.log(squares[5:-5]), 1)[0])


def _normalised(norm: str, h: Any) -> Any:
    if norm == "batch":
        return ops.batch_norm(h, None, None)
    if norm == "layer":
        return ops.layer_norm(h, h.shape[1])
    if norm == "group":
        return ops.group_norm(h, 4)
    return ops.rms_norm(h, h.shape[1], eps=1e-5)
