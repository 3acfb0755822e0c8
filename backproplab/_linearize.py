"""One call of a function, and its derivative there: gradients back, tangents forward.

The public transforms are made of this; it knows the tape and no calculus.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._trees import array, is_leaf, kind, leaves, matched, operand, pairs, rebuild
from .errors import DTypeError, GradError
from .node import Node, extra
from .primitive import linear
from .sockets import enable_grad, is_grad_enabled
from .tape import ancestors, backward
from .tensor import Tensor


class Run:
    """One call of f with stand-ins, and what the tape holds from them to the outputs.

    ``within`` maps the ids of that part to the inputs to follow; ``order`` lists it,
    oldest first. Once the call is over the stand-ins want no gradient any more, so that
    a node of that part stays open only where it depends on something outside.
    """

    def __init__(
        self, who: str, f: Any, args: Any, argnums: Any, kwargs: Any, has_aux: bool
    ) -> None:
        self.who, args = who, list(args)
        several = not isinstance(argnums, int)
        chosen = _chosen(who, args, argnums)
        self.inputs_tree: Any = tuple(args[i] for i in chosen)
        self.leaves = list(leaves(self.inputs_tree))
        self.stand_ins = [_stand_in(who, x) for x in self.leaves]
        for i, x in zip(
            chosen, rebuild(self.inputs_tree, iter(self.stand_ins)), strict=True
        ):
            args[i] = x
        with enable_grad():
            out = f(*args, **kwargs)
        if not several:
            self.inputs_tree = self.inputs_tree[0]
        if has_aux and not (isinstance(out, tuple) and len(out) == 2):
            raise GradError(
                f"{who}: has_aux=True, but f returned {kind(out)}; a pair "
                "(value, aux) is required."
            )
        self.outputs_tree: Any = out[0] if has_aux else out
        self.aux_tree: Any = out[1] if has_aux else None
        self.outputs = [operand(y) for y in leaves(self.outputs_tree)]
        self.within: dict[int, Any] = {}
        self.order: list[Any] = []
        self._look_between()

    def _look_between(self) -> None:
        first = min((t._id for t in self.stand_ins), default=0)
        marks = {t._id for t in self.stand_ins}
        ends = [*self.outputs, *leaves(self.aux_tree)]
        for node in ancestors([y for y in ends if isinstance(y, Node)], since=first):
            if node._id in marks:
                self.within[node._id] = ()
                continue
            edges = [k for k in node._edges if node._inputs[k]._id in self.within]
            if edges:
                self.within[node._id] = edges
                self.order.append(node)
        for t in self.stand_ins:
            t._edges = t._edges or None
        for node in self.order:
            node._edges = [
                k for k in node._edges if node._inputs[k]._edges is not None
            ] or None
        self.outside = any(
            isinstance(y, Node) and y._edges is not None for y in self.outputs
        )

    def one_number(self) -> Any:
        """The only output, for ``grad``."""
        seen = [np.shape(y) for y in self.outputs]
        if not isinstance(self.outputs_tree, (tuple, list, dict)) and seen == [()]:
            y = self.outputs[0]
            if y.dtype.kind == "f":
                return y
            raise DTypeError(
                f"{self.who}: f returned a number of dtype {y.dtype}; "
                "floating point is required."
            )
        found = f"shape {seen[0]}" if seen and is_leaf(self.outputs_tree) else ""
        raise GradError(
            f"{self.who}: f returned {found or kind(self.outputs_tree)}; "
            "one number of shape () is required.",
            help="reduce it (`.sum()`, `.mean()`), return `(value, aux)` with "
            "has_aux=True, or take `bp.jacobian(f)`.",
        )

    def pull(self, gs: Sequence[Any], reuse: bool = True) -> list[Any]:
        """Carry one gradient an output (None for zero) back to the inputs."""
        found: dict[int, Any] = {}
        backward(
            [
                (y, g)
                for y, g in zip(self.outputs, gs, strict=True)
                if g is not None and isinstance(y, Node) and y._id in self.within
            ],
            lambda t, g, _ours: found.__setitem__(t._id, g),
            retain=reuse or self.outside,
            higher=self._higher(gs),
            within=self.within,
        )
        return [
            self._deliver(found.get(t._id), x, isinstance(x, Node))
            for t, x in zip(self.stand_ins, self.leaves, strict=True)
        ]

    def push(self, ts: Sequence[Any]) -> list[Any]:
        """Carry one tangent an input (None for zero) forward to the outputs."""
        higher = self._higher(ts)
        found = {
            x._id: t for x, t in zip(self.stand_ins, ts, strict=True) if t is not None
        }
        for node in self.order:
            op, inputs = node._op, node._inputs
            y, values, static = node._data, node._values, node._static
            if higher:
                y, values = node, inputs
                if op.saves:
                    static = {**static, "saved": None}
            tangents: list[Any] = [None] * len(inputs)
            for k in self.within[node._id]:
                tangents[k] = found.get(inputs[k]._id)
            if all(t is None for t in tangents):
                continue
            rule = op.jvp or _transposed_twice(op)
            t = rule(tangents, y, *values, **static)
            if t is not None:
                found[node._id] = _grown(t, node._data)
        tensors = any(isinstance(x, Node) for x in self.leaves)
        return [
            self._deliver(found.get(y._id) if isinstance(y, Node) else None, y, tensors)
            for y in self.outputs
        ]

    def _higher(self, directions: Sequence[Any]) -> bool:
        return is_grad_enabled() and (
            self.outside
            or any(isinstance(d, Node) and d._edges is not None for d in directions)
        )

    def _deliver(self, value: Any, like: Any, as_tensor: bool) -> Any:
        if isinstance(value, Node):
            if value._edges is not None and is_grad_enabled():
                return value
            value = value._data
        if value is None:
            value = np.zeros_like(array(like))
        return Tensor(value) if as_tensor else np.array(value)[()]

    def result(self) -> Any:
        """The outputs as the caller is to see them."""
        return self._released(self.outputs_tree)

    def aux(self) -> Any:
        """The auxiliary outputs as the caller is to see them."""
        return self._released(self.aux_tree)

    def _released(self, tree: Any) -> Any:
        tensors = any(isinstance(x, Node) for x in self.leaves)
        return rebuild(
            tree,
            (
                self._deliver(y, y, tensors) if isinstance(y, Node) else y
                for y in leaves(tree)
            ),
        )

    def shape_as_inputs(self, values: Any) -> Any:
        """Give one value an input leaf the arguments' structure."""
        return rebuild(self.inputs_tree, iter(values))

    def shape_as_outputs(self, values: Any) -> Any:
        """Give one value an output leaf the outputs' structure."""
        return rebuild(self.outputs_tree, iter(values))

    def match_inputs(self, tangents: Any) -> list[Any]:
        """Check that tangents are made like the arguments, and list them."""
        return [
            matched(f"{self.who}: the tangent", "primal", x, t)
            for x, t in pairs(self.inputs_tree, tangents, f"{self.who}: the tangents")
        ]

    def match_outputs(self, gs: Any) -> list[Any]:
        """Check that incoming gradients are made like the outputs, and list them."""
        return [
            matched(f"{self.who}: g", "output", y, g)
            for y, g in pairs(self.outputs_tree, gs, f"{self.who}: the gradients g")
        ]


