"""Freed memory stays with the process: large arrays of the next step fault no pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backproplab._memory import keep_freed

ROOT = Path(__file__).parents[1]
OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
WITH_GLIBC = pytest.mark.skipif(
    not keep_freed(), reason="the C library is not glibc, or the environment tunes it"
)

FAULTS = """
from resource import RUSAGE_SELF, getrusage
import numpy as np
import backproplab

def step():
    arrays = [np.ones(500_000) for _ in range(20)]
    while arrays:
        arrays.pop()

step()
step()
before = getrusage(RUSAGE_SELF).ru_minflt
step()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * 500_000 * 8 // 4096


def faults(**variables: str) -> int:
    """How many pages the third step of a fresh process fetches."""
    env = {k: v for k, v in os.environ.items() if k not in OWN}
    env |= {"PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return int(done.stdout)


@WITH_GLIBC
def test_a_step_reuses_the_memory_of_the_step_before() -> None:
    assert faults() < PAGES / 20


@WITH_GLIBC
def test_the_environment_has_the_last_word() -> None:
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > PAGES / 2


@pytest.mark.parametrize("name", OWN)
def test_nothing_is_set_where_the_environment_sets_something(monkeypatch, name) -> None:
    monkeypatch.setenv(name, "1")

    assert not keep_freed()


def test_nothing_is_set_on_other_systems(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert not keep_freed()
