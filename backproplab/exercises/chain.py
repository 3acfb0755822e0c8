"""Exercises on the chain rule, one value at a time: products, links, fan-out."""

from typing import Any

import numpy as np

from ..ops.activation import relu, sigmoid
from .problem import Problem, Slip


def _scalar(x: Any, w: Any, t: Any) -> Any:
    z = w * x
    y = np.tanh(z)
    loss = (y - t) ** 2
    return loss


def _product(x: Any) -> Any:
    e = np.exp(x)
    y = x * e
    return y


def _fan_out(x: Any, w: Any) -> Any:
    h = w * x
    a = np.sin(h)
    b = h**2
    y = a + b
    return y


def _tanh(x: Any) -> Any:
    y = np.tanh(x)
    return y


def _sigmoid(x: Any) -> Any:
    y = sigmoid(x)
    return y


def _relu(x: Any) -> Any:
    y = relu(x)
    return y


def _numbers(*names: str) -> Any:
    """Single numbers, away from 0, so that no factor hides."""
    return lambda rng: {
        n: rng.uniform(0.4, 1.6) * rng.choice((-1.0, 1.0)) for n in names
    }


def _row(*names: str) -> Any:
    def inputs(rng: np.random.Generator) -> dict[str, Any]:
        n = int(rng.integers(3, 7))
        return {name: rng.normal(size=n) for name in names}

    return inputs


PROBLEMS = (
    Problem(
        id="chain.scalar",
        prompt="""
One neuron with one weight. How does the loss change when $w$ changes?
Three links lead from $w$ to the loss. Multiply their local derivatives.
""",
        inputs=_numbers("x", "w", "t"),
        forward=_scalar,
        asks=("w",),
        hints=(
            "Walk back from the loss: first to `y`, then to `z`, then to `w`.",
            "The chain rule: $dL/dw = dL/dy \\cdot dy/dz \\cdot dz/dw$. "
            "The slope of tanh is 1 minus its own output squared.",
            "`dw = 2 * (...) * (1 - ...) * ...`",
        ),
        solution="$dL/dy = 2(y-t)$, $dy/dz = 1-y^2$, $dz/dw = x$: take their product.",
        answer_code="dw = 2 * (y - t) * (1 - y**2) * x",
        slips=(
            Slip("local-factor-missing", "dw = 2 * (y - t) * x"),
            Slip("wrong-operand", "dw = 2 * (y - t) * (1 - y**2) * w"),
            Slip("factor-substituted", "dw = 2 * (y - t) * (1 - z**2) * x"),
            Slip("sign", "dw = 2 * (t - y) * (1 - y**2) * x"),
        ),
    ),
    Problem(
        id="chain.product",
        prompt="""
A product in which both factors depend on $x$. The incoming gradient is `dy`.
""",
        inputs=_row("x"),
        forward=_product,
        asks=("x",),
        hints=(
            "Look how often `x` is used: once in the product, once inside `e`.",
            "Each use sends something back, and what comes back adds up. "
            "The derivative of $e^x$ is $e^x$.",
            "`dx = dy * ... + dy * x * ...`",
        ),
        solution="By the first factor: $dy\\,e$. By the other: $dy\\,x\\,e$. They add.",
        answer_code="dx = dy * e + dy * x * e",
        slips=(
            Slip("path-missing", "dx = dy * e"),
            Slip("path-missing", "dx = dy * x * e"),
            Slip("upstream-missing", "dx = e + x * e"),
            Slip("sign", "dx = -(dy * e + dy * x * e)"),
        ),
    ),
    Problem(
        id="chain.fan_out",
        prompt="""
The value $h$ is used twice. Find its gradient first, then the gradient of $w$.
""",
        inputs=_row("x", "w"),
        forward=_fan_out,
        asks=("h", "w"),
        hints=(
            "Two arrows leave `h`, so two contributions come back to it.",
            "Contributions of several paths add. After that `w` is one product away.",
            "`dh = dy * (cos of ... + 2 * ...)` and `dw = dh * ...`",
        ),
        solution="$dh = dy\\,(\\cos h + 2h)$, one term a path; then $dw = dh\\,x$.",
        answer_code="""
dh = dy * (np.cos(h) + 2 * h)
dw = dh * x
""",
        slips=(
            Slip("path-missing", "dh = dy * np.cos(h)"),
            Slip("upstream-missing", "dh = np.cos(h) + 2 * h"),
            Slip("sign", "dh = dy * (-np.cos(h) + 2 * h)"),
            Slip("wrong-operand", "dw = dh * w"),
        ),
    ),
    Problem(
        id="chain.tanh",
        prompt="One link alone: $y = \\tanh x$. The incoming gradient is `dy`.",
        inputs=_row("x"),
        forward=_tanh,
        asks=("x",),
        hints=(
            "One link: what comes in, times the slope of the curve at that point.",
            "The slope of tanh is known from its output: $1 - \\tanh^2 x$.",
            "`dx = dy * (1 - ...)`",
        ),
        solution="$dx = dy\\,(1 - y^2)$: the output, already there, gives the slope.",
        answer_code="dx = dy * (1 - y**2)",
        slips=(
            Slip("factor-substituted", "dx = dy * (1 - x**2)"),
            Slip("upstream-missing", "dx = 1 - y**2"),
            Slip("local-factor-missing", "dx = dy"),
            Slip("sign", "dx = dy * (y**2 - 1)"),
        ),
    ),
    Problem(
        id="chain.sigmoid",
        prompt="""
One link alone: $y = 1/(1 + e^{-x})$, the sigmoid. The incoming gradient is `dy`.
""",
        inputs=_row("x"),
        forward=_sigmoid,
        asks=("x",),
        hints=(
            "One link: what comes in, times the slope of the curve at that point.",
            "The slope is the output times what it lacks to 1.",
            "`dx = dy * ... * (1 - ...)`",
        ),
        solution="$dy/dx = e^{-x}/(1+e^{-x})^2 = y\\,(1-y)$, so $dx = dy\\,y\\,(1-y)$.",
        answer_code="dx = dy * y * (1 - y)",
        slips=(
            Slip("factor-substituted", "dx = dy * x * (1 - x)"),
            Slip("factor-substituted", "dx = dy * (1 - y**2)"),
            Slip("upstream-missing", "dx = y * (1 - y)"),
            Slip("local-factor-missing", "dx = dy"),
        ),
    ),
    Problem(
        id="chain.relu",
        prompt="One link alone: $y = \\max(x, 0)$. The incoming gradient is `dy`.",
        inputs=lambda rng: {"x": rng.permuted([*rng.normal(size=4), 1.5, -1.5])},
        forward=_relu,
        asks=("x",),
        hints=(
            "Where is the curve flat, and what gets through there?",
            "The slope is 1 where `x` is positive and 0 elsewhere.",
            "`dx = dy * (... > 0)`",
        ),
        solution="$dx = dy$ where $x > 0$, else 0: a gate set by the forward pass.",
        answer_code="dx = dy * (x > 0)",
        slips=(
            Slip("local-factor-missing", "dx = dy"),
            Slip("upstream-missing", "dx = (x > 0) * 1.0"),
            Slip("factor-substituted", "dx = dy * (dy > 0)"),
            Slip("factor-substituted", "dx = dy * (x < 0)"),
        ),
    ),
)
