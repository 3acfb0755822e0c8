"""What MPI tests share: a rank that fails ends the job, or the others would wait."""

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print a failure with its rank, and end the job."""
    report = yield
    if report.failed:
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        sys.__stderr__.write(
            f"rank {world.Get_rank()} of {world.Get_size()}: {item.nodeid}\n"
            f"{report.longreprtext}\n"
        )
        sys.__stderr__.flush()
        if world.Get_size() > 1:
            world.Abort(1)
    return report


@pytest.fixture(scope="session")
def comm():
    """This rank's group; several ranks are what these tests are about."""
    from backproplab.parallel import MPIGroup

    group = MPIGroup()
    assert group.size > 1, "start several ranks: mpiexec -n 2 python -m pytest ..."
    return group
