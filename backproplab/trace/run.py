"""Trace: a recorded run that can be read and asked. Listening is in recorder.py."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._table import Table
from ..errors import GradError, NameLookupError, near
from ..sockets import plugged
from . import files, measures, pickling
from .paths import Paths, find_paths
from .recorder import Recorder
from .records import Record, Step, asked, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entry import Entry
    from .measures import DiffTable


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
        records = tuple(shown(self._recorder, i, e) for i, e in enumerate(entries))
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
                "|value|": measures.norm([r.value]),
                "|grad|": None if r.grad is None else measures.norm([r.grad]),
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
        with asked(self._recorder):
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
        """What happened to the numbers: kinks hit, NaN and inf births, lost values.

        One row for each kind of event at a record, forward or backward, with a count
        and the source line. Where values lie on a narrow grid (under
        ``bp.amp.autocast``, or in float16 arrays), each op is computed again in
        float64, on the inputs that it got, and the rows tell what rounding did:

        * value or gradient underflowed to zero: it is 0, and the exact one is not;
        * value or gradient overflowed: it is beyond the format, the exact one finite;
        * addition swamped, sum of contributions swamped: it left the larger term as it
          was, and the other is not 0;
        * gate flipped: relu, abs, maximum or minimum stands otherwise in a float64 run
          from the same leaves.
        """
        from .ledger import ledger  # which needs amp

        with asked(self._recorder):
            return ledger(self)

    def save(self, path: str | Path) -> None:
        """Write the run to one ``.npz`` file; ``bp.load_trace`` reads it."""
        files.save(self, path)

    def __reduce__(self) -> Any:
        """Copy and pickle what ``save`` writes."""
        return pickling.from_bytes, (pickling.as_bytes(self),)

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
        copy: copy what the ops compute, too. By default that is referred to, since the
            engine never overwrites it, and only leaves are copied. Gradients are never
            handed out but in copies, so the run shares none either way.

    Yields:
        the ``Trace``, complete when the block ends, whatever ends it.
    """
    recorder = Recorder(copy)
    try:
        with plugged(recorder):
            yield Trace(recorder)
    finally:
        recorder.close()


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


_HELP_EMPTY = "compute something inside the `with bp.record()` block."
