"""Each fuzz driver runs for a moment, and one that meets a crash says so."""

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


def test_a_crash_is_kept_and_fails_the_run(tmp_path):
    code = (
        "import sys; from loop import main\n"
        "sys.exit(main('x', lambda data: 1 / len(data), [b'', b'a'], documented=()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, "--executions", "5", "--artefacts", str(tmp_path)],
        cwd=FOLDER, capture_output=True, text=True,
    )  # fmt: skip

    assert 1 == done.returncode
    assert "CRASH ZeroDivisionError" in done.stdout
    assert [b""] == [p.read_bytes() for p in tmp_path.glob("*.bin")]
