"""MPIGroup: one process a rank, real MPI collectives. mpi4py enters here."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np

from . import heading
from .group import (
    OPS,
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
from .waiting import abort_on_error, require_mpi, tell_when_leaving, wait_until

# Where launchers say how many ranks they started: MPICH and others, Open MPI, srun.
_LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


class MPIGroup(Group):
    """This process among all that ``mpiexec`` started.

    Collectives are MPI's own, on buffers. MPI chooses its algorithm; ``traffic`` counts
    what a ring would send, the least that an all-reduce can send per rank. Before each
    the ranks tell each other in few bytes what they call: if they do not all call the
    same, each raises a ``CollectiveError`` that names who called what.

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
            tell_when_leaving()

    def all_reduce(self, a: Any, op: Op = "mean") -> np.ndarray:
        """See ``Group.all_reduce``."""
        total: np.ndarray = self.start_all_reduce(a, op).wait()
        return total

    def start_all_reduce(self, a: np.ndarray, op: Op = "mean") -> Pending:
        """See ``Group.start_all_reduce``; it runs while this rank computes."""
        require_op(op)
        array = _laid_out(a)
        total = np.empty_like(array)
        told, mine, heard = self._announce(_heading(array, op))
        send, receive, add = self._buffers(array, total)
        request = self._comm.Iallreduce(send, receive, add)
        self._count("all_reduce", array.size, array.itemsize)

        def arrived() -> bool:  # a sum of what does not fit together may never come
            if not told.Test():
                return False
            heading.compare(mine, heard)
            return bool(request.Test())

        def wait() -> np.ndarray:
            wait_until(arrived)
            return divided(total, op, self.size)

        return Pending(wait, request.Test)

    def broadcast(self, a: Any = None, root: int = 0) -> np.ndarray:
        """See ``Group.broadcast``."""
        require_rank("broadcast", root, self.size)
        array = np.array(numbers("broadcast", a)) if self.rank == root else np.empty(0)
        self._heard(*self._announce(heading.written("broadcast", root)))
        shape, dtype = self._comm.bcast((array.shape, array.dtype), root)
        if self.rank != root:
            array = np.empty(shape, dtype)
        raw = array.reshape(-1).view(np.uint8)
        self._comm.Bcast([raw, self._mpi.BYTE], root)
        self._count("broadcast", array.size, array.itemsize, root)
        return raw.view(dtype).reshape(shape)

    def gather(self, a: Any) -> list[np.ndarray]:
        """See ``Group.gather``."""
        array = numbers("gather", a)
        self._heard(*self._announce(heading.written("gather")))
        found: list[np.ndarray] = self._comm.allgather(array)
        for k, array in enumerate(found):
            if self.size > 1 and k != (self.rank + 1) % self.size:
                self._count("gather", array.size, array.itemsize)
        return found

    def barrier(self) -> None:
        """See ``Group.barrier``."""
        self._heard(*self._announce(heading.written("barrier")))

    def agree(self, word: Any) -> list[Any]:
        """See ``Group.agree``."""
        # MPI itself would not sleep while it waits
        self._heard(*self._announce(heading.written("agree")))
        words: list[Any] = self._comm.allgather(word)
        return words

    def start_agree(self, count: int) -> Pending:
        """See ``Group.start_agree``."""
        announced = self._announce(
            heading.counted(heading.written("start_agree"), count)
        )
        request, _, heard = announced
        # A forward pass without a backward asks nobody: MPI frees what is tested.
        self._unheard = [r for r in self._unheard if not r.Test()] + [request]

        def wait() -> list[int]:
            self._heard(*announced)
            return heading.counts(heard)

        return Pending(wait, request.Test)

    def _announce(self, mine: bytes) -> tuple[Any, bytes, bytearray]:
        """Begin to tell all ranks what this one calls, and to hear what they call."""
        heard = bytearray(heading.LENGTH * self.size)
        return self._comm.Iallgather(mine, heard), mine, heard

    def _heard(self, request: Any, mine: bytes, heard: bytearray) -> None:
        """Wait until all have told; whoever finds a difference raises, as all do."""
        wait_until(request.Test)
        heading.compare(mine, heard)

    def _buffers(self, array: np.ndarray, total: np.ndarray) -> tuple[Any, Any, Any]:
        if array.dtype != np.float16:
            return array, total, self._mpi.SUM
        kind = self._mpi.UINT16_T
        send, receive = (x.reshape(-1).view(np.uint16) for x in (array, total))
        return [send, kind], [receive, kind], _half_sum()

    def __repr__(self) -> str:
        return f"<MPI rank {self.rank} of {self.size}>"


def _laid_out(a: Any) -> np.ndarray:
    """The data as MPI reads it: in one piece, in this machine's byte order."""
    array = numbers("all_reduce", a)
    native = array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, native).reshape(array.shape)


def _heading(array: np.ndarray, op: Op) -> bytes:
    return heading.written("all_reduce", OPS.index(op), array.dtype.char, array.shape)


@lru_cache(maxsize=1)
def _half_sum() -> Any:
    """The sum of float16 as an MPI operation, rounded at each addition."""

    def add(arrived: Any, here: Any, _kind: Any) -> None:
        total = np.frombuffer(here, np.float16)
        total += np.frombuffer(arrived, np.float16)

    return require_mpi().Op.Create(add, commute=True)


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
