"""Timing: competitors take turns in one process, and are compared pair by pair.

CPU time, not wall clock: others use the machine too. A ratio is the median over rounds
of the ratio within a round, so that what slows a whole round down cancels.
"""

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import process_time

Step = Callable[[], object]

UNIT = 0.015  # seconds of CPU that one turn lasts at least
AGAIN = " (again)"  # the twin of the first competitor: what the noise is


@dataclass(frozen=True, slots=True)
class Race:
    """CPU seconds of one step, by competitor and round."""

    seconds: dict[str, dict[int, float]] = field(default_factory=dict)

    def ratio(self, a: str, b: str) -> float:
        """Median of a's time over b's, within the rounds that both ran in."""
        x, y = self.seconds[a], self.seconds[b]
        return median(x[r] / y[r] for r in x.keys() & y.keys())

    def time(self, a: str) -> float:
        """Median CPU seconds of a step."""
        return median(self.seconds[a].values())

    def noise(self, a: str) -> float:
        """What must be 1: the first competitor against itself."""
        return self.ratio(a, a + AGAIN)


def race(steps: dict[str, Step], budget: float, rounds: int = 60) -> Race:
    """Let the steps take turns A B C A, B A A C, ... for about ``budget`` CPU seconds.

    The first competitor runs twice a round; the order is drawn anew each time, so that
    nobody always follows the same one. Who takes more than a fair share sits rounds
    out. The collector stays on, as in a learner's kernel, but each turn begins with
    what the others left already collected.
    """
    turns = {name: _turn(step) for name, step in steps.items()}
    first = next(iter(steps))
    cost = {name: n * seconds for name, (n, seconds) in turns.items()}
    fair = max(2 * UNIT, 2 * cost[first])
    every = {name: max(1, round(cost[name] / fair)) for name in steps}
    whole = cost[first] + sum(cost[name] / every[name] for name in steps)
    rounds = max(6, min(rounds, int(budget / whole)))
    every = {name: min(n, rounds // 3) for name, n in every.items()}
    result, draw = Race(), random.Random(0)
    gc.collect()
    gc.freeze()
    try:
        for r in range(rounds):
            order = [name for name in steps if r % every[name] == 0]
            for name in draw.sample([*order, first + AGAIN], len(order) + 1):
                step = steps[name.removesuffix(AGAIN)]
                _run(result, r, name, step, turns[name.removesuffix(AGAIN)][0])
    finally:
        gc.unfreeze()
    return result


def clocked(step: Step, n: int) -> float:
    """CPU seconds of a step, the mean of ``n`` in a row."""
    start = process_time()
    for _ in range(n):
        step()
    return (process_time() - start) / n


def _turn(step: Step) -> tuple[int, float]:
    """How many steps fill a turn, and the seconds of one."""
    step()
    n, seconds = 1, clocked(step, 1)
    while n * seconds < UNIT:
        n = max(2 * n, int(UNIT / max(seconds, 1e-7)) + 1)
        seconds = clocked(step, n)
        if n * seconds >= 0.8 * UNIT:
            break
    return n, seconds


def _run(result: Race, r: int, name: str, step: Step, n: int) -> None:
    gc.collect()
    result.seconds.setdefault(name, {})[r] = clocked(step, n)
