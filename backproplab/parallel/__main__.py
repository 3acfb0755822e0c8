"""``mpiexec -n 4 python -m backproplab.parallel``: the digits, trained on MPI ranks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .group import Group
from .local import LocalGroup
from .mpi import MPIGroup
from .train import Options, Report, train
from .waiting import MissingError

# Where launchers tell a process which one it is, before MPI starts.
_RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


class _Parser(argparse.ArgumentParser):
    """One sentence instead of a usage; from one rank instead of all."""

    def error(self, message: str) -> NoReturn:
        if _first():
            sys.stderr.write(f"{self.prog}: {message}\n  help: see --help.\n")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options, train, and print the report on rank 0."""
    options, told = _options(arguments)
    if told["mpiexec"]:
        from .launching import mpiexec

        print(mpiexec())
        return 0
    try:
        comm = MPIGroup()
    except MissingError as error:
        print(f"{error}\nGoing on as a single process.\n", file=sys.stderr)
        return int(LocalGroup(1).run(_run, options, told["quiet"])[0])
    return _run(comm, options, told["quiet"])


def _run(comm: Group, options: Options, quiet: bool = True) -> int:
    if options.batch < comm.size:
        if comm.rank == 0:
            print(
                f"--batch is {options.batch} and there are {comm.size} ranks; "
                "at least one image for each rank is required.",
                file=sys.stderr,
            )
        return 2
    first = comm.rank == 0
    h = options.hidden
    if first:
        ranks = "1 process" if comm.size == 1 else f"{comm.size} ranks"
        print(
            f"digits, 64-{h}-{h}-10 in {options.dtype}, {ranks}, "
            f"batches of {options.batch}"
        )
    report = train(
        comm,
        options,
        tell=print if first else lambda _line: None,
        watch=_bar if first and not quiet else lambda steps, _n: steps,
    )
    if first:
        print("\n".join(summary(report, comm.size, options.dtype)))
    return 0


def summary(report: Report, size: int, dtype: str) -> list[str]:
    """Say in four lines what a run brought."""
    epsilon = np.finfo(dtype).eps
    ratio = report.alone / report.step
    compared = (
        "this is one process; start several with `mpiexec -n 2 ...`"
        if size == 1
        else f"one process {1e3 * report.alone:.2f} ms: {ratio:.2f} times as fast"
    )
    return [
        f"accuracy   {report.accuracy:.1%} of the test images",
        f"agreement  shards against one process: gradients differ by "
        f"{report.disagreement:.1e} at most, relative ({dtype} epsilon {epsilon:.1e})",
        f"traffic    rank 0 sends {report.sent:,} numbers a step; "
        f"ring, 2 (N-1)/N D: {report.formula:,.1f}, with D = {report.parameters:,}",
        f"speed      {1e3 * report.step:.2f} ms a step; {compared}",
    ]


def _options(arguments: Sequence[str] | None) -> tuple[Options, dict[str, bool]]:
    parser = _Parser(
        prog="backproplab.parallel",
        description="Train the digits model data-parallel, and compare with one "
        "process: mpiexec -n 4 python -m backproplab.parallel",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    told: dict[str, dict[str, Any]] = {
        "hidden": {"type": _count, "help": "width of both hidden layers"},
        "epochs": {"type": _count, "help": "times that every image is seen"},
        "batch": {"type": _count, "help": "images in a batch, all ranks together"},
        "lr": {"type": _rate, "help": "learning rate"},
        "seed": {"type": partial(_count, least=0), "help": "of weights and order"},
        "dtype": {"choices": ["float32", "float64"], "help": "number format"},
    }
    for field in fields(Options):
        parser.add_argument(
            f"--{field.name}", default=field.default, **told[field.name]
        )
    parser.add_argument(
        "--mpiexec", action="store_true", help="print the path of mpiexec, and end"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bar, for logs"
    )
    given = vars(parser.parse_args(arguments))
    told_apart = {name: given.pop(name) for name in ("mpiexec", "quiet")}
    return Options(**given), told_apart


def _count(text: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of at least {least}."
        )
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0.")
    return rate


def _first() -> bool:
    return next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"


def _bar(steps: Iterator[Any], count: int) -> Iterator[Any]:
    from tqdm import tqdm

    return iter(tqdm(steps, total=count, leave=False, unit="step"))


def _one_thread() -> None:
    """Start again with one BLAS thread a rank, unless the user has set how many.

    NumPy reads it when it loads, which has happened by now. On two cores, two ranks of
    two threads each were ten times slower.
    """
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, sys.orig_argv)


if __name__ == "__main__":
    _one_thread()
    raise SystemExit(main())
