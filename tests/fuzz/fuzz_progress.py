"""Fuzz the progress file: whatever lies there, answers are judged and nothing is lost.

A broken file is set aside, byte by byte as it was; a whole one keeps its attempts.
"""

import json
import os
import random
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from loop import main, mutated_json

import backproplab as bp
from backproplab.exercises import ProgressError
from backproplab.exercises.report import class_report

Q = bp.exercises.get("chain.tanh")


def one(data: bytes) -> None:
    """Let a progress file of these bytes be there, and answer an exercise."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["BACKPROPLAB_DIR"] = folder
        path = Path(folder) / "progress.json"
        path.write_bytes(data)
        str(bp.exercises.progress()).encode("utf-8", "surrogatepass")
        bp.exercises.progress()._repr_html_()
        str(class_report([path])).encode()
        verdict = Q.check(Q.given.dy)
        if verdict.label != "local-factor-missing":
            raise AssertionError(f"the verdict became {verdict.label}")
        aside = list(Path(folder).glob("progress.aside-*.json"))
        if aside and aside[0].read_bytes() != data:
            raise AssertionError("what was set aside is not what was there")
        if not aside:
            _kept(json.loads(data), json.loads(path.read_text("utf-8")))
        block = bp.exercises.export_progress()
        bp.exercises.import_progress(block)
        with suppress(ProgressError):
            bp.exercises.import_progress(data.decode("latin-1"))


def _kept(before: dict, after: dict) -> None:
    for problem, tried in before["problems"].items():
        for attempt in tried:
            if attempt not in after["problems"][problem]:
                raise AssertionError(f"an attempt at {problem} was lost")


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Change what the JSON says."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(draw.choice((1, 1, 2, 3))):
        said = mutated_json(said, draw)
    return json.dumps(said).encode("utf-8", "surrogatepass")


def seeds() -> list[bytes]:
    """A real file, an exported block, and files that are none."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BACKPROPLAB_DIR"] = folder
        Q.check("dy")
        Q.check("dy * (1 - y**2)")
        steps = bp.exercises.get("mlp.steps")
        steps.check({"picked": steps.given.p})
        real = (Path(folder) / "progress.json").read_bytes()
        block = bp.exercises.export_progress().encode()
    return [real, real, real, block, b"", b"{}", b"[]", b"null", b"\xff"]


if __name__ == "__main__":
    sys.exit(main("progress", one, seeds(), documented=(), mutations=(mutated,) * 3))
