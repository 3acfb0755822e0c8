"""Exercises on mixed precision: the arithmetic of scaling a loss."""

from typing import Any

import numpy as np

from .. import formats
from .problem import Problem, Slip

_HALF = formats.get("float16")


def _scale(g: Any) -> dict[str, Any]:
    """Try every power of two, from small to large."""
    smallest, largest = np.min(np.abs(g)), np.max(np.abs(g))
    scales = [2.0**k for k in range(-40, 60)]
    low = next(s for s in scales if smallest * s >= _HALF.min_normal)
    high = next(s for s in reversed(scales) if largest * s <= _HALF.max)
    return {"low": low, "high": high}


def _unscale(g: Any, scale: Any, most: Any) -> dict[str, Any]:
    true = g / scale
    norm = np.linalg.norm(true, axis=1, keepdims=True)
    return {"true": true, "norm": norm, "clipped": true * np.minimum(1, most / norm)}


def _tiny(rng: np.random.Generator) -> dict[str, Any]:
    exponents = [rng.uniform(-9, -8), *rng.uniform(-8, -4, size=4), rng.uniform(-3, -2)]
    signs = rng.choice((-1.0, 1.0), size=6)
    return {"g": rng.permuted(signs * 10.0 ** np.array(exponents))}


def _long_and_short(rng: np.random.Generator) -> dict[str, Any]:
    true = rng.normal(size=(2, int(rng.integers(3, 6))))
    true /= np.linalg.norm(true, axis=1, keepdims=True)
    lengths = rng.permuted([rng.uniform(2, 5), rng.uniform(0.1, 0.6)])
    scale = 2.0 ** rng.integers(8, 14)
    return {"g": true * lengths[:, None] * scale, "scale": scale, "most": 1.0}


PROBLEMS = (
    Problem(
        id="amp.scale",
        prompt="""
These gradients are to be kept in float16. Its smallest normal number is $2^{-14}$, its
largest number 65504. Some would vanish, so they are first multiplied by a scale.
Find the smallest power of two (`low`) that makes all of them normal numbers, and the
largest one (`high`) that lets none of them overflow.
""",
        inputs=_tiny,
        forward=_scale,
        asks=("low", "high"),
        hints=(
            "Which entry of `g` is the first to vanish, which the first to overflow?",
            "`low` times the smallest size must reach $2^{-14}$; `high` times the "
            "largest must stay below 65504. The exponent is a logarithm, rounded.",
            "`low = 2**ceil(log2(... / min(...)))`, `high = 2**floor(log2(... / ...))`",
        ),
        solution="$S\\min|g| \\ge 2^{-14}$, so the exponent is "
        "$\\lceil \\log_2(2^{-14}/\\min|g|) \\rceil$; $S\\max|g| \\le 65504$, so it is "
        "$\\lfloor \\log_2(65504/\\max|g|) \\rfloor$. Any power between them serves.",
        answer_code="""
low = 2.0**np.ceil(np.log2(2.0**-14 / np.min(np.abs(g))))
high = 2.0**np.floor(np.log2(65504 / np.max(np.abs(g))))
""",
        slips=(
            Slip(
                "constant-factor",
                "low = 2.0**np.ceil(np.log2(2.0**-24 / np.min(np.abs(g))))",
                says="This brings the smallest one to the subnormal numbers, where "
                "hardly a digit of it is left.",
            ),
            Slip(
                "wrong-operand",
                "low = 2.0**np.ceil(np.log2(2.0**-14 / np.max(np.abs(g))))",
                says="This looks at the largest gradient; the smallest vanishes first.",
            ),
            Slip(
                "constant-factor",
                "low = 2.0**np.floor(np.log2(2.0**-14 / np.min(np.abs(g))))",
                says="Rounded the wrong way: the smallest one stays too small.",
            ),
            Slip(
                "constant-factor",
                "high = 2.0**np.ceil(np.log2(65504 / np.max(np.abs(g))))",
                says="Rounded the wrong way: the largest one overflows.",
            ),
            Slip(
                "wrong-operand",
                "high = 2.0**np.floor(np.log2(65504 / np.min(np.abs(g))))",
                says="This looks at the smallest one; the largest overflows first.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="amp.unscale",
        prompt="""
Two steps of training in mixed precision, one a row: `g` came back from a loss that was
multiplied by `scale`. Gradients longer than `most` are to be clipped to that length,
shorter ones stay. Find the `true` gradients, the `norm` of each row with shape (2, 1),
and what the optimiser gets (`clipped`).
""",
        inputs=_long_and_short,
        forward=_unscale,
        asks=("true", "norm", "clipped"),
        hints=(
            "The loss was multiplied by `scale`. So every gradient is, too.",
            "Take the scale out *before* you look at the length. Clipping multiplies a "
            "row by `most / norm`, but never by more than 1.",
            "`true = g / ...`, `norm = sqrt(sum(...**2, axis=1, keepdims=True))`, "
            "`clipped = true * minimum(1, ...)`",
        ),
        solution="Backward is linear: scaling the loss scales every gradient. Divide "
        "it out, measure, then shorten what is too long.",
        answer_code="""
true = g / scale
norm = np.sqrt(np.sum(true**2, axis=1, keepdims=True))
clipped = true * np.minimum(1, most / norm)
""",
        slips=(
            Slip(
                "wrong-operand",
                "norm = np.sqrt(np.sum(g**2, axis=1, keepdims=True))",
                says="This is the length of the scaled gradient: every step would be "
                "clipped.",
            ),
            Slip(
                "local-factor-missing",
                "true = g",
                says="The scale is still in it.",
            ),
            Slip(
                "factor-substituted",
                "norm = np.sum(true**2, axis=1, keepdims=True)",
                says="This is the square of the length.",
            ),
            Slip(
                "path-missing",
                "clipped = true * most / norm",
                says="This makes short gradients longer; they are to stay as they are.",
            ),
            Slip(
                "factor-substituted",
                "clipped = np.clip(true, -most, most)",
                says="This cuts each entry and turns the gradient; its length is what "
                "counts.",
            ),
        ),
        quantity="value",
    ),
)
