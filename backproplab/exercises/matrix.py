"""Exercises on matrix products and broadcasting: shapes carry half of the answer."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _product(x: Any, w: Any) -> Any:
    y = x @ w
    return y


def _bias(x: Any, b: Any) -> Any:
    y = x + b
    return y


def _batch(rng: np.random.Generator) -> dict[str, Any]:
    n, d, k = rng.permutation((2, 3, 4, 5))[:3]
    return {"x": rng.normal(size=(n, d)), "w": rng.normal(size=(d, k))}


def _square(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((2, 3, 4))[:2]
    return {"x": rng.normal(size=(n, d)), "w": rng.normal(size=(d, d))}


def _rows(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((2, 3, 4, 5))[:2]
    return {"x": rng.normal(size=(n, d)), "b": rng.normal(size=d)}


PROBLEMS = (
    Problem(
        id="matrix.dw",
        prompt="""
A layer without a bias: each row of $x$ is a sample. Find the gradient of the weights.
""",
        inputs=_batch,
        forward=_product,
        asks=("w",),
        hints=(
            "`dw` has the shape of `w`. Which product of the two others has it?",
            "Each weight meets every row: multiply input and incoming gradient, and "
            "sum over the rows. A matrix product does both.",
            "`dw = (...).T @ ...`",
        ),
        solution="$y_{ij} = \\sum_a x_{ia} w_{aj}$, so "
        "$dw_{aj} = \\sum_i x_{ia}\\,dy_{ij}$: $dw = x^\\top dy$.",
        answer_code="dw = x.T @ dy",
        slips=(
            Slip("transposed", "dw = dy.T @ x"),
            Slip("mean-not-sum", "dw = x.T @ dy / len(x)"),
            Slip("upstream-missing", "dw = x.T @ np.ones_like(dy)"),
            Slip("sign", "dw = -x.T @ dy"),
        ),
    ),
    Problem(
        id="matrix.dx",
        prompt="""
The same layer, the other side: find the gradient of the input. Here $w$ is square, so
the shapes alone do not save you.
""",
        inputs=_square,
        forward=_product,
        asks=("x",),
        hints=(
            "Follow one number of `x` forward: which numbers of `y` does it reach?",
            "It reaches a row of `y`, by a row of `w`. On the way back rows and "
            "columns change roles.",
            "`dx = ... @ (...).T`",
        ),
        solution="$y_{ij} = \\sum_a x_{ia} w_{aj}$, so "
        "$dx_{ia} = \\sum_j dy_{ij}\\,w_{aj}$: $dx = dy\\,w^\\top$.",
        answer_code="dx = dy @ w.T",
        slips=(
            Slip("transposed", "dx = dy @ w"),
            Slip("upstream-missing", "dx = np.ones_like(dy) @ w.T"),
            Slip("mean-not-sum", "dx = dy @ w.T / len(w)"),
            Slip("sign", "dx = -dy @ w.T"),
        ),
    ),
    Problem(
        id="matrix.bias",
        prompt="A bias is added to every row of a batch. Find its gradient.",
        inputs=_rows,
        forward=_bias,
        asks=("b",),
        hints=(
            "How often is each number of `b` used?",
            "Once a row. Contributions of several uses add: sum over the rows.",
            "`db = ... .sum(axis=...)`, or as a formula `sum(..., axis=...)`",
        ),
        solution="$y_{ij} = x_{ij} + b_j$, so $db_j = \\sum_i dy_{ij}$.",
        answer_code="db = np.sum(dy, axis=0)",
        slips=(
            Slip("no-batch-sum", "db = dy"),
            Slip("mean-not-sum", "db = np.mean(dy, axis=0)"),
            Slip("keepdims", "db = np.sum(dy, axis=0, keepdims=True)"),
            Slip("upstream-missing", "db = np.sum(np.ones_like(dy), axis=0)"),
        ),
    ),
)
