"""Shape questions: forgotten sums over broadcast axes, axes lost or turned."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..trace import Trace, replay
from .links import Link

if TYPE_CHECKING:
    from collections.abc import Iterator


def mended(
    got: np.ndarray, shape: tuple[int, ...], name: str, many: int
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (label, sentence, array of the right shape) for each slip of shape.

    Args:
        got: the answer, of another shape.
        shape: the shape that was asked for.
        name: what was asked for.
        many: the most entries that an answer of this run can have.
    """
    if got.ndim == len(shape) >= 2 and got.shape == (*shape[:-2], *shape[:-3:-1]):
        says = f"Your d{name} is transposed: {got.shape} for {shape}."
        yield "transposed", says, np.swapaxes(got, -1, -2)
    if got.size == np.prod(shape) and _squeezed(got.shape) == _squeezed(shape):
        says = f"Axes of size 1 were lost or gained: {got.shape} for {shape}."
        yield "keepdims", says, got.reshape(shape)
    if got.size > many or got.ndim > 6:
        return
    for count in range(1, got.ndim + 1):
        for axes in combinations(range(got.ndim), count):
            kept = [n for i, n in enumerate(got.shape) if i not in axes]
            if _squeezed(kept) == _squeezed(shape) and got.size > np.prod(shape):
                says = (
                    f"{name} of shape {shape} was broadcast, so each of its numbers "
                    "was used many times; their gradients are to be summed over the "
                    "axes that broadcasting made."
                )
                yield "no-batch-sum", says, got.sum(axis=axes).reshape(shape)


def _squeezed(shape: Any) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def unsummed(
    run: Trace, t: int, grads: dict[int, np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the gradient of ``t`` if the sum at one broadcast record is forgotten.

    Returns:
        the record's id, and the array, which may have another shape than ``t``.
    """
    broadcast: set[int] = set()
    for o in grads:
        for _, x in replay.edges(run, o):
            if x >= t and np.size(grads[o]) > np.size(run[x].value):
                broadcast.add(x)
    for m in sorted(broadcast):
        found = _without_sum(run, t, m, grads)
        if found is not None:
            yield m, found


def _without_sum(
    run: Trace, t: int, m: int, grads: dict[int, np.ndarray]
) -> np.ndarray | None:
    """Carry the unsummed contributions of record ``m`` on down to ``t``."""
    raw: dict[int, Any] = {}
    for o in sorted(grads, reverse=True):
        if o <= t:
            break
        for k, x in replay.edges(run, o):
            if x < t or o not in grads:
                continue
            link = Link(run, o, (k,), x, grads[o], np.zeros(run[x].shape))
            c = link.pull(raw.get(o, grads[o]))
            if c is None:
                return None
            if x != m and np.shape(raw.get(o, grads[o])) == np.shape(grads[o]):
                c = link.fit(c)
            if c is None:
                return None
            try:
                raw[x] = raw[x] + c if x in raw else np.asarray(c)
            except ValueError:
                return None
    found = raw.get(t)
    return None if found is None or raw.get(m) is None else np.asarray(found)
