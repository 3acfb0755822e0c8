"""Trace: what one run looked like, as frozen data. Listening is in recorder.py."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._table import Table
from ..errors import GradError, NameLookupError, near
from ..sockets import plugged
from . import files, measures, replay
from .paths import Paths, find_paths
from .recorder import NOTHING, Entry, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measures import DiffTable


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
        format: number format of the value.
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
        return replay.local(self._run, self.id)

    @property
    def tex(self) -> str:
        r"""The op as a formula in the names of the run: ``h = \tanh(z)``."""
        return replay.formula(self._run, self.id)

    @property
    def saved_bytes(self) -> int:
        """What backward had to remember for this op."""
        return replay.saved_bytes(self._run, self.id)

    def __repr__(self) -> str:
        grad = (
            "no grad"
            if self.grad is None
            else f"|grad| {np.linalg.norm(self.grad):.3g}"
        )
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


class Trace:
    """A recorded run: iterate it, index it by name, scope or id, print it.

    Its arrays are read-only. What the engine made is referred to, leaves and raw arrays
    are copied, so training on does not change it; ``record(copy=True)`` also guards
    against a hand that writes into ``h.data[...]`` of a computed value.

    >>> import numpy as np, backproplab as bp
    >>> w = bp.tensor(2.0, requires_grad=True, name="w")
    >>> with bp.record() as run:
    ...     loss = (w * 3.0).named("loss")
    ...     loss.backward()
    >>> print(run)
    id  name  op        inputs  shape  |value|  |grad|
     0  w     leaf              ()           2       3
     1  3     constant          ()           3
     2  loss  multiply  w, 3    ()           6       1
    >>> float(run["w"].grad)
    3.0
    """

    __slots__ = ("__weakref__", "_aliases", "_recorder", "_records")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._records: tuple[Record, ...] | None = None
        self._aliases: dict[str, int] = {}

    # Reading.

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in tape order."""
        if self._records is not None:
            return self._records
        entries = self._entries
        records = tuple(_record(self._recorder, i, e) for i, e in enumerate(entries))
        self._aliases = _lookup(entries)
        if self._recorder.closed:  # else more may come
            self._records = records
        return records

    @property
    def _entries(self) -> list[Entry]:
        return self._recorder._entries

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self._recorder.entries)

    def __getitem__(self, key: str | int) -> Record:
        records = self.records
        if isinstance(key, (int, np.integer)):
            if not -len(records) <= key < len(records):
                raise NameLookupError(
                    f"run[{key}]: the run has {len(records)} records"
                    + (f", ids 0 to {len(records) - 1}." if records else "."),
                    help="" if records else _HELP_EMPTY,
                )
            return records[key]
        if not isinstance(key, str) or key not in self._aliases:
            raise NameLookupError(
                f"run[{key!r}]: no record has this name or scope.",
                help=near(str(key), self._aliases) if records else _HELP_EMPTY,
            )
        return records[self._aliases[key]]

    def __contains__(self, key: object) -> bool:
        n = len(self.records)
        if isinstance(key, (int, np.integer)):
            return bool(-n <= key < n)
        return isinstance(key, str) and key in self._aliases

    @property
    def names(self) -> tuple[str, ...]:
        """The records' names, in tape order."""
        return tuple(r.name for r in self.records)

    def table(self) -> Table:
        """One row a record: sizes, and norms of value and gradient."""
        return Table(
            {
                "id": r.id,
                "name": r.name,
                "op": r.op,
                "inputs": ", ".join(self.records[i].name for i in r.inputs),
                "shape": str(r.shape),
                "|value|": _norm(r.value),
                "|grad|": None if r.grad is None else _norm(r.grad),
            }
            for r in self
        )

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        steps = len(self._recorder.steps)
        return f"<Trace of {len(self)} records, {steps} backward steps>"

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    # Asking.

    def backward_steps(self) -> list[Step]:
        """What backward did, in its order: scrub forward and back.

        Raises:
            GradError: if the run holds no backward pass.
        """
        self.need_backward("backward_steps")
        records, steps = self.records, []
        for k, sends in self._recorder.steps:
            grad = records[k].grad
            assert grad is not None
            sent = tuple((x, records[x].contributions[n]) for x, n in sends)
            steps.append(Step(k, records[k].name, grad, sent))
        return steps

    def gain(self, depth: int | None = None) -> dict[str, float]:
        """|gradient going out to the inputs| / |gradient coming in|, layer by layer.

        Above 1 the error signal grows on its way back, below 1 it fades. A layer is an
        innermost module or scope; an op that stands in none is a layer of its own.
        What comes in are the gradients that the rest of the run sends to the layer's
        values; what goes out are the gradients that it sends to values which the rest
        of the run computed, each taken as one long vector. Parameters and data do not
        count, so a layer that only they feed has no gain. In a residual block
        ``y = x + f(x)`` the addition sends its gradient both ways: by itself it is a
        layer of gain sqrt(2); the whole block counts as one where ``depth`` ends at it.

        Args:
            depth: how many parts of the dotted path make a layer; all when None.
                ``depth=1`` takes the outermost modules.
        """
        self.need_backward("gain")
        return measures.gain(self, depth)

    def paths(self, a: str | int, b: str | int, top: int | None = None) -> Paths:
        """Write a gradient as a sum over paths of products of local gradients.

        Each path starts with the gradient that backward brought to ``b`` (ones where it
        did not come), so with ``b`` the loss the products of all paths add up to
        ``run[a].grad``.

        Args:
            a: an input or intermediate value.
            b: what depends on it, the loss mostly.
            top: keep only so many, largest first; all when None.

        Returns:
            rows with ``.nodes`` and ``.product``; ``.count`` is the exact number.

        Raises:
            GradError: if all are asked for and there are too many to write out.
        """
        return find_paths(self, self[a], self[b], top)

    def diff(self, other: Trace) -> DiffTable:
        """Compare values and gradients with another run's, name by name.

        Returns:
            rows with ``.name .value_error .grad_error``, also by name
            (``run.diff(other)["h"]``). The errors are relative, ``|a - b| / |b|`` with
            b the other run's; names that only one run has are left out.
        """
        return measures.diff(self, other)

    def ledger(self) -> Table:
        """Kinks hit, NaN and inf births, values and gradients lost to underflow.

        One row for each kind of event at a record, with a count and the source line.
        """
        return measures.ledger(self)

    def save(self, path: str | Path) -> None:
        """Write the run to one ``.npz`` file; ``bp.load_trace`` reads it."""
        files.save(self, path)

    def need_backward(self, what: str) -> None:
        """Raise unless the run holds a backward pass."""
        if not self._recorder.steps:
            raise GradError(
                f"{what}: the run has {len(self)} records and no backward pass.",
                help="call `loss.backward()` inside the `with bp.record()` block.",
            )


