"""The tape: each operation leaves a record, and backward reads the records youngest first.

Read this file first. It knows no calculus (the rules are declared in ``ops/``) and no
feature: recording, autocast, anomaly detection and grading plug into three sockets.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ._arrays import fit, operand
from .errors import GradError, ShapeError

if TYPE_CHECKING:
    from .primitive import Primitive

_new = object.__new__
_ids = count(1)


class Node:
    """One value and how it came to be; ``Tensor`` adds the operators.

    ``_id`` counts creations, so an output's id is greater than its inputs' ids and
    descending ids are a topological order: nobody has to sort a graph.

    ``_edges`` holds the positions of the inputs that want a gradient; it is None where
    no gradient is wanted and ``()`` for a leaf that wants one.

    ``_form`` is (shape, dtype), one object for values known to be alike, or None: where
    two nodes share it, what passes unchanged between them needs no fitting.
    """

    __slots__ = (
        "__weakref__",
        "_data",
        "_edges",
        "_extra",
        "_form",
        "_id",
        "_inputs",
        "_op",
        "_static",
        "_values",
        "grad",
    )  # fmt: skip

    _id: int
    _data: Any
    _op: Any
    _inputs: Any
    _values: Any
    _static: Any
    _edges: Any
    _form: Any
    _extra: "Extra | None"
    grad: Any


@lru_cache(4096)
def form_of(shape: tuple[int, ...], dtype: Any) -> tuple[Any, ...]:
    """Give one object for each (shape, dtype), so that ``is`` compares them."""
    return shape, dtype


class Extra:
    """What few nodes have: a name, hooks, a wish to keep the gradient, a change of data."""

    __slots__ = ("changed", "hooks", "name", "retain")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.retain = False
        self.changed = 0


class Plug:
    """Something that listens to the tape; override what you need.

    ``enter`` and ``leave`` are the scope socket, ``before`` and ``after`` the intercept
    socket, ``edge`` and ``arrive`` the edge socket.

    ``replay`` says whether a checkpoint that computes again must let it listen again: a
    plug that changes values (autocast) must, one that only watches must not.
    """

    replay: ClassVar[bool] = False

    def enter(self, path: str, owner: Any) -> None:
        """Begin a scope: ``path`` is dotted and whole, ``owner`` the module or None."""

    def leave(self, path: str, output: Any) -> None:
        """End the innermost scope, which returns ``output`` (None if it raised)."""

    def before(
        self, op: "Primitive", inputs: tuple[Any, ...], static: dict[str, Any]
    ) -> Any:
        """Return the inputs that ``op`` is to see."""
        return inputs

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Return the output that the caller is to see."""
        return node

    def edge(self, node: Any, k: int, c: Any) -> Any:
        """Return what ``node`` is to contribute to its input ``k``."""
        return c

    def arrive(self, node: Any, g: Any) -> None:
        """See the whole gradient of ``node``, all contributions added, hooks run."""


class Mode(NamedTuple):
    """Whether operations leave a record, and who listens."""

    grad: bool = True
    plugs: tuple[Plug, ...] = ()


_idle = Mode()
_mode: ContextVar[Mode] = ContextVar("backproplab.mode", default=_idle)
_scope: ContextVar[str] = ContextVar("backproplab.scope", default="")


class _Change:
    """When any tensor's data was last replaced: lets backward skip the check mostly."""

    latest = 0


