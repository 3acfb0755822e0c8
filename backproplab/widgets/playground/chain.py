"""One weight's gradient as a sum over paths, checked and written out."""

import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn, tex
from ...errors import GradError
from ...trace import Trace
from ..numerals import number
from .net import Controls, loss_of
from .spelt import called, matrices, spelt

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
    run, slopes = spelt(net, c, place, x, y)
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
    weight = float(matrices(net)[layer - 1][0][unit, source])
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
