"""LocalGroup: replicas in one process, one running at a time, so that runs repeat."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import RangeError
from ..sockets import Mode, mode
from . import ring
from .group import (
    CollectiveError,
    Group,
    Op,
    ReplicaError,
    Traffic,
    divided,
    numbers,
    ranks,
    require_op,
    require_rank,
)


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
        run = _Run(self.size, fn, args)
        try:
            return run.results()
        finally:
            run.release()

    def __repr__(self) -> str:
        return f"LocalGroup({self.size})"


class _Call(NamedTuple):
    """What a replica asks for: the collective, its option, and what it brings."""

    kind: str
    option: Any
    brought: Any

    def __str__(self) -> str:
        """Say it as the learner wrote it: ``all_reduce of (3,) float64, op="mean"``."""
        if not isinstance(self.brought, np.ndarray):
            return self.kind
        what = f"{self.kind} of {self.brought.shape} {self.brought.dtype}"
        if self.kind == "all_reduce":
            return f'{what}, op="{self.option}"'
        return f"{what}, root={self.option}" if self.kind == "broadcast" else what

    @property
    def must_agree(self) -> Any:
        """What has to be the same on every replica."""
        if self.kind == "all_reduce":
            return self.kind, self.option, self.brought.shape, self.brought.dtype
        return self.kind, self.option


class _Released(BaseException):
    """Raised in a replica that waits in vain, since the run is over."""


class Replica(Group):
    """The ``comm`` that ``LocalGroup.run`` hands to each replica."""

    shared_memory: ClassVar[bool] = True

    def __init__(self, rank: int, size: int, ask: Callable[[_Call], Any]) -> None:
        self.rank, self.size, self._ask = rank, size, ask
        self.traffic = Traffic()

    def all_reduce(self, a: Any, op: Op = "mean") -> np.ndarray:
        """See ``Group.all_reduce``; the sum runs around the ring."""
        require_op(op)
        array = numbers("all_reduce", a)
        total, elements = self._ask(_Call("all_reduce", op, array))
        self.traffic = self.traffic.plus(elements, array.itemsize)
        return divided(total, op, self.size)

    def broadcast(self, a: Any = None, root: int = 0) -> np.ndarray:
        """See ``Group.broadcast``."""
        require_rank("broadcast", root, self.size)
        brought = numbers("broadcast", a) if self.rank == root else None
        array = np.array(self._ask(_Call("broadcast", root, brought))[root])
        self._count("broadcast", array.size, array.itemsize, root)
        return array

    def gather(self, a: Any) -> list[np.ndarray]:
        """See ``Group.gather``."""
        found = self._ask(_Call("gather", None, numbers("gather", a)))
        for k, array in enumerate(found):
            if self.size > 1 and k != (self.rank + 1) % self.size:
                self._count("gather", array.size, array.itemsize)
        return [np.array(array) for array in found]

    def barrier(self) -> None:
        """See ``Group.barrier``."""
        self._ask(_Call("barrier", None, None))

    def agree(self, word: Any) -> list[Any]:
        """See ``Group.agree``."""
        return list(self._ask(_Call("agree", None, (word,))))

    def __repr__(self) -> str:
        return f"<replica {self.rank} of {self.size}>"


class _Seat:
    """One replica's thread, and what it waits for or ended with."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.turn = threading.Event()
        self.thread: threading.Thread | None = None
        self.call: _Call | None = None  # the collective in which it waits
        self.answer: Any = None
        self.ended = False
        self.result: Any = None
        self.error: BaseException | None = None


class _Run:
    """The turns: this thread deals them, the replicas' threads take them."""

    def __init__(self, size: int, fn: Callable[..., Any], args: Any) -> None:
        self.fn, self.args, self.over = fn, args, False
        self.seats = [_Seat(rank) for rank in range(size)]
        self.done = threading.Event()  # the replica whose turn it was waits or ended

    def results(self) -> list[Any]:
        while True:
            for seat in self.seats:
                if not seat.ended:
                    self._deal(seat)
                if seat.error is not None:
                    raise _told(seat, len(self.seats)) from seat.error
            if all(seat.ended for seat in self.seats):
                return [seat.result for seat in self.seats]
            self._together()

    def release(self) -> None:
        """End what still waits: its collective raises, so that its blocks close."""
        self.over = True
        for seat in self.seats:
            if seat.thread is not None and not seat.ended:
                seat.turn.set()
                seat.thread.join(timeout=1)

    def _deal(self, seat: _Seat) -> None:
        self.done.clear()
        if seat.thread is None:
            context = copy_context()
            seat.thread = threading.Thread(
                target=context.run,
                args=(self._replica, seat),
                name=f"replica {seat.rank}",
                daemon=True,
            )
            seat.thread.start()
        else:
            seat.turn.set()
        self.done.wait()

    def _replica(self, seat: _Seat) -> None:
        now = mode.get()
        # As in a checkpoint: plugs that change values hold, those that watch do not.
        mode.set(Mode(now.grad, tuple(p for p in now.plugs if p.replay)))

        def ask(call: _Call) -> Any:
            if threading.current_thread() is not seat.thread:
                raise _outside(seat.rank, call)
            if self.over:
                raise _Released
            seat.call = call
            self.done.set()
            seat.turn.wait()
            seat.turn.clear()
            if self.over:
                raise _Released
            return seat.answer

        try:
            comm = Replica(seat.rank, len(self.seats), ask)
            seat.result = self.fn(comm, *self.args)
        except _Released:
            pass
        except BaseException as error:
            seat.error = error
        finally:
            seat.ended, seat.call = True, None
            self.done.set()

    def _together(self) -> None:
        """Do the collective in which all wait."""
        calls = [seat.call for seat in self.seats if seat.call is not None]
        if len(calls) < len(self.seats) or any(
            c.must_agree != calls[0].must_agree for c in calls
        ):
            raise _disagreement(self.seats)
        brought = [c.brought for c in calls]
        if calls[0].kind == "all_reduce":
            answers: list[Any] = list(zip(*ring.all_reduce(brought), strict=True))
        elif calls[0].kind == "agree":
            answers = [[word for (word,) in brought]] * len(calls)
        else:
            answers = [brought] * len(calls)
        for seat, answer in zip(self.seats, answers, strict=True):
            seat.call, seat.answer = None, answer


def _told(seat: _Seat, size: int) -> ReplicaError:
    """Say which replica raised, and what."""
    error = ReplicaError(
        f"replica {seat.rank} of {size} raised "
        f"{type(seat.error).__name__}: {seat.error}"
    )
    error.rank = seat.rank
    return error


def _outside(rank: int, call: _Call) -> CollectiveError:
    """Say that a replica's collective was called where no replica runs."""
    return CollectiveError(
        f"LocalGroup: replica {rank} called {call.kind} outside its run, where the "
        "others do not hear it.",
        help="call it inside the function that `run` calls; a trained model is "
        "`model.module`.",
    )


def _disagreement(seats: list[_Seat]) -> CollectiveError:
    """Say what each replica called, those with the same call together."""
    said: dict[str, list[int]] = {}
    for seat in seats:
        words = "returned" if seat.call is None else f"called {seat.call}"
        said.setdefault(words, []).append(seat.rank)
    found = "; ".join(f"{ranks(who)} {words}" for words, who in said.items())
    return CollectiveError(
        f"LocalGroup: {found}; every replica must call the same collective, with the "
        "same shape and dtype.",
        help="look for a collective or a backward pass inside `if comm.rank == ...`, "
        "and for loops that run a different number of times.",
    )
