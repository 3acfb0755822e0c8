"""Fuzz the formula parser: any text is computed, or refused with a caret, and soon."""

import random
import sys
import time

import numpy as np
from loop import main

from backproplab.exercises.formula import FUNCTIONS, FormulaError, evaluate

NAMES = {"x": np.arange(6.0).reshape(2, 3), "y": np.ones(3), "w": np.eye(3), "n": 2.0}
PIECES = (
    *NAMES, *FUNCTIONS, "np.", ".T", "axis=0", "axis=-1", "keepdims=True", "axis=99",
    "(", ")", ",", "+", "-", "*", "/", "@", "**", "^", "<", ">=", "==", "1e308", "2",
    "0", ".5", "64", "1e999", "é", "·", "−", "__class__", "x.T.T", "lambda", " ", "\n",
)  # fmt: skip


def one(data: bytes) -> None:
    """Evaluate these bytes as text."""
    text = data.decode("utf-8", "replace")
    begun = time.perf_counter()
    try:
        formula = evaluate(text, NAMES)
    finally:
        seconds = time.perf_counter() - begun
        if seconds > 2:
            raise AssertionError(f"{seconds:.1f} s for {len(text)} characters")
    if np.asarray(formula.value).dtype != float or not isinstance(formula.tex, str):
        raise AssertionError("a formula is floats and TeX")


def pieced(data: bytes, draw: random.Random) -> bytes:
    """Put a few words of the language somewhere."""
    words = "".join(draw.choice(PIECES) for _ in range(draw.randrange(1, 12)))
    at = draw.randrange(len(data) + 1)
    return data[:at] + words.encode() + data[at:]


SEEDS = [
    s.encode()
    for s in (
        "", "x", "2 * (1 - y**2)", "x @ w.T + y", "np.sum(x * x, axis=0)",
        "np.where(x > 0, x, 0)", "(x - np.mean(x, axis=1, keepdims=True)) / n",
        "maximum(x, y)", "-x ** 2", "((((x))))",
    )
]  # fmt: skip

if __name__ == "__main__":
    sys.exit(
        main("formula", one, SEEDS, documented=(FormulaError,), mutations=(pieced,) * 4)
    )
