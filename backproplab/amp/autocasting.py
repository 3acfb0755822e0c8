"""autocast: the plug that chooses each op's format, and casts where that changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from typing import Any, ClassVar

import numpy as np

from .. import formats
from ..errors import RangeError
from ..formats import Format
from ..node import Node
from ..ops import cast as plain_cast
from ..primitive import Primitive
from ..sockets import Plug, current_plugs, plugged
from ..tensor import Tensor
from .rounding import (
    FLOAT32,
    Rounded,
    cast,
    format_of,
    is_narrow,
    rounded,
    rounding,
    widest,
)

_MOST_STEPS = 2**26  # additions, one rounding each


def autocast(
    fmt: str | Format = "float16",
    enabled: bool = True,
    accumulate: str | Format | None = None,
) -> AbstractContextManager[None]:
    """Run each op of a ``with`` block in the format that suits it, as PyTorch does.

    What an op declares decides (``cast=``): matrix products and convolutions run in
    ``fmt``; exp, log, softmax, sums, norms and losses in float32; ops of several inputs
    in the widest of them; all others in the format that they are given. Batch norm
    keeps its statistics in float32. Parameters stay float32, with float32 gradients.

    A format is emulated: its numbers stand in float32 arrays, and an op computes in
    float32 and rounds its output once. So a product is accumulated in float32, as
    tensor cores do to first approximation; no claim is made of equal bits. Each change
    of format is a node of the tape whose op is ``cast``; the gradient of a value is
    rounded to the format of that value. backward may stand outside the block.

    Unlike in PyTorch, float64 takes part too: NumPy's floats are float64 unless said
    otherwise. What is computed after the block is not rounded any more, and a detached
    value is float32.

    Args:
        fmt: the narrow format: "float16", "bfloat16", "float8_e4m3fn" and so on.
        enabled: False switches an outer autocast off in this block.
        accumulate: round the running sum of ``matmul`` and ``linear`` to this format
            after each addition, forward: slow, to show why nobody does.

    Raises:
        ValueError: if a format is unknown.
        RangeError: in the block, if a product is too large for ``accumulate``.

    >>> import backproplab as bp
    >>> w = bp.tensor(np.float32([0.1, 0.2]), requires_grad=True)
    >>> with autocast("float16"):
    ...     y = w @ np.ones(2, np.float32)
    >>> y.item() == float(np.float16(0.1) + np.float16(0.2)), w.dtype.name
    (True, 'float32')
    """
    running = None if accumulate is None else formats.get(accumulate)
    return _Blocks(Autocast(formats.get(fmt), enabled, running))


class _Blocks(ContextDecorator, AbstractContextManager[None]):
    """Blocks of one autocast, one after the other or nested."""

    def __init__(self, plug: Autocast) -> None:
        self.plug = plug
        self.opened: list[AbstractContextManager[None]] = []

    def __enter__(self) -> None:
        block = _casting(self.plug)
        block.__enter__()
        self.opened.append(block)

    def __exit__(self, *error: Any) -> bool | None:
        return self.opened.pop().__exit__(*error)

    def _recreate_cm(self) -> _Blocks:
        # each call of a decorated function has its own, threads among them
        return _Blocks(self.plug)


@contextmanager
def _casting(plug: Autocast) -> Iterator[None]:
    with plugged(plug), np.errstate(over="ignore", invalid="ignore"):
        yield


class Autocast(Plug):
    """Casts inputs before an op, and rounds its output after it; keeps no state."""

    replay: ClassVar[bool] = True

    def __init__(self, fmt: Format, enabled: bool, accumulate: Format | None) -> None:
        self.fmt, self.enabled, self.accumulate = fmt, enabled, accumulate

    def before(
        self, op: Primitive, inputs: tuple[Any, ...], static: dict[str, Any]
    ) -> Any:
        """Cast the inputs to the format that the op's declaration asks for."""
        kind = next((type(x) for x in inputs if isinstance(x, Node)), None)
        if kind is None or isinstance(op, Rounded) or not self._decides():
            return inputs
        ours = [format_of(x) for x in inputs]
        wide = widest(ours)
        policy = op.cast if self.enabled else "widest"
        if wide is None or policy == "keep":
            return inputs
        target, low = wide, policy == "low"
        if low:
            target = self.fmt
        elif policy == "fp32" and is_narrow(wide):
            target = FLOAT32
        return tuple(
            x
            if fmt is None or (fmt == target and not (low and _is_half(x)))
            else _cast(x, target)
            for x, fmt in zip(inputs, ours, strict=True)
        )

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Round the output to the format of the inputs."""
        op = node._op
        if isinstance(op, Rounded) or not self._decides():
            return node
        ours = tuple(format_of(x) for x in inputs)
        out = widest(ours)
        if op is plain_cast.primitive:
            out = format_of(node)
        elif self.accumulate and op.name in ("matmul", "linear") and is_narrow(out):
            node._data = _running_sum(op.name, inputs, self.accumulate)
        if node._data.dtype != np.float32 or not any(map(is_narrow, ours)):
            return node
        if out is None:
            return node
        node._data = np.asarray(rounded(node._data, out))
        node._op = rounding(op, ours, out)
        return node

    def _decides(self) -> bool:
        """Whether no other autocast is nested in this one."""
        return [p for p in current_plugs() if isinstance(p, Autocast)][-1] is self


def _cast(x: Any, fmt: Format) -> Any:
    return cast(x if isinstance(x, Node) else Tensor(x), fmt)


def _is_half(x: Any) -> bool:
    """Whether it stands in a real float16 array, in which NumPy multiplies slowly."""
    return (x._data if isinstance(x, Node) else x).dtype == np.float16


def _running_sum(name: str, inputs: tuple[Any, ...], fmt: Format) -> Any:
    """Multiply matrices with a running sum that is rounded after each addition."""
    x, w, *rest = (v._data if isinstance(v, Node) else v for v in inputs)
    if name == "linear":
        w = w.T
    rows = x[None] if x.ndim == 1 else x
    columns = w[:, None] if w.ndim == 1 else w
    steps = rows.size * columns.shape[-1]
    if steps > _MOST_STEPS:
        raise RangeError(
            f"autocast: a product of shapes {x.shape} and {w.shape} with accumulate="
            f"{fmt.name!r} rounds {steps} sums; at most {_MOST_STEPS} are allowed.",
            help="leave `accumulate` out, or take a smaller product.",
        )
    total: Any = np.float32(0)
    for i in range(rows.shape[-1]):
        total = total + rows[..., :, i : i + 1] * columns[..., i : i + 1, :]
        total = formats.quantize(total, fmt)
    if x.ndim == 1:
        total = total[..., 0, :]
    if w.ndim == 1:
        total = total[..., 0]
    for bias in rest:
        total = total if bias is None else formats.quantize(total + bias, fmt)
    return total