@contextmanager
def record(*, copy: bool = False) -> Iterator[Trace]:
    """Record every operation and gradient of a ``with`` block.

    Args:
        copy: copy every array; by default arrays that the engine made are referred to
            (it never overwrites them) and leaves are copied.

    Yields:
        the ``Trace``, complete when the block ends, whatever ends it.
    """
    recorder = Recorder(copy)
    try:
        with plugged(recorder):
            yield Trace(recorder)
    finally:
        recorder.close()


def _record(recorder: Recorder, i: int, e: Entry) -> Record:
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
        format=str(np.asarray(e.value).dtype),
        source=_source(*e.source),
        requires_grad=e.wants,
        _entry=e,
        _run=recorder,
    )


def _lookup(entries: list[Entry]) -> dict[str, int]:
    """Ids by name, else by module or variable; the first of each."""
    lookup: dict[str, int] = {}
    for i, e in enumerate(entries):
        lookup.setdefault(e.name, i)
    for i, e in enumerate(entries):
        for alias in (*e.aliases, e.assigned):
            if alias:
                lookup.setdefault(alias, i)
    return lookup


def _source(file: str, line: int) -> str:
    if not file:
        return ""
    if "ipykernel" in file or file.startswith("<ipython"):
        return f"cell line {line}"
    return f"{Path(file).name}:{line}"


_HELP_EMPTY = "compute something inside the `with bp.record()` block."


def _norm(value: Any) -> float:
    return float(np.linalg.norm(np.asarray(value, dtype=float)))
