"""Exercises on depth: products of many slopes, bypasses, and how sizes grow."""

from typing import Any

import numpy as np

from ..ops.activation import sigmoid
from .problem import Problem, Slip


def _sigmoids(x: Any, w1: Any, w2: Any, w3: Any) -> Any:
    h1 = sigmoid(w1 * x)
    h2 = sigmoid(w2 * h1)
    y = sigmoid(w3 * h2)
    return y


def _two_blocks(x: Any, w1: Any, w2: Any, a: Any) -> Any:
    h1 = np.tanh(w1 * x)
    z = x + a * h1
    h2 = np.tanh(w2 * z)
    y = z + a * h2
    return y


def _growth(layers: Any, s: Any, a: Any) -> dict[str, Any]:
    """Each layer multiplies the mean square by the same number."""
    factors = {"relu": s / 2, "residual": 1 + a * a}
    return {name: factor**layers for name, factor in factors.items()}


def _column(rng: np.random.Generator) -> dict[str, Any]:
    n = int(rng.integers(3, 7))
    return {name: rng.normal(size=n) for name in ("x", "w1", "w2", "w3")}


def _rows(rng: np.random.Generator) -> dict[str, Any]:
    n = int(rng.integers(3, 7))
    rows = {name: rng.normal(size=n) for name in ("x", "w1", "w2")}
    return rows | {"a": rng.uniform(0.3, 0.8)}


def _deep(rng: np.random.Generator) -> dict[str, Any]:
    layers = int(rng.integers(5, 12))
    return {"layers": layers, "s": rng.uniform(1, 3), "a": rng.uniform(0.3, 0.8)}


PROBLEMS = (
    Problem(
        id="depth.sigmoids",
        prompt="""
Three sigmoids in a row, each with one weight. Walk back from $y$ to $x$, and watch how
many small factors gather on the way. The incoming gradient is `dy`.
""",
        inputs=_column,
        forward=_sigmoids,
        asks=("h2", "h1", "x"),
        hints=(
            "Each layer adds two factors to the product. Which two?",
            "The slope of the sigmoid is its output times what it lacks to 1, at most "
            "1/4. The other factor is the weight.",
            "`dh2 = dy * y * (1 - ...) * w3`, `dh1 = dh2 * ... * w2`, `dx = dh1 * ...`",
        ),
        solution="$dh_2 = dy\\,y(1-y)\\,w_3$, $dh_1 = dh_2\\,h_2(1-h_2)\\,w_2$, "
        "$dx = dh_1\\,h_1(1-h_1)\\,w_1$. Each layer brings $w$ and a slope of at most "
        "$\\frac14$, so $|dx| \\le 4^{-3}\\,|w_1 w_2 w_3|\\,|dy|$.",
        answer_code="""
dh2 = dy * y * (1 - y) * w3
dh1 = dh2 * h2 * (1 - h2) * w2
dx = dh1 * h1 * (1 - h1) * w1
""",
        slips=(
            Slip("local-factor-missing", "dh2 = dy * w3"),
            Slip("factor-substituted", "dh1 = dh2 * (1 - h2**2) * w2"),
            Slip("sign", "dx = dh1 * h1 * (h1 - 1) * w1"),
            Slip("upstream-missing", "dx = h1 * (1 - h1) * w1"),
        ),
    ),
    Problem(
        id="depth.two_blocks",
        prompt="""
Two residual blocks. Each adds a branch, times $a$, to what came in: one way leads
through the branch, one way around it. Both blocks share the number $a$.
""",
        inputs=_rows,
        forward=_two_blocks,
        asks=("z", "x", "a"),
        hints=(
            "How many arrows leave `z`? How many leave `x`, and how many leave `a`?",
            "Around the branch the gradient passes as it is. Through the branch it is "
            "multiplied by `a`, the slope of tanh, and the weight. Ways that part add.",
            "`dz = dy + dy * a * (1 - ...) * w2`, `dx = dz + ...`, "
            "`da = np.sum(dy * ... + dz * ...)`",
        ),
        solution="$dz = dy\\,(1 + a\\,(1-h_2^2)\\,w_2)$: the 1 is the bypass. "
        "$dx = dz\\,(1 + a\\,(1-h_1^2)\\,w_1)$. Multiply the brackets out: 4 paths. "
        "The number $a$ is used by each entry of both blocks: "
        "$da = \\sum (dy\\,h_2 + dz\\,h_1)$.",
        answer_code="""
dz = dy + dy * a * (1 - h2**2) * w2
dx = dz + dz * a * (1 - h1**2) * w1
da = np.sum(dy * h2 + dz * h1)
""",
        slips=(
            Slip("path-missing", "dz = dy * a * (1 - h2**2) * w2"),
            Slip("path-missing", "dz = dy"),
            Slip("local-factor-missing", "dx = dz + dz * a * w1"),
            Slip("path-missing", "da = np.sum(dy * h2)"),
            Slip("no-batch-sum", "da = dy * h2 + dz * h1"),
        ),
    ),
    Problem(
        id="depth.growth",
        prompt="""
Wide nets of `layers` layers with random weights of variance $s/n$, $n$ the width. The
mean square of the input is 1, and a ReLU lets half of it through. What is the mean
square at the end (`relu`)? And in a residual net, where each block adds a branch that
has the mean square of its input, times the number $a$, and is independent of what it is
added to (`residual`)?
""",
        inputs=_deep,
        forward=_growth,
        asks=("relu", "residual"),
        hints=(
            "First one layer alone: by what does it multiply the mean square?",
            "The ReLU brings 1/2, the weights n times their variance. For the block: "
            "variances of independent things add, and the branch is multiplied by `a`.",
            "`relu = (...) ** layers`, `residual = (1 + ...) ** layers`",
        ),
        solution="One layer: $s/2$; one block: $1 + a^2$. `layers` of them: to that "
        "power. He takes $s = 2$, which keeps 1; with Xavier's $s = 1$ it halves. With "
        "$a = 1/\\sqrt L$ the residual net tends to $e$; with $a = 0$ it stays 1.",
        answer_code="""
relu = (s / 2) ** layers
residual = (1 + a**2) ** layers
""",
        slips=(
            Slip(
                "local-factor-missing",
                "relu = s**layers",
                says="The half that the ReLU takes away is left out.",
            ),
            Slip(
                "factor-substituted",
                "relu = s / 2 * layers",
                says="Factors of layers multiply; they do not add.",
            ),
            Slip(
                "factor-substituted",
                "residual = (1 + a) ** layers",
                says="A branch times a has a mean square times a squared.",
            ),
            Slip(
                "path-missing",
                "residual = a ** (2 * layers)",
                says="The bypass is left out: what came in is still there.",
            ),
        ),
        quantity="value",
    ),
)
