"""Exercises on small nets, derived node by node from the loss back to the weights."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _two_neurons(x: Any, w1: Any, w2: Any, t: Any) -> Any:
    a = w1 * x
    h = np.tanh(a)
    b = w2 * h
    y = b + h
    gap = y - t
    loss = gap**2
    return loss


def _two_layers(x: Any, w1: Any, b1: Any, w2: Any, t: Any) -> Any:
    z = x @ w1 + b1
    h = np.tanh(z)
    y = h @ w2
    loss = np.mean((y - t) ** 2)
    return loss


def _numbers(rng: np.random.Generator) -> dict[str, Any]:
    names = ("x", "w1", "w2", "t")
    return {n: rng.uniform(0.4, 1.4) * rng.choice((-1.0, 1.0)) for n in names}


def _batch(rng: np.random.Generator) -> dict[str, Any]:
    n, d, m, k = rng.permutation((2, 3, 4, 5))
    return {
        "x": rng.normal(size=(n, d)),
        "w1": 0.5 * rng.normal(size=(d, m)),
        "b1": 0.5 * rng.normal(size=m),
        "w2": 0.5 * rng.normal(size=(m, k)),
        "t": rng.normal(size=(n, k)),
    }


PROBLEMS = (
    Problem(
        id="net.two_neurons",
        prompt="""
Two neurons in a row, and a bypass: $h$ goes into the second neuron *and* around it.
Every value is a single number. Walk back from the loss, one node at a time.
""",
        inputs=_numbers,
        forward=_two_neurons,
        asks=("y", "b", "w2", "h", "a", "w1"),
        hints=(
            "Begin at the loss and go back one arrow at a time. Two arrows leave `h`.",
            "At each node: what comes in, times the local derivative. A sum hands its "
            "gradient on to both terms. A product multiplies by the other factor. At a "
            "fan-out what comes back adds.",
            "`dy = 2 * (...)`, `db = dy`, `dw2 = db * ...`, `dh = dy + ... * ...`, "
            "`da = dh * (1 - ...)`, `dw1 = da * ...`",
        ),
        solution="The square gives $2(y-t)$. The sum hands it to $b$ and to $h$ alike. "
        "By $b = w_2 h$ the node $h$ gets $db\\,w_2$ more, and $w_2$ gets $db\\,h$. "
        "The slope of tanh is $1-h^2$, and $a = w_1 x$ leaves the factor $x$.",
        answer_code="""
dy = 2 * (y - t)
db = dy
dw2 = db * h
dh = dy + db * w2
da = dh * (1 - h**2)
dw1 = da * x
""",
        slips=(
            Slip("sign", "dy = 2 * (t - y)"),
            Slip("wrong-operand", "dw2 = db * w2"),
            Slip("path-missing", "dh = db * w2"),
            Slip("local-factor-missing", "da = dh"),
            Slip("factor-substituted", "da = dh * (1 - a**2)"),
            Slip("wrong-operand", "dw1 = da * w1"),
        ),
    ),
    Problem(
        id="net.two_layers",
        prompt="""
A net of two layers on a batch: each row of $x$ is a sample. Walk back from the loss,
one node at a time, and look at the shapes.
""",
        inputs=_batch,
        forward=_two_layers,
        asks=("y", "w2", "h", "z", "w1", "b1"),
        hints=(
            "Begin at the loss. Every gradient has the shape of its own value.",
            "A mean brings 1/N. For a product of matrices: the other factor, "
            "transposed, on the side where it stood. For a bias: sum over the rows.",
            "`dy = 2 * (...) / ...`, `dw2 = (...).T @ dy`, `dh = dy @ (...).T`, "
            "`dz = dh * (1 - ...)`, `dw1 = (...).T @ dz`, `db1 = dz.sum(axis=...)`",
        ),
        solution="$dy = 2(y-t)/N$; $dw_2 = h^\\top dy$ and $dh = dy\\,w_2^\\top$; "
        "$dz = dh\\,(1-h^2)$; $dw_1 = x^\\top dz$; $db_1$ sums $dz$ over the rows.",
        answer_code="""
dy = 2 * (y - t) / y.size
dw2 = h.T @ dy
dh = dy @ w2.T
dz = dh * (1 - h**2)
dw1 = x.T @ dz
db1 = dz.sum(axis=0)
""",
        slips=(
            Slip("sum-not-mean", "dy = 2 * (y - t)"),
            Slip("transposed", "dw2 = dy.T @ h"),
            Slip("upstream-missing", "dh = np.ones_like(dy) @ w2.T"),
            Slip("local-factor-missing", "dz = dh"),
            Slip("factor-substituted", "dz = dh * (1 - z**2)"),
            Slip("mean-not-sum", "dw1 = x.T @ dz / len(x)"),
            Slip("no-batch-sum", "db1 = dz"),
        ),
    ),
)