def apply(op: "Primitive", inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
    """Compute an op, and leave a record if a gradient may be wanted.

    Args:
        op: the declared operation.
        inputs: tensors, arrays or scalars, one for each differentiable position.
        static: everything else (axis, eps, ...).

    Returns:
        A node of the inputs' kind; a plain array where no input is a node.
    """
    recording, plugs = _mode.get()
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
    node._id = next(_ids)
    node._data = data
    node.grad = node._extra = node._form = None
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


def one(op: "Primitive") -> Callable[[Any], Any]:
    """Make ``apply`` for one input and no options, written out for speed."""
    value, mode, form_kept = op.value, _mode.get, op.kind == "elementwise"

    def call(x: Any) -> Any:
        if not isinstance(x, Node) or mode() is not _idle:
            return apply(op, (x,), _nothing)
        a = x._data
        node = _new(type(x))
        try:
            node._data = value(a)
        except ValueError as error:
            raise op.explain((a,), error) from error
        node._id = next(_ids)
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


def two(op: "Primitive") -> Callable[[Any, Any], Any]:
    """Make ``apply`` for two inputs and no options, written out for two tensors."""
    value, mode, form_kept = op.value, _mode.get, op.kind == "elementwise"

    def call(x: Any, y: Any) -> Any:
        kind = type(x)
        if kind is not type(y) or mode() is not _idle or not issubclass(kind, Node):
            return apply(op, (x, y), _nothing)
        a, b = x._data, y._data
        node = _new(kind)
        try:
            node._data = value(a, b)
        except ValueError as error:
            raise op.explain((a, b), error) from error
        node._id = next(_ids)
        node._op = op
        node.grad = node._extra = None
        node._form = x._form if form_kept and x._form is y._form else None
        if x._edges is not None:
            node._edges = _FIRST if y._edges is None else _BOTH
        elif y._edges is not None:
            node._edges = _SECOND
        else:
            node._inputs = node._edges = None
            return node
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
        within: for each id to visit, the positions of the inputs to follow; None follows
            all that want a gradient.

    Raises:
        GradError: if the graph was freed, or an operand that a rule needs was changed.
    """
    plugs = _mode.get().plugs
    changed = _Change.latest
    alone = not plugs and not higher
    # id -> [node, gradient so far, whether nobody else holds it (None: not asked yet)]
    waiting: dict[int, list[Any]] = {}
    queue: list[int] = []  # a heap of -id: the youngest comes first
    for node, g in seeds:
        if node._id in waiting:
            waiting[node._id][1] = waiting[node._id][1] + g
        else:
            waiting[node._id] = [node, g, None]
            heappush(queue, -node._id)
    while queue:
        i = -heappop(queue)
        node, g, ours = waiting.pop(i)
        if node._extra is not None:
            g, ours = _run_hooks(node, g), None
        if plugs:
            for plug in plugs:
                plug.arrive(node, g)
        edges = node._edges if within is None else within[i]
        if not edges:
            sink(node, g, ours is True)
            continue
        op, inputs, values, static = node._op, node._inputs, node._values, node._static
        if inputs is None:
            raise _freed(node)
        if i < changed:
            _check_unchanged(node, edges)
        y = node._data
        if higher:
            y, values = node, inputs
            if op.saves:
                static = {**static, "saved": None}
        pullbacks, form = op.pullbacks, node._form
        together: Any = ()
        if op.vjp is not None:
            together = op.vjp(g, y, *values, wrt=edges, **static)
        for k in edges:
            x, new = inputs[k], None
            if op.vjp is not None:
                rule, c = None, together[k]
            elif (rule := pullbacks[k]) is unchanged:
                c = g
            elif rule is None:
                continue
            elif ours and k == edges[-1] and op.kind == "elementwise":
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
            j = x._id
            if (entry := waiting.get(j)) is None:
                waiting[j] = [x, c, new]
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
            raise _freed(node)
        stack += [node._inputs[k] for k in node._edges]
    return [found[i] for i in sorted(found)]


def _is_new(c: Any, g: Any, values: Any, together: Any) -> bool:
    """Whether a rule made this array for this edge alone."""
    if type(c) is not np.ndarray or c.base is not None or c is g:
        return False
    held = [a for a in (*values, *together) if a is c]
    return len(held) == (1 if together else 0)


@contextmanager
def plugged(plug: Plug) -> Iterator[Plug]:
    """Let ``plug`` listen within a ``with`` block."""
    mode = _mode.get()
    token = _mode.set(Mode(mode.grad, (*mode.plugs, plug)))
    try:
        yield plug
    finally:
        _mode.reset(token)


@contextmanager
def scope(
    name: str, owner: Any = None, *, within: str | None = None
) -> Iterator[list[Any]]:
    """Name the operations of a ``with`` block, ``outer.inner`` where blocks nest.

    Args:
        name: what the block is called; an empty name adds nothing to the path.
        owner: the module that it belongs to, for those who listen.
        within: the path to nest in, where it is not the innermost scope.

    Yields:
        a list: what the block puts in it is the output that ``leave`` reports.
    """
    path = ".".join(filter(None, (_scope.get() if within is None else within, name)))
    plugs, outputs = _mode.get().plugs, []  # type: tuple[Plug, ...], list[Any]
    token = _scope.set(path)
    for plug in plugs:
        plug.enter(path, owner)
    try:
        yield outputs
    finally:
        _scope.reset(token)
        for plug in plugs:
            plug.leave(path, outputs[0] if outputs else None)


def current_scope() -> str:
    """Return the dotted path of the innermost scope, empty at the top."""
    return _scope.get()


@contextmanager
def no_grad() -> Iterator[None]:
    """Leave no record within a ``with`` block (or a decorated function).

    >>> import backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> with bp.no_grad():
    ...     (x * x).requires_grad
    False
    """
    with _recording(False):
        yield


@contextmanager
def enable_grad() -> Iterator[None]:
    """Leave records again, within a ``no_grad`` block."""
    with _recording(True):
        yield


def is_grad_enabled() -> bool:
    """Say whether operations leave a record here."""
    return _mode.get().grad


def current_plugs() -> tuple[Plug, ...]:
    """List the plugs that listen here, outermost first."""
    return _mode.get().plugs


def extra(node: Any) -> Extra:
    """Return what only few nodes have, made at first use."""
    if node._extra is None:
        node._extra = Extra()
    return node._extra


def mark_changed(node: Any) -> None:
    """Note that the node's data is not what earlier operations saw."""
    extra(node).changed = _Change.latest = next(_ids)


@contextmanager
def _recording(on: bool) -> Iterator[None]:
    token = _mode.set(Mode(on, _mode.get().plugs))
    try:
        yield
    finally:
        _mode.reset(token)


def _run_hooks(node: Any, g: Any) -> Any:
    for hook in list(node._extra.hooks.values()):
        seen = g
        if isinstance(g, np.ndarray):
            seen = g.view()
            seen.flags.writeable = (
                False  # others may share it: a hook returns, not writes
            )
        result = hook(seen)
        if result is None:
            continue
        g = result if isinstance(result, Node) else np.asarray(result, dtype=g.dtype)
        if g.shape != seen.shape:
            raise ShapeError(
                f"hook on {label(node)}: it returned shape {g.shape}; "
                f"the gradient has shape {seen.shape}.",
                help="return None to leave the gradient as it is.",
            )
    if node._extra.retain and node._edges:
        g_own = g if isinstance(g, Node) else np.array(g)
        node.grad = g_own if node.grad is None else node.grad + g_own
    return g


def label(node: Any) -> str:
    """Name a node for a message: its own name, or the op that made it."""
    if node._extra is not None and node._extra.name:
        return str(node._extra.name)
    made = f"the output of {node._op.name}" if node._op else "a leaf"
    return f"{made} of shape {np.shape(node._data)}"


def _freed(node: Any) -> GradError:
    return GradError(
        f"backward() came to {label(node)}, whose saved values are gone: "
        "an earlier backward() used and freed them.",
        help="compute the loss again, or keep the graph with "
        "`loss.backward(retain_graph=True)` the first time.",
    )


def _check_unchanged(node: Any, edges: Any) -> None:
    for k in edges:
        needed = node._op.needs[k]
        operands = (node, *node._inputs)
        for position in needed if needed is not None else range(len(operands)):
            x = operands[position]
            if (
                isinstance(x, Node)
                and x._extra is not None
                and x._extra.changed > node._id
            ):
                raise GradError(
                    f"{node._op.name} needs the value that {label(x)} had when it ran, "
                    "but its data was changed since.",
                    help="call backward() before changing data, "
                    "or compute the loss again after the change.",
                )
