"""Exercises on what is used many times: shared weights, skips, rows of a table."""

from typing import Any

import numpy as np

from ..ops.convolution import conv1d
from .problem import Problem, Slip


def _residual(x: Any, w: Any) -> Any:
    z = x @ w
    h = np.tanh(z)
    y = x + h
    return y


def _tied(x: Any, w: Any) -> Any:
    h = x @ w
    y = h @ w.T
    return y


def _two_steps(x1: Any, x2: Any, h0: Any, w: Any) -> Any:
    a1 = h0 @ w + x1
    h1 = np.tanh(a1)
    a2 = h1 @ w + x2
    h2 = np.tanh(a2)
    return h2


def _embedding(w: Any, ids: Any) -> Any:
    y = w[ids]
    return y


def _conv(x: Any, w: Any) -> Any:
    y = conv1d(x[None, None, :], w[None, None, :])[0, 0]
    return y


def _square(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((2, 3, 4))[:2]
    return {"x": rng.normal(size=(n, d)), "w": 0.6 * rng.normal(size=(d, d))}


def _narrow(rng: np.random.Generator) -> dict[str, Any]:
    n, d, m = rng.permutation((2, 3, 4, 5))[:3]
    return {"x": rng.normal(size=(n, d)), "w": rng.normal(size=(d, m))}


def _sequence(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((2, 3, 4))[:2]
    drawn = {name: rng.normal(size=(n, d)) for name in ("x1", "x2", "h0")}
    return {**drawn, "w": 0.6 * rng.normal(size=(d, d))}


def _words(rng: np.random.Generator) -> dict[str, Any]:
    """Ids in which two words come more than once, and one not at all."""
    d = int(rng.integers(2, 5))
    ids = rng.permuted([0, 1, 1, 2, 2, 2])
    return {"w": rng.normal(size=(4, d)), "ids": ids}


def _signal(rng: np.random.Generator) -> dict[str, Any]:
    return {"x": rng.normal(size=rng.integers(6, 10)), "w": rng.normal(size=3)}


PROBLEMS = (
    Problem(
        id="residual.block",
        prompt="""
A residual block: the input goes through a layer *and* around it.
""",
        inputs=_square,
        forward=_residual,
        asks=("z", "w", "x"),
        hints=(
            "Two arrows leave `x`: one into the layer, one into the sum.",
            "The sum hands `dy` to both. Around the layer it arrives unchanged: this "
            "is why deep nets with skips learn. The two contributions add.",
            "`dz = dy * (1 - ...)`, `dw = (...).T @ dz`, `dx = dy + dz @ ...`",
        ),
        solution="$dz = dy\\,(1-h^2)$, $dw = x^\\top dz$, "
        "$dx = dy + dz\\,w^\\top$: the bypass brings `dy` itself.",
        answer_code="""
dz = dy * (1 - h**2)
dw = x.T @ dz
dx = dy + dz @ w.T
""",
        slips=(
            Slip("path-missing", "dx = dz @ w.T"),
            Slip("path-missing", "dx = dy"),
            Slip("transposed", "dx = dy + dz @ w"),
            Slip("local-factor-missing", "dz = dy"),
            Slip("mean-not-sum", "dw = x.T @ dz / len(x)"),
        ),
    ),
    Problem(
        id="sharing.tied",
        prompt="""
An autoencoder with tied weights: the same $w$ packs and, transposed, unpacks.
""",
        inputs=_narrow,
        forward=_tied,
        asks=("h", "w"),
        hints=(
            "`w` is used twice, so two contributions come back to it.",
            "As an encoder it gets `x.T @ dh`. As a decoder it stands transposed, so "
            "its contribution is the transpose of `h.T @ dy`.",
            "`dh = dy @ ...` and `dw = x.T @ ... + ... @ h`",
        ),
        solution="From $y = h w^\\top$: $dh = dy\\,w$, and "
        "$dw \\mathrel{+}= dy^\\top h$. From $h = xw$: $dw \\mathrel{+}= x^\\top dh$.",
        answer_code="""
dh = dy @ w
dw = x.T @ dh + dy.T @ h
""",
        slips=(
            Slip("path-missing", "dw = x.T @ dh"),
            Slip("path-missing", "dw = dy.T @ h"),
            Slip("upstream-missing", "dh = np.ones_like(dy) @ w"),
            Slip("sign", "dw = x.T @ dh - dy.T @ h"),
        ),
    ),
    Problem(
        id="rnn.two_steps",
        prompt="""
A recurrent net, two steps long. The same $w$ carries the state $h$ from step to step.
Walk back through time.
""",
        inputs=_sequence,
        forward=_two_steps,
        asks=("a2", "h1", "a1", "w"),
        hints=(
            "`w` is used once a step. `h1` hands on what comes back through step 2.",
            "Each step gives the transposed state that it read, times what comes into "
            "its sum. The contributions of the steps add.",
            "`da2 = dh2 * (1 - ...)`, `dh1 = da2 @ ...`, `da1 = dh1 * (1 - ...)`, "
            "`dw = h1.T @ ... + h0.T @ ...`",
        ),
        solution="$da_2 = dh_2(1-h_2^2)$, $dh_1 = da_2 w^\\top$, "
        "$da_1 = dh_1(1-h_1^2)$, $dw = h_1^\\top da_2 + h_0^\\top da_1$.",
        answer_code="""
da2 = dh2 * (1 - h2**2)
dh1 = da2 @ w.T
da1 = dh1 * (1 - h1**2)
dw = h1.T @ da2 + h0.T @ da1
""",
        slips=(
            Slip("local-factor-missing", "da2 = dh2"),
            Slip("transposed", "dh1 = da2 @ w"),
            Slip("factor-substituted", "da1 = dh1 * (1 - a1**2)"),
            Slip("path-missing", "dw = h1.T @ da2"),
            Slip("path-missing", "dw = h0.T @ da1"),
        ),
    ),
    Problem(
        id="embedding.dw",
        prompt="""
A table of word vectors: row `ids[i]` of $w$ is the vector of word $i$. Some words occur
more than once, one not at all.
""",
        inputs=_words,
        forward=_embedding,
        asks=("w",),
        hints=(
            "A word that occurs twice sends its vector to two places.",
            "What comes back from all places where a row was used adds up. "
            "A row that was never used gets 0.",
            "`dw = np.zeros_like(w)`, then `np.add.at(dw, ..., ...)`",
        ),
        solution="$dw_r = \\sum_{i:\\,\\mathrm{ids}_i = r} dy_i$. As a product: one "
        "row of zeros and a single 1 for each word, transposed, times `dy`. "
        "`np.add.at(dw, ids, dy)` does the same; `dw[ids] += dy` does *not*.",
        answer_code="dw = np.eye(len(w))[ids].T @ dy",
        slips=(
            Slip("overwritten", "dw = np.zeros_like(w)\ndw[ids] = dy"),
            Slip(
                "mean-not-sum",
                "times = np.bincount(ids, minlength=len(w)).clip(1)[:, None]\n"
                "dw = np.eye(len(w))[ids].T @ dy / times",
            ),
            Slip("upstream-missing", "dw = np.eye(len(w))[ids].T @ np.ones_like(dy)"),
            Slip("shape", "dw = dy"),
        ),
    ),
    Problem(
        id="conv.dw",
        prompt="""
A convolution in one dimension: a filter $w$ of three weights slides along the signal
$x$. $y_i = w_0 x_i + w_1 x_{i+1} + w_2 x_{i+2}$.
""",
        inputs=_signal,
        forward=_conv,
        asks=("w",),
        hints=(
            "Each weight is used at every place of `y`.",
            "Weight j meets `x[i + j]` at place i. Multiply with `dy[i]`, and add over "
            "i: that is sliding `dy` along `x`.",
            "`dw = np.correlate(..., ..., 'valid')`",
        ),
        solution="$dw_j = \\sum_i dy_i\\,x_{i+j}$: slide `dy` along `x`, without "
        "turning it round.",
        answer_code='dw = np.correlate(x, dy, "valid")',
        slips=(
            Slip("factor-substituted", 'dw = np.correlate(x, dy, "valid")[::-1]'),
            Slip("mean-not-sum", 'dw = np.correlate(x, dy, "valid") / len(dy)'),
            Slip("upstream-missing", 'dw = np.correlate(x, np.ones_like(dy), "valid")'),
            Slip("sign", 'dw = -np.correlate(x, dy, "valid")'),
        ),
    ),
    Problem(
        id="conv.dx",
        prompt="""
The same convolution, the other side: $y_i = w_0 x_i + w_1 x_{i+1} + w_2 x_{i+2}$. Find
the gradient of the signal. The ends are reached by fewer weights.
""",
        inputs=_signal,
        forward=_conv,
        asks=("x",),
        hints=(
            "Which places of `y` does `x[m]` reach, and with which weights?",
            "It reaches `y[m - j]` with weight `w[j]`. The minus sign turns the filter "
            "round. `dx` is longer than `dy`.",
            "`dx = np.convolve(..., ...)`",
        ),
        solution="$dx_m = \\sum_j dy_{m-j}\\,w_j$: `np.convolve` turns the filter "
        "round and runs over both ends.",
        answer_code="dx = np.convolve(dy, w)",
        slips=(
            Slip("factor-substituted", "dx = np.convolve(dy, w[::-1])"),
            Slip("shape", 'dx = np.convolve(dy, w, "same")'),
            Slip("upstream-missing", "dx = np.convolve(np.ones_like(dy), w)"),
            Slip("sign", "dx = -np.convolve(dy, w)"),
        ),
    ),
)
