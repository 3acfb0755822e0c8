"""Take fused ops apart: the same run, written with smaller ops, so that their inner links show."""

from typing import Any

import numpy as np

from ..tensor import Tensor
from ..trace import Trace, record, replay


def expand(run: Trace) -> tuple[Trace | None, dict[int, str]]:
    """Run again with every fused op computed by its own NumPy code on tensors.

    Returns:
        the wider run, and for its records the name of the record of ``run`` in which
        they are; None if no op could be taken apart.
    """
    made: dict[int, Any] = {}
    opened = False
    outer: list[tuple[Any, str]] = []
    with record() as wide:
        for r in run:
            entry = r._entry
            if entry.primitive is None:
                if r.requires_grad:
                    made[r.id] = Tensor(r.value, requires_grad=True, name=r.name)
                else:
                    made[r.id] = r.value
                continue
            inputs = [None if k < 0 else made[k] for k in entry.inputs]
            static = {k: v for k, v in entry.static.items() if k != "saved"}
            first = len(wide)
            value = (
                _opened(entry.primitive, inputs, static, r.value)
                if r.requires_grad
                else None
            )
            if value is None:
                value = entry.primitive.call.primitive and _call(
                    entry.primitive, inputs, static
                )
            else:
                opened = True
            if isinstance(value, Tensor):
                value.named(r.name)
            made[r.id] = value
            outer += [(i, r.name) for i in range(first, len(wide))]
        for i, g in replay.seeds(run).items():
            if isinstance(made[i], Tensor) and made[i].requires_grad:
                made[i].backward(g, retain_graph=True)
    return (wide if opened else None), dict(outer)


def _call(op: Any, inputs: list[Any], static: dict[str, Any]) -> Any:
    from ..tape import apply

    return apply(op, tuple(inputs), static)


def _opened(op: Any, inputs: list[Any], static: dict[str, Any], want: Any) -> Any:
    """Compute a fused op by its own code on tensors; None if it is not fused or not open."""
    if op.kind != "primitive" or not any(isinstance(x, Tensor) for x in inputs):
        return None
    try:
        value = op.value(*inputs, **static)
    except Exception:  # its code writes into arrays, or uses what has no rule
        return None
    value = value[0] if op.saves else value
    if not isinstance(value, Tensor) or value._op is op:
        return None
    return value if np.allclose(value.data, want, rtol=1e-5, atol=1e-8) else None
