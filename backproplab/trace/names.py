"""What the learner's own lines call a value: read off the frames that are running.

The variable that a line assigns to is found in the bytecode, so it needs no source file
and works in notebook cells, ``exec`` and closures alike.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from dis import Instruction
    from types import CodeType, FrameType

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_ENGINE = (
    *(
        _PACKAGE + part
        for part in (
            "tape.py",
            "node.py",
            "sockets.py",
            "_calling.py",
            "primitive.py",
            "tensor.py",
            "_operators.py",
            "anomaly.py",
            os.path.join("nn", "module.py"),
            os.path.join("nn", "scopes.py"),
            os.path.join("nn", "hooks.py"),
        )
    ),
    _PACKAGE + "amp",
    _PACKAGE + "trace" + os.sep,
    str(Path(np.__file__).parent) + os.sep,
    contextlib.__file__,
)
_OPS = (_PACKAGE + "ops" + os.sep, _PACKAGE + "_checkpoint.py")
_EXERCISES = _PACKAGE + "exercises" + os.sep  # written as a learner writes
_RETURN = object()
_MOST_CODES = 512  # whose assignments are remembered
_LONGEST = 1000  # container that is searched for a value
_LISTS = (list, tuple, dict)

# Caches: what they hold follows from the key.
_kinds: dict[str, str] = {}
_stores: dict[int, tuple[CodeType, list[Instruction], dict[int, Any]]] = {}


def calling(frame: FrameType | None) -> tuple[FrameType | None, Any, bool]:
    """Where in the learner's code an operation was called.

    Args:
        frame: where to start; mostly in the package.

    Returns:
        the innermost frame outside the package; then None where the learner's line
        called the op itself, else the package's frame nearest to the line, which may
        call several ops for it; then whether that is more than an op made of ops (a
        layer, say).
    """
    via, kind_of_via = None, ""
    while frame is not None:
        file = frame.f_code.co_filename
        kind = _kinds.get(file) or _kind(file)
        if kind == "learner":
            break
        if kind != "engine":
            via, kind_of_via = frame, kind
        frame = frame.f_back
    return frame, via, kind_of_via == "package"


def assigned(
    frame: FrameType | None,
) -> tuple[str | tuple[str, ...] | None, FrameType | None]:
    """The variable that takes the value of the expression that a frame evaluates.

    Through ``return`` it follows the value into the caller's line.

    Returns:
        the variable's name, or where a list of values is unpacked the names of all
        (whose it is shows once they are bound), and the frame that they live in.
    """
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if (_kinds.get(file) or _kind(file)) != "learner":
            break
        name = _target(code, frame.f_lasti)
        if name is not _RETURN:
            return name, frame
        frame = frame.f_back
    return None, None


def variable(
    value: Any, frame: FrameType | None, until: FrameType | None
) -> str | None:
    """The name by which the learner's code knows ``value``, if any.

    Args:
        value: a leaf or a raw array.
        frame: the innermost that is searched.
        until: the frame that records; its names are preferred to those of the
            functions that it calls, and what called it is not searched.
    """
    frames = []
    while frame is not None:
        frames.append(frame)
        if frame is until:
            break
        frame = frame.f_back
    else:
        frames = frames[:1]
    spaces = [f.f_locals for f in reversed(frames)]
    spaces += [f.f_globals for f in frames[-1:] if f.f_globals is not spaces[0]]
    for space in spaces:
        name = _held(list(space.items()), value)
        if name is not None:
            return name
    return None


def place(code: CodeType | None, lasti: int) -> tuple[str, int]:
    """File and line number of an instruction."""
    if code is None:
        return "", 0
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


def is_bound(name: str, frame: FrameType, value: Any) -> bool:
    """Whether the variable holds the value by now."""
    return frame.f_locals.get(name, frame.f_globals.get(name)) is value


def _kind(file: str) -> str:
    kind = _kinds[file] = (
        "engine"
        if file.startswith(_ENGINE)
        else "op"
        if file.startswith(_OPS)
        else "package"
        if file.startswith(_PACKAGE) and not file.startswith(_EXERCISES)
        else "learner"
    )
    return kind


def _held(space: list[tuple[str, Any]], value: Any) -> str | None:
    """The variable, or ``params.W1`` and ``weights.0``: one level down in another."""
    for name, known in space:
        if known is value and _is_visible(name):
            return name
    for name, known in space:
        if type(known) in _LISTS or type(known).__module__ == "__main__":
            for key, inside in _items(known):
                if inside is value and _is_visible(name):
                    return f"{name}.{key}"
    return None


def _is_visible(name: Any) -> bool:
    """Whether IPython does not keep it, as it keeps ``In``, ``Out``, ``_``."""
    return not str(name).startswith("_") and name not in ("In", "Out")


def _items(known: Any) -> Iterable[tuple[Any, Any]]:
    if type(known) in _LISTS:
        if len(known) > _LONGEST:
            return ()
        return list(known.items()) if type(known) is dict else enumerate(known)
    if type(getattr(known, "__dict__", 0)) is dict:
        return list(known.__dict__.items())
    return ()


def _target(code: CodeType, lasti: int) -> Any:
    """The variables that take what instruction ``lasti`` makes; None, or _RETURN."""
    known = _stores.get(id(code))
    if known is None or known[0] is not code:
        from dis import get_instructions  # not needed until something is recorded

        if len(_stores) >= _MOST_CODES:
            _stores.clear()
        known = _stores[id(code)] = (code, list(get_instructions(code)), {})
    _, steps, found = known
    if lasti not in found:
        # A call into Python code stands at the end of the call's inline cache.
        at = sum(s.offset <= lasti for s in steps)
        running = steps[at - 1].opname if at else ""
        # `a, b = map(f, xs)` computes while it unpacks
        unpacks = running.startswith("UNPACK_")
        found[lasti] = _unpacked(steps, at) if unpacks else _follow(steps, at)
    return found[lasti]


def _unpacked(steps: list[Instruction], i: int) -> tuple[str, ...] | None:
    """The variables that an unpacking fills, as far as they stand one by one."""
    names: list[str] = []
    for step in steps[i:]:
        if step.opname in _VARIABLES:
            names.append(step.argval)
        elif step.opname == "STORE_FAST_STORE_FAST":
            names.extend(step.argval)
        elif step.opname not in (*_PASSED_OVER, "UNPACK_SEQUENCE"):
            if step.opname.startswith("STORE_FAST_"):
                names.append(step.argval[0])
            break
    return tuple(names) or None


_PASSED_OVER = ("NOP", "CACHE", "RESUME", "EXTENDED_ARG", "NOT_TAKEN")
_VARIABLES = ("STORE_NAME", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF")
_POP_ALONE = ("STORE_", "POP_", "DELETE_", "LIST_APPEND", "SET_ADD", "MAP_ADD")


def _follow(steps: list[Instruction], i: int) -> Any:
    """Follow the value on top of the stack to the instruction that takes it.

    ``above`` counts what lies on top of it. What is evaluated meanwhile (the other
    half of ``a, b = f(x), g(x)``) leaves it in place, so the walk ends where the stack
    becomes lower than the value.
    """
    from dis import hasjabs, hasjrel, stack_effect

    above = 0
    while i < len(steps):
        step = steps[i]
        op = step.opname
        i += 1
        if op in _PASSED_OVER or (op == "COPY" and above == 0):
            continue
        if op in ("JUMP_FORWARD", "JUMP_NO_INTERRUPT"):
            i = next((k for k, s in enumerate(steps) if s.offset == step.argval), 10**9)
            continue
        if op == "RETURN_VALUE" and above == 0:
            return _RETURN
        if op == "SWAP":
            lower = step.argval - 1
            above = lower if above == 0 else 0 if above == lower else above
            continue
        if op == "BUILD_TUPLE" and above < step.argval:
            n = step.argval
            if (
                i == len(steps)
                or steps[i].opname != "UNPACK_SEQUENCE"
                or steps[i].argval != n
            ):
                return None
            above, i = n - 1 - above, i + 1  # unpacking puts the first on top
            continue
        if op.startswith("UNPACK_") and above == 0:
            return _unpacked(steps, i)
        if op in _VARIABLES and above == 0:
            return step.argval
        if op == "STORE_FAST_STORE_FAST" and above < 2:
            return step.argval[above]
        if op.startswith("STORE_FAST_") and above == 0:
            return step.argval[0]
        if op == "STORE_ATTR" and above == 1:
            return step.argval
        if op == "STORE_SUBSCR" and above == 2:
            key = steps[i - 2]
            is_name = key.opname == "LOAD_CONST" and isinstance(key.argval, str)
            return key.argval if is_name else None
        if step.opcode in hasjabs or step.opcode in hasjrel:
            return None
        above += stack_effect(step.opcode, step.arg, jump=False)
        if above < (0 if op.startswith(_POP_ALONE) else 1):
            return None
    return None
