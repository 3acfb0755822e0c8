"""Exercises on a whole classifier: two layers, batch norm, softmax cross-entropy."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _classifier(
    x: Any, target: Any, w1: Any, gamma: Any, beta: Any, w2: Any, b2: Any
) -> Any:
    z = x @ w1
    mu = np.mean(z, axis=0)
    centred = z - mu
    squared = centred**2
    var = np.mean(squared, axis=0)
    spread = np.sqrt(var + 1e-5)
    xhat = centred / spread
    a = gamma * xhat + beta
    h = np.tanh(a)
    logits = h @ w2 + b2
    e = np.exp(logits)
    s = np.sum(e, axis=1, keepdims=True)
    p = e / s
    logp = np.log(p)
    picked = np.sum(target * logp, axis=1)
    loss = -np.mean(picked)
    return loss


def _batch(rng: np.random.Generator) -> dict[str, Any]:
    n, d, m, k = rng.permutation((3, 4, 5, 6))
    return {
        "x": rng.normal(size=(n, d)),
        "target": np.eye(k, dtype=int)[rng.integers(k, size=n)],
        "w1": rng.normal(size=(d, m)),
        "gamma": rng.uniform(0.5, 1.5, size=m),
        "beta": 0.3 * rng.normal(size=m),
        "w2": 0.7 * rng.normal(size=(m, k)),
        "b2": 0.3 * rng.normal(size=k),
    }


PROBLEMS = (
    Problem(
        id="mlp.steps",
        prompt="""
A classifier with batch norm, every step of its forward pass by name. `target` has a
single 1 in each row. Walk back from the loss, one node at a time.
""",
        inputs=_batch,
        forward=_classifier,
        asks=(
            "picked",
            "logp",
            "p",
            "s",
            "e",
            "logits",
            "w2",
            "b2",
            "h",
            "a",
            "gamma",
            "beta",
            "xhat",
            "spread",
            "var",
            "squared",
            "centred",
            "mu",
            "z",
            "w1",
        ),
        hints=(
            "Begin at the loss. Three nodes are used twice: `e`, `centred`, `z`, and "
            "look for the sums over rows. Every gradient has the shape of its value.",
            "What was broadcast on the way forward is summed on the way back. What was "
            "summed is broadcast. A mean brings 1/n. What is used twice adds.",
            "`dpicked = -1 / ...`, `dlogp = dpicked * ...`, `dp = dlogp / ...`, "
            "`ds = sum(..., axis=1, keepdims=True)`, `de = dp / ... + ...`, "
            "`dlogits = de * ...`; then as in `net.two_layers` and `bn.steps`.",
        ),
        solution="Loss: $-1/n$ to each row. Softmax: by $p = e/s$ the node $s$ gets "
        "$-\\sum_j dp\\,e/s^2$, and $e$ gets $dp/s + ds$. Layers: the other factor, "
        "transposed. Batch norm: through `xhat`, `spread`, `var` and `mu`.",
        answer_code="""
