"""Record and Step: one value of a run, and one step of its backward pass."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackpropError, GradError
from . import replay
from .entry import NOTHING, Entry
from .measures import norm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .recorder import Recorder


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Record:
    """One value of a run: how it came to be and what came back to it.

    Attributes:
        id: its place in the run, 0 first.
        op: the op that made it; "leaf" for a tensor made by hand, "constant" for a raw
            array or number.
        name: unique in the run.
        scope: dotted path of the module or ``bp.scope`` in which it was made.
        inputs: ids of its operands.
        value: the array.
        grad: dL/d(value), all contributions added; None where backward did not come.
        contributions: what each use of it sent back, before they were added.
        consumers: for each contribution, the id of the record that sent it and which
            of that record's inputs this is.
        saved_bytes: what backward had to remember for this op.
        format: number format of the value: "float16" under ``autocast("float16")``,
            though the array is float32.
        source: file and line of the learner's code.
    """

    id: int
    op: str
    name: str
    scope: str
    inputs: tuple[int, ...]
    value: Any
    grad: np.ndarray | None
    contributions: tuple[np.ndarray, ...]
    consumers: tuple[tuple[int, int], ...]
    format: str
    source: str
    requires_grad: bool
    _entry: Entry = field(repr=False)
    _run: Recorder = field(repr=False)  # not the Trace: no cycle

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return np.shape(self.value)

    @property
    def local(self) -> Any:
        """The local derivative where the op is elementwise, else None.

        An array of the value's shape for one input, a tuple of arrays for several.
        """
        with asked(self._run):
            return replay.local(self._run, self.id)

    @property
    def tex(self) -> str:
        r"""The op as a formula in the names of the run: ``h = \tanh(z)``."""
        with asked(self._run):
            return replay.formula(self._run, self.id)

    @property
    def saved_bytes(self) -> int:
        """What backward had to remember for this op."""
        with asked(self._run):
            return replay.saved_bytes(self._run, self.id)

    def __repr__(self) -> str:
        grad = "no grad" if self.grad is None else f"|grad| {norm([self.grad]):.3g}"
        return f"<Record {self.id} {self.name} = {self.op} {self.shape}, {grad}>"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the backward pass: a node's gradient is whole and is sent on.

    Attributes:
        id: the record whose gradient is whole.
        name: its name.
        grad: that gradient.
        sends: (input id, contribution) for each edge, in order.
    """

    id: int
    name: str
    grad: np.ndarray
    sends: tuple[tuple[int, np.ndarray], ...]


@contextmanager
def asked(recorder: Recorder) -> Iterator[None]:
    """Say it in our words where a rule fails on what a changed file holds."""
    try:
        yield
    except BackpropError:
        raise
    except Exception as error:
        if not recorder.loaded:
            raise
        raise GradError(
            "the loaded run does not fit the rules of its ops "
            f"({type(error).__name__}: {error}).",
            help="its file was changed after `run.save` wrote it; save the run again.",
        ) from error


def shown(recorder: Recorder, i: int, e: Entry) -> Record:
    """Show an entry of a run."""
    return Record(
        id=i,
        op=e.op,
        name=e.name,
        scope=e.scope,
        inputs=tuple(k for k in e.inputs if k != NOTHING),
        value=e.value,
        grad=e.grad,
        contributions=tuple(c for _, _, c in e.contributions),
        consumers=tuple((o, k) for o, k, _ in e.contributions),
        format=e.grid or str(np.asarray(e.value).dtype),
        source=_source(*e.source),
        requires_grad=e.wants,
        _entry=e,
        _run=recorder,
    )


def _source(file: str, line: int) -> str:
    if not file:
        return ""
    if "ipykernel" in file or file.startswith("<ipython"):
        return f"cell line {line}"
    return f"{Path(file).name}:{line}"
