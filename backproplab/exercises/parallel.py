"""Exercises on data parallelism: shares of a batch, statistics of all, a ring."""

from typing import Any

import numpy as np

from ..parallel import ring
from .problem import Problem, Slip


def _shards(x1: Any, x2: Any, w: Any) -> Any:
    y1 = x1 @ w
    y2 = x2 @ w
    loss1 = np.mean(y1**2)
    loss2 = np.mean(y2**2)
    loss = (loss1 + loss2) / 2
    return loss


def _weights(rows1: Any, rows2: Any) -> dict[str, Any]:
    batch = np.concatenate([rows1, rows2])
    return {
        "g1": np.mean(rows1, axis=0),
        "g2": np.mean(rows2, axis=0),
        "share1": len(rows1) / len(batch),
        "share2": len(rows2) / len(batch),
        "g": np.mean(batch, axis=0),
    }


def _centred(x1: Any, x2: Any) -> Any:
    mu = (np.mean(x1, axis=0) + np.mean(x2, axis=0)) / 2
    y1 = x1 - mu
    y2 = x2 - mu
    y = np.concatenate([y1, y2])
    return y


def _ring(replicas: Any, numbers: Any) -> dict[str, Any]:
    n, d = int(replicas), int(numbers)
    return {
        "chunk": ring.chunks(n, d)[0].stop,
        "steps": len(ring.steps(n, d)),
        "sent": ring.sent(n, d, 0),
    }


def _equal(rng: np.random.Generator) -> dict[str, Any]:
    n, d, k = rng.permutation((3, 4, 5, 6))[:3]
    return {
        "x1": rng.normal(size=(n, d)),
        "x2": rng.normal(size=(n, d)),
        "w": rng.normal(size=(d, k)),
    }


def _unequal(rng: np.random.Generator) -> dict[str, Any]:
    n, m, d = rng.permutation((2, 3, 4, 5, 6))[:3]
    return {"rows1": rng.normal(size=(n, d)), "rows2": rng.normal(size=(m, d))}


def _halves(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5))[:2]
    return {"x1": rng.normal(1, 2, size=(n, d)), "x2": rng.normal(-1, 2, size=(n, d))}


def _sizes(rng: np.random.Generator) -> dict[str, Any]:
    """Sizes in which the replicas divide the numbers, and no two answers agree."""
    n = int(rng.integers(4, 9))
    return {"replicas": n, "numbers": n * int(rng.integers(30, 90))}


