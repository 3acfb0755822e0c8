"""Node: one value and how it came to be. What computes and walks is in tape.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from .errors import GradError, ShapeError

ids = count(1)


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
    _extra: Extra | None
    grad: Any


@lru_cache(4096)
def form_of(shape: tuple[int, ...], dtype: Any) -> tuple[Any, ...]:
    """Give one object for each (shape, dtype), so that ``is`` compares them."""
    return shape, dtype


class Extra:
    """What few nodes have: a name, hooks, a kept gradient, a change of data."""

    __slots__ = ("change", "hooks", "name", "retain")

    def __init__(self) -> None:
        self.name: str | None = None
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.retain = False
        self.change = Change()


class Change:
    """When data was last written into; tensors that share the data share this."""

    __slots__ = ("at",)

    latest = 0  # of all: lets backward skip the check mostly

    def __init__(self) -> None:
        self.at = 0


def extra(node: Any) -> Extra:
    """Return what only few nodes have, made at first use."""
    if node._extra is None:
        node._extra = Extra()
    return node._extra


def mark_changed(node: Any) -> None:
    """Note that the node's data is not what earlier operations saw."""
    own = node._extra or extra(node)
    own.change.at = Change.latest = next(ids)


def label(node: Any) -> str:
    """Name a node for a message: its own name, or the op that made it."""
    if node._extra is not None and node._extra.name:
        return str(node._extra.name)
    made = f"the output of {node._op.name}" if node._op else "a leaf"
    return f"{made} of shape {np.shape(node._data)}"


def run_hooks(node: Any, g: Any) -> Any:
    """Hand a whole gradient from hook to hook, and keep it where that was asked."""
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


def freed(node: Any) -> GradError:
    """Say that an earlier backward used up what this one needs."""
    return GradError(
        f"backward() came to {label(node)}, whose saved values are gone: "
        "an earlier backward() used and freed them.",
        help="compute the loss again, or keep the graph with "
        "`loss.backward(retain_graph=True)` the first time.",
    )


def check_unchanged(node: Any, edges: Any) -> None:
    """Raise if a value that the rules read was changed since the op ran."""
    for k in edges:
        needed = node._op.needs[k]
        operands = (node, *node._inputs)
        for position in needed if needed is not None else range(len(operands)):
            x = operands[position]
            if (
                isinstance(x, Node)
                and x._extra is not None
                and x._extra.change.at > node._id
            ):
                raise GradError(
                    f"{node._op.name} needs the value that {label(x)} had when it ran, "
                    "but its data was changed since.",
                    help="call backward() before changing data, "
                    "or compute the loss again after the change.",
                )


class Handle:
    """A registered hook: ``remove()`` it, or use it as a context manager."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: dict[int, Any], fn: Callable[..., Any]) -> None:
        self._hooks, self._key = hooks, next(ids)
        hooks[self._key] = fn

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.remove()
