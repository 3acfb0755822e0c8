"""Where check_grads looks: at a function, then at each op that it is made of."""

from collections.abc import Callable, Iterator
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np

from ._linearize import Run
from ._numerical import Point
from ._trees import array, is_leaf, leaves, rebuild
from .errors import CheckError
from .tape import apply


def point_at(f: Callable[..., Any], call: tuple[Any, ...]) -> Point:
    """The function at its arguments, as one of its floating-point leaves alone."""
    inputs = [x for x in leaves(call) if _differentiable(x)]
    if not inputs:
        raise CheckError(
            "check_grads: no argument is floating point, so there is nothing to check.",
            help="write 3.0 for 3, and pass the arguments as a tuple: `(x, w)`.",
        )

    def flat(*xs: Any) -> Any:
        given = iter(xs)
        return f(
            *rebuild(
                call,
                (next(given) if _differentiable(x) else x for x in leaves(call)),
            )
        )

    op = (
        vars(f).get("primitive")
        if callable(f) and isinstance(f, FunctionType)
        else None
    )
    name = op.name if op else getattr(f, "__name__", type(f).__name__)
    xs = [np.array(array(x), np.float64) for x in inputs]
    return Point(flat, xs, "f" if name == "<lambda>" else name, _names(f, call, op), op)


def parts_of(point: Point) -> Iterator[Point]:
    """Each op that the function is made of, alone, at the values that it had."""
    if point.op is not None:
        return
    run = Run("check_grads", point.outputs, point.xs, range(len(point.xs)), {}, False)
    for node in run.order:
        op, static = node._op, {k: v for k, v in node._static.items() if k != "saved"}
        edges = [k for k in run.within[node._id] if op.pullbacks[k:] or op.vjp]
        values = [
            np.asarray(v, np.float64) if k in edges else v
            for k, v in enumerate(node._values)
        ]

        def call(
            *xs: Any, op: Any = op, edges: Any = edges, values: Any = values,
            static: Any = static,
        ) -> Any:  # fmt: skip
            full = list(values)
            for k, x in zip(edges, xs, strict=True):
                full[k] = x
            return apply(op, tuple(full), static)

        names = [f"x{k}" if op.variadic else op.inputs[k] for k in edges]
        yield Point(
            call, [values[k] for k in edges], f"{op.name}, called by {point.name}",
            names, op,
        )  # fmt: skip


def _differentiable(x: Any) -> bool:
    return not isinstance(x, str) and array(x).dtype.kind == "f"


def _names(f: Any, call: tuple[Any, ...], op: Any) -> list[str]:
    """Name each differentiable leaf: ``x``, ``params['w']``, ``layers[0]``."""
    try:
        names = list(signature(f).parameters)
    except (TypeError, ValueError):
        names = []
    if len(names) < len(call) or (op and op.variadic):
        names = [f"x{i}" for i in range(len(call))]
    return [
        path
        for name, tree in zip(names, call, strict=False)
        for path, x in _paths(name, tree)
        if _differentiable(x)
    ]


def _paths(path: str, tree: Any) -> Iterator[tuple[str, Any]]:
    if is_leaf(tree):
        yield path, tree
    elif tree is not None:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, branch in pairs:
            yield from _paths(f"{path}[{key!r}]", branch)
