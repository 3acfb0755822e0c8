"""``import backproplab`` costs little more than NumPy and loads nothing else heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "IPython", "anywidget", "autograd", "ipywidgets", "jax", "matplotlib", "ml_dtypes",
    "mygrad", "numpy.random", "pandas", "safetensors", "scipy", "torch", "tqdm",
    "traitlets",
)  # fmt: skip


def python(code: str, cache: Path) -> str:
    """Run code in a fresh interpreter that keeps its bytecode, as a user's does."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(cache)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=True
    ).stdout


def loaded(code: str, cache: Path) -> set[str]:
    text = python(f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))", cache)
    return {*json.loads(text)}


def test_the_import_loads_numpy_and_nothing_else_heavy(tmp_path) -> None:
    found = loaded("import backproplab", tmp_path)

    assert "numpy" in found
    assert [name for name in HEAVY if name in found] == []


def test_the_check_above_can_fail(tmp_path) -> None:
    assert "numpy.random" in loaded("import backproplab, numpy.random", tmp_path)


@pytest.mark.parametrize(
    "part", ["nn", "optim", "grade", "tex", "transforms", "check", "trace", "data"]
)
def test_parts_that_draw_nothing_load_no_drawing(tmp_path, part) -> None:
    found = loaded(f"import backproplab as bp; bp.{part}", tmp_path)

    assert f"backproplab.{part}" in found
    assert not {"matplotlib", "ipywidgets", "anywidget", "torch", "jax"} & found


def test_what_loads_later_is_there_when_asked_for_and_listed(tmp_path) -> None:
    code = """
import backproplab as bp
assert all(name in dir(bp) for name in bp.__all__)
assert all(getattr(bp, name) is not None for name in bp.__all__)
from backproplab import *
assert record is bp.record and grad is bp.grad and tensor is bp.tensor
assert bp.tanh is bp.ops.tanh and bp.split is bp.ops.split
"""

    python(code, tmp_path)


def test_an_unknown_attribute_is_answered_with_near_ones() -> None:
    import backproplab as bp

    with pytest.raises(AttributeError) as caught:
        _ = bp.sigmod
    text = str(caught.value)
    assert text.startswith("backproplab has no 'sigmod'; did you mean sigmoid or ")


TIMER = """
import time
start = time.process_time()
import {}
print(time.process_time() - start)
"""


def test_the_import_takes_at_most_half_again_as_long_as_numpys(tmp_path) -> None:
    def seconds(name: str) -> float:
        return float(python(TIMER.format(name), tmp_path))

    seconds("backproplab")  # writes the bytecode
    # In turns, so that a busy machine slows both; the least is the least disturbed.
    pairs = [(seconds("numpy"), seconds("backproplab")) for _ in range(7)]

    numpys, ours = (min(times) for times in zip(*pairs, strict=True))
    assert ours / numpys < 1.5