PROBLEMS = (
    Problem(
        id="parallel.shards",
        prompt="""
Two replicas hold the same $w$. Each sees its own rows, as many as the other, and takes
the mean loss of these. The loss of the whole batch is the mean of the two.
""",
        inputs=_equal,
        forward=_shards,
        asks=("y1", "y2", "w"),
        hints=(
            "`w` is used twice: once on each replica. `y1` is used in `loss1` alone.",
            "Going back from `loss`, each replica's loss gets the factor 1/2. A mean "
            "over all entries brings 1/size. What comes back to `w` from the two "
            "replicas adds.",
            "`dy1 = 1/2 * 2 * ... / y1.size`, `dy2 = ...`, "
            "`dw = x1.T @ ... + x2.T @ ...`",
        ),
        solution="$dy_r = \\frac12 \\cdot 2\\,y_r / \\mathrm{size}$ and "
        "$dw = x_1^\\top dy_1 + x_2^\\top dy_2$. Each term is half of what the replica "
        "finds alone: the sum is the mean of the two gradients.",
        answer_code="""
dy1 = 0.5 * 2 * y1 / y1.size
dy2 = 0.5 * 2 * y2 / y2.size
dw = x1.T @ dy1 + x2.T @ dy2
""",
        slips=(
            Slip("path-missing", "dw = x1.T @ dy1"),
            Slip("constant-factor", "dw = (x1.T @ dy1 + x2.T @ dy2) / 2"),
            Slip("local-factor-missing", "dy1 = 2 * y1 / y1.size"),
            Slip("sum-not-mean", "dy2 = 0.5 * 2 * y2"),
            Slip("wrong-operand", "dw = x1.T @ dy1 + x1.T @ dy2"),
        ),
    ),
    Problem(
        id="parallel.weights",
        prompt="""
Two shards of different sizes. Row $i$ of `rows1` is the gradient of the loss of row $i$
alone, on replica 1; `rows2` likewise. Each replica takes the *mean* loss of its rows.
Find the gradient of each (`g1`, `g2`), the share of the batch that each shard is
(`share1`, `share2`), and the gradient `g` of the mean loss of the whole batch.
""",
        inputs=_unequal,
        forward=_weights,
        asks=("g1", "g2", "share1", "share2", "g"),
        hints=(
            "The gradient of a mean is the mean of the gradients.",
            "Every row of the batch counts the same in `g`. A replica with more rows "
            "therefore counts for more.",
            "`g1 = mean(..., axis=0)`, `share1 = len(rows1) / (... + ...)`, "
            "`g = share1 * ... + share2 * ...`",
        ),
        solution="$g = \\frac1n \\sum_i g_i = \\frac{n_1}{n} g_1 + \\frac{n_2}{n} g_2$:"
        " a mean of means only if each is weighted by its number of rows.",
        answer_code="""
g1 = np.mean(rows1, axis=0)
g2 = np.mean(rows2, axis=0)
share1 = len(rows1) / (len(rows1) + len(rows2))
share2 = len(rows2) / (len(rows1) + len(rows2))
g = share1 * g1 + share2 * g2
""",
        slips=(
            Slip(
                "sum-not-mean",
                "g1 = np.sum(rows1, axis=0)",
                says="This is the gradient of the summed loss; the replica takes the "
                "mean.",
            ),
            Slip(
                "factor-substituted",
                "share1 = 0.5",
                says="One of two replicas, but not half of the rows.",
            ),
            Slip(
                "factor-substituted",
                "share2 = len(rows2) / len(rows1)",
                says="This compares the two shards. The share is out of all rows.",
            ),
            Slip(
                "mean-not-sum",
                "g = (g1 + g2) / 2",
                says="The plain mean of the two: rows of the small shard count for "
                "more than those of the large one.",
            ),
            Slip(
                "local-factor-missing",
                "g = g1 + g2",
                says="The shares are missing.",
            ),
            Slip(
                "wrong-operand",
                "g = share2 * g1 + share1 * g2",
                says="Each gradient has the share of the other shard.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="parallel.centre",
        prompt="""
The first half of synchronised batch norm: two replicas take off the mean of *all* rows,
not of their own. `dy` has the rows of replica 1 first, then those of replica 2.
""",
        inputs=_halves,
        forward=_centred,
        asks=("y1", "y2", "mu", "x1"),
        hints=(
            "One `mu` is used on both replicas. `x1` is used in `y1`, and in `mu`.",
            "What comes back to `mu` from all rows of both replicas adds: this is the "
            "second sum that has to go round. Then `mu` hands 1/(2n) to each row, n "
            "being the rows of a replica.",
            "`dy1 = dy[:...]`, `dmu = -(sum(..., axis=0) + sum(..., axis=0))`, "
            "`dx1 = dy1 + ... / (2 * len(x1))`",
        ),
        solution="$d\\mu = -\\sum_i dy_{1i} - \\sum_i dy_{2i}$ needs the rows of both "
        "replicas, and $dx_1 = dy_1 + d\\mu/(2n)$. So a replica cannot go back alone: "
        "a synchronised norm sends numbers forward *and* backward.",
        answer_code="""
dy1 = dy[:len(x1)]
dy2 = dy[len(x1):]
dmu = -(np.sum(dy1, axis=0) + np.sum(dy2, axis=0))
dx1 = dy1 + dmu / (2 * len(x1))
""",
        slips=(
            Slip("path-missing", "dmu = -np.sum(dy1, axis=0)"),
            Slip("sign", "dmu = np.sum(dy1, axis=0) + np.sum(dy2, axis=0)"),
            Slip("statistics-constant", "dx1 = dy1"),
            Slip("local-factor-missing", "dx1 = dy1 + dmu / len(x1)"),
        ),
    ),
    Problem(
        id="parallel.ring",
        prompt="""
The ring. There are so many `replicas`, and each holds a gradient of so many `numbers`,
cut into as many chunks as there are replicas. In each step every replica sends one
chunk to its right neighbour: first until each holds one finished chunk of the sum,
then until each holds all of them. Find the numbers in a `chunk`, the `steps`, and the
numbers that one replica has `sent` at the end.
""",
        inputs=_sizes,
        forward=_ring,
        asks=("chunk", "steps", "sent"),
        hints=(
            "A sum of N parts has N - 1 additions. How often is a chunk passed on "
            "until all parts are in it?",
            "N - 1 steps to add, and as many again to hand round what is finished. In "
            "each step a replica sends one chunk.",
            "`chunk = numbers / ...`, `steps = 2 * (...)`, `sent = steps * ...`",
        ),
        solution="$2(N-1)$ steps of $D/N$ numbers: $2\\,\\frac{N-1}{N} D$. That is "
        "less than $2D$ for any number of replicas.",
        answer_code="""
chunk = numbers / replicas
steps = 2 * (replicas - 1)
sent = steps * chunk
""",
        slips=(
            Slip(
                "constant-factor",
                "steps = replicas - 1",
                says="After these steps each replica holds one finished chunk. The "
                "others still have to come round.",
            ),
            Slip(
                "factor-substituted",
                "steps = 2 * replicas",
                says="To add N parts takes N - 1 steps, not N.",
            ),
            Slip(
                "wrong-node",
                "chunk = numbers",
                says="This is the whole gradient. A chunk is one of as many parts as "
                "there are replicas.",
            ),
            Slip(
                "factor-substituted",
                "sent = steps * numbers",
                says="In a step a replica sends one chunk, not the whole gradient.",
            ),
            Slip(
                "wrong-node",
                "sent = (replicas - 1) * numbers",
                says="So much comes in at one replica that collects all gradients. "
                "In the ring no replica has to take that much.",
            ),
        ),
        quantity="value",
    ),
)
