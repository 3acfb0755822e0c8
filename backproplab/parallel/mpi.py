"""MPIGroup: one process a rank, real MPI collectives. mpi4py enters here."""

from __future__ import annotations

import atexit
import os
import sys
import time
from functools import lru_cache
from traceback import format_exception
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import BackpropError
from .group import (
    CollectiveError,
    Group,
    Op,
    Pending,
    Traffic,
    divided,
    numbers,
    require_op,
    require_rank,
)

INSTALL = 'pip install "backproplab[parallel]"'
# Where launchers say how many ranks they started: MPICH and others, Open MPI, srun.
_LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")

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


class MPIGroup(Group):
    """This process among all that ``mpiexec`` started.

    Collectives are MPI's own, on buffers. MPI chooses its algorithm; ``traffic`` counts
    what a ring would send, the least that an all-reduce can send per rank.

    When a rank raises, its traceback is printed with its rank and the whole job ends:
    the others would wait for it for ever. float16, which MPI lacks, is added as NumPy
    adds it.

    Args:
        comm: an mpi4py communicator; COMM_WORLD when None.

    Raises:
        MissingError: if mpi4py is not installed.
        CollectiveError: if a launcher of another MPI started this process, so that
            each believes to be alone.
    """

    def __init__(self, comm: Any = None) -> None:
        mpi = require_mpi()
        self._mpi = mpi
        self._comm = mpi.COMM_WORLD if comm is None else comm
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self.traffic = Traffic()
        self.overlaps = self.size > 1
        self._unheard: list[Any] = []
        if comm is None:
            require_one_mpi(self.size, mpi.Get_library_version())
        if self.size > 1:
            abort_on_error()
            _tell_when_leaving()

    def all_reduce(self, a: Any, op: Op = "mean") -> np.ndarray:
        """See ``Group.all_reduce``."""
        total: np.ndarray = self.start_all_reduce(a, op).wait()
        return total

    def start_all_reduce(self, a: np.ndarray, op: Op = "mean") -> Pending:
        """See ``Group.start_all_reduce``; it runs while this rank computes."""
        require_op(op)
        array = np.ascontiguousarray(numbers("all_reduce", a)).reshape(np.shape(a))
        total = np.empty_like(array)
        send, receive, add = self._buffers(array, total)
        request = self._comm.Iallreduce(send, receive, add)
        self._count("all_reduce", array.size, array.itemsize)

        def wait() -> np.ndarray:
            _wait(request)
            return divided(total, op, self.size)

        return Pending(wait, request.Test)

    def broadcast(self, a: Any = None, root: int = 0) -> np.ndarray:
        """See ``Group.broadcast``."""
        require_rank("broadcast", root, self.size)
        array = np.array(numbers("broadcast", a)) if self.rank == root else np.empty(0)
        self.barrier()
        shape, dtype = self._comm.bcast((array.shape, array.dtype), root)
        if self.rank != root:
            array = np.empty(shape, dtype)
        raw = array.reshape(-1).view(np.uint8)
        self._comm.Bcast([raw, self._mpi.BYTE], root)
        self._count("broadcast", array.size, array.itemsize, root)
        return raw.view(dtype).reshape(shape)

    def gather(self, a: Any) -> list[np.ndarray]:
        """See ``Group.gather``."""
        found: list[np.ndarray] = self.agree(numbers("gather", a))
        for k, array in enumerate(found):
            if self.size > 1 and k != (self.rank + 1) % self.size:
                self._count("gather", array.size, array.itemsize)
        return found

    def barrier(self) -> None:
        """See ``Group.barrier``."""
        _wait(self._comm.Ibarrier())

    def agree(self, word: Any) -> list[Any]:
        """See ``Group.agree``."""
        self.barrier()  # MPI itself would not sleep while it waits
        words: list[Any] = self._comm.allgather(word)
        return words

    def start_agree(self, count: int) -> Pending:
        """See ``Group.start_agree``."""
        mine, counts = np.array([count]), np.empty(self.size, np.int64)
        request = self._comm.Iallgather(mine, counts)
        # A forward pass without a backward asks nobody: MPI frees what is tested.
        self._unheard = [r for r in self._unheard if not r.Test()] + [request]

        def wait() -> list[int]:
            _wait(request)
            return [int(n) for n in counts]

        return Pending(wait, request.Test)

    def _buffers(self, array: np.ndarray, total: np.ndarray) -> tuple[Any, Any, Any]:
        if array.dtype != np.float16:
            return array, total, self._mpi.SUM
        kind = self._mpi.UINT16_T
        send, receive = (x.reshape(-1).view(np.uint16) for x in (array, total))
        return [send, kind], [receive, kind], _half_sum()

    def __repr__(self) -> str:
        return f"<MPI rank {self.rank} of {self.size}>"


def _wait(request: Any) -> None:
    """Wait as MPI does, spinning; after a while sleep, and leave the core to others.

    Raises:
        CollectiveError: if a rank has left the job, so that the wait would never end.
    """
    begun = time.perf_counter()
    while not request.Test():
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
def _tell_when_leaving() -> None:
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


@lru_cache(maxsize=1)
def _half_sum() -> Any:
    """The sum of float16 as an MPI operation, rounded at each addition."""

    def add(arrived: Any, here: Any, _kind: Any) -> None:
        total = np.frombuffer(here, np.float16)
        total += np.frombuffer(arrived, np.float16)

    return require_mpi().Op.Create(add, commute=True)


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


def require_one_mpi(size: int, library: str) -> None:
    """Refuse to be one of several processes that each believe to be alone.

    Raises:
        CollectiveError: if a launcher says that it started several.
    """
    started = [os.environ[name] for name in _LAUNCHED if name in os.environ]
    if size == 1 and any(text.isdigit() and int(text) > 1 for text in started):
        name = library.partition("\n")[0].strip("\0 ")
        raise CollectiveError(
            f"MPIGroup: the launcher started {max(started, key=int)} processes, but "
            f"each is alone: it belongs to another MPI than mpi4py's ({name}).",
            help="use the mpiexec beside this Python: "
            "`python -m backproplab.parallel --mpiexec` prints its path.",
        )
