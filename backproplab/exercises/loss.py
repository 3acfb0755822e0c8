"""Exercises on losses: where a derivation begins, and where the 1/n comes from."""

from typing import Any

import numpy as np

from ..ops.activation import sigmoid
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


def _mean_of_rows(y: Any, t: Any) -> Any:
    loss = np.mean(np.sum((y - t) ** 2, axis=1))
    return loss


def _logsumexp(x: Any) -> Any:
    e = np.exp(x)
    s = np.sum(e, axis=1, keepdims=True)
    y = np.log(s)
    return y


def _binary(z: Any, t: Any) -> Any:
    p = sigmoid(z)
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    return loss


def _table(rng: np.random.Generator) -> dict[str, Any]:
    shape = tuple(rng.permutation((3, 4, 5))[:2])
    return {"y": rng.normal(size=shape), "t": rng.normal(size=shape)}


def _logits(rng: np.random.Generator) -> dict[str, Any]:
    n, k = rng.permutation((3, 4, 5))[:2]
    return {"z": rng.normal(size=(n, k)), "target": np.eye(k)[rng.integers(k, size=n)]}


def _scores(rng: np.random.Generator) -> dict[str, Any]:
    n = int(rng.integers(4, 8))
    return {
        "z": rng.normal(size=n),
        "t": rng.permuted([0, 1, *rng.integers(2, size=n - 2)]),
    }


def _rows(rng: np.random.Generator) -> dict[str, Any]:
    return {"x": _table(rng)["y"]}


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
            Slip("constant-factor", "dy = (y - t) / y.size"),
            Slip("sum-not-mean", "dy = 2 * (y - t) / len(y)"),
            Slip("sign", "dy = 2 * (t - y) / y.size"),
        ),
    ),
    Problem(
        id="loss.mean_of_rows",
        prompt="""
The squared errors of a sample are added; the mean is taken over the samples only.
""",
        inputs=_table,
        forward=_mean_of_rows,
        asks=("y",),
        hints=(
            "Read the loss from the outside in: a mean of what? A sum of what?",
            "The sum hands its gradient on as it is. The mean has as many terms as "
            "there are rows, no more.",
            "`dy = 2 * (...) / len(...)`",
        ),
        solution="$L = \\frac1n \\sum_i \\sum_j (y_{ij}-t_{ij})^2$, n being the number "
        "of rows: $dy = 2\\,(y-t)/n$.",
        answer_code="dy = 2 * (y - t) / len(y)",
        slips=(
            Slip("mean-not-sum", "dy = 2 * (y - t) / y.size"),
            Slip("sum-not-mean", "dy = 2 * (y - t)"),
            Slip("constant-factor", "dy = (y - t) / len(y)"),
            Slip("sign", "dy = 2 * (t - y) / len(y)"),
        ),
    ),
    Problem(
        id="loss.logsumexp",
        prompt="""
The logarithm of a sum of exponentials, for each row: a smooth maximum, and half of
every softmax. The incoming gradient is `dy`.
""",
        inputs=_rows,
        forward=_logsumexp,
        asks=("s", "e", "x"),
        hints=(
            "Three links: logarithm, sum, exponential.",
            "The slope of the logarithm is 1 over its input. A sum hands its gradient "
            "to every term of the row. The slope of $e^x$ is $e^x$.",
            "`ds = dy / ...`, `de = ds * ones...`, `dx = de * ...`",
        ),
        solution="$ds = dy/s$, $de = ds$ for each of the row, $dx = de\\,e$. "
        "Together $dx = dy\\,e/s$: the gradient is a softmax.",
        answer_code="""
ds = dy / s
de = ds + 0 * e
dx = de * e
""",
        slips=(
            Slip("factor-substituted", "ds = dy * s"),
            Slip("upstream-missing", "ds = 1 / s"),
            Slip("shape", "de = ds"),
            Slip("local-factor-missing", "dx = de"),
            Slip("factor-substituted", "dx = de * x"),
        ),
    ),
    Problem(
        id="loss.binary",
        prompt="""
Two classes: one score $z$ a sample, its probability $p$, and the target $t$, 0 or 1.
The derivation is long, the result is short.
""",
        inputs=_scores,
        forward=_binary,
        asks=("z",),
        hints=(
            "Two paths lead from the loss to `p`, one over each logarithm.",
            "They bring $-t/p$ and $(1-t)/(1-p)$. Then the slope of the sigmoid, "
            "$p(1-p)$, cancels both denominators. Think of the mean, too.",
            "`dz = (... - ...) / len(...)`",
        ),
        solution="$dp = \\big(-\\frac tp + \\frac{1-t}{1-p}\\big)/n$, and times "
        "$p(1-p)$: $dz = \\big(-t(1-p) + (1-t)p\\big)/n = (p - t)/n$.",
        answer_code="dz = (p - t) / len(z)",
        slips=(
            Slip("sum-not-mean", "dz = p - t"),
            Slip("sign", "dz = (t - p) / len(z)"),
            Slip("path-missing", "dz = -t * (1 - p) / len(z)"),
            Slip("local-factor-missing", "dz = (p - t) / (p * (1 - p)) / len(z)"),
        ),
    ),
    Problem(
        id="loss.softmax_steps",
        prompt="""
The loss of a classifier, step by step: logits $z$, exponentials $e$, their sum $s$,
probabilities $p$, and `target` with a single 1 in each row.
""",
        inputs=_logits,
        forward=_cross_entropy,
        asks=("p", "s", "e", "z"),
        hints=(
            "Two arrows leave `e`: one into `s`, one into `p`.",
            "`p = e / s` sends something to both. `s` is one number a row, so what "
            "comes back from the row adds. It is broadcast, so mind the shapes.",
            "`dp = -... / p / len(z)`, `ds = sum(-dp * ..., axis=1, keepdims=True)`, "
            "`de = dp / ... + ds`, `dz = de * ...`",
        ),
        solution="$dp = -\\mathrm{target}/(np)$; $ds = -\\sum_j dp_j\\,e_j/s^2$; "
        "$de = dp/s + ds$; $dz = de\\,e$. Put together, all of it is "
        "$(p - \\mathrm{target})/n$.",
        answer_code="""
dp = -target / p / len(z)
ds = np.sum(-dp * e / s**2, axis=1, keepdims=True)
de = dp / s + ds
dz = de * e
""",
        slips=(
            Slip("sum-not-mean", "dp = -target / p"),
            Slip("sign", "dp = target / p / len(z)"),
            Slip("no-batch-sum", "ds = -dp * e / s**2"),
            Slip("sign", "ds = np.sum(dp * e / s**2, axis=1, keepdims=True)"),
            Slip("statistics-constant", "de = dp / s"),
            Slip("local-factor-missing", "dz = de"),
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
