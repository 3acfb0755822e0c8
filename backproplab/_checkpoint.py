"""checkpoint: forget what a function computed inside, and compute it again backward."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import wraps
from typing import Any

import numpy as np

from ._linearize import Run
from ._trees import array, leaves, rebuild
from .errors import GradError
from .node import Node, ids
from .primitive import primitive
from .sockets import (
    Plug,
    current_plugs,
    current_scope,
    is_grad_enabled,
    no_grad,
    plugged,
    scope,
)
from .tape import apply


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which keeps its inputs only and runs again during backward.

    Memory for time (Chen et al. 2016): what f computes inside is freed at once, and
    computed a second time when a gradient comes. Parameters that f captures (a module's
    own) get their gradients too, and derivatives of any order work.

    f must give the same values both times: random numbers are to be drawn outside and
    passed in. What f does besides (hooks, running statistics) happens twice.

    Raises:
        GradError: during backward, if f gives other values the second time.

    >>> import backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: x * x * x)(x).backward()
    >>> float(x.grad)
    12.0
    """

    @wraps(f, updated=())
    def lean(*args: Any, **kwargs: Any) -> Any:
        if not is_grad_enabled():
            return f(*args, **kwargs)
        return _Segment(f, (args, kwargs)).run()

    return lean


class _Segment:
    """One call of a checkpointed function, and all that it takes to repeat it.

    ``inputs`` are the tensors that want a gradient: arguments, then captured ones.
    """

    def __init__(self, f: Callable[..., Any], call: Any) -> None:
        self.f, self.call = f, call
        self.inputs = {x._id: x for x in leaves(call) if _wanted(x)}
        self.plugs = [plug for plug in current_plugs() if plug.replay]
        self.path = current_scope()

    def run(self) -> Any:
        """Compute, note what is captured, and leave one node on the tape."""
        seen = _Captured()
        fixed = {i: x.detach() for i, x in self.inputs.items()}
        with no_grad(), plugged(seen):
            out = self._call(fixed)
        tensors = [y for y in leaves(out) if isinstance(y, Node)]
        self.inputs |= {
            y._id: y for y in (*seen.found.values(), *tensors) if _wanted(y)
        }
        if not tensors or not self.inputs:
            return out
        packed = _pack([array(y) for y in tensors])
        node = apply(
            _again.primitive,
            tuple(self.inputs.values()),
            {"segment": self, "packed": packed},
        )
        pieces = iter(_unpack(node, tensors))
        return rebuild(
            out, (next(pieces) if isinstance(y, Node) else y for y in leaves(out))
        )

    def repeat(self, inputs: Sequence[Any], y: Any) -> Run:
        """Compute again, with stand-ins for the inputs, and be sure it is the same."""

        def call(*stand_ins: Any) -> Any:
            put = dict(zip(self.inputs, stand_ins, strict=True))
            with ExitStack() as stack:
                if self.path != current_scope():
                    stack.enter_context(scope("", within=self.path))
                for plug in (*self.plugs, _StandIns(put)):
                    if plug not in current_plugs():
                        stack.enter_context(plugged(plug))
                out = self._call(put)
            return _pack(
                [put.get(t._id, t) for t in leaves(out) if isinstance(t, Node)]
            )

        run = Run("checkpoint", call, inputs, range(len(inputs)), {}, False)
        if not np.array_equal(array(run.outputs[0]), array(y), equal_nan=True):
            raise GradError(
                "checkpoint: the function gave other values when backward ran it "
                "again; both runs must be equal.",
                help="draw random numbers outside and pass them in; change no weight "
                "or array between forward and backward.",
            )
        return run

    def _call(self, put: dict[int, Any]) -> Any:
        args, kwargs = rebuild(
            self.call,
            (
                put.get(x._id, x) if isinstance(x, Node) else x
                for x in leaves(self.call)
            ),
        )
        return self.f(*args, **kwargs)


def _segment_vjp(
    g: Any, y: Any, *inputs: Any, wrt: Any, segment: _Segment, packed: Any
) -> Any:
    return segment.repeat(inputs, y).pull([g])


def _segment_jvp(
    tangents: Any, y: Any, *inputs: Any, segment: _Segment, packed: Any
) -> Any:
    return segment.repeat(inputs, y).push(tangents)[0]


@primitive(vjp=_segment_vjp, jvp=_segment_jvp, name="checkpoint")
def _again(*inputs: Any, segment: _Segment, packed: Any) -> Any:
    """What a checkpointed function returned, its outputs end to end."""
    return packed


class _Captured(Plug):
    """Collects the tensors that want a gradient and were there before."""

    def __init__(self) -> None:
        self.found: dict[int, Any] = {}
        self.start = next(ids)

    def before(self, op: Any, inputs: Any, static: Any) -> Any:
        self.found |= {x._id: x for x in inputs if _wanted(x) and x._id < self.start}
        return inputs


class _StandIns(Plug):
    """Puts stand-ins in the place of captured tensors."""

    replay = True

    def __init__(self, put: dict[int, Any]) -> None:
        self.put = put

    def before(self, op: Any, inputs: Any, static: Any) -> Any:
        return tuple(
            self.put.get(x._id, x) if isinstance(x, Node) else x for x in inputs
        )


def _wanted(x: Any) -> bool:
    return isinstance(x, Node) and x._edges is not None


def _pack(values: Sequence[Any]) -> Any:
    """Lay several outputs end to end, for a node has one; a single one stays."""
    if len(values) == 1:
        return values[0]
    return np.concatenate([np.reshape(v, (-1,)) for v in values])


def _unpack(node: Any, like: Sequence[Any]) -> list[Any]:
    if len(like) == 1:
        return [node]
    ends = np.cumsum([y.size for y in like])
    pieces = [
        np.reshape(node[end - y.size : end], y.shape)
        for y, end in zip(like, ends.tolist(), strict=True)
    ]
    return [
        piece if piece.dtype == y.dtype else piece.astype(y.dtype)
        for piece, y in zip(pieces, like, strict=True)
    ]
