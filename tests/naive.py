"""An oracle that shares nothing with the engine: gradients as sums over all paths.

A graph is a list of steps over vectors. Each step knows its local Jacobians in closed
form; the gradient is the sum, over every path from an input to the output, of the
product of the Jacobians along it. Exponentially slow, and too simple to be wrong.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Step(NamedTuple):
    """One operation: which earlier values it takes, and what it does with them."""

    kind: str
    inputs: tuple[int, ...]


def _along(slope: Array) -> Array:
    return np.diag(slope)


# kind: (value, one local Jacobian (outputs, inputs) for each input); none grows fast
RULES: dict[str, tuple[Callable[..., Array], Callable[..., tuple[Array, ...]]]] = {
    "tanh": (np.tanh, lambda x: (_along(1 - np.tanh(x) ** 2),)),
    "sin": (np.sin, lambda x: (_along(np.cos(x)),)),
    "bell": (lambda x: np.exp(-x * x), lambda x: (_along(-2 * x * np.exp(-x * x)),)),
    "ratio": (
        lambda x: x**2 / (1 + x**2),
        lambda x: (_along(2 * x / (1 + x**2) ** 2),),
    ),
    "reverse": (lambda x: x[::-1], lambda x: (np.eye(x.size)[::-1],)),
    "spread": (
        lambda x: np.full(x.size, x.sum()),
        lambda x: (np.ones((x.size, x.size)),),
    ),
    "add": (lambda x, y: x + y, lambda x, y: (np.eye(x.size), np.eye(x.size))),
    "subtract": (lambda x, y: x - y, lambda x, y: (np.eye(x.size), -np.eye(x.size))),
    "multiply": (
        lambda x, y: np.sin(x) * y,
        lambda x, y: (_along(np.cos(x) * y), _along(np.sin(x))),
    ),
    "divide": (
        lambda x, y: x / (2 + y**2),
        lambda x, y: (
            _along(1 / (2 + y**2)),
            _along(-2 * x * y / (2 + y**2) ** 2),
        ),
    ),
}


def values(leaves: list[Array], steps: list[Step]) -> list[Array]:
    """Every value of the graph, the leaves first."""
    known = list(leaves)
    for step in steps:
        known.append(RULES[step.kind][0](*(known[i] for i in step.inputs)))
    return known


def gradients(
    leaves: list[Array], steps: list[Step]
) -> tuple[list[Array], list[Array]]:
    """d(sum of the last value)/d(leaf) path by path, and the sums of the paths' sizes.

    Where paths cancel the gradient is small, but its rounding is that of the sizes.
    """
    known = values(leaves, steps)
    into: dict[int, list[tuple[int, Array]]] = {}
    for number, step in enumerate(steps, start=len(leaves)):
        jacobians = RULES[step.kind][1](*(known[i] for i in step.inputs))
        into[number] = list(zip(step.inputs, jacobians, strict=True))
    totals = [np.zeros_like(x) for x in leaves]
    sizes = [np.zeros_like(x) for x in leaves]

    def walk(number: int, product: Array) -> None:
        if number < len(leaves):
            totals[number] += product
            sizes[number] += np.abs(product)
            return
        for earlier, jacobian in into[number]:
            walk(earlier, product @ jacobian)

    walk(len(known) - 1, np.ones_like(known[-1]))
    return totals, sizes


def random_graph(
    rng: np.random.Generator, *, width: int = 3, length: int = 10
) -> tuple[list[Array], list[Step]]:
    """Some leaves, and steps that take earlier values, near ones more often."""
    leaves = [rng.normal(size=width) for _ in range(rng.integers(1, 4))]
    steps = []
    for number in range(len(leaves), len(leaves) + length):
        kind = str(rng.choice(list(RULES)))
        arity = 2 if kind in ("add", "subtract", "multiply", "divide") else 1
        near = [max(0, number - int(rng.geometric(0.5))) for _ in range(arity)]
        steps.append(Step(kind, tuple(near)))
    return leaves, steps
