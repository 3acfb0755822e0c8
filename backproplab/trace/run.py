"""Trace: what one run looked like, as frozen data. Listening is in recorder.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._table import Table
from ..errors import GradError, NameLookupError, near
from ..tape import plugged
from . import files, replay
from .paths import Paths, find_paths
from .recorder import NOTHING, Entry, Recorder


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
    _run: "Trace" = field(repr=False)

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
        """The op as a formula in the names of the run: ``h = \\tanh z``."""
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

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._frozen: tuple[Record, ...] | None = None
        self._names: dict[str, int] = {}

    # Reading.

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in tape order."""
        if self._frozen is not None:
            return self._frozen
        records, self._names = _freeze(self)
        return records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self._recorder.entries)

    def __getitem__(self, key: str | int) -> Record:
        records = self.records
        if isinstance(key, (int, np.integer)):
            if not -len(records) <= key < len(records):
                raise NameLookupError(
                    f"run[{key}]: the run has {len(records)} records, ids 0 to {len(records) - 1}."
                )
            return records[key]
        if key not in self._names:
            raise NameLookupError(
                f"run[{key!r}]: no record has this name or scope.",
                help=near(key, self._names),
            )
        return records[self._names[key]]

    def __contains__(self, key: object) -> bool:
        return bool(self.records) and key in self._names

    @property
    def names(self) -> tuple[str, ...]:
        """The records' names, in tape order."""
        return tuple(r.name for r in self)

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
        return f"<Trace of {len(self)} records, {len(self._recorder.steps)} backward steps>"

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
            r = records[k]
            assert r.grad is not None
            sent = tuple((x, records[x].contributions[n]) for x, n in sends)
            steps.append(Step(k, r.name, r.grad, sent))
        return steps

    def gain(self) -> dict[str, float]:
        """|gradient going out to the input| / |gradient coming in|, layer by layer.

        A layer is an innermost module or scope; without modules, an op. Above 1 the
        error signal grows on its way back, below 1 it fades.
        """
        self.need_backward("gain")
        return replay.gain(self)

    def paths(self, a: str | int, b: str | int, top: int | None = None) -> Paths:
        """Write d(b)/d(a) as a sum over paths of products of local gradients.

        Args:
            a: an input or intermediate value.
            b: what depends on it, the loss mostly.
            top: keep only so many, largest first; all when None.

        Returns:
            rows with ``.nodes`` and ``.product``; ``.count`` is the exact number.
        """
        return find_paths(self, self[a], self[b], top)

    def diff(self, other: "Trace") -> Table:
        """Compare values and gradients with another run's, name by name.

        Returns:
            rows by name with relative errors ``|a - b| / |b|``, b the other run's.
        """
        return replay.diff(self, other)

    def ledger(self) -> Table:
        """Kinks hit, NaN and inf births, gradients that underflowed to zero."""
        return replay.ledger(self)

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
    run = Trace(recorder)
    try:
        with plugged(recorder):
            yield run
    finally:
        recorder.close()
        run._frozen, run._names = _freeze(run)


def _freeze(run: Trace) -> tuple[tuple[Record, ...], dict[str, int]]:
    entries = run._recorder.entries
    names = _names(entries)
    lookup: dict[str, int] = {}
    for i, e in enumerate(entries):
        for alias in (*e.scopes, e.assigned):
            if alias:
                lookup[alias] = i
    lookup.update((name, i) for i, name in reversed(list(enumerate(names))))
    records = tuple(
        Record(
            id=i,
            op=e.op,
            name=name,
            scope=e.scope,
            inputs=tuple(k for k in e.inputs if k != NOTHING),
            value=e.value,
            grad=e.grad,
            contributions=tuple(c for _, _, c in e.contributions),
            consumers=tuple((o, k) for o, k, _ in e.contributions),
            format=str(np.asarray(e.value).dtype),
            source=f"{Path(e.source[0]).name}:{e.source[1]}",
            requires_grad=e.wants,
            _entry=e,
            _run=run,
        )
        for i, (e, name) in enumerate(zip(entries, names, strict=True))
    )
    return records, lookup


def _names(entries: list[Entry]) -> list[str]:
    """Unique names: given, else the variable, else the module, else the op and a count."""
    used: set[str] = set()
    made: dict[str, int] = {}
    names = []
    for e in entries:
        given = (e.node.name if e.node is not None else None) or e.given
        scoped = ".".join(filter(None, (e.scope, e.assigned))) if e.assigned else None
        name = given or scoped or (e.scopes[-1] if e.scopes else None)
        literal = e.op == "constant" and isinstance(e.value, (int, float))
        if name is None:
            made[e.op] = made.get(e.op, 0) + 1
            name = f"{e.op}_{made[e.op]}"
        if not literal:
            plain, n = name, 1
            while name in used:
                n += 1
                name = f"{plain}_{n}"
            used.add(name)
        names.append(name)
    return names


def _norm(value: Any) -> float:
    return float(np.linalg.norm(np.asarray(value, dtype=float)))
