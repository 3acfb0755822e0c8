"""The backward pass step by step in words: who sends what, and how it adds up."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..trace import Record, Trace
from . import numerals


@dataclass(frozen=True, slots=True)
class Backstep:
    """A step of the backward pass with its words.

    Attributes:
        id: the record whose gradient is whole.
        sends: (input id, which of its contributions) for each edge.
        says: one sentence.
    """

    id: int
    sends: tuple[tuple[int, int], ...]
    says: str


def backward(run: Trace) -> list[Backstep]:
    """List the steps of the backward pass; empty where there was none."""
    if all(r.grad is None for r in run):
        return []
    records = run.records
    waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
    for r in records:
        for n, (o, _) in enumerate(r.consumers):
            waiting[o, r.id].append(n)
    steps = []
    for step in run.backward_steps():
        sends = []
        for x, _ in step.sends:
            sends.append((x, waiting[step.id, x].pop(0)))
        steps.append(Backstep(step.id, tuple(sends), _sentence(run, step.id, sends)))
    return steps


def slope(run: Trace, output: int, k: int) -> Any:
    """Local derivative of an elementwise record by its input ``k``; else None."""
    local = run[output].local
    return local[k] if isinstance(local, tuple) else local


def _sentence(run: Trace, i: int, sends: Iterable[tuple[int, int]]) -> str:
    r = run[i]
    assert r.grad is not None
    grad = numerals.brief(r.grad)
    if not r.inputs:
        total = _sum(list(r.contributions), r.grad, len(r.contributions))
        return f"`{r.name}` is a leaf: its gradient, {total}, is finished."
    whole = "has its whole gradient," if r.consumers else "starts with"
    told = []
    for x, n in sends:
        c, k = run[x].contributions[n], run[x].consumers[n][1]
        local = slope(run, i, k) if np.ndim(r.value) == 0 and np.ndim(c) == 0 else None
        sent = numerals.brief(c)
        if local is not None:
            sent = f"{grad} × {numerals.number(local)} = {sent}"
        told.append(f"{sent} to `{run[x].name}`")
    return f"`{r.name}` {whole} {grad}, and sends {_listed(told)}."


def _listed(parts: list[str]) -> str:
    if not parts:
        return "nothing on"
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def pending(r: Record, steps: list[Backstep]) -> Iterable[tuple[int, str, bool]]:
    """What is known of a gradient, from which step on."""
    if r.grad is None:
        return
    come: list[Any] = []
    last = max(t for t, step in enumerate(steps, 1) if step.id == r.id)
    for t, step in enumerate(steps, 1):
        new = [r.contributions[n] for x, n in step.sends if x == r.id]
        come += new
        if step.id == r.id:
            total = r.grad if t == last else sum(come) if come else r.grad
            yield t, _sum(come, total, len(r.contributions)), True
        elif new:
            yield t, _sum(come, None, len(r.contributions)), False


def _sum(parts: list[Any], total: Any, count: int) -> str:
    """Write ``3 + 5 = 8``, or ``3 + …`` as long as parts are missing."""
    exact = all(numerals.fits(p, 9) for p in parts)
    if total is not None and len(parts) < 2:
        return numerals.brief(total)
    if total is None and len(parts) == count == 1:
        return numerals.brief(parts[0])
    if not exact or len(parts) > 3:
        if total is not None:
            return f"{numerals.brief(total)} ({count} parts)"
        return f"{len(parts)} of {count} parts"
    written = " + ".join(numerals.brief(p) for p in parts).replace("+ −", "− ")
    if total is not None:
        return f"{written} = {numerals.brief(total)}"
    return f"{written} + …" if len(parts) < count else written
