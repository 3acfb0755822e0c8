"""detect_anomaly: where the first NaN or infinity was born, forward or backward.

A plug on the tape. It also finds operands that were overwritten in place, behind the
tensor's back, between forward and backward.
"""

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import AnomalyError
from .node import Node, label
from .sockets import Plug, current_scope, plugged
from .tape import ancestors

_PACKAGE = str(Path(__file__).parent)


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise where the first NaN or infinity is born, within a ``with`` block.

    Put forward and backward into the block. The message names the op, the module path
    and the line of your code, forward and backward; a NaN loss is found too. If only
    backward is in the block, the op is found but not its line.

    Born means: the output has it and no input has. An infinity that you put in
    yourself, such as a mask of -inf, may pass on as an infinity; a NaN made from it is
    reported. A NaN that comes in from outside is reported at the first op to see it.

    Arrays that a rule needs are fingerprinted on the way forward: one that was
    overwritten before backward came (``t.data[:] = 0``, a reused buffer) is reported.
    NumPy's own warnings about overflow and invalid values are silent in the block. It
    slows training down by a few times; use it to find a fault.

    Raises:
        AnomalyError: at the op, in forward or in backward.

    >>> import backproplab as bp
    >>> x = bp.tensor(0.0, requires_grad=True)
    >>> with detect_anomaly():
    ...     y = np.log(x)
    Traceback (most recent call last):
    backproplab.errors.AnomalyError: log made -inf, where x = 0, at ...
    """
    with plugged(_Watch()), np.errstate(all="ignore"):
        yield


class _Birth(NamedTuple):
    """What is known of a node from the time it was computed."""

    scope: str
    line: str
    prints: dict[int, int]


class _Watch(Plug):
    def __init__(self) -> None:
        self.births: dict[int, _Birth] = {}
        self.pulled: set[int] = set()
        self.infinite: dict[int, Any] = {}

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        where = _Birth(current_scope(), source_line(), _prints(node))
        self.births[node._id] = where
        self._judge_forward(node, inputs, where)
        return node

    def _judge_forward(self, node: Any, inputs: Any, where: _Birth | None) -> None:
        values = [_array(x) for x in inputs]
        kind = _newborn(node._data, values)
        if kind is None:
            return
        if kind == "nan" and any(_has_nan(v) for v in values):
            k = next(k for k, v in enumerate(values) if _has_nan(v))
            raise AnomalyError(
                f"nan came in with {_called(inputs[k], node._op, k)}: "
                f"{_count(values[k], 'nan')}. "
                f"{node._op.name} is the first op that sees it{_at(where)}.",
                help="clean the data, or put what computes it into the block.",
            )
        raise AnomalyError(
            f"{node._op.name} made {_first(node._data, kind, values, node._op)}"
            f"{_at(where)}.",
            help=_HINTS.get(node._op.name, "look at its inputs there."),
        )

    def arrive(self, node: Any, g: Any) -> None:
        where = self.births.get(node._id)
        if where is None and node._edges and not np.isfinite(node._data).all():
            for older in ancestors([node]):
                if older._edges:
                    self._judge_forward(older, older._inputs, None)
        if where is not None and node._edges:
            self._judge_unchanged(node, where)
        g = _array(g)
        if np.isfinite(g).all():
            return
        kind = "nan" if _has_nan(g) else "inf"
        if kind == "inf" and node._id in self.pulled:
            self.infinite[node._id] = g
            return
        what = f"the gradient of {label(node)} has {_count(g, kind)}"
        if node._extra is not None and node._extra.hooks:
            cause = "a hook on it returned that, or contributions added up to it"
        else:
            cause = "backward() was started with that, or contributions added up to it"
        raise AnomalyError(f"{what}; {cause}{_at(where)}.")

    def edge(self, node: Any, k: int, c: Any) -> Any:
        seen, x, op = _array(c), node._inputs[k], node._op
        if np.isfinite(seen).all():
            return c
        values = [_array(v) for v in node._inputs]
        came_in = self.infinite.get(node._id)
        kind = _newborn(seen, [came_in, node._data, *values])
        if kind is None:
            self.pulled.add(x._id)
            return c
        raise AnomalyError(
            f"backward of {op.name} made {_first(seen, kind, values, op)}, in the "
            f"gradient of {_called(x, op, k)}; the gradient that came in "
            f"{'is finite' if came_in is None else 'has inf'}"
            f"{_at(self.births.get(node._id))}.",
            help=_HINTS_BACKWARD.get(op.name, "look at its inputs there."),
        )

    def _judge_unchanged(self, node: Any, where: _Birth) -> None:
        for position, before in where.prints.items():
            data = node._data if position == 0 else node._values[position - 1]
            if _print(data) != before:
                x = node if position == 0 else node._inputs[position - 1]
                raise AnomalyError(
                    f"{_called(x, node._op, position - 1)} was overwritten in place "
                    f"after {node._op.name} saw it{_at(where)}; backward needs the old "
                    "values.",
                    help="write to a copy (`a.copy()`), or after backward().",
                )


def source_line() -> str:
    """Say which line of code outside the package is running: ``file.py:3: `text` ``."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(path, number, frame.f_globals).strip()
    place = Path(path).name
    if "ipykernel" in path or path.startswith("<ipython"):
        place = "cell line "
    return f"{place}{'' if place.endswith(' ') else ':'}{number}" + (
        f": `{text}`" if text else ""
    )


