"""Exercises on losses: where a derivation begins, and where the 1/n comes from."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _mean_square(y: Any, t: Any) -> Any:
    loss = np.mean((y - t) ** 2)
    return loss


def _cross_entropy(z: Any, target: Any) -> Any:
    e = np.exp(z)
    s = np.sum(e, axis=1, keepdims=True)
    p = e / s
    loss = -np.mean(np.sum(target * np.log(p), axis=1))
    return loss


def _table(rng: np.random.Generator) -> dict[str, Any]:
    shape = tuple(rng.permutation((3, 4, 5))[:2])
    return {"y": rng.normal(size=shape), "t": rng.normal(size=shape)}


def _logits(rng: np.random.Generator) -> dict[str, Any]:
    n, k = rng.permutation((3, 4, 5))[:2]
    return {"z": rng.normal(size=(n, k)), "target": np.eye(k)[rng.integers(k, size=n)]}


PROBLEMS = (
    Problem(
        id="loss.mean_square",
        prompt="""
The mean squared error of predictions $y$ against targets $t$: here derivations begin.
""",
        inputs=_table,
        forward=_mean_square,
        asks=("y",),
        hints=(
            "Two links: the square, and the mean around it.",
            "A mean of $N$ numbers hands $1/N$ to each. $N$ counts all entries.",
            "`dy = 2 * (...) / ...`",
        ),
        solution="$L = \\frac1N \\sum (y-t)^2$ over all $N$ entries, so "
        "$dy = 2\\,(y-t)/N$.",
        answer_code="dy = 2 * (y - t) / y.size",
        slips=(
            Slip("sum-not-mean", "dy = 2 * (y - t)"),
            Slip("factor-substituted", "dy = (y - t) / y.size"),
            Slip("sum-not-mean", "dy = 2 * (y - t) / len(y)"),
            Slip("sign", "dy = 2 * (t - y) / y.size"),
        ),
    ),
    Problem(
        id="loss.softmax_cross_entropy",
        prompt="""
The loss of a classifier: logits $z$, probabilities $p$, and `target` with a single 1 in
each row. The derivation is long, the result is short.
""",
        inputs=_logits,
        forward=_cross_entropy,
        asks=("z",),
        hints=(
            "Take one row. Write its loss as $-\\log p_c$, c being the right class.",
            "$-\\log p_c = -z_c + \\log \\sum_j e^{z_j}$. Differentiate both terms: "
            "the second one gives a probability. Then think of the mean over the rows.",
            "`dz = (... - ...) / ...`",
        ),
        solution="In a row, $-z_c$ gives $-1$ at the right class, and "
        "$\\log\\sum_j e^{z_j}$ gives $p$. The mean over $n$ rows brings $1/n$: "
        "$dz = (p - \\mathrm{target})/n$.",
        answer_code="dz = (p - target) / len(z)",
        slips=(
            Slip("sum-not-mean", "dz = p - target"),
            Slip("sign", "dz = (target - p) / len(z)"),
            Slip("statistics-constant", "dz = -target / len(z)"),
            Slip("path-missing", "dz = p / len(z)"),
        ),
    ),
)