dpicked = np.full(len(x), -1 / len(x))
dlogp = dpicked[:, None] * target
dp = dlogp / p
ds = np.sum(-dp * e / s**2, axis=1, keepdims=True)
de = dp / s + ds
dlogits = de * e
dw2 = h.T @ dlogits
db2 = np.sum(dlogits, axis=0)
dh = dlogits @ w2.T
da = dh * (1 - h**2)
dgamma = np.sum(da * xhat, axis=0)
dbeta = np.sum(da, axis=0)
dxhat = da * gamma
dspread = np.sum(-dxhat * centred / spread**2, axis=0)
dvar = dspread / (2 * spread)
dsquared = np.ones_like(z) * dvar / len(z)
dcentred = dxhat / spread + dsquared * 2 * centred
dmu = -np.sum(dcentred, axis=0)
dz = dcentred + dmu / len(z)
dw1 = x.T @ dz
""",
        slips=(
            Slip("sum-not-mean", "dpicked = np.full(len(x), -1.0)"),
            Slip("sign", "dpicked = np.full(len(x), 1 / len(x))"),
            Slip("local-factor-missing", "dlogp = dpicked[:, None] * np.ones_like(p)"),
            Slip("local-factor-missing", "dp = dlogp"),
            Slip("no-batch-sum", "ds = -dp * e / s**2"),
            Slip("sign", "ds = np.sum(dp * e / s**2, axis=1, keepdims=True)"),
            Slip("statistics-constant", "de = dp / s"),
            Slip("local-factor-missing", "dlogits = de"),
            Slip("mean-not-sum", "dw2 = h.T @ dlogits / len(h)"),
            Slip("no-batch-sum", "db2 = dlogits"),
            Slip("upstream-missing", "dh = np.ones_like(dlogits) @ w2.T"),
            Slip("factor-substituted", "da = dh * (1 - a**2)"),
            Slip("local-factor-missing", "da = dh"),
            Slip("no-batch-sum", "dgamma = da * xhat"),
            Slip("mean-not-sum", "dbeta = np.mean(da, axis=0)"),
            Slip("local-factor-missing", "dxhat = da"),
            Slip("sign", "dspread = np.sum(dxhat * centred / spread**2, axis=0)"),
            Slip("constant-factor", "dvar = dspread / spread"),
            Slip("sum-not-mean", "dsquared = np.ones_like(z) * dvar"),
            Slip("path-missing", "dcentred = dxhat / spread"),
            Slip("sign", "dmu = np.sum(dcentred, axis=0)"),
            Slip("statistics-constant", "dz = dcentred"),
            Slip("upstream-missing", "dw1 = x.T @ np.ones_like(dz)"),
        ),
    ),
    Problem(
        id="mlp.closed",
        prompt="""
The same classifier, in few lines: softmax with cross-entropy is one step, and so is
batch norm.
""",
        inputs=_batch,
        forward=_classifier,
        asks=("logits", "w2", "b2", "a", "gamma", "beta", "z", "w1"),
        hints=(
            "Two closed forms do the work: one leads from the loss to `logits`, one "
            "from `a` to `z`.",
            "The first is `loss.softmax_cross_entropy`, the second `bn.dx`, with "
            "`1 / spread` for its scale.",
            "`dlogits = (... - ...) / len(x)`, `da = dlogits @ ... * (1 - ...)`, "
            "`dz = gamma / spread * (da - mean(..., axis=0) - xhat * ...)`",
        ),
        solution="$d\\mathrm{logits} = (p - \\mathrm{target})/n$; "
        "$da = (d\\mathrm{logits}\\,w_2^\\top)(1-h^2)$; $dz = \\frac{\\gamma}{s}"
        "\\big(da - \\overline{da} - \\hat x\\;\\overline{da\\,\\hat x}\\big)$.",
        answer_code="""
dlogits = (p - target) / len(x)
dw2 = h.T @ dlogits
db2 = np.sum(dlogits, axis=0)
da = dlogits @ w2.T * (1 - h**2)
dgamma = np.sum(da * xhat, axis=0)
dbeta = np.sum(da, axis=0)
dz = gamma / spread * (da - np.mean(da, axis=0) - xhat * np.mean(da * xhat, axis=0))
dw1 = x.T @ dz
""",
        slips=(
            Slip("sum-not-mean", "dlogits = p - target"),
            Slip("sign", "dlogits = (target - p) / len(x)"),
            Slip("transposed", "dw2 = dlogits.T @ h"),
            Slip("local-factor-missing", "da = dlogits @ w2.T"),
            Slip("keepdims", "dbeta = np.sum(da, axis=0, keepdims=True)"),
            Slip(
                "statistics-constant",
                "dz = gamma / spread * (da - np.mean(da, axis=0))",
            ),
            Slip("statistics-constant", "dz = gamma / spread * da"),
        ),
    ),
)
