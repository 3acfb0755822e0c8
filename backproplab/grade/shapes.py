"""Shape questions: an answer of another shape, and what it says of the one who wrote it."""

from typing import Any

import numpy as np

from ..trace import Trace, replay
from .breaks import Edge, pull
from .compare import compare


def shape_question(
    run: Trace, t: int, grads: dict[int, np.ndarray], got: np.ndarray, want: np.ndarray
) -> tuple[str, tuple[str, str] | str, str]:
    """Explain an answer of the wrong shape: (label, where, sentence or "")."""
    name = run[t].name
    if got.ndim == want.ndim >= 2 and compare(np.swapaxes(got, -1, -2), want).ok:
        return (
            "transposed",
            name,
            f"The numbers are right; your d{name} is transposed: {got.shape} for {want.shape}.",
        )
    if (
        got.size == want.size
        and _squeezed(got.shape) == _squeezed(want.shape)
        and compare(got.reshape(want.shape), want).ok
    ):
        return (
            "keepdims",
            name,
            f"The numbers are right; axes of size 1 were lost or gained: {got.shape} for {want.shape}.",
        )
    for m in sorted(grads):
        if m < t:
            continue
        raw = _unsummed(run, t, m, grads)
        if raw is not None and raw.shape == got.shape and compare(got, raw).ok:
            at = run[m].name
            return (
                "no-batch-sum",
                name if m == t else at,
                (
                    f"{at} of shape {run[m].shape} was broadcast, so each of its numbers was used many "
                    f"times; their gradients are to be summed over the axes that broadcasting made."
                ),
            )
    return "shape", name, ""


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _unsummed(
    run: Trace, t: int, m: int, grads: dict[int, np.ndarray]
) -> np.ndarray | None:
    """The gradient of ``t`` if the sum over broadcast axes at ``m`` is forgotten."""
    raw: dict[int, Any] = {}
    for i in range(len(run) - 1, t, -1):
        for k, x in replay.edges(run, i):
            if i not in grads or x < t or x > m:
                continue
            if i in raw:
                c = pull(run, Edge(i, k, x), raw[i])
            elif i in grads and (x == m or x in raw or i > m):
                c = (
                    pull(run, Edge(i, k, x), grads[i])
                    if x == m
                    else replay.contribution(run, i, k, grads[i])
                )
            else:
                continue
            if c is None:
                return None
            if x == m or i in raw:
                try:
                    raw[x] = raw[x] + c if x in raw else c
                except ValueError:
                    return None
    found = raw.get(t)
    if found is None or found.shape == run[t].shape:
        return None
    return np.asarray(found)
