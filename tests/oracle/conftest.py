"""Counts what was compared with the oracles, and says so at the end."""

from collections import Counter

import pytest

COMPARED = pytest.StashKey[Counter]()


@pytest.fixture
def compared(request: pytest.FixtureRequest) -> Counter:
    """How many comparisons of each kind agreed so far."""
    return request.config.stash.setdefault(COMPARED, Counter())


def pytest_terminal_summary(terminalreporter, config):
    """Print the counts."""
    counts = config.stash.get(COMPARED, None)
    if counts:
        words = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        terminalreporter.write_line(f"compared with PyTorch's OpInfo samples: {words}")
