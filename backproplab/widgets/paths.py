r"""ChainRuleStepper: a gradient path by path, each a product of local derivatives."""

from html import escape
from itertools import pairwise, product
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from .._symbols import Symbol, partial
from ..trace import Path, Trace, replay
from . import numerals
from .formula import factor, math, symbols, variable
from .lab import STATIC, Lab, bar, hint
from .missing import missing
from .steps import slope

TRY = "Step to the last path, and watch the sum of the products become the gradient."
TOP = 50  # paths that can be stepped through, the largest first

Way = tuple[tuple[int, int], ...]  # (record, which of its inputs), from the loss back


class ChainRuleStepper(Lab):
    """Shows a gradient as a sum over paths, one product of local derivatives at a time.

    Args:
        run: a recorded run with a backward pass.
        a: name of what to differentiate by; by default the first leaf with a gradient.
        b: name of what is differentiated; by default where the backward pass began.

    >>> import numpy as np, backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> with bp.record() as run:
    ...     u = x * 3.0
    ...     loss = u * u + x
    ...     loss.backward()
    >>> stepper = ChainRuleStepper(run, "x")
    >>> stepper
    <ChainRuleStepper: path 1 of 3 from x to loss>
    >>> stepper.next()
    >>> stepper.path
    2
    """

    path = traitlets.Int(1)

    def __init__(self, run: Trace, a: str | None = None, b: str | None = None) -> None:
        lack, _ = missing(run, "ChainRuleStepper")
        self.run, self.a, self.b = run, a or "", b or ""
        self.paths: list[Path] = []
        self.ways: list[Way] = []
        self.count = 0
        self._words = ipywidgets.HTMLMath()
        self._back = ipywidgets.Button(description="Previous path", icon="arrow-left")
        self._next = ipywidgets.Button(description="Next path", icon="arrow-right")
        self._first = ipywidgets.Button(description="First path", icon="fast-backward")
        self._place = ipywidgets.HTML()
        controls = bar(self._first, self._back, self._next, self._place)
        super().__init__(*([] if lack else [controls, self._words, hint(TRY)]))
        self.say(lack)
        if lack:
            return
        self.a = a or next(r.name for r in run if not r.inputs and r.grad is not None)
        self.b = b or next(
            r.name for r in run if r.grad is not None and not r.consumers
        )
        with self.reported():
            found = run.paths(self.a, self.b, top=TOP)
            self.paths, self.count = list(found), found.count
            self.ways = ways(run, self.paths)
        self._back.on_click(lambda _: self.back())
        self._next.on_click(lambda _: self.next())
        self._first.on_click(lambda _: self.set_trait("path", 1))
        self.observe(self._update, "path")
        self._update()

    def next(self) -> None:
        """Show the next path; at the end, nothing."""
        self.path += 1

    def back(self) -> None:
        """Show the path before; at the start, nothing."""
        self.path -= 1

    def page(self) -> str:
        """Write the path that is shown, for a page without a kernel."""
        css = STATIC.joinpath("graph.css").read_text("utf-8")
        return f"<style>{css}</style>{self._words.value}" if self.paths else ""

    def __str__(self) -> str:
        return f"path {self.path} of {self.count} from {self.a} to {self.b}"

    @traitlets.validate("path")
    def _within(self, proposal: dict[str, Any]) -> int:
        return max(1, min(len(self.paths) or 1, proposal["value"]))

    def _update(self, _: Any = None) -> None:
        with self.reported():
            n = len(self.paths)
            self._first.disabled = self._back.disabled = self.path == 1
            self._next.disabled = self.path >= n
            cut = f" (the {n} largest can be shown)" if n < self.count else ""
            place = f"path {self.path} of {self.count}{cut}"
            self._place.value = f'<div role="status">{place}</div>'
            if n:
                self._words.value = explain(
                    self.run, self.paths, self.ways, self.path - 1
                )
            else:
                self.say(f"No path leads from `{self.a}` to `{self.b}`.")


def ways(run: Trace, paths: list[Path]) -> list[Way]:
    """Tell for each path which input it takes where an op uses one value twice."""
    found: list[Way] = []
    for path in paths:
        ids = [run[name].id for name in reversed(path.nodes)]
        choices = [
            [k for k, x in replay.edges(run, y) if x == below]
            for y, below in pairwise(ids)
        ]
        possible = [tuple(zip(ids, ks, strict=False)) for ks in product(*choices)]
        fresh = [way for way in possible if way not in found]
        fits = (way for way in fresh if np.allclose(_carry(run, way)[-1], path.product))
        found.append(next(fits, fresh[0] if fresh else possible[0]))
    return found


def explain(run: Trace, paths: list[Path], found: list[Way], n: int) -> str:
    """Write path ``n`` factor by factor, and the sum of the paths up to it."""
    path, way = paths[n], found[n]
    names = [variable(name) for name in path.nodes]
    whole = rf"\frac{{\partial {names[-1]}}}{{\partial {names[0]}}}"
    factors, numbers, rules = [], [], []
    for i, k in way:
        r = run[i]
        x = r._entry.inputs[k]
        d = rf"\frac{{\partial {variable(r.name)}}}{{\partial {variable(run[x].name)}}}"
        factors.append(d)
        local = slope(run, i, k)
        if local is None:
            continue
        y = Symbol(variable(r.name), r.value)
        rule = partial(r._entry.primitive, k, y, symbols(run, r), r._entry.static).tex
        rules.append(math(f"{d} = {rule}"))
        if np.ndim(local) == 0:
            numbers.append(factor(float(local)))
    line = r" \cdot ".join(factors)
    if len(numbers) == len(factors):
        line += " = " + r" \cdot ".join(numbers)
    result = numerals.brief(path.product)
    chain = " ← ".join(f"<code>{escape(name)}</code>" for name in reversed(path.nodes))
    so_far = [p.product for p in paths[: n + 1]]
    total = numerals.brief(run[path.nodes[0]].grad)
    added = " + ".join(map(numerals.brief, so_far[-4:])).replace("+ −", "− ")
    if len(so_far) > 4:
        added = f"… + {added}"
    if len(so_far) > 1:
        added += f" = {numerals.brief(np.sum(so_far, axis=0))}"
    return (
        '<div class="bpl-graph bpl-formula">'
        f'<p class="bwd"><b>Path</b><span>{chain}</span></p>'
        f'<p class="bwd"><b>Product of its local derivatives</b>'
        f"<span>{math(line)} gives {result}</span></p>"
        + (
            f'<p class="fwd"><b>Where</b><span>{", ".join(rules)}</span></p>'
            if rules
            else ""
        )
        + f'<p class="bwd"><b>Paths add</b><span>so far {added}; '
        f"all together {math(whole)} is {total}</span></p></div>"
    )


def _carry(run: Trace, way: Way) -> list[np.ndarray]:
    """The gradient at each stop of a way, starting from that of the loss."""
    g = run[way[0][0]].grad
    carried = [np.asarray(g if g is not None else np.ones_like(run[way[0][0]].value))]
    for i, k in way:
        carried.append(replay.contribution(run, i, k, carried[-1]))
    return carried