def _newborn(out: Any, values: list[Any]) -> str | None:
    """Say what the output has that was not passed on: "nan", "inf" or None."""
    if np.isfinite(out).all():
        return None
    if _has_nan(out):
        return "nan"
    return "inf" if all(np.isfinite(v).all() for v in values if _real(v)) else None


def _real(v: Any) -> bool:
    return v is not None and np.asarray(v).dtype.kind in "fiub"


def _has_nan(v: Any) -> bool:
    return _real(v) and bool(np.isnan(v).any())


def _first(out: Any, kind: str, values: list[Any], op: Any) -> str:
    """The first offending entry, and the inputs there if the op is elementwise."""
    out = np.asarray(out)
    bad = np.isnan(out) if kind == "nan" else np.isinf(out)
    index = tuple(map(int, np.argwhere(bad)[0]))
    text = f"{out[index]}"
    if out.ndim:
        text += f" at {list(index)} ({bad.sum()} of {out.size} values)"
    if op.kind != "elementwise":
        return text
    there = [
        f"{name} = {np.broadcast_to(v, out.shape)[index]:.6g}"
        for name, v in zip(op.inputs, values, strict=True)
        if np.ndim(v) <= out.ndim
        and np.broadcast_shapes(np.shape(v), out.shape) == out.shape
    ]
    return f"{text}, where {' and '.join(there)}" if there else text


def _count(v: Any, kind: str) -> str:
    bad = np.isnan(v) if kind == "nan" else np.isinf(v)
    return f"{bad.sum()} {kind} in {np.size(v)} values"


def _called(x: Any, op: Any, k: int) -> str:
    """Name an operand as the reader knows it: its own name, or its role in the op."""
    if isinstance(x, Node) and x._extra is not None and x._extra.name:
        return str(x._extra.name)
    if k < 0:
        return f"the output of {op.name}"
    role = op.inputs[k] if not op.variadic else f"x{k}"
    made = f" (the output of {x._op.name})" if isinstance(x, Node) and x._op else ""
    return f"{role} of {op.name}{made}"


def _at(where: _Birth | None) -> str:
    if where is None:
        return ""
    return (f", in {where.scope}" if where.scope else "") + f", at {where.line}"


def _prints(node: Any) -> dict[int, int]:
    """Fingerprint what the rules of a node will read: 0 is y, 1 the first input."""
    if not node._edges:
        return {}
    positions: set[int] = set()
    for k in node._edges:
        needed = node._op.needs[k]
        positions |= set(range(len(node._values) + 1) if needed is None else needed)
    operands = (node._data, *node._values)
    return {
        p: _print(operands[p])
        for p in sorted(positions)
        if isinstance(operands[p], np.ndarray)
    }


def _print(a: Any) -> int:
    return hash(a.tobytes())


def _array(x: Any) -> Any:
    return x._data if isinstance(x, Node) else x


_HINTS = {
    "log": "log needs positive numbers: add a small eps inside, or use log1p, "
    "log_softmax or a loss that takes logits.",
    "exp": "exp overflows beyond about 709 (float64), 88 (float32), 11 (float16): "
    "subtract the maximum first, as logsumexp and softmax do.",
    "divide": "add a small eps to the denominator.",
    "sqrt": "sqrt needs numbers >= 0: clip first, or add a small eps inside.",
    "power": "a negative base has no real fractional power, and 0 no negative one.",
    "cast": "the number is beyond the new format: scale it down, or use bfloat16.",
}
_HINTS_BACKWARD = _HINTS | {
    "sqrt": "the slope of sqrt at 0 is infinite: add a small eps inside.",
    "norm": "the norm has no slope at 0: add a small eps inside.",
}
