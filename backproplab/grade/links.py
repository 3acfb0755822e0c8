"""A link of the chain: what one record sends back to another, soundly or broken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..trace import Trace, replay

Send = Callable[[np.ndarray], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The way back from record ``output`` to its input ``x``, used at places ``ks``.

    Where ``ks`` is empty it is one record's whole gradient, all contributions added.

    Attributes:
        run: the recorded run.
        output: id of the record that sends.
        ks: which inputs of that record this is; two in ``x * x``.
        x: id of the record that receives.
        g: the gradient that comes into ``output``.
        sent: what the sound rule sends, of x's shape.
    """

    run: Trace
    output: int
    ks: tuple[int, ...]
    x: int
    g: np.ndarray
    sent: np.ndarray

    @property
    def entry(self) -> Any:
        """The operation, as it was recorded."""
        return self.run[self.output]._entry

    @property
    def out(self) -> str:
        """Name of the record that sends."""
        return self.run[self.output].name

    @property
    def into(self) -> str:
        """Name of the record that receives."""
        return self.run[self.x].name

    @property
    def values(self) -> list[Any]:
        """Values that the rule may read: y first, then the inputs."""
        return [self.entry.value, *replay.operands(self.run, self.output)]

    @property
    def names(self) -> list[str]:
        """Names of ``values``."""
        ids = [self.output, *self.entry.inputs]
        return [self.run[i].name if i >= 0 else "nothing" for i in ids]

    @property
    def is_half(self) -> bool:
        """Whether this is one of several uses of an input by the same operation."""
        times: int = self.entry.inputs.count(self.x)
        return 0 < len(self.ks) < times

    @property
    def where(self) -> tuple[str, str] | str:
        """The place as a ``Diagnosis`` gives it."""
        return (self.out, self.into) if self.ks else self.into

    def pull(self, g: Any, changed: dict[Any, Any] | None = None) -> Any:
        """What the rule sends for ``g``, with some of what it reads exchanged.

        Args:
            g: gradient of the output.
            changed: new values by position in ``values``; new options by keyword.

        Returns:
            the contribution before broadcasting is undone; None where nothing fits.
        """
        if not self.ks:
            return g
        op, args, static = self._exchanged(changed)
        try:
            with np.errstate(all="ignore"):
                if op.vjp is not None:
                    sent = op.vjp(g, *args, wrt=list(self.ks), **static)
                    raw = [sent[k] for k in self.ks]
                else:
                    raw = [op.pullbacks[k](g, *args, **static) for k in self.ks]
                return sum(raw[1:], raw[0])
        except Exception:  # shapes that do not fit: nobody can have computed this
            return None

    def push(self, t: np.ndarray, changed: dict[Any, Any] | None = None) -> Any:
        """The adjoint of ``pull``: how the output moves when x moves by ``t``."""
        if not self.ks:
            return t
        op, args, static = self._exchanged(changed)
        ts = [t if k in self.ks else None for k in range(len(args) - 1)]
        try:
            with np.errstate(all="ignore"):
                moved = np.asarray(op.jvp(ts, *args, **static), float)
                return np.broadcast_to(moved, np.shape(self.g))
        except Exception:  # as above
            return None

    def fit(self, raw: Any) -> np.ndarray | None:
        """Undo broadcasting, as the engine does; None where that cannot be."""
        return fitted(raw, np.shape(self.sent))

    def _exchanged(self, changed: dict[Any, Any] | None) -> tuple[Any, Any, Any]:
        entry, args = self.entry, self.values
        static = entry.static
        if changed:
            fresh = {k: v for k, v in changed.items() if isinstance(k, str)}
            if entry.primitive.saves:
                fresh["saved"] = None  # what forward kept belongs to the old values
            static = {**static, **fresh}
            args = [changed.get(p, v) for p, v in enumerate(args)]
        return entry.primitive, args, static


