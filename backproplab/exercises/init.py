"""Exercises on first weights: signals that neither vanish nor explode."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _spread(n_in: Any, n_out: Any) -> dict[str, Any]:
    """Solve n std^2 share = 1 for std."""
    rows = {"forward": n_in, "backward": n_out, "xavier": (n_in + n_out) / 2}
    return {k: n**-0.5 for k, n in rows.items()} | {"he": (n_in / 2) ** -0.5}


def _widths(rng: np.random.Generator) -> dict[str, Any]:
    n_in, n_out = rng.permutation((64, 100, 144, 256, 300))[:2]
    return {"n_in": n_in, "n_out": n_out}


PROBLEMS = (
    Problem(
        id="init.std",
        prompt="""
A layer $y = xW$ takes `n_in` numbers to `n_out`. The entries of $x$ are independent,
with mean 0 and variance 1. Those of $W$ have mean 0 and standard deviation $\\sigma$.
Which $\\sigma$ gives $y$ the variance 1 (`forward`)? Which keeps the variance of the
gradient on its way back (`backward`)? Xavier takes the mean of the two widths
(`xavier`). He thinks of a ReLU before the layer, which lets half of the mean square
through (`he`).
""",
        inputs=_widths,
        forward=_spread,
        asks=("forward", "backward", "xavier", "he"),
        hints=(
            "Each number of `y` is a sum of how many products?",
            "The variance of a sum of n independent products is n times $\\sigma^2$. "
            "It is to be 1. On the way back the sum runs over the outputs.",
            "`forward = sqrt(1 / ...)`, `backward = sqrt(1 / ...)`, "
            "`xavier = sqrt(2 / (...))`, `he = sqrt(... / n_in)`",
        ),
        solution="$n_{in}\\sigma^2 = 1$; $n_{out}\\sigma^2 = 1$; "
        "$\\frac{n_{in}+n_{out}}2\\sigma^2 = 1$; $\\frac12 n_{in}\\sigma^2 = 1$.",
        answer_code="""
forward = np.sqrt(1 / n_in)
backward = np.sqrt(1 / n_out)
xavier = np.sqrt(2 / (n_in + n_out))
he = np.sqrt(2 / n_in)
""",
        slips=(
            Slip(
                "factor-substituted",
                "forward = 1 / n_in",
                says="This is the variance; the standard deviation is its root.",
            ),
            Slip(
                "wrong-operand",
                "backward = np.sqrt(1 / n_in)",
                says="On the way back the sum runs over the outputs.",
            ),
            Slip(
                "constant-factor",
                "xavier = np.sqrt(1 / (n_in + n_out))",
                says="The mean of the two widths is half their sum.",
            ),
            Slip(
                "constant-factor",
                "he = np.sqrt(1 / n_in)",
                says="A ReLU lets half of the mean square through; this is not made up "
                "for.",
            ),
        ),
        quantity="value",
    ),
)
