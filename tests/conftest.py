"""What every test shares: some wait for `make test-all`, and none may skip there."""

from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import settings

# A busy machine stalls; how long an example takes is a matter for tests/bench.
settings.register_profile("backproplab", deadline=None)
settings.load_profile("backproplab")

WAITS_FOR_TEST_ALL = {
    "browser": "needs Chromium",
    "mpi": "needs several ranks under mpiexec",
    "oracle": "needs PyTorch, JAX, autograd and MyGrad",
    "slow": "takes long",
}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that `make test-all` gives."""
    parser.addoption(
        "--everything",
        action="store_true",
        help=f"also run what is marked {', '.join(WAITS_FOR_TEST_ALL)}; fail on a skip",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Forbid skips by a plugin; a conftest's own hooks end at its folder's edge."""
    if config.getoption("--everything"):
        config.pluginmanager.register(SkipsFail(), "skips-fail")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip, with its reason, what waits for `make test-all`."""
    if config.getoption("--everything"):
        return
    for item in items:
        for mark, needs in WAITS_FOR_TEST_ALL.items():
            if item.get_closest_marker(mark):
                reason = f"{mark}: {needs}; `make test-all` runs it"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Generator[None, None, None]:
    """Fail a test that leaves a plug, a mode or a scope on the tape."""
    from backproplab import sockets

    mode, scope = sockets.mode.get(), sockets.path_now.get()
    yield
    left = sockets.mode.get(), sockets.path_now.get()
    sockets.mode.set(mode)
    sockets.path_now.set(scope)
    assert left == (mode, scope), f"the test left {left} behind on the tape"


class SkipsFail:
    """Report every skip, of a test or of a whole file, as a failure with its reason."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge a test."""
        return failed_if_skipped((yield))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge a file."""
        return failed_if_skipped((yield))


def failed_if_skipped(report: Report) -> Report:
    """Turn a skip into a failure; an expected failure stays what it is.

    >>> where = ("test_x.py", 3, "Skipped: no torch")
    >>> skip = pytest.CollectReport("test_x.py", "skipped", where, [])
    >>> failed_if_skipped(skip).outcome, skip.longrepr
    ('failed', 'test_x.py:3: Skipped: no torch (--everything allows no skip)')
    """
    if report.skipped and "wasxfail" not in vars(report):
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason} (--everything allows no skip)"
    return report
