"""A run in one ``.npz`` file: arrays as arrays, all else as JSON, nothing that runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import BackpropError
from .archive import read_arrays
from .checking import check
from .entry import Entry
from .recorder import Recorder

if TYPE_CHECKING:
    from .run import Trace

_VERSION = 1


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
        if (version := _whole(data["version"])) > _VERSION:
            raise BackpropError(
                f"load_trace: {name} has version {version}; "
                f"this package reads up to {_VERSION}.",
                help="update backproplab.",
            )
        recorder = Recorder()
        recorder.loaded = True
        for i, row in enumerate(_list(data["records"])):
            recorder.entries.append(_entry(i, row, arrays))
        recorder.passes.steps = [
            (_whole(k), [(_whole(x), _whole(m)) for x, m in map(_list, _list(sends))])
            for k, sends in map(_list, _list(data["steps"]))
        ]
        recorder.close()
        check(recorder)
    except (FileNotFoundError, BackpropError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}".encode(errors="replace").decode()
        raise BackpropError(
            f"load_trace: {name} is not a saved run "
            f"({said if len(said) < 200 else said[:200] + '...'}).",
            help="a run is written by `run.save(path)`.",
        ) from error
    return Trace(recorder)


def _read_file(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    import json

    arrays = read_arrays(path)
    data = json.loads(bytes(arrays["trace"]), object_pairs_hook=_once)
    if not isinstance(data, dict):
        raise ValueError("no dict of records")
    return data, arrays


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name that is given twice")
    return found


def _whole(x: Any) -> int:
    if type(x) is not int:
        raise ValueError(f"{x!r} is no whole number")
    return x


def _text(x: Any) -> str:
    if type(x) is not str:
        raise ValueError(f"{x!r} is no text")
    x.encode()  # else nobody could print it
    return x


def _yes_or_no(x: Any) -> bool:
    if type(x) is not bool:
        raise ValueError(f"{x!r} is neither true nor false")
    return x


def _list(x: Any) -> list[Any]:
    if type(x) is not list:
        raise ValueError(f"{x!r} is no list")
    return x


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
        "grid": e.grid,
        "scalar": type(e.value) in (int, float, bool),
        "static": _write(e.static, arrays, f"s{i}"),
        "consumers": [[o, k] for o, k, _ in e.contributions],
    }


def _entry(i: int, row: dict[str, Any], arrays: dict[str, np.ndarray]) -> Entry:
    value: Any = arrays[f"v{i}"]
    if _yes_or_no(row["scalar"]):
        value = value.item()
    e = Entry(_text(row["op"]), value, _text(row["scope"]))
    file, line = _list(row["source"])
    e.source = (_text(file), _whole(line))
    name = _text(row["name"])
    e.given = name if _yes_or_no(row["named"]) else None
    e.aliases = tuple(_text(s) for s in _list(row["aliases"]))
    e.inputs = tuple(_whole(k) for k in _list(row["inputs"]))
    e.wants = _yes_or_no(row["wants"])
    e.grid = _text(row.get("grid", ""))  # older files have none
    e.grad, e.seed = arrays.get(f"g{i}"), arrays.get(f"b{i}")
    e.primitive = ops.registry.get(e.op)
    e.static = _read(row["static"], arrays)
    e.contributions = [
        (_whole(o), _whole(k), arrays[f"c{i}_{n}"])
        for n, (o, k) in enumerate(map(_list, _list(row["consumers"])))
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
        return (tuple if kind == "tuple" else list)(_read(w, arrays) for w in _list(v))
    if kind == "slice":
        return slice(*(_read(w, arrays) for w in _list(v)))
    if kind == "array":
        return arrays[_text(v)]
    if kind == "ellipsis":
        return Ellipsis
    if kind == "dtype":
        if (dtype := np.dtype(_text(v))).kind not in "fiub":
            raise ValueError(f"{dtype} is no number format")
        return dtype
    if kind == "other":
        return None
    raise ValueError(f"an option of the unknown kind {kind!r}")
