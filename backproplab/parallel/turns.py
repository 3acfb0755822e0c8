"""The turns of replicas in one process: one thread deals them, the others take them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NamedTuple

import numpy as np

from ..sockets import Mode, mode
from . import heading, ring
from .group import CollectiveError, ReplicaError


class Call(NamedTuple):
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


Ask = Callable[[Call], Any]


class Turns:
    """Runs every replica in a thread of its own, one at a time.

    Args:
        size: how many replicas.
        act: what a replica does, ``act(rank, ask)``; ``ask(call)`` waits until all have
            come to a collective, and gives its answer.
    """

    def __init__(self, size: int, act: Callable[[int, Ask], Any]) -> None:
        self.act, self.over = act, False
        self.seats = [_Seat(rank) for rank in range(size)]
        self.done = threading.Event()  # the replica whose turn it was waits or ended

    def results(self) -> list[Any]:
        """Deal turns until every replica has ended; what each returned, by rank."""
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

        def ask(call: Call) -> Any:
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
            seat.result = self.act(seat.rank, ask)
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


class _Seat:
    """One replica's thread, and what it waits for or ended with."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.turn = threading.Event()
        self.thread: threading.Thread | None = None
        self.call: Call | None = None  # the collective in which it waits
        self.answer: Any = None
        self.ended = False
        self.result: Any = None
        self.error: BaseException | None = None


class _Released(BaseException):
    """Raised in a replica that waits in vain, since the run is over."""


def _told(seat: _Seat, size: int) -> ReplicaError:
    """Say which replica raised, and what."""
    error = ReplicaError(
        f"replica {seat.rank} of {size} raised "
        f"{type(seat.error).__name__}: {seat.error}"
    )
    error.rank = seat.rank
    return error


def _outside(rank: int, call: Call) -> CollectiveError:
    """Say that a replica's collective was called where no replica runs."""
    return CollectiveError(
        f"LocalGroup: replica {rank} called {call.kind} outside its run, where the "
        "others do not hear it.",
        help="call it inside the function that `run` calls; a trained model is "
        "`model.module`.",
    )


def _disagreement(seats: list[_Seat]) -> CollectiveError:
    """Say what each replica called."""
    calls = [seat.call for seat in seats]
    did = ["returned" if call is None else f"called {call}" for call in calls]
    return heading.disagreement("LocalGroup", did)