@linear(lambda g, _x: g, name="stand_in")
def _identity(x: Any) -> Any:
    """A copy on the tape: what a transform hands to f in place of its argument."""
    return np.array(x)


def _stand_in(who: str, x: Any) -> Any:
    data = array(x)
    if data.dtype.kind != "f":
        raise DTypeError(
            f"{who}: an argument has dtype {data.dtype}; only floating-point numbers "
            "have gradients.",
            help="write 3.0 for 3, leave it out of argnums, "
            "or close over it: `lambda w: f(w, labels)`.",
        )
    if not isinstance(x, Node) or x._edges is None or not is_grad_enabled():
        out = Tensor(data, requires_grad=True)
    else:
        out = _identity(x)
    if isinstance(x, Node) and x._extra is not None:
        extra(out).name = x._extra.name
    return out


def _transposed_twice(op: Any) -> Any:
    """Make a jvp of a vjp: g -> g^T J is linear in g, and its transpose is t -> J t."""

    def jvp(tangents: Any, y: Any, *inputs: Any, **static: Any) -> Any:
        if op.saves:
            static["saved"] = None
        wrt = [k for k, t in enumerate(tangents) if t is not None]

        def work(g: Any) -> Any:
            together = op.vjp and op.vjp(g, y, *inputs, wrt=wrt, **static)
            total: Any = 0
            for k in wrt:
                c = (
                    together[k]
                    if together
                    else op.pullbacks[k](g, y, *inputs, **static)
                )
                total = total + (c * tangents[k]).sum()
            return total

        run = Run("jvp", work, (np.zeros_like(array(y)),), 0, {}, False)
        return run.pull([np.ones((), array(y).dtype)])[0]

    return jvp


def _grown(t: Any, like: Any) -> Any:
    """Give a tangent its value's shape and dtype."""
    if np.shape(t) != like.shape:
        t = np.broadcast_to(t, like.shape)
    return t if t.dtype == like.dtype else t.astype(like.dtype)


def _chosen(who: str, args: list[Any], argnums: Any) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for i in numbers:
        if not -len(args) <= i < len(args):
            raise GradError(
                f"{who}: argnums names argument {i}, but f was called with {len(args)} "
                "positional arguments.",
                help="only positional arguments are differentiated.",
            )
    return numbers
