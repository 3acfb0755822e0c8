"""The plug that listens to the tape and writes down what it hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..node import Node
from ..sockets import Plug, current_scope
from .names import Caller, is_bound, place

if TYPE_CHECKING:
    from types import CodeType, FrameType

NOTHING = -1  # in the place of an optional input that was None


class Entry:
    """What is known of one value while the run goes on; a ``Record`` shows it.

    Attributes:
        given: its name by ``.named()``, ``name=`` or the parameter's path.
        assigned: the learner's variable, in its scope.
        aliases: modules whose output it is, and what lines call that.
        name: unique in the run; set when the run is over.
        contributions: (output, which of its inputs this is, array), as they arrive.
        seed: what came from outside the run: the gradient that backward began with.
        seen: how many contributions earlier passes added.
        wants: whether a gradient is wanted here.
    """

    __slots__ = (
        "aliases", "assigned", "code", "contributions", "given", "grad", "inputs",
        "lasti", "name", "node", "op", "primitive", "scope", "seed", "seen", "source",
        "static", "value", "wants",
    )  # fmt: skip

    def __init__(self, op: str, value: Any, scope: str) -> None:
        self.op, self.value, self.scope = op, value, scope
        self.primitive: Any = None
        self.node: Any = None
        self.code: CodeType | None = None
        self.grad: Any = None
        self.seed: Any = None
        self.given: str | None = None
        self.assigned: str | None = None
        self.name = ""
        self.aliases: tuple[str, ...] = ()
        self.inputs: tuple[int, ...] = ()
        self.static: dict[str, Any] = _nothing
        self.contributions: list[tuple[int, int, Any]] = []
        self.seen = self.lasti = 0
        self.source = ("", 0)
        self.wants = False


_nothing: dict[str, Any] = {}


class Recorder(Plug):
    """Write down each operation, and what each edge carries back.

    Engine-made arrays are kept by reference: the engine never overwrites them. Leaves
    and raw arrays are copied at first sight, since optimisers and learners do.

    Little is done while the run goes on; the rest when the entries are first read.
    """

    def __init__(self, copy: bool = False) -> None:
        self.copy = copy
        self.closed = self._finished = False
        self.entries: list[Entry] = []
        # one for each step of backward: entry, [(input, its nth contribution)]
        self.steps: list[tuple[int, list[tuple[int, int]]]] = []
        self._of_node: dict[int, int] = {}  # node id -> entry
        self._of_array: dict[int, int] = {}  # id of a raw array -> entry
        self._keep: list[Any] = []  # so that ids are not used again
        self._foreign: set[int] = set()  # ids of arrays that others may overwrite
        self._names: dict[int, str] = {}  # parameters by node id, buffers by array id
        self._open: list[bool] = []  # scopes; whether a module's
        self._owner: Any = None  # the outermost module whose names are known
        self._sends: dict[int, list[tuple[int, int]]] = {}  # of an entry's latest step
        self._received: dict[
            int, int
        ] = {}  # node id -> the entry that contributions go to
        self._home: FrameType | None = Caller().frame  # what runs the `with` block
        self._last: tuple[Any, ...] = (None, 0, None, None, None)

    # Scope socket.

    def enter(self, path: str, owner: Any) -> None:
        """Note what the outermost module calls its parameters and buffers."""
        if owner is not None and not any(self._open) and owner is not self._owner:
            self._owner = owner
            self._learn_names(owner)
        self._open.append(owner is not None)

    def _learn_names(self, owner: Any) -> None:
        for path, module in owner.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Node):
                    self._names.setdefault(value._id, _dotted(path, name))
                elif isinstance(value, np.ndarray):
                    self._names.setdefault(id(value), _dotted(path, name))
                    self._keep.append(value)
                elif isinstance(value, (list, tuple, dict)):
                    for inner, p in module.named_parameters(path, recurse=False):
                        self._names.setdefault(p._id, inner)

    def leave(self, path: str, output: Any) -> None:
        """Note whose output a value is, and what the call is assigned to."""
        if self._open:  # else it was entered before the block
            self._open.pop()
        if not isinstance(output, Node) or output._id not in self._of_node:
            return
        entry = self.entries[self._of_node[output._id]]
        name, _ = Caller().assigned()
        if name is not None:
            name = _dotted(current_scope(), name)
            if path:  # the module's path stays the name
                entry.aliases = (name, *entry.aliases)
            else:
                entry.aliases += (entry.assigned,) if entry.assigned else ()
                entry.assigned = name
        if path:
            entry.aliases += (path,)

    # Intercept socket.

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Write down an operation."""
        caller = Caller()
        op, operands = node._op, tuple([self._operand(x, caller) for x in inputs])
        entry = Entry(op.name, self._array(node), current_scope())
        entry.primitive, entry.static, entry.node = op, static, node
        entry.inputs = operands
        entry.wants = node._edges is not None
        if (frame := caller.frame) is not None:
            entry.code, entry.lasti = frame.f_code, frame.f_lasti
            if not caller.in_package:
                self._name(entry, caller)
        self._of_node[node._id] = len(self.entries)
        self.entries.append(entry)
        return node

    def _name(self, entry: Entry, caller: Caller) -> None:
        """Name the value after the variable; of several ops for one call, the last."""
        frame, lasti, via, earlier, home = self._last
        name, space = caller.assigned()
        if (
            caller.frame is frame
            and entry.lasti == lasti
            and earlier.assigned is not None
            and (
                (via is not None and via is caller.via)
                or (name and not is_bound(name, home, earlier.node))
            )
        ):
            earlier.assigned = None
        if name is not None:
            entry.assigned = _dotted(entry.scope, name)
            self._last = (caller.frame, entry.lasti, caller.via, entry, space)

    def _operand(self, x: Any, caller: Caller) -> int:
        if isinstance(x, Node):
            known = self._of_node.get(x._id)
            if known is not None and self._unchanged(self.entries[known], x._data):
                return known
            entry = self._leaf("leaf", x._data, caller)
            entry.node, entry.wants = x, x._edges is not None
            entry.given = self._names.get(x._id)
            if entry.given is None and not (x._extra and x._extra.name):
                entry.assigned = caller.variable(x, self._home)
            self._of_node[x._id] = len(self.entries) - 1
        elif isinstance(x, np.ndarray):
            known = self._of_array.get(id(x))
            if known is not None and self._unchanged(self.entries[known], x):
                return known
            entry = self._leaf("constant", x, caller)
            entry.given = self._names.get(id(x))
            if entry.given is None:
                entry.assigned = caller.variable(x, self._home)
            self._of_array[id(x)] = len(self.entries) - 1
        elif x is None:
            return NOTHING
        else:
            entry = self._leaf("constant", x, caller)
            if np.ndim(x):
                entry.assigned = caller.variable(x, self._home)
            else:
                entry.given = f"{x:g}"
        return len(self.entries) - 1

    def _leaf(self, op: str, value: Any, caller: Caller) -> Entry:
        if isinstance(value, np.ndarray):
            self._foreign.add(_root(value))
            self._keep.append(value)
        if not isinstance(value, (int, float)):  # a Python scalar stays weak
            value = np.array(value)
        entry = Entry(op, value, current_scope())
        if (frame := caller.frame) is not None:
            entry.code, entry.lasti = frame.f_code, frame.f_lasti
        self.entries.append(entry)
        return entry

    def _unchanged(self, entry: Entry, data: Any) -> bool:
        """Whether data that others may overwrite is what it was at first sight."""
        if entry.primitive is not None and data is entry.value:
            return True
        value = entry.value
        if np.shape(value) != np.shape(data):
            return False
        same = value == data
        return bool(same.all() or (same | (value != value) & (data != data)).all())

    # Edge socket.

    def arrive(self, node: Any, g: Any) -> None:
        """Write down a whole gradient, and what of it came from outside."""
        k = self._received.pop(node._id, None)
        if k is None:
            k = self._of_node.get(node._id)
            if k is None:
                return
        entry = self.entries[k]
        hooked = node._extra is not None and bool(node._extra.hooks)
        g = self._array(g, hooked)
        entry.grad = g if entry.grad is None else entry.grad + g
        new = entry.contributions[entry.seen :]
        outside = g
        if new:
            entry.seen += len(new)
            sum_ = new[0][2]
            for _, _, c in new[1:]:
                sum_ = sum_ + c
            same = hooked or sum_ is g or np.array_equal(sum_, g, equal_nan=True)
            outside = None if same else g - sum_
        if outside is not None:
            entry.seed = outside if entry.seed is None else entry.seed + outside
        sends: list[tuple[int, int]] = []
        self._sends[k] = sends
        self.steps.append((k, sends))

    def edge(self, node: Any, k: int, c: Any) -> Any:
        """Write down what one use of a value sends back to it."""
        output = self._of_node.get(node._id)
        # What was computed before the block stands there as a leaf, without inputs.
        if output is not None and (inputs := self.entries[output].inputs):
            x = inputs[k]
            received = self.entries[x].contributions
            self._sends[output].append((x, len(received)))
            received.append((output, k, self._array(c)))
            self._received[node._inputs[k]._id] = x
        return c

    def _array(self, g: Any, others_hold_it: bool = False) -> Any:
        if isinstance(g, Node):
            g = g._data
        if self.copy or others_hold_it or _root(g) in self._foreign:
            return np.array(g)
        return g

    # When the block is over.

    def close(self) -> None:
        """Forget all that is not data: tensors, frames, raw arrays."""
        for entry in self.entries:
            if (node := entry.node) is not None:
                if node._extra is not None and node._extra.name:
                    entry.given = node._extra.name
                entry.node = None
        for ids in (self._of_node, self._of_array, self._names, self._sends):
            ids.clear()
        self._received.clear()
        self._foreign.clear()
        self._keep.clear()
        self._owner = None
        self._home, self._last = None, ()
        self.closed = True

    @property
    def _entries(self) -> list[Entry]:
        """The entries with unique names, sealed once the block is over."""
        if self._finished:
            return self.entries
        _name_all(self.entries)
        for e in self.entries:
            if e.code is not None:
                e.source = place(e.code, e.lasti)
            if self.closed:
                e.code = None
                e.value, e.grad, e.seed = map(_sealed, (e.value, e.grad, e.seed))
                e.contributions = [(o, k, _sealed(c)) for o, k, c in e.contributions]
        self._finished = self.closed
        return self.entries


def _name_all(entries: list[Entry]) -> None:
    """Unique names: given, else the variable, the module, the op and a count."""
    used: set[str] = set()
    made: dict[str, int] = {}
    for e in entries:
        own = e.node.name if e.node is not None else None
        name = own or e.given or e.assigned or (e.aliases[-1] if e.aliases else None)
        if name is None:
            made[e.op] = made.get(e.op, 0) + 1
            name = f"{e.op}_{made[e.op]}"
        if not is_literal(e):
            plain, n = name, 1
            while name in used:
                n += 1
                name = f"{plain}_{n}"
            used.add(name)
        e.name = name


def is_literal(e: Entry) -> bool:
    """Whether it is a number that stands in the learner's line."""
    return e.op == "constant" and np.ndim(e.value) == 0 and e.assigned is None


def _sealed(array: Any) -> Any:
    """A view that cannot be written to; the engine's own array stays as it is."""
    if array is None or type(array) in (int, float, bool):
        return array
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _root(array: Any) -> int:
    """The array that owns the memory; views of it are overwritten with it."""
    while isinstance(base := getattr(array, "base", None), np.ndarray):
        array = base
    return id(array)


def _dotted(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
