"""Peak memory and import time, each in a process of its own. Linux tells peaks."""

import subprocess
import sys
from pathlib import Path
from statistics import median

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


def peak(name: str, peer: str) -> float | None:
    """By how many MB three steps raise the peak; None if the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    return float(_python("-m", "bench.memory", name, peer))


def _python(*arguments: str) -> str:
    import os

    path = [str(_HERE.parent), str(_HERE.parent.parent)]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def _measured(name: str, peer: str) -> float:
    from .peers import prepare
    from .workloads import workload

    step = prepare(peer, workload(name))
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    for _ in range(3):
        step()
    return (_status("VmHWM") - before) / 1e3


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise LookupError(field)


if __name__ == "__main__":
    print(_measured(*sys.argv[1:]))
