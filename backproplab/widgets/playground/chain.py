"""One weight's gradient, spelt out neuron by neuron on a tape of its own numbers."""

import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn, ops, tex
from ...errors import GradError
from ...tensor import Tensor, tensor
from ...trace import Trace, record
from ..numerals import number
from .net import ACTIVATIONS, Controls, loss_of

SHOWN = 4  # paths written out
MOST_TERMS = 12  # that tex.chain_rule writes


@dataclass(frozen=True, slots=True)
class Route:
    """One path from the weight to the loss.

    Attributes:
        factors: (what, number) from the loss back to the weight.
        product: what this path contributes, as the tape has it.
    """

    factors: tuple[tuple[str, float], ...]
    product: float


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """dL/dw of one weight for one example.

    Attributes:
        name: of the weight, such as "h1.3 → h2.1".
        weight: its value.
        routes: the largest paths.
        count: how many paths there are.
        total: the sum over all of them.
        grad: what ``.grad`` of the net is for this example; checked to be the total.
        mean: what it is for the batch.
        formula: the written chain rule of the largest path, TeX.
        run: the recorded run, ``run["w"]`` to ``run["L"]``.
    """

    name: str
    weight: float
    routes: tuple[Route, ...]
    count: int
    total: float
    grad: float
    mean: float
    formula: str
    run: Trace


def explain(
    net: nn.Sequential,
    c: Controls,
    place: tuple[int, int, int],
    batch: tuple[np.ndarray, np.ndarray],
    example: tuple[np.ndarray, float],
) -> Chain:
    """Spell out the gradient of a weight.

    Args:
        net: as ``build`` makes it; its gradients are overwritten.
        c: what it was built from.
        place: (layer, unit, input), the first layer is 1; the weight leads from the
            input to the unit.
        batch: features (n, f) and classes (n,) of the batch that the mean is of.
        example: features (f,) and class of the example that is spelt out.

    Raises:
        GradError: if the paths do not add up to ``.grad``.
    """
    layer, unit, source = place
    x, y = example
    grad = _grad(net, layer, x[None], np.array([y]))[unit, source]
    mean = _grad(net, layer, *batch)[unit, source]
    run, slopes = _spelt(net, c, place, x, y)
    paths = run.paths("w", "L")
    total = float(sum(float(p.product) for p in paths))
    scale = max(abs(float(p.product)) for p in paths)
    eps = 1e4 * np.finfo(float).eps
    if np.isfinite(grad) and abs(total - grad) > eps * max(scale, 1e-300):
        raise GradError(
            f"PlaygroundLab: the paths add up to {total:g} and .grad is {grad:g}; "
            "they must be equal."
        )
    routes = []
    for path in list(paths)[:SHOWN]:
        names = [n for n in path.nodes if n in slopes.named]
        hops = list(pairwise(names))
        factors = [slopes.of(run, a, b) for a, b in reversed(hops)]
        routes.append(Route(tuple(factors), float(path.product)))
    formula = ""
    if paths.count <= MOST_TERMS:
        formula = _fractions(tex.chain_rule(run, "w", "L", path=paths[0]))
    name = f"{called(c, layer - 1, source)} → {called(c, layer, unit)}"
    weight = float(_matrices(net)[layer - 1][0][unit, source])
    return Chain(
        name, weight, tuple(routes), paths.count, total, float(grad), float(mean),
        formula, run,
    )  # fmt: skip


def render(chain: Chain, example: int, y: float, batch: int, step: int) -> str:
    """Write a chain as HTML: factors with their numbers, their sum, and the check."""
    rows = []
    for route in chain.routes:
        chips = " × ".join(
            f'<span class="bpl-factor"><i>{escape(what)}</i>'
            f"<b>{number(value)}</b></span>"
            for what, value in route.factors
        )
        rows.append(f"<li><b>{number(route.product)}</b> = {chips}</li>")
    more = chain.count - len(chain.routes)
    if more:
        rest = chain.total - sum(r.product for r in chain.routes)
        rows.append(
            f"<li><b>{number(rest)}</b> by {more} more "
            f"path{'s' if more > 1 else ''}</li>"
        )
    word = "one path leads" if chain.count == 1 else f"{chain.count} paths lead"
    formula = f"<p>$\\displaystyle {chain.formula}$</p>" if chain.formula else ""
    return (
        f'<div class="bpl-graph bpl-formula"><h4>{escape(chain.name)}'
        f"<span>w = {number(chain.weight)} at step {step}, for example {example} of "
        f"class {y:g}"
        f"</span></h4>{formula}"
        f'<p class="bwd"><b>dL/dw: {word} from the loss back to this weight; '
        f"along each of them the local factors multiply</b></p>"
        f'<ul class="bpl-routes">{"".join(rows)}</ul>'
        f'<p class="bwd"><b>they add up</b>dL/dw = {number(chain.total, 6)}, '
        f"and backward() left .grad = {number(chain.grad, 6)} {_check(chain)}<br>"
        f"mean over the batch of {batch}: {number(chain.mean, 4)}; the step goes "
        f"against it.</p></div>"
    )


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


