"""Each fuzz driver runs for a moment; that they can fail, test_fuzz_loop tells."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "fuzz"
DRIVERS = sorted(path.stem for path in FOLDER.glob("fuzz_*.py"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_short_run_meets_no_crash(driver, tmp_path):
    done = subprocess.run(
        [sys.executable, f"{driver}.py", "--executions", "60", "--seconds", "20",
         "--artefacts", str(tmp_path)],
        cwd=FOLDER, capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    assert " 0 crashes" in done.stdout
