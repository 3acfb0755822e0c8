"""LocalGroup: replicas in one process, one running at a time, so that runs repeat."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import RangeError
from .group import Group, Op, Traffic, divided, numbers, require_op, require_rank
from .turns import Ask, Call, Turns


class LocalGroup:
    """n replicas in one process: threads that take turns.

    A replica runs until it comes to a collective; when all have come there, the
    collective is done and the next turn begins with replica 0. So a run gives the same
    bits every time, and prints in the same order. All-reduce sums around a ring, in
    the ring's order.

    Args:
        n: how many replicas, at least 1.

    Raises:
        RangeError: if ``n`` is less than 1.

    >>> LocalGroup(3).run(lambda comm: float(comm.all_reduce(comm.rank, op="sum")))
    [3.0, 3.0, 3.0]
    """

    def __init__(self, n: int) -> None:
        if not isinstance(n, (int, np.integer)):
            raise RangeError(f"LocalGroup: n is {n!r}; a whole number is required.")
        self.size = operator.index(n)
        if self.size < 1:
            raise RangeError(f"LocalGroup: n is {n}; at least 1 replica is required.")

    def run(self, fn: Callable[..., Any], *args: Any) -> list[Any]:
        """Call ``fn(comm, *args)`` once a replica; return the results in rank order.

        Each replica has context variables of its own, copied from here: ``no_grad`` and
        autocast hold inside, while a ``record`` block has to stand in ``fn``.

        Raises:
            ReplicaError: if a replica raises; the message names it. The others are
                released.
            CollectiveError: if the replicas do not all call the same collective.
        """
        size = self.size
        run = Turns(size, lambda rank, ask: fn(Replica(rank, size, ask), *args))
        try:
            return run.results()
        finally:
            run.release()

    def __repr__(self) -> str:
        return f"LocalGroup({self.size})"


class Replica(Group):
    """The ``comm`` that ``LocalGroup.run`` hands to each replica."""

    shared_memory: ClassVar[bool] = True

    def __init__(self, rank: int, size: int, ask: Ask) -> None:
        self.rank, self.size, self._ask = rank, size, ask
        self.traffic = Traffic()

    def all_reduce(self, a: Any, op: Op = "mean") -> np.ndarray:
        """See ``Group.all_reduce``; the sum runs around the ring."""
        require_op(op)
        array = numbers("all_reduce", a)
        total, elements = self._ask(Call("all_reduce", op, array))
        self.traffic = self.traffic.plus(elements, array.itemsize)
        return divided(total, op, self.size)

    def broadcast(self, a: Any = None, root: int = 0) -> np.ndarray:
        """See ``Group.broadcast``."""
        require_rank("broadcast", root, self.size)
        brought = numbers("broadcast", a) if self.rank == root else None
        array = np.array(self._ask(Call("broadcast", root, brought))[root])
        self._count("broadcast", array.size, array.itemsize, root)
        return array

    def gather(self, a: Any) -> list[np.ndarray]:
        """See ``Group.gather``."""
        found = self._ask(Call("gather", None, numbers("gather", a)))
        for k, array in enumerate(found):
            if self.size > 1 and k != (self.rank + 1) % self.size:
                self._count("gather", array.size, array.itemsize)
        return [np.array(array) for array in found]

    def barrier(self) -> None:
        """See ``Group.barrier``."""
        self._ask(Call("barrier", None, None))

    def agree(self, word: Any) -> list[Any]:
        """See ``Group.agree``."""
        return list(self._ask(Call("agree", None, (word,))))

    def __repr__(self) -> str:
        return f"<replica {self.rank} of {self.size}>"
