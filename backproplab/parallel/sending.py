"""Functions and data as bytes: what a notebook defines is sent by value."""

from __future__ import annotations

import builtins
import io
import linecache
import marshal
import os
import pickle
import sys
from importlib import import_module
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ..errors import BackpropError

_PACKAGE = Path(__file__).parents[1]


class SendError(BackpropError, TypeError):
    """Something that cannot leave its process."""


def pack(thing: Any, what: str = "pack") -> bytes:
    """Turn functions and data into bytes for another process of this Python.

    Functions and classes of a notebook, or of a file that is not installed, go by
    value, with the globals that they name; all others by their module's name.

    Args:
        thing: what to send.
        what: who asks, for the message.

    Raises:
        SendError: if something in it belongs to this process, as an open file does.

    >>> double = eval("lambda x: two * x", {"two": 2, "__name__": "__main__"})
    >>> unpack(pack(double))(21)
    42
    """
    stream = io.BytesIO()
    try:
        _Packer(stream, protocol=5).dump(thing)
    except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
        raise SendError(
            f"{what}: something cannot be sent to another process ({error}).",
            help="make it inside the function, on each rank, and return arrays, "
            "numbers or a recorded Trace.",
        ) from error
    return stream.getvalue()


def unpack(data: bytes) -> Any:
    """Bring back what ``pack`` made; only from processes that you started."""
    return pickle.loads(data)


class _Packer(pickle.Pickler):
    """Pickle, but functions and classes that others cannot import go by value."""

    def reducer_override(self, x: Any) -> Any:
        if isinstance(x, ModuleType):
            return import_module, (x.__name__,)
        if isinstance(x, FunctionType) and not _importable(x):
            return _function(x)
        if isinstance(x, type) and not _importable(x):
            return _class(x)
        if isinstance(x, property):
            return property, (x.fget, x.fset, x.fdel, x.__doc__)
        if isinstance(x, (staticmethod, classmethod)):
            return type(x), (x.__func__,)
        return NotImplemented


def _importable(x: Any) -> bool:
    """Whether a new Python would find it under its module and name."""
    module = sys.modules.get(x.__module__)
    if module is None or x.__module__ == "__main__":
        return x.__module__ == "builtins"
    found: Any = module
    for name in x.__qualname__.split("."):
        found = vars(found).get(name) if isinstance(found, (ModuleType, type)) else None
    if found is not x:
        return False
    file = getattr(module, "__file__", None)
    homes = (
        Path(sys.prefix),
        Path(sys.base_prefix),
        _PACKAGE,
        Path(np.__file__).parent,
    )
    return file is None or any(Path(file).is_relative_to(home) for home in homes)


def _function(f: FunctionType) -> Any:
    named = _names(f.__code__)
    state = {
        "globals": {n: f.__globals__[n] for n in named if n in f.__globals__},
        "defaults": f.__defaults__,
        "kwdefaults": f.__kwdefaults__,
        "cells": [_content(cell) for cell in f.__closure__ or ()],
        "dict": dict(vars(f)),
        "source": _source(f.__code__.co_filename),
    }
    made = (marshal.dumps(f.__code__), f.__name__, f.__module__, f.__qualname__)
    return _new_function, made, state, None, None, _fill_function


def _source(file: str) -> tuple[str, list[str]] | None:
    """The lines of a notebook's cell, for tracebacks; a file is there to be read."""
    return None if os.path.exists(file) else (file, linecache.getlines(file))


def _names(code: CodeType) -> set[str]:
    """Global names that a function's code, and the code within, may look up."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _new_function(code: bytes, name: str, module: str, qualname: str) -> FunctionType:
    loaded = marshal.loads(code)
    cells = tuple(CellType() for _ in loaded.co_freevars)
    space = {"__builtins__": builtins, "__name__": module}
    f = FunctionType(loaded, space, name, None, cells)
    f.__qualname__ = qualname
    return f


def _fill_function(f: FunctionType, state: dict[str, Any]) -> None:
    f.__globals__.update(state["globals"])
    f.__defaults__, f.__kwdefaults__ = state["defaults"], state["kwdefaults"]
    for cell, content in zip(f.__closure__ or (), state["cells"], strict=True):
        if content:
            cell.cell_contents = content[0]
    vars(f).update(state["dict"])
    if state["source"] is not None:
        file, lines = state["source"]
        linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not filled yet
        return ()


def _class(kind: type) -> Any:
    own = {
        name: value
        for name, value in vars(kind).items()
        if name
        not in ("__dict__", "__weakref__", "__module__", "__qualname__", "_abc_impl")
    }
    slots = own.get("__slots__", ())
    slots = (slots,) if isinstance(slots, str) else tuple(slots)
    for name in slots:
        own.pop(name, None)
    has_slots = own.pop("__slots__", None) is not None
    made = (type(kind), kind.__name__, kind.__bases__, kind.__module__,
            kind.__qualname__, slots if has_slots else None)  # fmt: skip
    return _new_class, made, own, None, None, _fill_class


def _new_class(
    meta: Any, name: str, bases: Any, module: str, qualname: str, slots: Any
) -> type:
    here = vars(sys.modules.get(module, builtins)).get(qualname)
    if isinstance(here, type):  # back where it came from
        return here
    body = {"__module__": module, "__qualname__": qualname}
    made: type = meta(
        name, bases, body if slots is None else {**body, "__slots__": slots}
    )
    return made


def _fill_class(kind: type, own: dict[str, Any]) -> None:
    if vars(sys.modules.get(kind.__module__, builtins)).get(kind.__qualname__) is kind:
        return
    for name, value in own.items():
        setattr(kind, name, value)
