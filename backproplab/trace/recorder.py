"""The plug that listens to the tape and writes down what it hears; see trace/run.py for reading."""

from typing import Any

import numpy as np

from ..tape import Node, Plug, current_scope
from .names import Caller

NOTHING = -1  # in the place of an optional input that was None


class Entry:
    """What is known of one value while the run goes on; becomes a ``Record``."""

    __slots__ = ("assigned", "contributions", "given", "grad", "inputs", "node", "op", "primitive",
                 "scope", "scopes", "seed", "seen", "source", "static", "value", "wants")  # fmt: skip

    def __init__(
        self, op: str, value: Any, scope: str, source: tuple[str, int]
    ) -> None:
        self.op, self.value, self.scope, self.source = op, value, scope, source
        self.primitive: Any = None
        self.node: Any = None  # until the run is over: it may yet be named
        self.static: dict[str, Any] = {}
        self.inputs: tuple[int, ...] = ()
        self.given: str | None = None  # by .named(), name= or the parameter's path
        self.assigned: str | None = None  # the learner's variable
        self.scopes: list[str] = []  # modules whose output it is
        self.grad: Any = None
        self.contributions: list[
            tuple[int, int, Any]
        ] = []  # output, its input k, array
        self.seed: Any = None  # the gradient that a backward pass began with here
        self.seen = 0  # contributions that earlier passes added
        self.wants = False


class Recorder(Plug):
    """Write down each operation, and what each edge carries back.

    Engine-made arrays are kept by reference: the engine never overwrites them. Leaves
    and raw arrays are copied at first sight, since optimisers and learners do.
    """

    def __init__(self, copy: bool) -> None:
        self.copy = copy
        self.entries: list[Entry] = []
        self.steps: list[
            tuple[int, list[tuple[int, int]]]
        ] = []  # entry, (input, its nth contribution)
        self._of_node: dict[int, int] = {}  # node id -> entry
        self._of_array: dict[int, int] = {}  # id of a raw array -> entry
        self._keep: list[Any] = []  # so that ids are not used again
        self._changed: dict[int, int] = {}  # leaf id -> when last changed
        self._foreign: set[int] = set()  # ids of arrays that others may overwrite
        self._parameters: dict[int, str] = {}
        self._buffers: dict[int, str] = {}
        self._last_via: Any = None
        self._last_named: Entry | None = None

    # Scope socket.

    def enter(self, path: str, owner: Any) -> None:
        if owner is not None and path == "":
            for name, p in owner.named_parameters():
                self._parameters[p._id] = name
            for name, b in owner.named_buffers():
                self._buffers[id(b)] = name
                self._keep.append(b)

    def leave(self, path: str, output: Any) -> None:
        if not isinstance(output, Node) or output._id not in self._of_node:
            return
        entry = self.entries[self._of_node[output._id]]
        if path:
            entry.scopes.append(path)
        caller = Caller()
        name = caller.assigned()
        if name is not None and not path:
            entry.assigned = name

    # Intercept socket.

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        caller = Caller()
        value = node._data
        if self.copy or _root(value) in self._foreign:
            value = np.array(value)
        op = node._op
        entry = Entry(op.name, value, current_scope(), caller.line())
        entry.primitive, entry.static = op, static
        entry.inputs = tuple(self._operand(x, caller) for x in inputs)
        entry.wants = node._edges is not None
        self._name(entry, caller)
        self._of_node[node._id] = len(self.entries)
        entry.node = node
        self.entries.append(entry)
        return node

    def _name(self, entry: Entry, caller: Caller) -> None:
        if caller.in_package:
            self._last_via = None
            return
        if caller.via is not None and caller.via is self._last_via and self._last_named:
            self._last_named.assigned = (
                None  # an op made of ops: the last one is the value
            )
        entry.assigned = caller.assigned()
        self._last_via, self._last_named = caller.via, entry

    def _operand(self, x: Any, caller: Caller) -> int:
        if isinstance(x, Node):
            known = self._of_node.get(x._id)
            changed = x._extra.changed if x._extra is not None else 0
            if known is not None and self._changed.get(x._id, changed) == changed:
                return known
            entry = self._leaf("leaf", x._data, caller)
            entry.node = x
            entry.given = self._parameters.get(x._id) or x.name or caller.variable(x)
            entry.wants = x._edges is not None
            self._of_node[x._id] = len(self.entries) - 1
            self._changed[x._id] = changed
        elif isinstance(x, np.ndarray):
            known = self._of_array.get(id(x))
            if known is not None:
                return known
            entry = self._leaf("constant", x, caller)
            entry.given = self._buffers.get(id(x)) or caller.variable(x)
            self._of_array[id(x)] = len(self.entries) - 1
            self._keep.append(x)
        elif x is None:
            return NOTHING
        else:
            entry = self._leaf("constant", x, caller)
            entry.given = f"{x:g}" if np.ndim(x) == 0 else caller.variable(x)
        return len(self.entries) - 1

    def _leaf(self, op: str, value: Any, caller: Caller) -> Entry:
        if isinstance(value, np.ndarray):
            self._foreign.add(_root(value))
            self._keep.append(value)
        if not isinstance(value, (int, float)):  # a Python scalar stays weak
            value = np.array(value)
        entry = Entry(op, value, current_scope(), caller.line())
        self.entries.append(entry)
        return entry

    # Edge socket.

    def arrive(self, node: Any, g: Any) -> None:
        k = self._of_node.get(node._id)
        if k is None:
            return
        g = np.array(g._data if isinstance(g, Node) else g, copy=self.copy or None)
        entry = self.entries[k]
        entry.grad = g if entry.grad is None else entry.grad + g
        if entry.seen == len(entry.contributions):
            entry.seed = g if entry.seed is None else entry.seed + g
        entry.seen = len(entry.contributions)
        self.steps.append((k, []))

    def edge(self, node: Any, k: int, c: Any) -> Any:
        output, x = self._of_node.get(node._id), self._of_node.get(node._inputs[k]._id)
        if output is not None and x is not None:
            array = np.array(
                c._data if isinstance(c, Node) else c, copy=self.copy or None
            )
            received = self.entries[x].contributions
            self.steps[-1][1].append((x, len(received)))
            received.append((output, k, array))
        return c

    def close(self) -> None:
        """Forget all that is not data: tensors, frames, raw arrays."""
        for entry in self.entries:
            if entry.node is not None:
                entry.given = entry.node.name or entry.given
                entry.node = None
        self._keep.clear()
        self._of_array.clear()
        self._last_via = self._last_named = None


def _root(array: Any) -> int:
    """The array that owns the memory; views of it are overwritten with it."""
    base = array.base
    return id(array if base is None else base)
