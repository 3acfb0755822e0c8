"""LeNet by hand: the batch innermost, convolutions row by row (the fastest found)."""

from typing import Any

import numpy as np

from .hand import Array, New, cross_entropy, descend


def lenet(p: list[Array], x: Array, labels: Array, lr: float, new: New) -> Any:
    """Arrays are (c, h, w, n); x comes as (n, 1, 28, 28)."""
    k1, b1, k2, b2, w, b = p
    n = len(x)
    first = _Convolution(1, 6, 28, n, new, inner=False)
    second = _Convolution(6, 16, 12, n, new, inner=True)
    pool1, pool2 = _Pool(6, 24, n, new), _Pool(16, 8, n, new)
    scores, GW, GH = new(n, 10), new(256, 10), new(256, n)

    def step() -> Any:
        h = first.forward(np.ascontiguousarray(x.transpose(1, 2, 3, 0)), k1, b1)
        h = pool1.forward(np.maximum(h, 0, out=h))
        h = second.forward(h, k2, b2)
        h = pool2.forward(np.maximum(h, 0, out=h)).reshape(256, n)
        z = np.dot(h.T, w, out=scores)
        z += b
        loss, g = cross_entropy(z, labels)
        gb, gw = g.sum(axis=0), np.dot(h, g, out=GW)
        g = np.dot(w, g.T, out=GH).reshape(16, 4, 4, n)
        g, gk2, gb2 = second.backward(pool2.backward(g), k2)
        _, gk1, gb1 = first.backward(pool1.backward(g), k1)
        descend(p, [gk1, gb1, gk2, gb2, gw, gb], lr)
        return loss

    return step


class _Convolution:
    """5 x 5, no padding; one matrix product for each row of outputs."""

    def __init__(self, c: int, o: int, size: int, n: int, new: New, inner: bool):
        self.c, self.o, self.size, self.n, self.inner = c, o, size, n, inner
        self.out = m = size - 4
        self.columns_out = new(size, c, 5, m, n)
        self.y_out, self.row_out = new(o, m, m * n), new(o, m * n)
        self.spread_out, self.g_out = new(25 * c, m * n), new(c, size, size, n)

    def forward(self, x: Array, kernel: Array, b: Array) -> Array:
        c, o, m, n = self.c, self.o, self.out, self.n
        columns = _or_new(self.columns_out, (self.size, c, 5, m, n))
        for j in range(5):
            columns[:, :, j] = x[:, :, j : j + m].swapaxes(0, 1)
        self.columns = columns.reshape(self.size, 5 * c, m * n)
        matrix = kernel.transpose(0, 2, 1, 3).reshape(o, 25 * c)
        y = _or_new(self.y_out, (o, m, m * n))
        for i in range(m):
            rows = self.columns[i : i + 5].reshape(25 * c, m * n)
            y[:, i] = np.dot(matrix, rows, out=self.row_out)
        y += b[:, None, None]
        return y.reshape(o, m, m, n)

    def backward(self, g: Array, kernel: Array) -> tuple[Array, Array, Array]:
        c, o, m, n = self.c, self.o, self.out, self.n
        g = g.reshape(o, m, m * n)
        total = np.zeros((o, 25 * c), np.float32)
        for i in range(m):
            total += g[:, i] @ self.columns[i : i + 5].reshape(25 * c, m * n).T
        gk = total.reshape(o, 5, c, 5).transpose(0, 2, 1, 3)
        gb = g.sum(axis=(1, 2))
        return self._to_input(g, kernel) if self.inner else None, gk, gb

    def _to_input(self, g: Array, kernel: Array) -> Array:
        c, o, m, n = self.c, self.o, self.out, self.n
        matrix = kernel.transpose(0, 2, 1, 3).reshape(o, 25 * c).T
        spread = self.columns  # no longer needed
        spread[:] = 0
        for i in range(m):
            part = np.dot(matrix, g[:, i], out=self.spread_out)
            spread[i : i + 5] += part.reshape(5, 5 * c, m * n)
        spread = spread.reshape(self.size, c, 5, m, n).swapaxes(0, 1)
        gx = _or_new(self.g_out, (c, self.size, self.size, n))
        gx[:] = 0
        for j in range(5):
            gx[:, :, j : j + m] += spread[:, :, j]
        return gx


class _Pool:
    """Greatest of 2 x 2, behind a ReLU: where all four are 0 nothing flows."""

    def __init__(self, c: int, size: int, n: int, new: New):
        m = size // 2
        self.shape = (c, size, size, n)
        self.top_out, self.g_out = new(c, m, m, n), new(c, size, size, n)

    def forward(self, x: Array) -> Array:
        a, b, c, d = _corners(x)
        top = np.maximum(a, b, out=self.top_out)
        np.maximum(top, c, out=top)
        self.x, self.top = x, np.maximum(top, d, out=top)
        return top

    def backward(self, g: Array) -> Array:
        out = _or_new(self.g_out, self.shape)
        g *= self.top > 0
        for corner, x in zip(_corners(out), _corners(self.x), strict=True):
            np.multiply(g, x == self.top, out=corner)
        return out


def _corners(x: Array) -> list[Array]:
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def _or_new(out: Array, shape: tuple[int, ...]) -> Array:
    return np.empty(shape, np.float32) if out is None else out
