"""Starting and ending MPI processes on this machine, and what runs in them."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from traceback import format_exception
from typing import Any

from .mpi import MPIGroup
from .sending import pack, unpack
from .waiting import INSTALL, MissingError


def mpiexec() -> str:
    """Find the mpiexec that belongs to this Python, else the first on the PATH.

    Raises:
        MissingError: if there is none.
    """
    for folder in (Path(sys.prefix, "bin"), Path(sys.executable).parent):
        if os.access(folder / "mpiexec", os.X_OK):
            return str(folder / "mpiexec")
    found = shutil.which("mpiexec")
    if found is None:
        raise MissingError(
            "cluster: there is no mpiexec in this environment nor on the PATH.",
            help=f"{INSTALL} brings one.",
        )
    return found


def keep_others(launcher: str) -> list[str]:
    """Ask MPICH's mpiexec not to kill all when one ends: it is known which one then."""
    said = subprocess.run([launcher, "--version"], capture_output=True, timeout=30)
    return ["-disable-auto-cleanup"] if b"HYDRA" in said.stdout else []


def require_ipyparallel() -> Any:
    """Load ipyparallel, and be sure that mpi4py is there.

    Raises:
        MissingError: if one of them is not installed; it says what to install.
    """
    try:
        if find_spec("mpi4py") is None:  # loading it here would start MPI here
            raise ImportError("no module named mpi4py")
        import ipyparallel
    except ImportError as error:
        raise MissingError(
            f"cluster: ipyparallel and mpi4py cannot be loaded ({error}).",
            help=f"{INSTALL} brings them, and an MPI; LocalGroup(n) needs neither.",
        ) from error
    return ipyparallel


def environment() -> dict[str, str]:
    """What the ranks get: this package, and one BLAS thread each."""
    home = str(Path(__file__).parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    return {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": threads}


def quiet() -> logging.Logger:
    """A log that nobody reads: what matters is raised."""
    log = logging.Logger("backproplab.parallel")
    log.addHandler(logging.NullHandler())
    return log


def kill(pid: int) -> None:
    """End a process that may not listen."""
    with suppress(OSError):  # it ended already
        os.kill(pid, signal.SIGKILL)


def end(launched: Any) -> None:
    """Kill a launched process and its children, which serve nobody else."""
    try:
        for process in (*launched.process.children(recursive=True), launched.process):
            process.kill()
    except Exception:  # psutil has errors of its own; any says that it is gone
        pass


def mpiexec_lives(launched: Any) -> bool:
    """Whether the launcher of the ranks runs."""
    try:
        process = launched.process
        return bool(process.is_running() and process.status() != "zombie")
    except Exception:  # as above
        return False


def output(cluster: Any) -> str:
    """Read what mpiexec and the ranks have said so far."""
    try:
        text = Path(cluster.engine_set.output_file).read_text(errors="replace")
    except (AttributeError, OSError):
        return ""
    return text.strip()


# On the ranks.


def introduce(home: str) -> tuple[int, int]:
    """Tell rank and process; and write where it stands when asked by a signal."""
    import faulthandler

    rank = MPIGroup().rank
    place = open(Path(home, f"rank{rank}"), "w")  # noqa: SIM115 - open while it lives
    faulthandler.enable(place, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=place, all_threads=False)
    return rank, os.getpid()


def call_there(call: bytes) -> tuple[str, Any]:
    """Run a function on this rank; what it raises is a result, too."""
    try:
        fn, args = unpack(call)
        return "returned", pack(fn(MPIGroup(), *args), "cluster.run")
    except BaseException as error:
        where = error.__traceback__
        assert where is not None
        return "raised", "".join(format_exception(error.with_traceback(where.tb_next)))
