"""A run in one ``.npz`` file: arrays as arrays, everything else as JSON, nothing that runs."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import BackpropError
from .recorder import Entry, Recorder

if TYPE_CHECKING:
    from .run import Trace

_VERSION = 1


def save(run: "Trace", path: str | Path) -> None:
    """Write a run; the file appears whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for r in run:
        e = r._entry
        arrays[f"v{r.id}"] = np.asarray(r.value)
        if r.grad is not None:
            arrays[f"g{r.id}"] = r.grad
        if e.seed is not None:
            arrays[f"b{r.id}"] = e.seed
        for n, (_, _, c) in enumerate(e.contributions):
            arrays[f"c{r.id}_{n}"] = c
        rows.append(
            {
                "op": e.op,
                "name": r.name,
                "scope": e.scope,
                "scopes": e.scopes,
                "source": e.source,
                "inputs": e.inputs,
                "wants": e.wants,
                "scalar": isinstance(e.value, (int, float)),
                "static": _write(e.static, arrays, f"s{r.id}"),
                "consumers": [[o, k] for o, k, _ in e.contributions],
            }
        )
    text = json.dumps(
        {"version": _VERSION, "records": rows, "steps": run._recorder.steps}
    )
    arrays["trace"] = np.frombuffer(text.encode(), np.uint8)
    path = Path(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as f:
            np.savez_compressed(f, **arrays)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def load_trace(path: str | Path) -> "Trace":
    """Read a run that ``Trace.save`` wrote; nothing in the file is executed.

    Ops that are not declared in this session (a learner's own) load as data: their
    records have values and gradients but no local derivative.

    Raises:
        BackpropError: if the file is not a saved run, or is from a newer version.
    """
    from .run import Trace, _freeze

    try:
        with np.load(path, allow_pickle=False) as z:
            arrays = dict(z)
        data = json.loads(bytes(arrays["trace"]))
        if data["version"] > _VERSION:
            raise BackpropError(
                f"load_trace: {Path(path).name} has version {data['version']}; "
                f"this package reads up to {_VERSION}.",
                help="update backproplab.",
            )
        recorder = Recorder(copy=False)
        recorder.entries = [
            _entry(i, row, arrays) for i, row in enumerate(data["records"])
        ]
        n = len(recorder.entries)
        recorder.steps = [
            (int(k), [(int(x), int(m)) for x, m in sends]) for k, sends in data["steps"]
        ]
        bad = [
            i
            for i, e in enumerate(recorder.entries)
            if any(not -1 <= x < i for x in e.inputs)
            or any(not i < o < n for o, _, _ in e.contributions)
        ]
        if bad:
            raise ValueError(f"record {bad[0]} refers to records that cannot be")
        run = Trace(recorder)
        run._frozen, run._names = _freeze(run)
        run.backward_steps() if recorder.steps else None
    except BackpropError:
        raise
    except FileNotFoundError:
        raise
    except Exception as error:
        raise BackpropError(
            f"load_trace: {Path(path).name} is not a saved run ({type(error).__name__}: {error}).",
            help="a run is written by `run.save(path)`.",
        ) from error
    return run


def _entry(i: int, row: dict[str, Any], arrays: dict[str, np.ndarray]) -> Entry:
    value = arrays[f"v{i}"]
    e = Entry(
        str(row["op"]),
        value.item() if row["scalar"] else value,
        str(row["scope"]),
        (str(row["source"][0]), int(row["source"][1])),
    )
    e.given = str(row["name"])
    e.scopes = [str(s) for s in row["scopes"]]
    e.inputs = tuple(int(k) for k in row["inputs"])
    e.wants = bool(row["wants"])
    e.grad, e.seed = arrays.get(f"g{i}"), arrays.get(f"b{i}")
    e.primitive = ops.registry.get(e.op)
    e.static = _read(row["static"], arrays)
    e.contributions = [
        (int(o), int(k), arrays[f"c{i}_{n}"])
        for n, (o, k) in enumerate(row["consumers"])
    ]
    return e


def _write(x: Any, arrays: dict[str, np.ndarray], key: str) -> Any:
    """Static arguments as tagged JSON; arrays go into the archive under ``key``."""
    if isinstance(x, dict):
        return {"dict": {k: _write(v, arrays, f"{key}.{k}") for k, v in x.items()}}
    if isinstance(x, (tuple, list)):
        return {
            type(x).__name__: [_write(v, arrays, f"{key}.{n}") for n, v in enumerate(x)]
        }
    if isinstance(x, slice):
        return {"slice": [_write(v, arrays, key) for v in (x.start, x.stop, x.step)]}
    if isinstance(x, (np.ndarray, np.generic)):
        arrays[key] = np.asarray(x)
        return {"array": key}
    if x is Ellipsis:
        return {"ellipsis": 0}
    if isinstance(x, (np.dtype, type)):
        return {"dtype": np.dtype(x).str}
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    return {"other": repr(x)[:80]}


def _read(x: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(x, dict):
        return x
    ((kind, v),) = x.items()
    if kind == "dict":
        return {k: _read(w, arrays) for k, w in v.items()}
    if kind in ("tuple", "list"):
        return (tuple if kind == "tuple" else list)(_read(w, arrays) for w in v)
    if kind == "slice":
        return slice(*(_read(w, arrays) for w in v))
    if kind == "array":
        return arrays[v]
    if kind == "ellipsis":
        return Ellipsis
    if kind == "dtype":
        return np.dtype(v)
    return None
