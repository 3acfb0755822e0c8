"""Fuzz ``bp.load_trace``: whatever a file holds, it loads or says what is wrong.

A run that loads must also be readable: its table, steps and gains, and its own save.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from loop import main, mutated_json, mutated_zip, unzipped, zipped

import backproplab as bp
from backproplab.errors import BackpropError, GradError


def one(data: bytes) -> None:
    """Load a file of these bytes, and read what was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.npz"
        file.write_bytes(data)
        run = bp.load_trace(file)
        read(run)
        run.save(file)
        again = bp.load_trace(file)
    if str(again) != str(run):
        raise AssertionError("a loaded run that is saved loads as another one")


def read(run: bp.trace.Trace) -> None:
    """Ask all that a run can be asked."""
    str(run).encode()
    run._repr_html_().encode()
    [(repr(r), r.shape, r.source, r.format, r.consumers) for r in run]
    run.diff(run)
    [(r.local, r.saved_bytes, r.tex) for r in run]
    run.ledger()
    for ask in (run.backward_steps, run.gain):
        try:
            ask()
        except GradError as error:
            if "no backward pass" not in str(error):
                raise


def mutated_records(data: bytes, draw: random.Random) -> bytes:
    """Change the JSON of a saved run; what is none comes back as it is."""
    try:
        members = dict(unzipped(data))
        body = members["trace.npy"]
        said = json.loads(body[body.index(b"\n") + 1 :])
    except Exception:
        return data
    for _ in range(draw.choice((1, 1, 2, 3))):
        said = mutated_json(said, draw)
    text = np.frombuffer(json.dumps(said).encode(), np.uint8)
    with tempfile.TemporaryFile() as f:
        np.save(f, text)
        f.seek(0)
        members["trace.npy"] = f.read()
    return zipped(list(members.items()), draw)


def seeds() -> list[bytes]:
    """Runs of several kinds, as they are saved, and files that are none."""
    rng = np.random.default_rng(0)
    found = [b"", b"PK", b"hello", b"\x93NUMPY"]
    w = bp.tensor(rng.normal(size=(3, 2)), requires_grad=True, name="w")
    model = bp.nn.Sequential(bp.nn.Linear(3, 2, rng=rng), bp.nn.ReLU())
    with bp.record() as plain:
        h = np.tanh(rng.normal(size=(4, 3)) @ w + 1.0)
        (h * h.mean()).sum().backward()
    with bp.record() as layers, bp.amp.autocast("float16"):
        out = model(np.ones((2, 3), np.float32))
        out[:, [0, 1]].reshape(-1)[1:].mean(axis=0, keepdims=True).sum().backward()
    with bp.record() as empty:
        pass
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.npz"
        for run in (plain, layers, empty):
            run.save(file)
            found.append(file.read_bytes())
    return found


if __name__ == "__main__":
    sys.exit(
        main(
            "load_trace",
            one,
            seeds(),
            documented=(BackpropError,),
            mutations=(mutated_zip, mutated_zip, mutated_records, mutated_records),
        )
    )
