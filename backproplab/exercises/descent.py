"""Exercises on gradient descent: a least-squares fit, and the learning rate's slope."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _least_squares(x: Any, w: Any, b: Any, t: Any) -> Any:
    y = x @ w + b
    gap = y - t
    loss = np.mean(gap**2)
    return loss


def _one_step(w: Any, a: Any, lr: Any) -> Any:
    g = a * w
    v = w - lr * g
    loss = 0.5 * a * v**2
    return loss


def _points(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5, 6))[:2]
    return {
        "x": rng.normal(size=(n, d)),
        "w": rng.normal(size=d),
        "b": np.array(rng.normal()),
        "t": rng.normal(size=n),
    }


def _numbers(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "w": rng.uniform(1.0, 3.0) * rng.choice((-1.0, 1.0)),
        "a": rng.uniform(1.5, 4.0),
        "lr": rng.uniform(0.05, 0.2),
    }


PROBLEMS = (
    Problem(
        id="descent.least_squares",
        prompt="""
A straight fit: each row of $x$ is a sample, $w$ holds one weight for each column, and
$b$ is a single number. The loss is the mean of the squared gaps.
""",
        inputs=_points,
        forward=_least_squares,
        asks=("gap", "w", "b"),
        hints=(
            "Begin at the loss. Every gradient has the shape of its own value.",
            "The mean brings 1/n. Each weight met one column of `x`; `b` was used in "
            "every row, so what comes back from the rows adds.",
            "`dgap = 2 * ... / len(gap)`, `dw = x.T @ ...`, `db = sum(...)`",
        ),
        solution="$d\\mathrm{gap} = 2\\,\\mathrm{gap}/n$, $dw = x^T d\\mathrm{gap}$, "
        "$db = \\sum_i d\\mathrm{gap}_i$.",
        answer_code="""
dgap = 2 * gap / len(gap)
dw = x.T @ dgap
db = np.sum(dgap)
""",
        slips=(
            Slip("sum-not-mean", "dgap = 2 * gap"),
            Slip("constant-factor", "dgap = gap / len(gap)"),
            Slip("constant-factor", "dw = x.T @ dgap / len(gap)"),
            Slip("no-batch-sum", "db = dgap"),
            Slip("mean-not-sum", "db = np.mean(dgap)"),
        ),
    ),
    Problem(
        id="descent.rate",
        prompt="""
One step of gradient descent on $\\frac12 a w^2$ leads from $w$ to $v$. The loss after
the step depends on the learning rate, too. How fast does it move when the rate moves?
""",
        inputs=_numbers,
        forward=_one_step,
        asks=("v", "lr"),
        hints=(
            "Two links: from the loss to `v`, from `v` to `lr`. `g` is known already.",
            "`v = w - lr * g`: when the rate grows by a little, `v` moves by -g times "
            "as much.",
            "`dv = a * ...`, `dlr = dv * (...)`",
        ),
        solution="$dv = a v$ and $d\\eta = -dv\\,g$. It is zero where $v = 0$: at "
        "$\\eta = 1/a$ one step leads to the bottom.",
        answer_code="""
dv = a * v
dlr = -dv * g
""",
        slips=(
            Slip("constant-factor", "dv = 0.5 * a * v"),
            Slip("sign", "dlr = dv * g"),
            Slip("upstream-missing", "dlr = -g"),
            Slip("wrong-operand", "dlr = -dv * w"),
        ),
    ),
)
