"""What a training step keeps, in bytes, were each number stored in its own format."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import formats, ops
from ...amp.rounding import format_of
from ...data import digits
from ...node import Node
from ...sockets import Plug, plugged
from .training import BATCH, Controls, Run


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a step on one batch keeps.

    Attributes:
        weights: in the format that the products use.
        master: float32 weights that the optimiser moves; 0 where they are the weights.
        gradients: of the weights, in the dtype of their ``.grad``.
        activations: every op's output, kept for backward, in its own format.
        state: what the optimiser remembers.
    """

    weights: int
    master: int
    gradients: int
    activations: int
    state: int

    @property
    def total(self) -> int:
        """All of it."""
        return (
            self.weights + self.master + self.gradients + self.activations + self.state
        )


def measure(fmt: str) -> Memory:
    """Take one step on one batch in a format and weigh what is there after it.

    >>> wide, half = measure("float32"), measure("float16")
    >>> half.weights * 2 == wide.weights == half.master, wide.master
    (True, 0)
    """
    run = Run(fmt, False, Controls(loss="as it is"))
    images, labels = (part[:BATCH] for part in digits(split="train"))
    kept = _Kept()
    with plugged(kept), run.casting():
        loss = ops.cross_entropy(run.model(images), labels)
    loss.backward()
    run.optimizer.step()
    parameters = list(run.model.parameters())
    ours = {id(p) for p in parameters}
    copies, outputs = 0, 0
    for node, inputs in kept.nodes:
        if any(id(x) in ours for x in inputs) and node._op.name == "cast":
            copies += _bytes(node)
        elif node._op.name != "cast" or not _is_data(inputs):
            outputs += _bytes(node)
    floats = sum(p.data.nbytes for p in parameters)
    return Memory(
        copies or floats,
        floats if copies else 0,
        sum(p.grad.nbytes for p in parameters if p.grad is not None),
        outputs,
        sum(
            a.nbytes
            for state in run.optimizer.state.values()
            for a in state.values()
            if isinstance(a, np.ndarray)
        ),
    )


class _Kept(Plug):
    """Keeps every node that an op makes, with what it was made of."""

    def __init__(self) -> None:
        self.nodes: list[tuple[Any, tuple[Any, ...]]] = []

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        self.nodes.append((node, inputs))
        return node


def _is_data(inputs: tuple[Any, ...]) -> bool:
    """Whether a cast copies what came from outside: images, not activations."""
    return all(not isinstance(x, Node) or x.is_leaf for x in inputs)  # type: ignore[attr-defined]


def _bytes(node: Any) -> int:
    fmt = format_of(node) or formats.get("float32")
    return int(node._data.size) * fmt.bits // 8
