"""MPI ranks for a notebook: an ipyparallel cluster that starts, answers and stops."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from ..errors import BackpropError, RangeError
from .group import CollectiveError, ReplicaError
from .job import Job, collect
from .launching import (
    call_there,
    end,
    environment,
    introduce,
    keep_others,
    kill,
    mpiexec,
    mpiexec_lives,
    output,
    quiet,
    require_ipyparallel,
)
from .sending import pack
from .vigil import Vigil

# An engine is there when its heart has beaten: sooner than after 3 s, the default.
_HEARTBEAT = ["--HeartMonitor.period=300", "--HeartMonitor.max_heartmonitor_misses=99"]
_NONE = Job(Path(), (), None, Vigil())


class ClusterError(BackpropError, RuntimeError):
    """MPI engines that do not start."""


def cluster(n: int = 2, *, timeout: float = 60, progress: bool = True) -> Cluster:
    """Start n MPI ranks beside this Python; to be used in a ``with`` block.

    The ranks are engines of ipyparallel, started by ``mpiexec``; nothing but the
    ``parallel`` extra is needed, no system MPI. They end with the block, whatever ends
    it.

    Args:
        n: how many ranks.
        timeout: seconds that starting may take.
        progress: whether to print a line that tells how far it is.

    Raises:
        MissingError: if ipyparallel, mpi4py or mpiexec is missing.
        ClusterError: if the ranks have not started in time.

    ::

        with bp.parallel.cluster(2) as ranks:
            ranks.run(lambda comm: float(comm.all_reduce(comm.rank, op="sum")))
    """
    return Cluster(n, timeout, progress)


class Cluster:
    """MPI ranks that run what they are given; see ``cluster``."""

    def __init__(self, n: int, timeout: float, progress: bool) -> None:
        if n < 1:
            raise RangeError(f"cluster: n is {n}; at least 1 rank is required.")
        self.size, self.timeout, self.progress = n, timeout, progress
        self._open, self._said = False, ""
        self._home: Path | None = None  # connection files and logs
        self._cluster: Any = None
        self._client: Any = None
        self._engines: list[int] = []  # ids in rank order
        self._job = _NONE

    def __enter__(self) -> Self:
        self._open = True
        self._start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self._open = False
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._client is not None else "stopped"
        return f"<cluster of {self.size} MPI ranks, {state}>"

    def run(self, fn: Callable[..., Any], *args: Any, timeout: float = 60) -> list[Any]:
        """Call ``fn(comm, *args)`` on every rank; return the results in rank order.

        ``fn`` may be defined in the notebook; what it names goes with it. It prints on
        the rank, not here: return what you want to see, a recorded Trace too. If ranks
        were stopped after an error, new ones are started.

        Args:
            fn: what to run; ``comm`` is the rank's ``MPIGroup``.
            args: arrays, numbers, models.
            timeout: seconds that all may take.

        Raises:
            ReplicaError: if a rank raises, ends or does not return in time; the message
                has its rank and traceback.
            SendError: if ``fn`` or ``args`` cannot be sent.
        """
        if not self._open:
            raise ClusterError(
                "cluster.run: the cluster is not running.",
                help="call it inside "
                f"`with bp.parallel.cluster({self.size}) as ranks:`.",
            )
        call = pack((fn, args), "cluster.run")
        if self._client is None:
            self._start()
        try:
            pending = [
                self._client[e].apply_async(call_there, call) for e in self._engines
            ]
            return collect(self._job, pending, timeout)
        except ReplicaError as error:
            if error.waited_for:
                self.stop()
            raise
        except BaseException:  # also when the kernel is interrupted
            self.stop()
            raise

    def stop(self) -> None:
        """End all ranks, at the latest after some seconds; harmless if they ended."""
        client, self._client = self._client, None
        started, self._cluster = self._cluster, None
        home, self._home = self._home, None
        if client is not None:
            client.close(linger=0)
        for pid in self._job.pids:
            kill(pid)  # a rank may sit in MPI, where it hears nothing milder
        self._job.vigil.close()
        self._job, self._engines = _NONE, []
        if started is not None:
            for launched in (started.controller, started.engine_set):
                end(launched)  # asked politely it takes seconds
            started.stop_cluster_sync()
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)

    # Starting.

    def _start(self) -> None:
        try:
            self._start_all(time.monotonic() + self.timeout)
        except BaseException:
            self._say("")
            self.stop()
            raise

    def _start_all(self, deadline: float) -> None:
        ipyparallel, launcher = require_ipyparallel(), mpiexec()
        self._home = Path(tempfile.mkdtemp(prefix="backproplab-mpi-"))
        self._say("starting a controller")
        started = self._cluster = ipyparallel.Cluster(
            parent=None, load_profile=False, profile_dir=str(self._home), n=self.size,
            engines="mpi", delay=0, log=quiet(), shutdown_atexit=True,
            controller_args=_HEARTBEAT,
        )  # fmt: skip
        started.config.MPIEngineSetLauncher.mpi_cmd = [launcher, *keep_others(launcher)]
        started.config.MPIEngineSetLauncher.environment = environment()
        started.config.LocalControllerLauncher.connection_info_timeout = self.timeout
        try:
            started.start_cluster_sync()
            self._client = started.connect_client_sync()
        except TimeoutError as error:
            raise self._late("the controller") from error
        while (there := len(self._client.ids)) < self.size:
            left = deadline - time.monotonic()
            self._say(f"{there} of {self.size} MPI ranks are there, {left:.0f} s left")
            if time.monotonic() > deadline:
                raise self._late(f"{there} of {self.size} ranks")
            if not mpiexec_lives(started.engine_set):
                raise ClusterError(
                    "cluster: mpiexec ended before the ranks were there; it said:\n"
                    f"{output(started)}"
                )
            time.sleep(0.1)
        self._learn_ranks(max(1.0, deadline - time.monotonic()))
        self._say("")

    def _learn_ranks(self, timeout: float) -> None:
        calls = {e: self._client[e].apply_async(introduce, str(self._home))
                 for e in self._client.ids}  # fmt: skip
        try:
            found = sorted((*c.get(timeout=timeout), e) for e, c in calls.items())
        except Exception as error:
            raise ClusterError(
                f"cluster: the ranks are there, but do not answer: {error}"
            ) from error
        if [rank for rank, _, _ in found] != list(range(self.size)):
            raise CollectiveError(
                "cluster: the engines do not form one MPI job; mpiexec "
                f"({mpiexec()}) belongs to another MPI than mpi4py."
            )
        assert self._home is not None
        pids = tuple(pid for _, pid, _ in found)
        self._job = Job(self._home, pids, self._cluster.engine_set, Vigil(pids))
        self._engines = [engine for _, _, engine in found]

    def _late(self, there: str) -> ClusterError:
        said = output(self._cluster) or "(nothing)"
        return ClusterError(
            f"cluster: after {self.timeout:g} s {there} had started, of a controller "
            f"and {self.size} ranks; mpiexec said:\n{said}",
            help="pass a longer `timeout=`, or fewer ranks.",
        )

    def _say(self, text: str) -> None:
        if self.progress and text != self._said:
            print(f"\r{text:<60}", end="" if text else "\r", flush=True)
        self._said = text
