"""The truth of a problem beside finite differences: its own values, moved a little."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..sockets import Plug, no_grad, plugged
from ..tensor import Tensor
from .derivation import gradient
from .problem import Instance, Problem

_STEP = 1e-6


def agrees(problem: Problem, seeds: int) -> Iterator[str]:
    """Move each asked value along a random direction, both ways, and see L move."""
    for seed, at in enumerate(map(problem.instance, range(min(seeds, 5)))):
        rng = np.random.default_rng(seed)
        for name in problem.asks:
            record = at.run[name]
            assert record.grad is not None
            t = rng.normal(size=record.shape)
            slope = (
                _loss(problem, at, name, _STEP * t)
                - _loss(problem, at, name, -_STEP * t)
            ) / (2 * _STEP)
            truth = float(np.sum(record.grad * t))
            size = float(np.sum(np.abs(record.grad * t))) + abs(slope)
            if abs(slope - truth) > 1e-5 * size + 1e-9:
                yield (
                    f"{name}: {truth:.6g} by the engine, {slope:.6g} by differences; "
                    f"if forward has a kink or a jump where seed {seed} draws, draw "
                    "away from it"
                )


def _loss(problem: Problem, at: Instance, name: str, change: Any) -> float:
    """L, or y times its gradient, with one value of the run moved by ``change``."""
    record, inputs = at.run[name], {}
    for key in problem.inputs(np.random.default_rng(0)):
        a = at.given[key]
        moved = a + change if record.op == "leaf" and key == name else a
        inputs[key] = Tensor(moved) if np.asarray(a).dtype.kind == "f" else a
    ops = [r.id for r in at.run if r.op not in ("leaf", "constant")]
    nudge = _Nudge(ops.index(record.id) if record.id in ops else -1, change)
    with no_grad(), plugged(nudge):
        y = problem.forward(**inputs)
    g = at.given.get(gradient(at.run.backward_steps()[0].name), 1.0) if y.ndim else 1.0
    return float(np.sum(y.data * g))


class _Nudge(Plug):
    """Add something to the output of the n-th operation."""

    def __init__(self, n: int, change: Any) -> None:
        self.left, self.change = n, change

    def after(self, node: Any, inputs: Any, static: Any) -> Any:
        if self.left == 0:
            node._data = node._data + self.change
        self.left -= 1
        return node
