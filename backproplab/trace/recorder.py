"""The plug that listens to the tape and writes down what it hears."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..node import Node
from ..primitive import Primitive
from ..sockets import Plug, path_now
from .backward import ARRIVED, HOOKED, Passes
from .entry import NOTHING, Entry, name_all
from .names import assigned, calling, is_bound, place, variable
from .unpacking import Unpacking, dotted

if TYPE_CHECKING:
    from types import FrameType

_PLAIN = frozenset((int, float, bool, str, type(None)))
_EXACT = (type(None), Primitive)  # of an op; what is derived from it may round


class Recorder(Plug):
    """Write down each operation, and what each edge carries back.

    Engine-made arrays are kept by reference: the engine never overwrites them. Leaves
    and raw arrays are copied at first sight, since optimisers and learners do. With
    ``copy`` what the ops computed is copied too: ``h.data`` hands it out. Gradients are
    not handed out but in copies, so nobody else can write into them.

    Little is done while the run goes on; the rest when the entries are first read.
    """

    def __init__(self, copy: bool = False) -> None:
        self.copy = copy
        self.closed = self.loaded = self._finished = False
        self.entries: list[Entry] = []
        self.passes = Passes()
        self._heard = self.passes.heard
        self._of_node: dict[int, int] = {}  # node id -> entry
        self._of_array: dict[int, int] = {}  # id of a raw array -> entry
        self._keep: list[Any] = []  # so that ids are not used again
        self._foreign: set[int] = set()  # ids of arrays that others may overwrite
        self._names: dict[int, str] = {}  # parameters by node id, buffers by array id
        self._open: list[bool] = []  # scopes; whether a module's
        self._owner: Any = None  # the outermost module whose names are known
        # What runs the `with` block.
        self._home: FrameType | None = calling(sys._getframe(1))[0]
        self._last: tuple[Any, ...] = (None, 0, None, None, None)
        self._unpacking = Unpacking()

    # Scope socket.

    def enter(self, path: str, owner: Any) -> None:
        """Note what the outermost module calls its parameters and buffers."""
        if owner is not None and owner is not self._owner and True not in self._open:
            self._owner = owner
            self._learn_names(owner)
        self._open.append(owner is not None)

    def _learn_names(self, owner: Any) -> None:
        from ..nn.scopes import modules_of  # loaded, since a module is called

        for path, module in modules_of(owner):
            for name, value in vars(module).items():
                if type(value) in _PLAIN:
                    continue
                if isinstance(value, Node):
                    self._names.setdefault(value._id, dotted(path, name))
                elif isinstance(value, np.ndarray):
                    self._names.setdefault(id(value), dotted(path, name))
                    self._keep.append(value)
                elif isinstance(value, (list, tuple, dict)):
                    for inner, p in module.named_parameters(path, recurse=False):
                        self._names.setdefault(p._id, inner)

    def leave(self, path: str, output: Any) -> None:
        """Note whose output a value is, and what the call is assigned to."""
        if self._open:  # else it was entered before the block
            self._open.pop()
        if not isinstance(output, Node):
            if isinstance(output, tuple):
                self._leave_several(output)
            return
        k = self._of_node.get(output._id)
        if k is None:
            return
        entry = self.entries[k]
        frame, via, _ = calling(sys._getframe(1))
        # A layer that another layer calls is not what the line assigns.
        name = assigned(frame)[0] if via is None else None
        if isinstance(name, str):
            name = dotted(path_now.get(), name)
            if path:  # the module's path stays the name
                entry.aliases = (name, *entry.aliases)
            else:
                entry.aliases += (entry.assigned,) if entry.assigned else ()
                entry.assigned = name
        if path:
            entry.aliases += (path,)

    def _leave_several(self, outputs: tuple[Any, ...]) -> None:
        """Note what the call of a layer with several outputs is unpacked into."""
        frame, via, _ = calling(sys._getframe(2))
        names = assigned(frame)[0] if via is None else None
        if not isinstance(names, tuple):
            return
        for name, value in zip(names, outputs, strict=False):
            k = self._of_node.get(value._id) if isinstance(value, Node) else None
            if k is not None:
                entry = self.entries[k]
                entry.aliases = (dotted(path_now.get(), name), *entry.aliases)

    # Intercept socket.

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Write down an operation."""
        frame, via, in_package = calling(sys._getframe(2))
        entries, known, operands = self.entries, self._of_node, []
        for x in inputs:
            k = known.get(x._id) if isinstance(x, Node) else None
            if k is None or not self._is_as_made(entries[k], x):
                k = self._operand(x, frame)
            operands.append(k)
        op, value = node._op, node._data
        if self._unpacking.waits and not self._unpacking.goes_on(frame):
            self._unpacking.name()
        if self.copy or self._is_foreign(value):
            self._foreign.add(_root(value))
            value = np.array(value)
        entry = Entry(op.name, value, path_now.get())
        entry.primitive, entry.static, entry.node = op, static, node
        entry.inputs, entry.wants = tuple(operands), node._edges is not None
        if frame is not None:
            entry.code, entry.lasti = frame.f_code, frame.f_lasti
            if not in_package:
                self._name(entry, frame, via)
        known[node._id] = len(entries)
        entries.append(entry)
        return node

    def _name(self, entry: Entry, frame: FrameType, via: FrameType | None) -> None:
        """Name the value after the variable; of several ops for one call, the last."""
        last, lasti, last_via, earlier, home = self._last
        name, space = assigned(frame)
        if isinstance(name, tuple):
            self._unpacking.add(entry, space, name, frame)
            return
        if (
            frame is last
            and entry.lasti == lasti
            and earlier.assigned is not None
            and (
                (last_via is not None and last_via is via)
                or (name and not is_bound(name, home, earlier.node))
            )
        ):
            earlier.assigned = None
        if name is not None:
            entry.assigned = dotted(entry.scope, name)
            self._last = (frame, entry.lasti, via, entry, space)

    def _is_as_made(self, entry: Entry, node: Any) -> bool:
        """Whether an op's output is what it was when the op had run."""
        if entry.primitive is None:
            return False
        if node._data is entry.value:
            return True
        if self.copy and (node._extra is None or node._extra.change.at < node._id):
            return True
        return _equal(entry.value, node._data)

    def _operand(self, x: Any, frame: FrameType | None) -> int:
        if isinstance(x, Node):
            known = self._of_node.get(x._id)
            if known is not None and _equal(self.entries[known].value, x._data):
                return known
            entry = self._leaf("leaf", x._data, frame)
            entry.node, entry.wants = x, x._edges is not None
            entry.given = self._names.get(x._id)
            if type(x._op) not in _EXACT:
                entry.grid = grid_of(x._op)
            if entry.given is None and not (x._extra and x._extra.name):
                entry.assigned = variable(x, frame, self._home)
            self._of_node[x._id] = len(self.entries) - 1
        elif isinstance(x, np.ndarray):
            known = self._of_array.get(id(x))
            if known is not None and _equal(self.entries[known].value, x):
                return known
            entry = self._leaf("constant", x, frame)
            entry.given = self._names.get(id(x))
            if entry.given is None:
                entry.assigned = variable(x, frame, self._home)
            self._of_array[id(x)] = len(self.entries) - 1
        elif x is None:
            return NOTHING
        else:
            entry = self._leaf("constant", x, frame)
            if np.ndim(x):
                entry.assigned = variable(x, frame, self._home)
            else:
                entry.given = f"{x:g}"
        return len(self.entries) - 1

    def _leaf(self, op: str, value: Any, frame: FrameType | None) -> Entry:
        if isinstance(value, np.ndarray):
            self._foreign.add(_root(value))
            self._keep.append(value)
        if not isinstance(value, (int, float)):  # a Python scalar stays weak
            value = np.array(value)
        entry = Entry(op, value, path_now.get())
        if frame is not None:
            entry.code, entry.lasti = frame.f_code, frame.f_lasti
        self.entries.append(entry)
        return entry

    # Edge socket.

    def arrive(self, node: Any, g: Any) -> None:
        """Write down a whole gradient."""
        k = self._of_node.get(node._id)
        if k is None:
            return
        extra = node._extra
        if extra is not None and extra.hooks:  # who may hold what they returned
            g = np.array(g._data if isinstance(g, Node) else g)
            self._heard.append((k, HOOKED, node._id, g))
        else:
            self._heard.append((k, ARRIVED, node._id, self._gradient(g)))

    def edge(self, node: Any, k: int, c: Any) -> Any:
        """Write down what one use of a value sends back to it."""
        output = self._of_node.get(node._id)
        # What was computed before the block stands there as a leaf, without inputs.
        if output is not None and self.entries[output].inputs:
            receiver = node._inputs[k]._id
            self._heard.append((output, k, receiver, self._gradient(c)))
        return c

    def _gradient(self, g: Any) -> Any:
        if isinstance(g, Node):  # which the learner may get to see
            g = g._data
            return np.array(g) if self.copy or self._is_foreign(g) else g
        return np.array(g) if self._is_foreign(g) else g

    def _is_foreign(self, array: Any) -> bool:
        if array.base is None:
            return id(array) in self._foreign
        return _root(array) in self._foreign

    # When the block is over.

    def close(self) -> None:
        """Forget all that is not data: tensors, frames, raw arrays."""
        self._unpacking.name()
        for entry in self.entries:
            if (node := entry.node) is not None:
                if node._extra is not None and node._extra.name:
                    entry.given = node._extra.name
                entry.node = None
        for ids in (self._of_node, self._of_array, self._names):
            ids.clear()
        self._foreign.clear()
        self._keep.clear()
        self._owner = None
        self._home, self._last = None, ()
        self.closed = True

    @property
    def steps(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """One for each step of backward: entry, [(input, its nth contribution)]."""
        self.passes.sort(self.entries)
        return self.passes.steps

    @property
    def _entries(self) -> list[Entry]:
        """The entries with unique names, sealed once the block is over."""
        if self._finished:
            return self.entries
        self.passes.sort(self.entries)
        name_all(self.entries)
        for e in self.entries:
            if e.code is not None:
                e.source = place(e.code, e.lasti)
            if type(e.primitive) not in _EXACT:
                e.grid = grid_of(e.primitive)
            if self.closed:
                e.seal()
        self._finished = self.closed
        return self.entries


def grid_of(op: Any) -> str:
    """The number format on whose grid an op puts its values, where it says so."""
    from ..amp.rounding import Rounded  # loaded, since somebody derived an op

    return op.format.name if isinstance(op, Rounded) else ""


def _equal(value: Any, data: Any) -> bool:
    """Whether data that others may overwrite is what it was at first sight."""
    if np.shape(value) != np.shape(data):
        return False
    same = value == data
    return bool(same.all() or (same | (value != value) & (data != data)).all())


def _root(array: Any) -> int:
    """The array that owns the memory; views of it are overwritten with it."""
    while isinstance(base := getattr(array, "base", None), np.ndarray):
        array = base
    return id(array)
