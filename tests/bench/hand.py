"""Hand-written NumPy: what the engine is measured against. No tape, no generality.

Each is written once and is two competitors. ``new`` gives the arrays that results go
to: ``np.empty`` once (preallocated), or None, and NumPy makes a fresh array in each
step (a careful student's version). In place wherever nothing is lost; NumPy's plain
functions, but ``np.dot`` for matrices (``matmul`` skips BLAS for a batch of 1).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
New = Callable[..., Any]


def preallocated(*shape: int) -> Array:
    """Make the array that a result goes to, once."""
    return np.empty(shape, np.float32)


def fresh(*_shape: int) -> None:
    """Make nothing: ``out=None`` lets NumPy make a new array each time."""


def descend(p: list[Array], gradients: list[Array], lr: float) -> None:
    """Take one SGD step in place; the gradients are used up."""
    for w, g in zip(p, gradients, strict=True):
        g *= lr
        w -= g


def cross_entropy(z: Array, labels: Array) -> tuple[Any, Array]:
    """Return the mean loss and its gradient in z, which takes z's place."""
    rows = np.arange(len(z))
    z -= z.max(axis=1, keepdims=True)
    picked = z[rows, labels]
    np.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - picked)
    z /= total
    z[rows, labels] -= 1
    z /= np.float32(len(z))
    return loss, z


def adds(p: list[Array], x: Array, _y: Array, lr: float, new: New) -> Any:
    """1000 times y = y + w, and the gradient of w by 1000 additions.

    Results alternate between two arrays: on one number, NumPy in place is slower.
    """
    (w,) = p
    A, B, C, D = (new(*w.shape) for _ in range(4))
    ones = np.ones_like(w)

    def step() -> Any:
        y = w
        for _ in range(500):
            y = np.add(y, w, A)
            y = np.add(y, w, B)
        loss = y.sum()
        g = ones
        gw = np.add(g, g, D)
        for _ in range(499):
            gw = np.add(gw, g, C)
            gw = np.add(gw, g, D)
        gw = np.add(gw, g, C)
        descend(p, [gw], lr)
        return loss

    return step


def elementwise(p: list[Array], x: Array, _y: Array, lr: float, new: New) -> Any:
    """50 operations on large arrays; only what backward needs is kept."""
    (w,) = p
    Y, R = [new(*x.shape) for _ in range(10)], [new(*x.shape) for _ in range(10)]
    G, GW, T = new(*x.shape), new(*x.shape), new(*x.shape)
    half, share = np.float32(0.5), np.float32(1 / x.size)

    def step() -> Any:
        y, ys, rs = x, [], []
        for k in range(10):
            ys.append(y)
            r = np.multiply(y, w, out=R[k])
            r += x
            np.maximum(r, 0, out=r)
            rs.append(r)
            y = np.subtract(r, x, out=Y[k])
            y *= half
        loss = y.mean()
        g = np.empty_like(x) if G is None else G
        g.fill(share)
        gw = None
        for y, r in zip(reversed(ys), reversed(rs), strict=True):
            g *= half
            g *= r > 0
            if gw is None:
                gw = np.multiply(g, y, out=GW)
            else:
                gw += np.multiply(g, y, out=T)
            if y is not x:
                g *= w
        descend(p, [gw], lr)
        return loss

    return step


def relu(z: Array) -> Array:
    """Clip at 0 in place."""
    return np.maximum(z, 0, out=z)


def through_relu(g: Array, h: Array, _spare: Array) -> None:
    """Carry g back in place."""
    g *= h > 0


def tanh(z: Array) -> Array:
    """Squash in place."""
    return np.tanh(z, out=z)


def through_tanh(g: Array, h: Array, spare: Array) -> None:
    """Carry g back in place."""
    t = np.multiply(h, h, out=spare)
    np.subtract(1, t, out=t)
    g *= t


def dense(activate: Any, through: Any) -> Any:
    """A chain of linear layers with an activation after each but the last."""

    def prepare(p: list[Array], x: Array, labels: Array, lr: float, new: New) -> Any:
        n, weights, shifts = len(x), p[::2], p[1::2]
        widths = [w.shape[1] for w in weights]
        H, G, S = ([new(n, d) for d in widths] for _ in range(3))
        GW = [new(*w.shape) for w in weights]
        GB = [new(d) for d in widths]
        layers = range(len(weights))
        last = layers[-1]

        def step() -> Any:
            h, inputs = x, []
            for k in layers:
                inputs.append(h)
                h = np.dot(h, weights[k], out=H[k])
                h += shifts[k]
                if k < last:
                    activate(h)
            loss, g = cross_entropy(h, labels)
            gradients = []
            for k in reversed(layers):
                h = inputs[k]
                gradients.append(np.sum(g, axis=0, out=GB[k]))
                gradients.append(np.dot(h.T, g, out=GW[k]))
                if k:
                    g = np.dot(g, weights[k].T, out=G[k - 1])
                    through(g, h, S[k - 1])
            descend(p, gradients[::-1], lr)
            return loss

        return step

    return prepare


def batch_norm_mlp(p: list[Array], x: Array, labels: Array, lr: float, new: New) -> Any:
    """Three layers of linear, batch norm, ReLU; running statistics are kept."""
    n, last = len(x), (p[12], p[13])
    layers = [tuple(p[k : k + 4]) for k in (0, 4, 8)]
    Z, H, G, S = ([new(n, 256) for _ in layers] for _ in range(4))
    GW = [new(*layer[0].shape) for layer in layers]
    running = [(np.zeros(256, np.float32), np.ones(256, np.float32)) for _ in layers]
    scores, G_last = new(n, 10), new(256, 10)

    def step() -> Any:
        h, kept = x, []
        for k, (w, b, gamma, beta) in enumerate(layers):
            z = np.dot(h, w, out=Z[k])
            z += b
            mean = z.mean(axis=0)
            z -= mean
            variance = np.einsum("nd,nd->d", z, z) / n
            scale = 1 / np.sqrt(variance + np.float32(1e-5))
            z *= scale
            for old, now in zip(
                running[k], (mean, variance * (n / (n - 1))), strict=True
            ):
                old *= 0.9
                old += 0.1 * now
            kept.append((h, z, scale))
            h = np.multiply(z, gamma, out=H[k])
            h += beta
            np.maximum(h, 0, out=h)
        z = np.dot(h, last[0], out=scores)
        z += last[1]
        loss, g = cross_entropy(z, labels)
        gradients = [g.sum(axis=0), np.dot(h.T, g, out=G_last)]
        g = np.dot(g, last[0].T, out=G[2])
        for k in (2, 1, 0):
            w, _, gamma, _ = layers[k]
            g *= h > 0
            h, z, scale = kept[k]
            g_beta, g_gamma = g.sum(axis=0), np.einsum("nd,nd->d", g, z)
            g -= g_beta / n
            g -= np.multiply(z, g_gamma / n, out=S[k])
            g *= gamma * scale
            gradients += [g_beta, g_gamma, g.sum(axis=0)]
            gradients.append(np.dot(h.T, g, out=GW[k]))
            if k:
                g = np.dot(g, w.T, out=G[k - 1])
        descend(p, gradients[::-1], lr)
        return loss

    return step
