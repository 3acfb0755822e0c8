"""A job of MPI ranks: waiting for what they return, and telling which one broke."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .group import CollectiveError, ReplicaError
from .launching import call_there
from .sending import unpack
from .vigil import Vigil

_ENGINE = call_there.__code__.co_filename
_GRACE = 2.0  # seconds that others have to return once a rank has raised


@dataclass(frozen=True, slots=True)
class Job:
    """The ranks' processes.

    Attributes:
        home: folder in which rank k writes ``rank``k when a signal asks where it is.
        pids: of the ranks, in rank order.
        launched: what ipyparallel knows of mpiexec.
        vigil: watches the processes.
    """

    home: Path
    pids: tuple[int, ...]
    launched: Any
    vigil: Vigil

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return len(self.pids)

    def ended(self) -> list[int]:
        """List the ranks whose processes are gone."""
        try:
            below = self.launched.process.children(recursive=True)
            states = {process.pid: process.status() for process in below}
        except Exception:  # psutil has errors of its own; any says that it is gone
            states = {}
        alive = {pid for pid, state in states.items() if state != "zombie"}
        return [rank for rank, pid in enumerate(self.pids) if pid not in alive]

    def first(self) -> int | None:
        """Find the rank whose process ended first, if that is known."""
        pid = self.vigil.first()
        return None if pid is None else self.pids.index(pid)

    def place(self, rank: int) -> str:
        """Read what a rank wrote when it was asked by a signal, or crashed."""
        text = (self.home / f"rank{rank}").read_text()
        return text.partition(f'  File "{_ENGINE}"')[0]  # the engine's own lines


def collect(job: Job, pending: Sequence[Any], timeout: float) -> list[Any]:
    """Wait for what the ranks return, in rank order.

    Args:
        job: the ranks.
        pending: what ipyparallel gave for each call.
        timeout: seconds that all may take.

    Raises:
        ReplicaError: if a rank raises, ends, or does not return in time.
    """
    begun = time.monotonic()
    look = begun + 0.2
    outcomes: dict[int, tuple[str, Any]] = {}
    raised_at = None
    while len(outcomes) < job.size:
        for rank, call in enumerate(pending):
            if rank not in outcomes and call.ready():
                outcomes[rank] = _outcome(job, rank, call)
                if outcomes[rank][0] == "raised" and raised_at is None:
                    raised_at = time.monotonic()
        now = time.monotonic()
        if raised_at is not None and now > raised_at + _GRACE:
            break
        if now > look:
            look = now + 0.2
            if ended := job.ended():
                raise _dead(job, ended)
        if now > begun + timeout:
            raise _stuck(job, outcomes, timeout)
        waiting = [c for rank, c in enumerate(pending) if rank not in outcomes]
        if waiting:
            waiting[0].wait(0.02)
    astray = any(
        kind == "raised" and CollectiveError.__name__ in what
        for kind, what in outcomes.values()
    )
    waits = len(outcomes) < job.size or astray
    for rank, (kind, what) in sorted(outcomes.items()):
        if kind == "raised":
            raise _error(
                rank,
                f"rank {rank} of {job.size} raised; there:\n{what}",
                "the ranks were out of step and were stopped; the next run starts new "
                "ones."
                if astray
                else "the other ranks waited for it and were stopped; the next run "
                "starts new ones."
                if waits
                else "",
                waits,
            )
    return [outcomes[rank][1] for rank in range(job.size)]


def _outcome(job: Job, rank: int, call: Any) -> tuple[str, Any]:
    try:
        kind, what = call.get(timeout=5)
    except Exception as error:
        time.sleep(0.1)
        if ended := job.ended():
            raise _dead(job, ended) from error
        raise _error(
            rank, f"rank {rank} of {job.size} could not be called: {error}"
        ) from error
    if kind == "raised":
        return kind, what
    try:
        return kind, unpack(what)
    except Exception as error:
        raise _error(
            rank, f"what rank {rank} returned cannot be read here: {error!r}"
        ) from error


def _dead(job: Job, ended: list[int]) -> ReplicaError:
    """Say which rank ended, and where it was if Python could still write that."""
    last = {rank: job.place(rank) for rank in ended}
    first = job.first()
    if first is not None:
        ended = [first]
    else:
        # MPICH signals those who live on: they write where they stood, and end, too.
        fatal = "Fatal Python"
        ended = [r for r in ended if not last[r] or last[r].startswith(fatal)] or ended
    one = len(ended) == 1
    who = f"rank {ended[0]} of {job.size}" if one else f"one of {job.size} ranks"
    return _error(
        ended[0] if one else -1,
        f"{who} ended, killed or crashed, and with it the MPI job."
        + "".join(f"\n{last.get(rank, '')}" for rank in ended).rstrip(),
        "look for too little memory, or a crash in compiled code; the next run "
        "starts new ranks.",
    )


def _stuck(job: Job, outcomes: dict[int, Any], timeout: float) -> ReplicaError:
    """Say who has not returned, and where each of them stands."""
    late = [rank for rank in range(job.size) if rank not in outcomes]
    for rank in late:
        os.kill(job.pids[rank], signal.SIGUSR1)  # it writes down where it is
    time.sleep(0.5)
    places = [f"rank {rank} is here:\n{job.place(rank)}" for rank in late]
    return _error(
        late[0],
        f"{len(late)} of {job.size} ranks had not returned after {timeout:g} s.\n"
        + "\n".join(places).rstrip(),
        "pass a longer `timeout=` if they were at work; if they wait in a "
        "collective, another rank did not call it.",
    )


def _error(
    rank: int, message: str, help: str = "", waited_for: bool = True
) -> ReplicaError:
    error = ReplicaError(message, help)
    error.rank, error.waited_for = rank, waited_for
    return error
