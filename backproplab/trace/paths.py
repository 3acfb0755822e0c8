"""A gradient as a sum over paths of products of local gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GradError
from . import replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .records import Record
    from .run import Trace

_MOST_PATHS = 20_000  # that are written out one by one
_MOST_NUMBERS = 20_000_000  # in all their products

_Partial = tuple[tuple[int, ...], "np.ndarray"]


@dataclass(frozen=True, slots=True)
class Path:
    """One path from the loss back to a value.

    Attributes:
        nodes: names along it, from ``a`` forward to ``b``.
        product: what this path alone contributes to the gradient of ``a``.
    """

    nodes: tuple[str, ...]
    product: np.ndarray

    def __str__(self) -> str:
        return " -> ".join(self.nodes)


class Paths:
    """Paths, largest product first; ``count`` is how many there are in all."""

    def __init__(self, rows: list[Path], count: int, ends: tuple[str, str]) -> None:
        self._rows, self.count, self._ends = rows, count, ends

    def __iter__(self) -> Iterator[Path]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> Path:
        return self._rows[i]

    def __repr__(self) -> str:
        if not self.count:
            return f"no path from {' to '.join(self._ends)} carries a gradient"
        word = "path" if self.count == 1 else "paths"
        shown = "" if len(self) == self.count else f", {len(self)} shown"
        head = f"{self.count} {word}{shown} (norm of the product, nodes)"
        return "\n".join(
            [head, *(f"{np.linalg.norm(p.product):10.3g}  {p}" for p in self)]
        )


def find_paths(run: Trace, a: Record, b: Record, top: int | None) -> Paths:
    """Enumerate the paths from ``a`` to ``b``; see ``Trace.paths``.

    The number is counted by dynamic programming, whatever its size. When there are too
    many to write out, the ``top`` ones are found by keeping the largest partial
    products of each node, which can miss a path that grows late.
    """
    edges = {i: replay.edges(run, i) for i in range(a.id + 1, b.id + 1)}
    count = [0] * len(run)
    count[a.id] = 1
    for i, inputs in edges.items():
        count[i] = sum(count[x] for _, x in inputs)
    total = count[b.id]
    most = min(_MOST_PATHS, _MOST_NUMBERS // max(1, np.size(a.value)))
    if top is None and total > most:
        raise GradError(
            f"paths: there are {total} paths from {a.name} to {b.name}; "
            f"at most {most} are written out.",
            help=f"ask for the largest: `run.paths({a.name!r}, {b.name!r}, top=5)`.",
        )
    if not total:
        return Paths([], 0, (a.name, b.name))
    keep = total if total <= most else max(64, 4 * (top or 0))
    seed = b.grad if b.grad is not None else np.ones_like(b.value)
    # At each node the paths from b that came there, as (ids from it to b, product).
    waiting: dict[int, list[_Partial]] = {b.id: [((b.id,), seed)]}
    for i in range(b.id, a.id, -1):
        for nodes, g in _largest(waiting.pop(i, []), keep):
            for k, x in edges[i]:
                if count[x]:
                    c = replay.contribution(run, i, k, g)
                    waiting.setdefault(x, []).append(((x, *nodes), c))
    found = _largest(waiting[a.id], top)
    rows = [Path(tuple(run[i].name for i in nodes), c) for nodes, c in found]
    return Paths(rows, total, (a.name, b.name))


def _largest(partial: list[_Partial], keep: int | None) -> list[_Partial]:
    return sorted(partial, key=lambda p: -float(np.linalg.norm(p[1])))[:keep]
