"""Peak memory, page faults and import time, each in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time

_HERE = Path(__file__).parent

_IMPORT = """
import time
start = time.process_time()
import {0}
print(time.process_time() - start)
"""


def import_ratio(ours: str, theirs: str, pairs: int = 8) -> float:
    """Median ratio of the CPU times of two imports, in turns."""
    ratios = []
    for _ in range(pairs + 1):
        a, b = (float(_python("-c", _IMPORT.format(m))) for m in (ours, theirs))
        ratios.append(a / b)
    return median(ratios[1:])  # the first fills the file cache


def alone(name: str, peer: str) -> dict[str, float]:
    """What steps cost where nobody else has warmed the allocator.

    Returns:
        "MB": by how much they raise the peak (Linux only); "page faults" and "ms" of
        CPU: the medians of a step, after warming up.
    """
    return json.loads(_python("-m", "bench.memory", name, peer))


def _python(*arguments: str) -> str:
    path = [str(_HERE.parent), str(_HERE.parent.parent)]
    # Bytecode is kept, as on a user's machine.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join(path)
    env["PYTHONPYCACHEPREFIX"] = str(_HERE.parents[1] / "artefacts" / "bytecode")
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


def _measured(name: str, peer: str) -> dict[str, float]:
    from .peers import prepare
    from .workloads import workload

    step = prepare(peer, workload(name))
    forget = Path("/proc/self/clear_refs")
    before = _status("VmRSS") if forget.exists() else 0
    if before:
        forget.write_text("5")  # the peak so far
    costs = [_cost(step) for _ in range(12)][4:]
    faults, seconds = (median(column) for column in zip(*costs, strict=True))
    figures = {"page faults": faults, "ms": seconds * 1e3}
    if before:
        figures["MB"] = (_status("VmHWM") - before) / 1e3
    return figures


def _cost(step: Callable[[], object]) -> tuple[float, float]:
    before, start = getrusage(RUSAGE_SELF).ru_minflt, process_time()
    step()
    return getrusage(RUSAGE_SELF).ru_minflt - before, process_time() - start


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise LookupError(field)


if __name__ == "__main__":
    print(json.dumps(_measured(*sys.argv[1:])))
