"""Memory stays flat without the garbage collector: the engine makes no cycles."""

import gc
import sys
import tracemalloc

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn

pytestmark = pytest.mark.slow

STEPS = 1000
SMALLEST = sys.getsizeof(object())  # bytes


def left_behind(step):
    """Objects that only the collector could free, and whether each step keeps one more.

    The one collection at the end also empties CPython's lists of spare tuples, which
    fill up during the first 2000 steps and look like growth.
    """
    tracemalloc.start()
    try:
        for _ in range(STEPS // 10):
            step()
        gc.collect()
        gc.disable()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(STEPS):
            step()
        cycles = gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    return cycles, (after - before) / STEPS > SMALLEST


def training(hook=False, record=False):
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(8, 16, rng=rng), nn.BatchNorm1d(16), nn.Tanh(),
        nn.Residual(nn.Linear(16, 16, rng=rng)), nn.Linear(16, 4, rng=rng),
    )  # fmt: skip
    optimizer = bp.optim.Adam(model.parameters())
    x, labels = rng.standard_normal((12, 8), np.float32), rng.integers(0, 4, 12)
    if hook:
        model[0].register_forward_hook(lambda module, inputs, output: None)

    def step():
        optimizer.zero_grad()
        loss = bp.ops.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()

    def watched():
        with bp.record():
            step()

    return watched if record else step


@pytest.mark.parametrize("options", [{}, {"hook": True}, {"record": True}], ids=str)
def test_memory_is_flat_over_1000_steps_without_the_collector(options):
    step = training(**options)

    assert (0, False) == left_behind(step)


def test_a_graph_that_is_dropped_before_backward_is_freed_at_once():
    x = bp.tensor(np.ones(3), requires_grad=True)

    def step():
        y = x
        for _ in range(10):
            y = bp.ops.tanh(y) * x

    assert (0, False) == left_behind(step)


def test_a_cycle_would_be_seen():
    def step():
        cycle = [np.ones(10)]
        cycle.append(cycle)

    assert (STEPS, False) == left_behind(step)


def test_the_smallest_object_kept_would_be_seen():
    kept = []

    assert (0, True) == left_behind(lambda: kept.append(object()))