def _check(chain: Chain) -> str:
    return "✓ equal" if np.isfinite(chain.grad) else "(the training has diverged)"


def _fractions(formula: str) -> str:
    """The line of fractions alone: the chips below it say what each one is."""
    left, first, *_ = formula.removeprefix("\\begin{aligned}\n").split("\n")
    line = f"{left} {first.removeprefix('&').removesuffix(chr(92) * 2)}"
    return re.sub(r"\\mathrm\{([hz])(\d)\\_(\d)\}", r"\1_{\2.\3}", line)


def _grad(net: nn.Sequential, layer: int, x: Any, y: Any) -> np.ndarray:
    """Gradient of the weights into a layer, (units, inputs), by a backward pass."""
    net.zero_grad()
    with np.errstate(all="ignore"):
        loss_of(net, x, y).backward()
    parameters = [p for n, p in net.named_parameters() if n.endswith("weight")]
    grad = parameters[layer - 1].grad
    assert grad is not None
    return grad


class _Slopes:
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


def _spelt(
    net: nn.Sequential, c: Controls, place: tuple[int, int, int], x: Any, y: float
) -> tuple[Trace, _Slopes]:
    """Compute the loss once more, a number at a time from the chosen weight on."""
    layer, unit, source = place
    matrices = _matrices(net)
    act = ACTIVATIONS[c.activation]()
    below = np.asarray(x, float)
    for matrix, bias in matrices[: layer - 1]:
        below = act(tensor(below @ matrix.T + bias)).data
    slopes = _Slopes(c, called(c, layer - 1, source), float(below[source]))
    last, before = len(matrices), list[str]()
    with record() as run, np.errstate(all="ignore"):
        matrix, bias = matrices[layer - 1]
        w = tensor(float(matrix[unit, source]), True, name="w")
        units: list[Any] = (below @ matrix.T + bias).tolist()
        rest = units[unit] - w.item() * float(below[source])
        units[unit] = ops.add(ops.multiply(w, float(below[source])), rest)
        for k in range(layer, last + 1):
            if k > layer:
                matrix, bias = matrices[k - 1]
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


def _sum(row: np.ndarray, units: list[Any], bias: float) -> Any:
    moving = [float(v) * h for v, h in zip(row, units, strict=True) if _moves(h)]
    rest = sum(float(v) * h for v, h in zip(row, units, strict=True) if not _moves(h))
    total = moving[0]
    for term in moving[1:]:
        total = total + term
    return total + (rest + bias)


def _finish(slopes: _Slopes, units: list[Any], k: int, act: Any) -> list[str]:
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


def _link(slopes: _Slopes, k: int, matrix: np.ndarray, before: list[str]) -> None:
    last = k == len(slopes.c.hidden) + 1
    for j in range(len(matrix)):
        for i, name in enumerate(before):
            if name:
                to = "z" if last else f"z{k}_{j + 1}"
                slopes.weights[name, to] = float(matrix[j, i])


def _matrices(net: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (units, inputs) and bias of each layer, the first layer first."""
    parameters = {name: p.data for name, p in net.named_parameters()}
    return [
        (p, parameters[name.removesuffix("weight") + "bias"])
        for name, p in parameters.items()
        if name.endswith("weight")
    ]


def _moves(x: Any) -> bool:
    return isinstance(x, Tensor)


def _shown(name: str) -> str:
    """A unit of the run as the learner sees it: "h2_1" is h2.1, "z" the output."""
    return "output" if name == "z" else f"h{name[1:].replace('_', '.')}"
