"""Exercises on narrow formats: rounding to them, casts, and where errors are born."""

from typing import Any

import numpy as np

from .. import formats
from ..amp import autocast
from ..formats import Format
from ..tensor import Tensor
from .problem import Problem, Slip

_NARROW = ("float16", "float8_e5m2", "float8_e4m3fn")


def _quantize(x: Any, p: Any, emin: Any) -> dict[str, Any]:
    fmt = Format("asked", int(np.log2(2 - emin)) + 1, int(p))
    power = formats.ulp(x, fmt) * 2.0 ** (p - 1)
    c = 1.5 * 2.0 ** (53 - p) * power
    return {"power": power, "c": c, "y": formats.quantize(x, fmt)}


def _cast(x: Any, w: Any, h: Any, v: Any, dy: Any) -> dict[str, Any]:
    """Whatever autocast does; h and v are for the learner."""
    wide: Any = Tensor(x, requires_grad=True)
    weight = Tensor(w, requires_grad=True)
    with autocast("float16"):
        y = wide @ weight
    y.backward(dy)
    return {"dw": weight.grad, "dx": wide.grad}


def _born(x: Any, h: Any, y: Any) -> dict[str, Any]:
    born, inherited = y - np.tanh(h), np.tanh(h) - np.tanh(x)
    return {"born": born, "inherited": inherited, "error": y - np.tanh(x)}


def _large_and_tiny(rng: np.random.Generator) -> dict[str, Any]:
    """Of both signs; two below the smallest normal number."""
    fmt = formats.get(str(rng.choice(_NARROW)))
    exponents = [*rng.uniform(-2, 0, size=2), *rng.uniform(0, 7, size=4)]
    signs = rng.permutation([-1.0, 1.0] * 3)
    x = signs * 2.0 ** (fmt.emin + np.array(exponents))
    return {"x": x, "p": fmt.precision, "emin": fmt.emin}


def _beside_the_grid(rng: np.random.Generator) -> dict[str, Any]:
    """Numbers of few bits, so that float16 rounds nothing but the inputs."""
    n, d = rng.permutation((2, 3, 4, 5))[:2]
    h, v, dy = (
        rng.choice((-1.0, 1.0), shape) * rng.integers(5, 12, shape) / 8
        for shape in ((n, d), (d,), (n,))
    )
    x, w = (a * (1 + rng.uniform(-0.4, 0.4, a.shape) * 2.0**-11) for a in (h, v))
    return {"x": x, "w": w, "h": h, "v": v, "dy": dy}


def _one_op(rng: np.random.Generator) -> dict[str, Any]:
    x = rng.uniform(-1.5, 1.5, size=int(rng.integers(3, 7)))
    h = formats.quantize(x, "bfloat16")
    return {"x": x, "h": h, "y": formats.quantize(np.tanh(h), "bfloat16")}


