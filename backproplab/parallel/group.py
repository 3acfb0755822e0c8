"""Group: what replicas can ask of each other, and what it costs. No back end here."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np

from ..errors import BackpropError, DTypeError, RangeError, near
from . import ring

Op: TypeAlias = Literal["mean", "sum"]
OPS = ("mean", "sum")


class CollectiveError(BackpropError, RuntimeError):
    """Replicas that do not all ask for the same thing, so that none can go on."""


class ReplicaError(BackpropError, RuntimeError):
    """An error in one replica, which ended the run for all.

    Attributes:
        rank: the replica; -1 if it is not known which.
        waited_for: whether others may still wait for it in a collective.
    """

    rank: int = -1
    waited_for: bool = False


class Traffic(NamedTuple):
    """What one replica has sent so far: numbers, and the bytes that they take.

    What counts is the payload, the arrays given to collectives. The few words with
    which replicas agree on sizes and shares beforehand do not count.
    """

    elements: int = 0
    bytes: int = 0

    def plus(self, elements: int, itemsize: int) -> "Traffic":
        """Add so many elements of so many bytes."""
        return Traffic(self.elements + elements, self.bytes + elements * itemsize)


class Pending:
    """A collective that may still run; ``wait()`` gives what it returns."""

    def __init__(self, wait: Callable[[], Any], nudge: Callable[[], Any] | None = None):
        self._wait, self._nudge = wait, nudge

    def wait(self) -> Any:
        """Return the result, when it is there."""
        return self._wait()

    def nudge(self) -> None:
        """Let it make progress, where that needs the processor."""
        if self._nudge is not None:
            self._nudge()


class Group(ABC):
    """One replica's view of all: who it is, and what they do together.

    Each collective has to be called by every replica, in the same order, with arrays of
    the same shape and dtype; it returns when all have come.

    Attributes:
        rank: which replica this is, 0 first.
        size: how many there are.
        traffic: ``(elements, bytes)`` that this replica has sent so far.
        overlaps: whether a started all-reduce runs while this replica computes.
        shared_memory: whether replicas are threads, which could share an array.
    """

    rank: int
    size: int
    traffic: Traffic
    overlaps: bool = False
    shared_memory: ClassVar[bool] = False

    @abstractmethod
    def all_reduce(self, a: Any, op: Op = "mean") -> np.ndarray:
        """Give every replica the mean, or the sum, of what all brought.

        The sum is taken in the array's own dtype, the mean is the sum divided by
        ``size``. Traffic: that of a ring, see ``ring.sent``.

        Args:
            a: array or number of any shape, the same on every replica.
            op: "mean" or "sum"; the mean of integers is float64.

        Returns:
            a new array of that shape.

        Raises:
            RangeError: if ``op`` is neither.
            DTypeError: if ``a`` is not of real numbers.
        """

    @abstractmethod
    def broadcast(self, a: Any = None, root: int = 0) -> np.ndarray:
        """Give every replica a copy of what ``root`` brought.

        Traffic: along a chain, so all but the last send it once.

        Args:
            a: array or number; what the others bring is ignored and may be None.
            root: rank of the replica whose array it is.
        """

    @abstractmethod
    def gather(self, a: Any) -> list[np.ndarray]:
        """Give every replica the list of what all brought, in rank order.

        Traffic: around a ring, so each sends all arrays but its right neighbour's.

        Args:
            a: array or number; shapes may differ.
        """

    @abstractmethod
    def barrier(self) -> None:
        """Wait until every replica has come here."""

    @abstractmethod
    def agree(self, word: Any) -> list[Any]:
        """Tell all a small word (sizes, names); return all words, in rank order.

        It is no traffic: what is agreed on is not the data.
        """

    def start_all_reduce(self, a: np.ndarray, op: Op = "mean") -> Pending:
        """Begin an ``all_reduce``; leave ``a`` alone until ``wait()`` has returned."""
        result = self.all_reduce(a, op)
        return Pending(lambda: result)

    def start_agree(self, count: int) -> Pending:
        """Begin to tell all a count; ``wait()`` gives the counts, in rank order."""
        counts = self.agree(count)
        return Pending(lambda: counts)

    def _count(self, kind: str, elements: Any, itemsize: int, root: int = 0) -> None:
        """Add to ``traffic`` what this replica sends for a collective."""
        if kind == "all_reduce":
            elements = ring.sent(self.size, elements, self.rank)
        elif kind == "broadcast":
            last = (root - 1) % self.size
            elements = elements if self.rank != last else 0
        self.traffic = self.traffic.plus(int(elements), itemsize)


def numbers(what: str, a: Any) -> np.ndarray:
    """Take in what is to be sent.

    Raises:
        DTypeError: if it is not of real numbers.
    """
    array = np.asarray(a)
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind not in "fiu":
        raise DTypeError(
            f"{what}: the data has dtype {array.dtype}; real numbers are required.",
            help="send an array: `np.asarray(data, dtype=float)`.",
        )
    return array


def require_op(op: str) -> None:
    """Accept "mean" and "sum".

    Raises:
        RangeError: if it is anything else.
    """
    if op not in OPS:
        raise RangeError(
            f'all_reduce: op is {op!r}; "mean" or "sum" is required.',
            help=near(str(op), OPS),
        )


def require_rank(what: str, root: int, size: int) -> None:
    """Accept the rank of a replica.

    Raises:
        RangeError: if there is no such replica.
    """
    if not isinstance(root, (int, np.integer)) or not 0 <= root < size:
        raise RangeError(
            f"{what}: root is {root!r}; a rank from 0 to {size - 1} is required."
        )


def divided(total: np.ndarray, op: Op, size: int) -> np.ndarray:
    """Turn a sum over ``size`` replicas into what ``op`` asks for, floats in place."""
    if op == "sum":
        return total
    if total.dtype.kind == "f":
        return np.divide(total, size, out=total)
    return np.asarray(total / size)


def ranks(found: list[int]) -> str:
    """Name replicas in a message.

    >>> ranks([1]), ranks([0, 2, 3])
    ('replica 1', 'replicas 0, 2 and 3')
    """
    if len(found) == 1:
        return f"replica {found[0]}"
    return f"replicas {', '.join(map(str, found[:-1]))} and {found[-1]}"
