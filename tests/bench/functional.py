"""The same losses as functions of a list of arrays, for JAX, HIPS autograd and MyGrad.

``F`` is one library's set of functions (see ``peers``), ``p`` the parameters in the
order of ``models``; matrices are (in, out), so that nobody transposes.
"""

from typing import Any


def adds(F: Any, p: Any, _x: Any, _y: Any) -> Any:
    """1000 times y = y + w, from w."""
    (w,) = p
    y = w
    for _ in range(1000):
        y = y + w
    return F.np.sum(y)


def elementwise(F: Any, p: Any, x: Any, _y: Any) -> Any:
    """50 operations: 10 rounds of times w, plus x, relu, minus x, times a number."""
    (w,) = p
    y = x
    for _ in range(10):
        y = F.relu(y * w + x)
        y = (y - x) * 0.5
    return F.np.mean(y)


def mlp(F: Any, p: Any, x: Any, y: Any) -> Any:
    """Linear, ReLU, linear."""
    w1, b1, w2, b2 = p
    return F.cross_entropy(F.relu(x @ w1 + b1) @ w2 + b2, y)


def tanh_layers(F: Any, p: Any, x: Any, y: Any) -> Any:
    """Linear, tanh; as many as there are weights, the last without tanh."""
    *hidden, w, b = p
    for u, v in zip(hidden[::2], hidden[1::2], strict=True):
        x = F.np.tanh(x @ u + v)
    return F.cross_entropy(x @ w + b, y)


def batch_norm_mlp(F: Any, p: Any, x: Any, y: Any) -> Any:
    """Linear, batch norm, ReLU, three times; linear. No running statistics are kept."""
    for k in (0, 4, 8):
        w, b, gamma, beta = p[k : k + 4]
        x = F.relu(_normalised(F, x @ w + b, 0) * gamma + beta)
    return F.cross_entropy(x @ p[12] + p[13], y)


def lenet(F: Any, p: Any, x: Any, y: Any) -> Any:
    """Convolve, ReLU, pool; twice; linear."""
    k1, b1, k2, b2, w, b = p
    x = F.pool(F.relu(F.conv(x, k1) + F.np.reshape(b1, (1, 6, 1, 1))))
    x = F.pool(F.relu(F.conv(x, k2) + F.np.reshape(b2, (1, 16, 1, 1))))
    return F.cross_entropy(F.np.reshape(x, (-1, 256)) @ w + b, y)


def transformer(F: Any, p: Any, x: Any, y: Any) -> Any:
    """As in ``models``; the heads' attention written out."""
    np = F.np
    tokens, positions, *p = p
    n, t, d = *x.shape, tokens.shape[1]
    heads = (n, t, 4, d // 4)
    h = np.reshape(tokens[x], (n, t, d)) + positions
    for k in (0, 16):
        g1, c1, wq, bq, wk, bk, wv, bv, wo, bo, g2, c2, wu, bu, wd, bd = p[k : k + 16]
        z = _normalised(F, h, -1) * g1 + c1
        q, k_, v = (
            np.swapaxes(np.reshape(z @ w + b, heads), 1, 2)
            for w, b in ((wq, bq), (wk, bk), (wv, bv))
        )
        scores = q @ np.swapaxes(k_, 2, 3) * (d // 4) ** -0.5 + F.causal(t)
        a = np.reshape(np.swapaxes(F.softmax(scores) @ v, 1, 2), (n, t, d))
        h = h + a @ wo + bo
        z = (_normalised(F, h, -1) * g2 + c2) @ wu + bu
        h = h + F.gelu(z) @ wd + bd
    g, c, w, b = p[32:]
    z = (_normalised(F, h, -1) * g + c) @ w + b
    return F.cross_entropy(np.reshape(z, (n * t, 65)), y)


def _normalised(F: Any, x: Any, axis: int) -> Any:
    d = x - F.np.mean(x, axis=axis, keepdims=True)
    return d / F.np.sqrt(F.np.mean(d * d, axis=axis, keepdims=True) + 1e-5)