PROBLEMS = (
    Problem(
        id="amp.quantize",
        prompt="""
Round the float64 numbers `x` to a format with `p` significant bits and the smallest
exponent `emin`. Three lines do it. Find the power of two at or below $|x|$, but at
least $2^{emin}$ (`power`). Find the constant $c = 1.5 \\cdot 2^{k} \\cdot power$ whose
spacing in float64 is the spacing of the narrow format at `x` (`c`). Adding $c$ rounds;
taking it off again leaves the rounded number (`y`).
""",
        inputs=_large_and_tiny,
        forward=_quantize,
        asks=("power", "c", "y"),
        hints=(
            "A float64 number has 53 significant bits. How far apart are the numbers "
            "with `p` bits that start at `power`?",
            "`floor(log2(...))` is the exponent. Spacing: power times 2 to the 1 - p. "
            "Numbers from 2^52 to 2^53 have the spacing 1 in float64.",
            "`power = 2.0 ** maximum(floor(...), ...)`, "
            "`c = 1.5 * 2.0 ** (...) * power`, `y = (x + ...) - ...`",
        ),
        solution="The spacing is $q = power \\cdot 2^{1-p}$. A number between "
        "$2^{52} q$ and $2^{53} q$ has this spacing in float64; $1.5 \\cdot 2^{52} q = "
        "1.5 \\cdot 2^{53-p}\\,power$ lies in the middle, so that $x$ of either sign "
        "stays inside. The addition rounds to nearest, ties to even, as the processor "
        "does; the subtraction is exact.",
        answer_code="""
power = 2.0 ** np.maximum(np.floor(np.log2(np.abs(x))), emin)
c = 1.5 * 2.0 ** (53 - p) * power
y = (x + c) - c
""",
        slips=(
            Slip(
                "path-missing",
                "power = 2.0 ** np.floor(np.log2(np.abs(x)))",
                says="Below the smallest normal number the spacing does not shrink any "
                "more: the exponent stops at emin.",
            ),
            Slip(
                "constant-factor",
                "c = 1.5 * 2.0 ** (52 - p) * power",
                says="Half of what is needed: one bit too many is kept.",
            ),
            Slip(
                "constant-factor",
                "c = 2.0 ** (53 - p) * power",
                says="Without the 1.5 a negative x leads below the power of two, where "
                "numbers stand twice as close.",
            ),
            Slip(
                "path-missing",
                "y = x + c",
                says="The constant is still in it.",
            ),
            Slip(
                "factor-substituted",
                "y = x + (c - c)",
                says="The order is the point: add first, so that the sum is rounded.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="amp.cast",
        prompt="""
Under `autocast("float16")` the line `y = x @ w` makes narrow copies first: `h` is `x`
rounded, `v` is `w` rounded, and `y = h @ v`. The incoming gradient is `dy`. What do
`x` and `w` themselves get (`dx`, `dw`)? The numbers are such that float16 holds
every product and sum.
""",
        inputs=_beside_the_grid,
        forward=_cast,
        asks=("dw", "dx"),
        hints=(
            "Two links each: through the product, then through the cast.",
            "The product knows the copies only. A cast is given the slope 1: what "
            "comes back passes, in the wider format.",
            "`dw = ....T @ dy`, `dx = outer(dy, ...)`",
        ),
        solution="$dv = h^T dy$ and $dh = dy\\,v^T$: what was multiplied are the "
        "copies. The casts pass both on, so $dw = dv$ and $dx = dh$.",
        answer_code="""
dw = h.T @ dy
dx = np.outer(dy, v)
""",
        slips=(
            Slip(
                "wrong-operand",
                "dw = x.T @ dy",
                says="The product was made with the rounded copy h, not with x.",
            ),
            Slip(
                "factor-substituted",
                "dw = 0 * v",
                says="A staircase is flat, so the true slope of rounding is 0 almost "
                "everywhere. A cast is given the slope 1 instead: else nothing learns.",
            ),
            Slip(
                "mean-not-sum",
                "dw = h.T @ dy / len(dy)",
                says="Each row used the weights: what comes back from the rows adds.",
            ),
            Slip(
                "wrong-operand",
                "dx = np.outer(dy, w)",
                says="The product was made with the rounded copy v, not with w.",
            ),
            Slip(
                "transposed",
                "dx = np.outer(v, dy)",
                says="A row of x for each entry of dy: the factors are swapped.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="amp.born",
        prompt="""
One op in bfloat16: `y` is $\\tanh(h)$, rounded. Its input `h` is not exact either: it
was rounded from `x`. Split the error of `y` against $\\tanh(x)$: what was `born` in
this op, and what it `inherited` with its input. Exactly, not to first order.
""",
        inputs=_one_op,
        forward=_born,
        asks=("born", "inherited", "error"),
        hints=(
            "Between `y` and tanh(x) stands a third number: the exact op on the very "
            "input that it got.",
            "Born is the result less the exact op on the input that it got. Inherited "
            "is what the exact op makes of two inputs. The two parts add.",
            "`born = y - tanh(...)`, `inherited = tanh(...) - tanh(...)`, "
            "`error = ... + ...`",
        ),
        solution="$y - \\tanh x = (y - \\tanh h) + (\\tanh h - \\tanh x)$. The first "
        "bracket is at most half a spacing of y. The second is about $1 - \\tanh^2 x$ "
        "times the error of the input: a flat op forgives, a steep one does not.",
        answer_code="""
born = y - np.tanh(h)
inherited = np.tanh(h) - np.tanh(x)
error = born + inherited
""",
        slips=(
            Slip(
                "factor-substituted",
                "born = y - np.tanh(x)",
                says="This is the whole error; a part of it came in with h.",
            ),
            Slip(
                "sign",
                "born = np.tanh(h) - y",
                says="An error is what stands there less what should stand there.",
            ),
            Slip(
                "local-factor-missing",
                "inherited = h - x",
                says="This is the error of the input; it goes through tanh first.",
            ),
            Slip(
                "path-missing",
                "error = born",
                says="What came in with h counts as well.",
            ),
        ),
        quantity="value",
    ),
)
