"""Exercises on attention: two matrix products with a softmax between them."""

from typing import Any

import numpy as np

from ..ops.activation import softmax
from .problem import Problem, Slip


def _weighted(a: Any, v: Any) -> Any:
    y = a @ v
    return y


def _softmax(s: Any) -> Any:
    a = softmax(s, axis=1)
    return a


def _scores(q: Any, k: Any) -> Any:
    s = q @ k.T / np.sqrt(q.shape[1])
    return s


def _attention(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T / np.sqrt(q.shape[1])
    a = softmax(s, axis=1)
    y = a @ v
    return y


def _tokens(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((2, 3, 4, 5))[:2]
    return {name: rng.normal(size=(n, d)) for name in ("q", "k", "v")}


def _two_of_them(rng: np.random.Generator) -> dict[str, Any]:
    drawn = _tokens(rng)
    return {"q": drawn["q"], "k": drawn["k"]}


def _mixing(rng: np.random.Generator) -> dict[str, Any]:
    v = _tokens(rng)["v"]
    e = np.exp(rng.normal(size=(len(v), len(v))))
    return {"a": e / e.sum(axis=1, keepdims=True), "v": v}


def _table(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5))[:2]
    return {"s": rng.normal(size=(n, d))}


PROBLEMS = (
    Problem(
        id="attention.dv",
        prompt="""
The last step of attention: each token takes a mixture of all values $v$. Row $i$ of $a$
says how much token $i$ takes of each. `a` is square, so the shapes do not save you.
""",
        inputs=_mixing,
        forward=_weighted,
        asks=("v", "a"),
        hints=(
            "It is a matrix product. Which tokens does value `v[j]` reach?",
            "It reaches token i with weight `a[i, j]`: the sum runs over i, down the "
            "columns. For `da`, the other factor is `v`.",
            "`dv = (...).T @ dy` and `da = dy @ (...).T`",
        ),
        solution="$y_i = \\sum_j a_{ij} v_j$, so $dv_j = \\sum_i a_{ij}\\,dy_i$: "
        "$dv = a^\\top dy$; and $da = dy\\,v^\\top$.",
        answer_code="""
dv = a.T @ dy
da = dy @ v.T
""",
        slips=(
            Slip("transposed", "dv = a @ dy"),
            Slip("mean-not-sum", "dv = a.T @ dy / len(a)"),
            Slip("upstream-missing", "da = np.ones_like(dy) @ v.T"),
            Slip("transposed", "da = v @ dy.T"),
        ),
    ),
    Problem(
        id="attention.softmax",
        prompt="""
The weights of attention: a softmax along each row of the scores $s$. The incoming
gradient is `da`.
""",
        inputs=_table,
        forward=_softmax,
        asks=("s",),
        hints=(
            "Raise one score. Its own weight grows. What happens to the others in the "
            "row?",
            "All weights of a row share one normaliser. So from `da` a mean is taken "
            "away: the mean of `da` in that row, weighted by `a`.",
            "`ds = a * (da - sum(..., axis=1, keepdims=True))`",
        ),
        solution="$\\partial a_j/\\partial s_k = a_j(\\delta_{jk} - a_k)$, so "
        "$ds_k = a_k\\,\\big(da_k - \\sum_j da_j\\,a_j\\big)$ in each row.",
        answer_code="ds = a * (da - np.sum(da * a, axis=1, keepdims=True))",
        slips=(
            Slip("statistics-constant", "ds = da * a"),
            Slip("factor-substituted", "ds = da * a * (1 - a)"),
            Slip(
                "factor-substituted",
                "ds = a * (da - np.sum(da * a, axis=0, keepdims=True))",
            ),
            Slip("sign", "ds = a * (np.sum(da * a, axis=1, keepdims=True) - da)"),
        ),
    ),
    Problem(
        id="attention.dqk",
        prompt="""
The scores of attention: every query against every key, divided by the root of their
length $d$.
""",
        inputs=_two_of_them,
        forward=_scores,
        asks=("q", "k"),
        hints=(
            "Two links: the product `q @ k.T`, and the division by a fixed number.",
            "The division acts on the way back as well. In the product, `q` meets `k`; "
            "since `k` is transposed in it, `ds` is transposed for `dk`.",
            "`dq = ds @ ... / sqrt(d)` and `dk = (...).T @ ... / sqrt(d)`, "
            "with `d = q.shape[1]`",
        ),
        solution="$s_{ij} = q_i \\cdot k_j / \\sqrt d$, so "
        "$dq_i = \\sum_j ds_{ij}\\,k_j/\\sqrt d$ and "
        "$dk_j = \\sum_i ds_{ij}\\,q_i/\\sqrt d$.",
        answer_code="""
dq = ds @ k / np.sqrt(q.shape[1])
dk = ds.T @ q / np.sqrt(q.shape[1])
""",
        slips=(
            Slip("local-factor-missing", "dq = ds @ k"),
            Slip("wrong-operand", "dq = ds @ q / np.sqrt(q.shape[1])"),
            Slip("transposed", "dk = ds @ q / np.sqrt(q.shape[1])"),
            Slip("sign", "dk = -ds.T @ q / np.sqrt(q.shape[1])"),
        ),
    ),
    Problem(
        id="attention.whole",
        prompt="One head of attention, from end to end: queries, keys and values.",
        inputs=_tokens,
        forward=_attention,
        asks=("a", "s", "q", "k", "v"),
        hints=(
            "Three links in a row: the mixture, the softmax, the scores.",
            "Each is an exercise of its own: `attention.dv`, `attention.softmax`, "
            "`attention.dqk`. What comes out of one goes into the next.",
            "`da = dy @ ...`, `ds = a * (... - sum(..., axis=1, keepdims=True))`, "
            "`dq = ds @ ... / ...`, `dk = ... @ q / ...`, `dv = ... @ dy`",
        ),
        solution="$da = dy\\,v^\\top$; $ds = a\\,(da - \\sum_j da_j a_j)$ by rows; "
        "$dq = ds\\,k/\\sqrt d$; $dk = ds^\\top q/\\sqrt d$; $dv = a^\\top dy$.",
        answer_code="""
da = dy @ v.T
ds = a * (da - np.sum(da * a, axis=1, keepdims=True))
dq = ds @ k / np.sqrt(q.shape[1])
dk = ds.T @ q / np.sqrt(q.shape[1])
dv = a.T @ dy
""",
        slips=(
            Slip("upstream-missing", "da = np.ones_like(dy) @ v.T"),
            Slip("statistics-constant", "ds = da * a"),
            Slip("factor-substituted", "ds = da * a * (1 - a)"),
            Slip("local-factor-missing", "dq = ds @ k"),
            Slip("transposed", "dk = ds @ q / np.sqrt(q.shape[1])"),
            Slip("transposed", "dv = a @ dy"),
        ),
    ),
)
