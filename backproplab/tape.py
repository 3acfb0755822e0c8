"""The tape: each op leaves a record, and backward reads the records youngest first.

Read this file first. It knows no calculus (the rules are declared in ``ops/``) and no
feature: recording, autocast, anomaly detection and grading plug into three sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heappushpop
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import fit, operand
from .node import Change, Node, check_unchanged, freed, ids, run_hooks
from .sockets import idle, mode

if TYPE_CHECKING:
    from .primitive import Primitive

_new = object.__new__


def apply(op: Primitive, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
    """Compute an op, and leave a record if a gradient may be wanted.

    Args:
        op: the declared operation.
        inputs: tensors, arrays or scalars, one for each differentiable position.
        static: everything else (axis, eps, ...).

    Returns:
        A node of the inputs' kind; a plain array where no input is a node.
    """
    recording, plugs = mode.get()
    for plug in plugs:
        inputs = plug.before(op, inputs, static)
    kind = None
    values = []
    edges: list[int] = []
    for k, x in enumerate(inputs):
        if isinstance(x, Node):
            kind = type(x)
            values.append(x._data)
            if x._edges is not None:
                edges.append(k)
        elif type(x) in _PLAIN:
            values.append(x)
        else:
            values.append(operand(x))
            if values[k] is not x:
                inputs = (*inputs[:k], values[k], *inputs[k + 1 :])
    try:
        data = op.value(*values, **static)
    except ValueError as error:
        raise op.explain(values, error) from error
    if op.saves:
        data, saved = data
        static = {**static, "saved": saved}
    if kind is None:
        return data
    node = _new(kind)
    node._id = next(ids)
    node._data = data
    node.grad = node._extra = None
    node._form = None
    node._op = op
    if edges and recording and op.differentiable:
        node._inputs, node._values, node._static, node._edges = (
            inputs,
            values,
            static,
            edges,
        )
    else:
        node._inputs = node._edges = None
    for plug in plugs:
        node = plug.after(node, inputs, static)
    return node


_nothing: dict[str, Any] = {}
_LARGE = 4096  # bytes from which copying costs more than asking who holds an array
_FIRST, _SECOND, _BOTH = (0,), (1,), (0, 1)
_PLAIN = frozenset((float, int, np.ndarray, np.float32, np.float64))  # taken as it is


def one(op: Primitive) -> Callable[[Any], Any]:
    """Make ``apply`` for one input and no options, written out for speed."""
    value, current, form_kept = op.value, mode.get, op.keeps_form

    def call(x: Any) -> Any:
        if not isinstance(x, Node) or current() is not idle:
            return apply(op, (x,), _nothing)
        a = x._data
        node = _new(type(x))
        try:
            node._data = value(a)
        except ValueError as error:
            raise op.explain((a,), error) from error
        node._id = next(ids)
        node._op = op
        node.grad = node._extra = None
        node._form = x._form if form_kept else None
        if x._edges is None:
            node._inputs = node._edges = None
        else:
            node._inputs, node._values = (x,), (a,)
            node._static, node._edges = _nothing, _FIRST
        return node

    return call


def two(op: Primitive) -> Callable[[Any, Any], Any]:
    """Make ``apply`` for two inputs and no options, written out for speed.

    One of them may be a constant: an array, or a number of Python's.
    """
    value, current, form_kept = op.value, mode.get, op.keeps_form

    def call(x: Any, y: Any) -> Any:
        kind, other, form = type(x), type(y), None
        edges: tuple[int, ...] | None
        if kind is other and issubclass(kind, Node):
            a, b = x._data, y._data
            if form_kept and x._form is y._form:
                form = x._form
            if x._edges is None:
                edges = None if y._edges is None else _SECOND
            else:
                edges = _FIRST if y._edges is None else _BOTH
        elif other in _PLAIN and issubclass(kind, Node):
            a, b = x._data, y
            edges = None if x._edges is None else _FIRST
        elif kind in _PLAIN and issubclass(other, Node):
            a, b, kind = x, y._data, other
            edges = None if y._edges is None else _SECOND
        else:
            return apply(op, (x, y), _nothing)
        if current() is not idle:
            return apply(op, (x, y), _nothing)
        node = _new(kind)
        try:
            node._data = value(a, b)
        except ValueError as error:
            raise op.explain((a, b), error) from error
        node._id = next(ids)
        node._op = op
        node.grad = node._extra = None
        node._form, node._edges = form, edges
        if edges is None:
            node._inputs = None
        else:
            node._inputs, node._values, node._static = (x, y), (a, b), _nothing
        return node

    return call


def unchanged(g: Any, *_inputs: Any, **_static: Any) -> Any:
    """Pass the gradient on as it is: the rule of a slope that is 1."""
    return g


def backward(
    seeds: Iterable[tuple[Any, Any]],
    sink: Callable[[Any, Any, bool], None],
    *,
    retain: bool = False,
    higher: bool = False,
    within: dict[int, Any] | None = None,
) -> None:
    """Carry gradients from the seeds to the leaves, youngest node first.

    A node is visited once, after all that used it; contributions of several paths add.

    Args:
        seeds: pairs of a node and its incoming gradient.
        sink: called with each leaf, its gradient, and whether nobody else holds it.
        retain: keep what the rules need for another pass.
        higher: hand the rules tensors, so that the gradients have gradients.
        within: for each id to visit, the positions of the inputs to follow; None
            follows all that want a gradient.

    Raises:
        GradError: if the graph was freed, or an operand that a rule needs was changed.
    """
    plugs = mode.get().plugs
    changed = Change.latest
    alone = not plugs and not higher
    # id -> [node, gradient so far, whether nobody else holds it (None: not asked yet)]
    waiting: dict[int, list[Any]] = {}
    top = 0  # id of the next node, mostly the youngest; 0 for none
    queue: list[int] = []  # the ids of the others that wait, negative: a heap
    for node, g in seeds:
        if node._id in waiting:
            waiting[node._id][1] = waiting[node._id][1] + g
        else:
            waiting[node._id] = [node, g, None]
            heappush(queue, -node._id)
    while top or queue:
        if not top:
            top = -heappop(queue)
        elif queue and -queue[0] > top:
            top = -heappushpop(queue, -top)
        i, top = top, 0
        node, g, ours = waiting.pop(i)
        if (extra := node._extra) is not None and (extra.hooks or extra.retain):
            g, ours = run_hooks(node, g), None
        if plugs:
            for plug in plugs:
                plug.arrive(node, g)
        edges = node._edges if within is None else within[i]
        if not edges:
            sink(node, g, ours is True)
            continue
        op, inputs, values, static = node._op, node._inputs, node._values, node._static
        if inputs is None:
            raise freed(node)
        if i < changed:
            check_unchanged(node, edges)
        y = node._data
        if higher:
            y, values = node, inputs
            if op.saves:
                static = {**static, "saved": None}
        pullbacks, form = op.pullbacks, node._form
        together: Any = ()
        lent = False  # whether another input's gradient is this very array
        if op.vjp is not None:
            together = op.vjp(g, y, *values, wrt=edges, **static)
        for k in edges:
            x, new = inputs[k], None
            if op.vjp is not None:
                rule, c = None, together[k]
            elif (rule := pullbacks[k]) is unchanged:
                c = g
                if ours and len(edges) == 1:
                    new = True  # handed on
            elif rule is None:
                continue
            elif ours and not lent and k == edges[-1] and op.kind == "elementwise":
                c, new = rule(g, y, *values, out=g, **static), True
            else:
                c = rule(g, y, *values, **static)
            if rule is not unchanged or form is None or x._form is not form:
                like = x._data
                if c.shape != like.shape or c.dtype != like.dtype:
                    c = fit(c, like)
                if alone and not new and c.nbytes > _LARGE:
                    new = _is_new(c, g, values, together)
            if plugs:
                for plug in plugs:
                    c = plug.edge(node, k, c)
            if ours:
                lent = lent or c is g or c.base is g
            j = x._id
            if (entry := waiting.get(j)) is None:
                waiting[j] = [x, c, new]
                if not top:
                    top = j
                else:
                    heappush(queue, -j)
            elif entry[2]:
                entry[1] += c  # large, and nobody else holds it
            else:
                entry[1] = entry[1] + c
                if entry[2] is None:
                    entry[2] = alone and c.nbytes > _LARGE
        if not retain:
            node._inputs = node._values = node._static = None


def ancestors(nodes: Iterable[Any], since: int = 0) -> list[Any]:
    """List all that the nodes were computed from, themselves included, oldest first.

    Only what wants a gradient is followed, back to the id ``since``.
    """
    found: dict[int, Any] = {}
    stack = [n for n in nodes if n._edges is not None]
    while stack:
        node = stack.pop()
        if node._id in found or node._id < since:
            continue
        found[node._id] = node
        if node._edges and node._inputs is None:
            raise freed(node)
        stack += [node._inputs[k] for k in node._edges]
    return [found[i] for i in sorted(found)]


def _is_new(c: Any, g: Any, values: Any, together: Any) -> bool:
    """Whether a rule made this array for this edge alone."""
    if type(c) is not np.ndarray or c.base is not None or c is g:
        return False
    held = [a for a in (*values, *together) if a is c]
    return len(held) == (1 if together else 0)
