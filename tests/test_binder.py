"""The Binder image: planned by repo2docker, which needs no Docker for a plan."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def plan() -> str:
    pytest.importorskip("repo2docker", reason="needs the extra `binder`")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_binder_runs_python_3_12(plan: str):
    assert "Building conda environment for python=3.12" in plan


def test_binder_installs_the_project_after_its_files_are_there(plan: str):
    copy = plan.index("COPY --chown=0:0 src/ ${REPO_DIR}/")
    install = plan.index('pip install --no-cache-dir -r "binder/requirements.txt"')

    assert copy < install


def test_binder_pins_what_the_tests_have_seen():
    requirements = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    lines = [line for line in requirements if not line.startswith("#")]

    assert ["-c ../constraints.txt", "."] == lines
    assert (ROOT / "binder" / "../constraints.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Binder runs Linux")
def test_jupyterlab_asks_nothing_on_top_of_the_first_notebook(tmp_path):
    environment = tmp_path / "python"
    command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(command, check=True)

    subprocess.run(
        [ROOT / "binder" / "postBuild"],
        cwd=ROOT,
        env={"PATH": f"{environment / 'bin'}:/usr/bin:/bin"},
        check=True,
    )

    written = environment / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    said = json.loads(written.read_text())
    assert "false" == said["@jupyterlab/apputils-extension:notification"]["fetchNews"]
