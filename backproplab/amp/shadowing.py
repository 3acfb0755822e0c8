"""shadow: one run in a format and in float64 side by side, and where they part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import formats
from .._arrays import fit
from ..errors import GradError
from ..formats import Format
from ..node import Node
from ..primitive import Primitive
from ..sockets import Plug, current_scope, plugged
from ..tape import backward
from .autocasting import autocast
from .divergence import NodeError, ShadowRun
from .exact import double, exact_op, flipped, swamped


def shadow(fn: Callable[[], Any], fmt: str | Format = "float16") -> ShadowRun:
    r"""Run ``fn`` once under ``autocast(fmt)``, each op in float64 beside it.

    For each op f with inputs x (float64 shadows :math:`\tilde x`) and rounded output y:

    .. math:: y - f(\tilde x) = \underbrace{y - f(x)}_{born}
              + \underbrace{f(x) - f(\tilde x)}_{inherited}

    and the same for what its rule sends back. If the output wants a gradient, backward
    runs too, from ones; ``.grad`` of your tensors is left alone. Conditions
    that ``fn`` computes itself (``h > 0``) are those of the narrow run in both.

    Args:
        fn: function of nothing that returns one tensor, such as a loss.
        fmt: the narrow format.

    Raises:
        GradError: if ``fn`` returns anything but a tensor, or holds a checkpoint.
        ValueError: if the format is unknown.

    >>> import backproplab as bp
    >>> w = bp.tensor(np.float32([0.1]), requires_grad=True, name="w")
    >>> run = shadow(lambda: np.exp(w @ np.ones((1, 1), np.float32)), "bfloat16")
    >>> print(run.table(backward=False))
    name      op      pass        error      born  inherited
    cast_1    cast    forward  0.000977  0.000977          0
    cast_2    cast    forward         0         0          0
    matmul_1  matmul  forward  0.000977         0   0.000977
    cast_3    cast    forward  0.000977         0   0.000977
    exp_1     exp     forward  9.77e-05  5.35e-10   9.77e-05
    """
    watch = _Shadows()
    context = autocast(fmt)
    with plugged(watch), np.errstate(all="ignore"):
        with context:
            out = fn()
        if not isinstance(out, Node):
            raise GradError(
                f"shadow: fn returned {type(out).__name__}; one Tensor is required.",
                help="return the loss.",
            )
        if out._edges is not None:
            seed = np.ones_like(out._data)
            watch.gradients[out._id] = [double(seed), double(seed)]
            backward([(out, seed)], lambda *_leaf: None, retain=True)
    return ShadowRun(
        formats.get(fmt), np.array(out._data), watch.exact(out), tuple(watch.found)
    )


class _Shadows(Plug):
    """Computes each op again in float64: on the inputs it got, and on their shadows.

    ``gradients`` holds, for each node, the float64 sum of what its users send back
    given what they got, and that of the shadows.
    """

    def __init__(self) -> None:
        self.found: list[NodeError] = []
        self.shadows: dict[int, Any] = {}
        self.saved: dict[int, tuple[Any, Any]] = {}
        self.gradients: dict[int, list[Any]] = {}
        self.got: dict[int, Any] = {}
        self.names: dict[int, tuple[str, str]] = {}
        self.counts: dict[str, int] = {}
        self.kept: list[Any] = []

    def exact(self, x: Any) -> Any:
        """The shadow of a value; a value from outside is its own."""
        if isinstance(x, Node):
            found = self.shadows.get(x._id)
            return double(x._data) if found is None else found
        return double(x)

    def enter(self, path: str, owner: Any) -> None:
        """Note what the outermost module calls its parameters."""
        if owner is not None:
            for name, p in owner.named_parameters():
                self.names.setdefault(p._id, (name, ""))

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        op = exact_op(node._op)
        if node._op.name == "checkpoint":
            raise GradError(
                "shadow: there is a checkpoint inside fn, whose values are not seen.",
                help="call the function itself instead of `bp.checkpoint` of it.",
            )
        got = [double(x._data if isinstance(x, Node) else x) for x in inputs]
        true = [self.exact(x) for x in inputs]
        if op is None:
            local, exact = got[0], true[0]
        else:
            static = {k: v for k, v in static.items() if k != "saved"}
            local, exact = op.value(*got, **static), op.value(*true, **static)
            if op.saves:
                (local, kept), (exact, kept_exact) = local, exact
                self.saved[node._id] = kept, kept_exact
        self.shadows[node._id] = exact
        self.kept.append(node)  # so that its inputs stay, too
        if np.asarray(exact).dtype.kind == "f":
            name = node._op.name
            events = swamped(name, node._data, got), flipped(name, got, true)
            self._note(node, False, node._data, local, exact, *events)
        return node

    def arrive(self, node: Any, g: Any) -> None:
        self.got[node._id] = double(g)
        if (sums := self.gradients.get(node._id)) is not None:
            self._note(node, True, g, *sums)

    def edge(self, node: Any, k: int, c: Any) -> Any:
        op, x, i = exact_op(node._op), node._inputs[k], node._id
        saved = self.saved.get(i, (None, None))
        got = [double(node._data), *map(double, node._values)]
        true = [self.exact(node), *map(self.exact, node._inputs)]
        local, exact = self.got[i], self.gradients[i][1]
        if op is not None:
            local = _pulled(op, node, k, (local, *got), saved[0])
            exact = _pulled(op, node, k, (exact, *true), saved[1])
        like, sums = double(x._data), self.gradients.setdefault(x._id, [0.0, 0.0])
        sums[:] = sums[0] + fit(local, like), sums[1] + fit(exact, like)
        return c

    def _note(
        self,
        node: Any,
        backward: bool,
        seen: Any,
        local: Any,
        exact: Any,
        swamped: Any = False,
        flipped: Any = False,
    ) -> None:
        seen = double(seen)
        size = float(np.linalg.norm(exact)) or 1.0
        error, born, inherited = (
            float(np.linalg.norm(e)) / size
            for e in (seen - exact, seen - local, local - exact)
        )
        name, scope = self._name(node)
        self.found.append(
            NodeError(
                name,
                scope,
                node._op.name if node._op else "leaf",
                backward,
                int(np.size(seen)),
                error,
                born,
                inherited,
                int(np.sum((seen == 0) & (local != 0))),
                int(np.sum(~np.isfinite(seen) & np.isfinite(local))),
                int(np.sum(swamped)),
                int(np.sum(flipped)),
            )
        )

    def _name(self, node: Any) -> tuple[str, str]:
        if node._id not in self.names:
            op = node._op.name if node._op else "leaf"
            self.counts[op] = self.counts.get(op, 0) + 1
            self.names[node._id] = f"{op}_{self.counts[op]}", current_scope()
        name, scope = self.names[node._id]
        own = node._extra.name if node._extra is not None else None
        return own or name, scope


def _pulled(op: Primitive, node: Any, k: int, values: Any, saved: Any) -> Any:
    """What the rule of an op sends to input k, for ``values`` = (g, y, *inputs)."""
    static = dict(node._static)
    if op.saves:
        static["saved"] = saved
    if op.vjp is not None:
        return op.vjp(*values, wrt=node._edges, **static)[k]
    return op.pullbacks[k](*values, **static)
