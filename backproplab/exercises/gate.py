"""Exercises on gates: ops that let a gradient pass in some places and not in others."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _maximum(a: Any, b: Any) -> Any:
    y = np.maximum(a, b)
    return y


def _max(x: Any) -> Any:
    y = np.max(x, axis=1, keepdims=True)
    return y


def _clip(x: Any) -> Any:
    y = np.clip(x, -1, 1)
    return y


def _dropout(x: Any, mask: Any) -> Any:
    y = x * mask / 0.8
    return y


def _pair(rng: np.random.Generator) -> dict[str, Any]:
    n = int(rng.integers(2, 5))
    a, gap = rng.normal(size=2 * n), rng.uniform(0.2, 2, size=2 * n)
    return {"a": a, "b": a + rng.permuted([1.0, -1.0] * n) * gap}


def _table(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5))[:2]
    return {"x": rng.normal(size=(n, d))}


def _both_sides(rng: np.random.Generator) -> dict[str, Any]:
    inside = rng.uniform(-0.9, 0.9, size=3)
    outside = rng.uniform(1.1, 2, size=int(rng.integers(2, 5))) * (-1) ** len(inside)
    return {"x": rng.permuted([*inside, *outside, 1.7])}


def _kept(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5))[:2]
    x = rng.normal(size=(n, d))
    drop = rng.permuted(np.arange(n * d)).reshape(n, d) % 4
    return {"x": x, "mask": drop > 0}


PROBLEMS = (
    Problem(
        id="gate.maximum",
        prompt="""
The larger of two numbers, entry by entry. The incoming gradient is `dy`.
""",
        inputs=_pair,
        forward=_maximum,
        asks=("a", "b"),
        hints=(
            "At each place one of the two got through. Which one feels a small change?",
            "The one that won has slope 1, the other has slope 0. No number is halved.",
            "`da = dy * (... > ...)` and `db = dy * (... > ...)`",
        ),
        solution="Where $a > b$, $y$ is $a$ itself: $da = dy$ there and $db = 0$. "
        "Elsewhere the roles are exchanged.",
        answer_code="""
da = dy * (a > b)
db = dy * (b > a)
""",
        slips=(
            Slip("local-factor-missing", "da = dy"),
            Slip("upstream-missing", "da = (a > b) * 1.0"),
            Slip("factor-substituted", "db = dy * (a > b)"),
            Slip("sign", "db = -dy * (b > a)"),
        ),
    ),
    Problem(
        id="gate.max",
        prompt="The largest number of each row. The incoming gradient is `dy`.",
        inputs=_table,
        forward=_max,
        asks=("x",),
        hints=(
            "Move one number of a row a little. When does the largest one move?",
            "Only the largest entry has slope 1. All others have slope 0. "
            "`y` says which one it was.",
            "`dx = dy * (x == ...)`",
        ),
        solution="$y_i = x_{ij}$ for the winning $j$, so $dx_{ij} = dy_i$ there and 0 "
        "elsewhere. The comparison `x == y` finds the winner.",
        answer_code="dx = dy * (x == y)",
        slips=(
            Slip("local-factor-missing", "dx = dy * np.ones_like(x)"),
            Slip("upstream-missing", "dx = (x == y) * 1.0"),
            Slip("sign", "dx = -dy * (x == y)"),
        ),
    ),
    Problem(
        id="gate.clip",
        prompt="""
Numbers are cut off below $-1$ and above 1. The incoming gradient is `dy`.
""",
        inputs=_both_sides,
        forward=_clip,
        asks=("x",),
        hints=(
            "Draw the curve. Where is it flat?",
            "Between $-1$ and 1 the slope is 1. Outside nothing gets through, on "
            "*both* sides.",
            "`dx = dy * (abs(...) < ...)`",
        ),
        solution="$y = x$ where $|x| < 1$, so $dx = dy$ there; elsewhere $y$ stands "
        "still and $dx = 0$.",
        answer_code="dx = dy * (np.abs(x) < 1)",
        slips=(
            Slip("local-factor-missing", "dx = dy"),
            Slip("upstream-missing", "dx = (np.abs(x) < 1) * 1.0"),
            Slip("factor-substituted", "dx = dy * y"),
            Slip("sign", "dx = -dy * (np.abs(x) < 1)"),
        ),
    ),
    Problem(
        id="gate.dropout",
        prompt="""
Dropout while training: `mask` is true where a value is kept. Eight in ten are kept on
average, so what is kept is divided by 0.8.
""",
        inputs=_kept,
        forward=_dropout,
        asks=("x",),
        hints=(
            "The mask was drawn before. On the way back it is a number like any other.",
            "What was dropped sends nothing back. What was kept was scaled on the way "
            "forward, so its gradient is scaled too.",
            "`dx = dy * mask / ...`",
        ),
        solution="$y = x \\cdot m / 0.8$ with $m$ fixed, so $dx = dy \\cdot m / 0.8$: "
        "the same mask, and the same factor.",
        answer_code="dx = dy * mask / 0.8",
        slips=(
            Slip("local-factor-missing", "dx = dy * mask"),
            Slip("local-factor-missing", "dx = dy / 0.8"),
            Slip("upstream-missing", "dx = mask / 0.8"),
            Slip("sign", "dx = -dy * mask / 0.8"),
        ),
    ),
)
