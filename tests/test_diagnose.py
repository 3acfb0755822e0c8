"""Diagnosis, scored on wrong derivations that were written down by hand."""

from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import diagnosis_cases
import numpy as np
import unseen_cases

from backproplab.grade.diagnose import diagnose

SETS = (diagnosis_cases, unseen_cases)


@dataclass
class Score:
    """How many cases came out under their label, and where."""

    cases: int = 0
    labels: int = 0
    places: int = 0
    times: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    def __str__(self):
        return (
            f"{self.labels} of {self.cases} labels, {self.places} places; median "
            f"{1e3 * median(self.times):.0f} ms, most {1e3 * max(self.times):.0f} ms"
        )


def score(cases, number, show=False):
    """Diagnose the cases with ``number`` slips, on runs with other numbers each."""
    total = Score()
    for module in cases:
        for at, case in enumerate(module.CASES):
            if len(case.slips) != number:
                continue
            run = diagnosis_cases.recorded(case.graph, case.dtype, at, module.GRAPHS)
            answer = case.answer(diagnosis_cases.Values(run))
            start = perf_counter()
            found = diagnose(run, case.asked, answer)
            total.times.append(perf_counter() - start)
            total.cases += 1
            told = [found, *found.alternatives[: number - 1]]
            labels = right(case, told, lambda d, slip: d.label in slip[0])
            both = right(
                case, told, lambda d, slip: d.label in slip[0] and d.where in slip[1]
            )
            total.labels += labels
            total.places += both
            if not both:
                total.misses.append(
                    f"{'place' if labels else 'LABEL'} {case} at {case.slips[0][1]}\n"
                    + "\n".join(f"      {d.label} {d.where}: {d.says}" for d in told)
                )
    return total


def right(case, told, fits):
    """Whether what was told covers the slips, in either order."""
    if len(told) < len(case.slips):
        return False
    orders = [told, told[::-1]]
    return any(
        all(fits(d, slip) for d, slip in zip(order, case.slips, strict=True))
        for order in orders
    )


if __name__ == "__main__":
    import sys

    sets = [SETS[int(a)] for a in sys.argv[1:2]] or SETS
    for number in (1, 2):
        s = score(sets, number)
        print(number, s)
        if "-v" in sys.argv:
            print("\n".join(s.misses))
