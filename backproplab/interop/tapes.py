"""What each engine wrote down: our tape, PyTorch's graph, JAX's trace."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ..errors import RangeError, near
from ..tensor import Tensor
from .arguments import taken
from .engines import MissingError, engine, precision_of
from .namespace import jax_functions, ours, torch_functions

_AS_CODE = (
    "font-size:12px;overflow-x:auto;white-space:pre;background:none;color:inherit"
)


class Tapes(Mapping[str, str]):
    """Texts by engine; side by side in a notebook."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)

    def __getitem__(self, engine: str) -> str:
        return self._texts[engine]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __str__(self) -> str:
        return "\n\n".join(f"{name}\n{text}" for name, text in self.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            '<div style="max-width:100%"><b>' + escape(name) + "</b>"
            f'<pre style="{_AS_CODE}">{escape(text)}</pre></div>'
            for name, text in self.items()
        )
        return f'<div style="display:flex;flex-wrap:wrap;gap:8px 32px">{cells}</div>'


def tapes(
    fn: Callable[..., Any],
    *args: Any,
    engines: Sequence[str] = ("backproplab", "torch", "jax"),
) -> Tapes:
    """Let each engine record ``fn(xp, *args)``, and write down what it recorded.

    Ours and PyTorch's are lists of what backward visits, the end first. JAX's is the
    trace of the forward pass, a program in single assignments.

    Args:
        fn: as for ``side_by_side``.
        *args: arrays of floats.
        engines: which.

    Raises:
        DTypeError: if an argument is not floating point.
        RangeError: if an engine is unknown or keeps no record.

    >>> import numpy as np
    >>> print(tapes(lambda xp, x: xp.sum(x * x), np.ones(3), engines=["backproplab"]))
    backproplab
    %2 = sum(%1)  ()
    %1 = multiply(%0, %0)  (3,)
    %0 = argument 0  (3,)
    """
    for name in engines:
        if name not in _WRITERS:
            raise RangeError(
                f"tapes: {name!r} keeps no record that can be shown.",
                help=near(name, _WRITERS),
            )
    arrays, texts = taken("tapes", args), {}
    for name in engines:
        try:
            texts[name] = _WRITERS[name](fn, arrays)
        except MissingError as error:
            texts[name] = str(error).partition("\n")[0]
    return Tapes(texts)


def _ours(fn: Callable[..., Any], arrays: Sequence[np.ndarray]) -> str:
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    end = fn(ours(), *xs)
    nodes: dict[int, Any] = {x._id: x for x in xs}
    todo = [end]
    while todo:
        node = todo.pop()
        nodes[node._id] = node
        todo += [node._inputs[k] for k in node._edges or ()]
    names = {i: f"%{n}" for n, i in enumerate(sorted(nodes))}
    lines = []
    for i in sorted(nodes, reverse=True):
        node = nodes[i]
        if node._op is None:
            made = f"argument {next(k for k, x in enumerate(xs) if x is node)}"
        else:
            inputs = [names.get(getattr(x, "_id", 0), "·") for x in node._inputs]
            made = f"{node._op.name}({', '.join(inputs)})"
        lines.append(f"{names[i]} = {made}  {node.shape}")
    return "\n".join(lines)


def _torch(fn: Callable[..., Any], arrays: Sequence[np.ndarray]) -> str:
    torch = engine("torch")
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    end = fn(torch_functions(np.result_type(*arrays)), *xs)
    waits: dict[Any, int] = {}
    todo, seen = [end.grad_fn], {end.grad_fn}
    while todo:
        for below, _ in todo.pop().next_functions:
            if below is not None:
                waits[below] = waits.get(below, 0) + 1
                if below not in seen:
                    seen.add(below)
                    todo.append(below)
    ready, order = [end.grad_fn], []
    while ready:
        node = ready.pop(0)
        order.append(node)
        for below, _ in node.next_functions:
            if below is not None:
                waits[below] -= 1
                if not waits[below]:
                    ready.append(below)
    names = {node: f"%{len(order) - 1 - k}" for k, node in enumerate(order)}
    lines = []
    for node in order:
        to = [names[b] for b, _ in node.next_functions if b is not None]
        arrow = f" → {', '.join(to)}" if to else ""
        if "variable" in dir(node):
            which = [k for k, x in enumerate(xs) if x is node.variable]
            arrow = f" of argument {which[0]}" if which else ""
        lines.append(f"{names[node]} {node.name().rpartition('::')[2]}{arrow}")
    return "\n".join(lines)


def _jax(fn: Callable[..., Any], arrays: Sequence[np.ndarray]) -> str:
    jax = engine("jax")
    with precision_of(arrays):
        xp = jax_functions()
        trace = jax.make_jaxpr(lambda *xs: fn(xp, *xs))(*arrays)
        # In a notebook str() would colour it for a terminal.
        return str(trace.pretty_print(use_color=False))


_WRITERS: dict[str, Callable[..., str]] = {
    "backproplab": _ours,
    "torch": _torch,
    "jax": _jax,
}
