"""MPI loaded, waited for without wearing out a core, and ended for all together."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from traceback import format_exception
from types import TracebackType
from typing import Any

from ..errors import BackpropError
from .group import CollectiveError

INSTALL = 'pip install "backproplab[parallel]"'

_LEAVING = 31_999  # the tag of a rank's last message: it leaves the job
_PATIENCE = 3.0  # seconds of waiting after which a rank asks who has left
_GOODBYE = 1.0  # seconds in which a leaving rank hears of the others that leave


class MissingError(BackpropError, ImportError):
    """A package of an extra that is not installed."""


def require_mpi() -> Any:
    """Load MPI, which starts it.

    Raises:
        MissingError: if mpi4py or an MPI library is missing; it says what to install.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py; no MPI library
        raise MissingError(
            f"MPIGroup: MPI cannot be loaded ({error}).",
            help=f"{INSTALL} brings mpi4py and an MPI for this environment; "
            "LocalGroup(n) needs neither.",
        ) from error
    return MPI


def wait_until(arrived: Callable[[], bool]) -> None:
    """Wait as MPI does, spinning; after a while sleep, and leave the core to others.

    Raises:
        CollectiveError: if a rank has left the job, so that the wait would never end.
    """
    begun = time.perf_counter()
    while not arrived():
        waited = time.perf_counter() - begun
        if waited > 2e-4:
            time.sleep(min(waited / 4, 1e-3) if waited > 1e-2 else 5e-5)
        if waited > _PATIENCE and (gone := _left()):
            raise CollectiveError(
                f"MPIGroup: rank {gone[0]} has left the job, and this rank still waits "
                f"for it after {waited:.0f} s; all ranks must make the same calls.",
                help="look for a `sys.exit()` or `return` that one rank alone reaches.",
            )


def _left() -> list[int]:
    """Ranks that said that they leave."""
    mpi = require_mpi()
    status = mpi.Status()
    found = mpi.COMM_WORLD.Iprobe(mpi.ANY_SOURCE, _LEAVING, status)
    return [status.Get_source()] if found else []


@lru_cache(maxsize=1)
def tell_when_leaving() -> None:
    """Tell the other ranks when this one's program is over, before MPI ends."""
    atexit.register(_leave)


def _leave() -> None:
    mpi = require_mpi()
    world = mpi.COMM_WORLD
    others = set(range(world.Get_size())) - {world.Get_rank()}
    said = [world.Isend([b"", mpi.BYTE], k, _LEAVING) for k in others]
    end = time.perf_counter() + _GOODBYE
    while others and time.perf_counter() < end:  # hear those who leave as well
        for k in [k for k in others if world.Iprobe(k, _LEAVING)]:
            world.Recv([bytearray(), mpi.BYTE], k, _LEAVING)
            others.discard(k)
        time.sleep(1e-3)
    mpi.Request.Testall(said)


def abort_on_error() -> None:
    """End the whole job when this rank ends by an exception."""
    if sys.excepthook is not _abort:
        sys.excepthook = _abort


def _abort(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    world = require_mpi().COMM_WORLD
    text = "".join(format_exception(kind, error, trace))
    sys.stdout.flush()
    sys.stderr.write(
        f"rank {world.Get_rank()} of {world.Get_size()} raised "
        f"{kind.__name__}, so the job ends:\n{text}"
    )
    sys.stderr.flush()
    time.sleep(0.5)  # mpiexec passes on what it has read when it hears of the end
    world.Abort(1)
