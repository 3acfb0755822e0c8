"""A gradient as a sum over paths of products of local gradients."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GradError
from . import replay

if TYPE_CHECKING:
    from .run import Record, Trace

_MOST = 20_000  # paths that are written out one by one


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


class Paths(list[Path]):
    """Paths, largest product first; ``count`` is how many there are in all."""

    def __init__(self, rows: list[Path], count: int) -> None:
        super().__init__(rows)
        self.count = count

    def __repr__(self) -> str:
        lines = [f"{np.linalg.norm(p.product):10.3g}  {p}" for p in self]
        shown = "" if len(self) == self.count else f", {len(self)} shown"
        return "\n".join(
            [f"{self.count} paths{shown} (norm of the product, nodes)", *lines]
        )


def find_paths(run: "Trace", a: "Record", b: "Record", top: int | None) -> Paths:
    """Enumerate the paths from ``a`` to ``b``; see ``Trace.paths``.

    The number is counted by dynamic programming, whatever its size. When there are too
    many to write out, the ``top`` ones are found by keeping the largest partial products
    of each node, which can miss a path that grows late.
    """
    count = [0] * len(run)
    count[a.id] = 1
    for i in range(a.id + 1, b.id + 1):
        count[i] = sum(count[x] for _, x in replay.edges(run, i))
    total = count[b.id]
    if top is None and total > _MOST:
        raise GradError(
            f"paths: there are {total} paths from {a.name} to {b.name}; "
            f"at most {_MOST} are written out.",
            help=f"ask for the largest: `run.paths({a.name!r}, {b.name!r}, top=5)`.",
        )
    if not total:
        return Paths([], 0)
    keep = _MOST if total <= _MOST else max(64, 4 * (top or 0))
    seed = b.grad if b.grad is not None else np.ones_like(b.value)
    waiting: dict[int, list[tuple[tuple[int, ...], np.ndarray]]] = {
        b.id: [((b.id,), seed)]
    }
    for i in range(b.id, a.id, -1):
        for nodes, g in waiting.pop(i, ()):
            for k, x in replay.edges(run, i):
                if count[x]:
                    c = replay.contribution(run, i, k, g)
                    waiting.setdefault(x, []).append(((x, *nodes), c))
        for x, partial in waiting.items():
            if len(partial) > keep:
                waiting[x] = sorted(partial, key=lambda p: -np.linalg.norm(p[1]))[:keep]
    found = sorted(waiting.get(a.id, ()), key=lambda p: -np.linalg.norm(p[1]))
    rows = [Path(tuple(run[i].name for i in nodes), c) for nodes, c in found[:top]]
    return Paths(rows, total)
