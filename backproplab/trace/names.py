"""Which variable does the learner's line assign to? Read off the calling frame's bytecode."""

import contextlib
import dis
import sys
from bisect import bisect_right
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

_PACKAGE = str(Path(__file__).parents[1])
_ENGINE = tuple(
    str(Path(_PACKAGE, part))
    for part in (
        "tape.py",
        "primitive.py",
        "tensor.py",
        "trace",
        "amp.py",
        "anomaly.py",
    )
) + (str(Path(np.__file__).parent), contextlib.__file__)
_OPS = str(Path(_PACKAGE, "ops"))
_EXERCISES = str(Path(_PACKAGE, "exercises"))  # written as a learner writes
_RETURN = object()


class Caller:
    """Where in the learner's code an operation was called.

    Attributes:
        frame: the innermost frame outside the package.
        via: None where the learner's line called the op itself; else the package's
            frame nearest to the line, which may call several ops for it.
        in_package: whether ``via`` is more than an op made of ops (a layer, say).
    """

    __slots__ = ("frame", "in_package", "via")

    def __init__(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        self.via: FrameType | None = None
        self.in_package = False
        while frame is not None:
            kind = _kind(frame.f_code)
            if kind == "learner":
                break
            if kind != "engine":
                self.via = frame
                self.in_package = kind == "package"
            frame = frame.f_back
        self.frame = frame

    def assigned(self) -> str | None:
        """The variable that takes the value of the expression being evaluated.

        Through ``return`` it follows the value into the caller's line.
        """
        frame = self.frame
        while frame is not None and _kind(frame.f_code) == "learner":
            name = _target(frame.f_code, frame.f_lasti)
            if name is not _RETURN:
                return name
            frame = frame.f_back
        return None

    def variable(self, value: Any) -> str | None:
        """The name by which the learner's code knows ``value``, if any."""
        frame = self.frame
        while frame is not None:
            for space in (frame.f_locals, frame.f_globals):
                for name, known in list(space.items()):
                    if known is value and not name.startswith("_"):
                        return str(name)
            frame = frame.f_back
        return None

    def line(self) -> tuple[str, int]:
        """File and line number."""
        if self.frame is None:
            return "", 0
        return self.frame.f_code.co_filename, self.frame.f_lineno


_kinds: dict[CodeType, str] = {}  # a cache: what it holds follows from its key
_targets: dict[CodeType, tuple[list[int], list[Any]]] = {}


def _kind(code: CodeType) -> str:
    kind = _kinds.get(code)
    if kind is None:
        file = code.co_filename
        kind = _kinds[code] = (
            "engine"
            if file.startswith(_ENGINE)
            else "op"
            if file.startswith(_OPS)
            else "package"
            if file.startswith(_PACKAGE) and not file.startswith(_EXERCISES)
            else "learner"
        )
    return kind


def _target(code: CodeType, lasti: int) -> Any:
    if code not in _targets:
        steps = list(dis.get_instructions(code))
        _targets[code] = (
            [s.offset for s in steps],
            [_stored(steps, i + 1) for i in range(len(steps))],
        )
    offsets, names = _targets[code]
    return names[bisect_right(offsets, lasti) - 1]


def _stored(steps: list[dis.Instruction], i: int) -> Any:
    while i < len(steps) and steps[i].opname in ("COPY", "NOP", "CACHE"):
        i += 1
    if i == len(steps):
        return None
    step = steps[i]
    if step.opname == "RETURN_VALUE":
        return _RETURN
    if step.opname in ("STORE_NAME", "STORE_FAST", "STORE_GLOBAL", "STORE_DEREF"):
        return step.argval
    if step.opname.startswith("STORE_FAST_"):  # 3.13 joins two instructions
        return step.argval[0]
    return None