@dataclass(frozen=True, slots=True, eq=False)
class Break:
    """One broken rule.

    Attributes:
        label: the misconception; see ``LABELS``.
        link: where.
        why: a sentence.
        sends: from the incoming gradient to what is sent instead.
        back: the adjoint of ``sends`` where it is linear and the adjoint is at hand.
        steady: whether ``sends`` does not look at the incoming gradient.
        cost: how far-fetched; two breaks are tried up to a sum of costs.
        factor: where ``sends`` is a multiple of the sound rule.
    """

    label: str
    link: Link
    why: str
    sends: Send = field(repr=False)
    back: Send | None = field(default=None, repr=False)
    steady: bool = False
    cost: int = 1
    factor: float | None = None


def links(run: Trace, grads: dict[int, np.ndarray], below: int) -> list[Link]:
    """All links that a backward pass used, and the records where several meet.

    Args:
        run: the recorded run.
        grads: gradients by record id.
        below: the record whose gradient is asked for; younger ones count.
    """
    found, meeting = [], dict.fromkeys(grads, 0)
    for o in sorted(grads, reverse=True):
        if o <= below:
            break
        uses: dict[int, list[int]] = {}
        for k, x in replay.edges(run, o):
            uses.setdefault(x, []).append(k)
        for x, ks in uses.items():
            groups = [(k,) for k in ks] + ([tuple(ks)] if len(ks) > 1 else [])
            for group in groups:
                link = Link(run, o, group, x, grads[o], np.zeros(run[x].shape))
                sent = link.fit(link.pull(grads[o]))
                if sent is not None:
                    found.append(Link(run, o, group, x, grads[o], sent))
            meeting[x] = meeting.get(x, 0) + 1
    found += [
        Link(run, m, (), m, grads[m], grads[m])
        for m, n in meeting.items()
        if n > 1 and m >= below
    ]
    return found


def times(label: str, link: Link, factor: Any, why: str, cost: int = 1) -> Break:
    """Make the break in which the incoming gradient meets another factor."""

    def back(t: np.ndarray) -> np.ndarray | None:
        spread = _spread(t, np.shape(link.g))
        return None if spread is None else fitted(spread * factor, np.shape(link.g))

    return Break(label, link, why, lambda g: g * factor, back, cost=cost)


def exchanged(
    label: str, link: Link, changed: dict[Any, Any], why: str, cost: int = 1
) -> Break:
    """Make the break in which the rule reads something else."""
    return Break(
        label,
        link,
        why,
        lambda g: link.pull(g, changed),
        lambda t: link.push(t, changed),
        cost=cost,
    )


def fitted(raw: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Sum over broadcast axes to ``shape``, or broadcast to it; None if neither fits.

    >>> fitted(np.ones((4, 3)), (3,)).tolist()
    [4.0, 4.0, 4.0]
    """
    if raw is None:
        return None
    array = np.asarray(raw)
    if array.dtype.kind not in "fiub":
        return None
    array = array.astype(float, copy=False)
    if array.shape == shape:
        return array
    lead = array.ndim - len(shape)
    pairs = zip(shape, array.shape[max(lead, 0) :], strict=lead >= 0)
    if lead >= 0 and all(n in (1, m) for n, m in pairs):
        ones = tuple(lead + i for i, n in enumerate(shape) if n == 1)
        total: np.ndarray = array.sum(axis=(*range(lead), *ones))
        return total.reshape(shape)
    if len(shape) == 1 and array.ndim > 2 and array.shape[1] == shape[0]:
        # one number a channel
        return np.asarray(array.sum(axis=(0, *range(2, array.ndim))))
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        return None


def _spread(t: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The adjoint of ``fitted``."""
    if np.ndim(t) == 1 and len(shape) > 2 and shape[1] == t.size != shape[-1]:
        t = np.reshape(t, (-1, *(1 for _ in shape[2:])))
    try:
        return np.broadcast_to(t, shape)
    except ValueError:
        return fitted(t, shape)
