"""A run in one ``.npz`` file: arrays as arrays, all else as JSON, nothing that runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import BackpropError
from .recorder import NOTHING, Entry, Recorder

if TYPE_CHECKING:
    from .run import Trace

_VERSION = 1
_MOST_BYTES = 2**32  # unpacked; a file that claims more is not read


def save(run: Trace, path: str | Path) -> None:
    """Write a run; the file appears whole or not at all."""
    import json
    import tempfile

    arrays: dict[str, np.ndarray] = {}
    rows = [_row(i, e, arrays) for i, e in enumerate(run._entries)]
    data = {"version": _VERSION, "records": rows, "steps": run._recorder.steps}
    arrays["trace"] = np.frombuffer(json.dumps(data).encode(), np.uint8)
    path = Path(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as f:
            np.savez_compressed(f, **arrays)  # type: ignore[arg-type]
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def load_trace(path: str | Path) -> Trace:
    """Read a run that ``Trace.save`` wrote; nothing in the file is executed.

    Ops that are not declared in this session (a learner's own) load as data: their
    records have values and gradients but no local derivative.

    Raises:
        FileNotFoundError: if there is no such file.
        BackpropError: if the file is not a saved run, or is from a newer version.
    """
    from .run import Trace

    name = Path(path).name
    try:
        data, arrays = _read_file(path)
        if int(data["version"]) > _VERSION:
            raise BackpropError(
                f"load_trace: {name} has version {data['version']}; "
                f"this package reads up to {_VERSION}.",
                help="update backproplab.",
            )
        recorder = Recorder()
        for i, row in enumerate(data["records"]):
            recorder.entries.append(_entry(i, row, arrays))
        recorder.steps = [
            (int(k), [(int(x), int(m)) for x, m in sends]) for k, sends in data["steps"]
        ]
        recorder.close()
        _check(recorder)
    except (FileNotFoundError, BackpropError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise BackpropError(
            f"load_trace: {name} is not a saved run "
            f"({said if len(said) < 200 else said[:200] + '...'}).",
            help="a run is written by `run.save(path)`.",
        ) from error
    return Trace(recorder)


def _read_file(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import json
    import zipfile

    with zipfile.ZipFile(path) as z:
        size = sum(part.file_size for part in z.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it claims {size} bytes")
    with np.load(path, allow_pickle=False) as z:
        arrays = dict(z)
    data = json.loads(bytes(arrays["trace"]))
    if not isinstance(data, dict) or not isinstance(data["records"], list):
        raise ValueError("no list of records")
    return data, arrays


def _check(recorder: Recorder) -> None:
    """Refuse records that refer to what cannot be, so that nothing fails later."""
    entries = recorder.entries
    for i, e in enumerate(entries):
        shape = np.shape(e.value)
        if np.asarray(e.value).dtype.kind not in "fiub":
            raise ValueError(f"record {i} holds no numbers")
        if any(not NOTHING <= x < i for x in e.inputs):
            raise ValueError(f"record {i} is made of records that cannot be")
        for o, k, _ in e.contributions:
            if not (i < o < len(entries) and 0 <= k < len(entries[o].inputs)):
                raise ValueError(f"record {i} has a consumer that cannot be")
            if entries[o].inputs[k] != i:
                raise ValueError(f"record {i} is no input of record {o}")
        received = [e.grad, e.seed, *(c for _, _, c in e.contributions)]
        if any(g is not None and np.shape(g) != shape for g in received):
            raise ValueError(f"record {i} has a gradient of another shape")
        if any(g is not None and g.dtype.kind != "f" for g in received):
            raise ValueError(f"record {i} has a gradient that is not of floats")
    for k, sends in recorder.steps:
        if not 0 <= k < len(entries) or entries[k].grad is None:
            raise ValueError(f"backward has a step at record {k}, which got none")
        for x, m in sends:
            if not (0 <= x < len(entries) and 0 <= m < len(entries[x].contributions)):
                raise ValueError(f"record {k} sends what cannot be")


def _row(i: int, e: Entry, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    arrays[f"v{i}"] = np.asarray(e.value)
    if e.grad is not None:
        arrays[f"g{i}"] = e.grad
    if e.seed is not None:
        arrays[f"b{i}"] = e.seed
    for n, (_, _, c) in enumerate(e.contributions):
        arrays[f"c{i}_{n}"] = c
    return {
        "op": e.op,
        "name": e.name,
        "named": bool(e.given or e.assigned or e.aliases),
        "aliases": [a for a in (*e.aliases, e.assigned) if a],
        "scope": e.scope,
        "source": e.source,
        "inputs": e.inputs,
        "wants": e.wants,
        "scalar": type(e.value) in (int, float, bool),
        "static": _write(e.static, arrays, f"s{i}"),
        "consumers": [[o, k] for o, k, _ in e.contributions],
    }


def _entry(i: int, row: dict[str, Any], arrays: dict[str, np.ndarray]) -> Entry:
    value = arrays[f"v{i}"]
    e = Entry(
        str(row["op"]), value.item() if row["scalar"] else value, str(row["scope"])
    )
    file, line = row["source"]
    e.source = (str(file), int(line))
    e.given = str(row["name"]) if row["named"] else None
    e.aliases = tuple(str(s) for s in row["aliases"])
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
        kind = "list" if isinstance(x, list) else "tuple"
        return {kind: [_write(v, arrays, f"{key}.{n}") for n, v in enumerate(x)]}
    if isinstance(x, slice):
        parts = (x.start, x.stop, x.step)
        return {"slice": [_write(v, arrays, f"{key}.{n}") for n, v in enumerate(parts)]}
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fiub":
        arrays[key] = np.asarray(x)
        return {"array": key}
    if x is Ellipsis:
        return {"ellipsis": 0}
    if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
        return {"dtype": np.dtype(x).str}
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    return {"other": type(x).__name__}


def _read(x: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(x, dict):
        if isinstance(x, list):
            raise ValueError("an option that is not tagged")
        return x
    ((kind, v),) = x.items()
    if kind == "dict":
        return {str(k): _read(w, arrays) for k, w in v.items()}
    if kind in ("tuple", "list"):
        return (tuple if kind == "tuple" else list)(_read(w, arrays) for w in v)
    if kind == "slice":
        return slice(*(_read(w, arrays) for w in v))
    if kind == "array":
        return arrays[v]
    if kind == "ellipsis":
        return Ellipsis
    if kind == "dtype":
        return np.dtype(str(v))
    if kind == "other":
        return None
    raise ValueError(f"an option of the unknown kind {kind!r}")
