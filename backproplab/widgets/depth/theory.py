"""What mean-field theory expects of DepthLab's nets, and how paths share a gradient."""

from functools import lru_cache
from math import sqrt

import numpy as np

from ... import meanfield
from .controls import ACTIVATIONS, Controls


def expected(c: Controls) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What mean-field theory says of very wide nets and large batches.

    Returns:
        (L,) root mean squares of the layers' outputs; (L - 1,) the factor chi of the
        squared gradient from layer l + 1 to l; (L,) the branch's share of that factor.
    """
    weight, bias = (c.branch**2 * variance for variance in c.variances)
    q = v = 1.0  # mean square; variance over the batch
    values, chi, share = [], [], []
    for _ in range(c.depth):
        pre = c.norm != "none" and c.place == "pre"
        spread = (v if c.norm == "batch" else q) if pre else 1.0
        e, m, s = _moments(c.activation, 1.0 if pre else q)
        back = weight * s / spread
        q, v = c.bypass * q + weight * e + bias, c.bypass * v + weight * (e - m * m)
        share.append(back / (c.bypass + back) if c.bypass + back else 0.0)
        after = 1.0
        if c.norm != "none" and c.place == "post":
            after = v if c.norm == "batch" else q
            q = v = 1.0
        chi.append((c.bypass + back) / after if after else 0.0)
        values.append(sqrt(q))
    return np.array(values), np.array(chi[1:]), np.array(share)


def lengths(share: np.ndarray) -> np.ndarray:
    """Distribution of path lengths, where layer l is passed by its branch or not.

    Args:
        share: (L,) of the branch; 1/2 everywhere counts paths: Bin(L, 1/2).

    Returns:
        (L + 1,) for lengths 0 to L.

    >>> lengths(np.full(2, 0.5)).tolist()
    [0.25, 0.5, 0.25]
    """
    out = np.ones(1)
    for p in share:
        out = np.convolve(out, (1 - p, p))
    return out


@lru_cache(maxsize=4096)
def _moments(activation: str, q: float) -> tuple[float, float, float]:
    """E phi^2, E phi, E phi'^2 at variance q."""
    if activation == "ReLU":
        return q / 2, sqrt(q / (2 * np.pi)), 0.5
    if activation == "none (linear)":
        return q, 0.0, 1.0
    phi = ACTIVATIONS[activation]
    return meanfield.energy(phi, q), meanfield.mean(phi, q), meanfield.slope(phi, q)
