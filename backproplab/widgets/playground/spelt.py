"""The loss computed once more, a number at a time, from one weight on."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn, ops
from ...tensor import Tensor, tensor
from ...trace import Trace, record
from .net import ACTIVATIONS, Controls


def spelt(
    net: nn.Sequential, c: Controls, place: tuple[int, int, int], x: Any, y: float
) -> tuple[Trace, Slopes]:
    """Compute the loss once more, a number at a time from the chosen weight on."""
    layer, unit, source = place
    parameters = matrices(net)
    act = ACTIVATIONS[c.activation]()
    below = np.asarray(x, float)
    for matrix, bias in parameters[: layer - 1]:
        below = act(tensor(below @ matrix.T + bias)).data
    slopes = Slopes(c, called(c, layer - 1, source), float(below[source]))
    last, before = len(parameters), list[str]()
    with record() as run, np.errstate(all="ignore"):
        matrix, bias = parameters[layer - 1]
        w = tensor(float(matrix[unit, source]), True, name="w")
        units: list[Any] = (below @ matrix.T + bias).tolist()
        rest = units[unit] - w.item() * float(below[source])
        units[unit] = ops.add(ops.multiply(w, float(below[source])), rest)
        for k in range(layer, last + 1):
            if k > layer:
                matrix, bias = parameters[k - 1]
                units = [
                    _sum(row, units, float(b))
                    for row, b in zip(matrix, bias, strict=True)
                ]
                _link(slopes, k, matrix, before)
            before = _finish(slopes, units, k, act if k < last else None)
        (z_out,) = units
        loss = ops.binary_cross_entropy_with_logits(z_out, np.asarray(float(y)))
        loss.named("L").backward()
    return run, slopes


class Slopes:
    """Where each number of a path stands: names of the spelt-out run."""

    def __init__(self, c: Controls, source: str, input_value: float) -> None:
        self.c, self.source, self.input_value = c, source, input_value
        self.named = {"w", "L"}
        self.weights: dict[tuple[str, str], float] = {}
        self.slope: dict[str, str] = {}  # name of h: what its slope is called

    def of(self, run: Trace, a: str, b: str) -> tuple[str, float]:
        """What db/da is called, and its number."""
        if b == "L":
            return "σ(z) − y", np.asarray(run[a].grad, float).item()
        if a == "w":
            return self.source, self.input_value
        if (a, b) in self.weights:
            return f"w({_shown(a)} → {_shown(b)})", self.weights[a, b]
        return self.slope[b], float(run[b].local)


def called(c: Controls, layer: int, unit: int) -> str:
    """Name a unit as a learner sees it.

    >>> called(Controls(), 0, 1), called(Controls(), 1, 2), called(Controls(), 3, 0)
    ('x₂', 'h1.3', 'output')
    """
    if layer == 0:
        return c.features[unit]
    if layer == len(c.hidden) + 1:
        return "output"
    return f"h{layer}.{unit + 1}"


def matrices(net: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (units, inputs) and bias of each layer, the first layer first."""
    parameters = {name: p.data for name, p in net.named_parameters()}
    return [
        (p, parameters[name.removesuffix("weight") + "bias"])
        for name, p in parameters.items()
        if name.endswith("weight")
    ]


def _sum(row: np.ndarray, units: list[Any], bias: float) -> Any:
    moving = [float(v) * h for v, h in zip(row, units, strict=True) if _moves(h)]
    rest = sum(float(v) * h for v, h in zip(row, units, strict=True) if not _moves(h))
    total = moving[0]
    for term in moving[1:]:
        total = total + term
    return total + (rest + bias)


def _finish(slopes: Slopes, units: list[Any], k: int, act: Any) -> list[str]:
    """Name a layer's sums, and put them through the activation, in place."""
    names = []
    for j, z in enumerate(units):
        names.append("")
        if not _moves(z):
            if act is not None:
                units[j] = act(tensor(z)).item()
            continue
        names[j] = "z" if act is None else f"z{k}_{j + 1}"
        slopes.named.add(names[j])
        z.named(names[j])
        if act is None or isinstance(act, nn.Identity):
            continue
        units[j] = act(z).named(f"h{k}_{j + 1}")
        slopes.slope[f"h{k}_{j + 1}"] = f"{slopes.c.activation}′(z{k}.{j + 1})"
        names[j] = f"h{k}_{j + 1}"
        slopes.named.add(names[j])
    return names


def _link(slopes: Slopes, k: int, matrix: np.ndarray, before: list[str]) -> None:
    last = k == len(slopes.c.hidden) + 1
    for j in range(len(matrix)):
        for i, name in enumerate(before):
            if name:
                to = "z" if last else f"z{k}_{j + 1}"
                slopes.weights[name, to] = float(matrix[j, i])


def _moves(x: Any) -> bool:
    return isinstance(x, Tensor)


def _shown(name: str) -> str:
    """A unit of the run as the learner sees it: "h2_1" is h2.1, "z" the output."""
    return "output" if name == "z" else f"h{name[1:].replace('_', '.')}"
