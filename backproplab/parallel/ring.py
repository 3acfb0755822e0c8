"""The ring all-reduce, step by step: who sends which chunk to whom. Plain arrays only.

N replicas stand in a ring, each with an array of D numbers cut into N chunks. In the
first N - 1 steps (reduce-scatter) each sends one chunk to its right neighbour, which
adds it to its own: afterwards each holds one chunk of the whole sum. In the next N - 1
(all-gather) the finished chunks go round once more. Each replica sends about 2 (N-1)/N
D numbers, however many there are (Patarasuk & Yuan 2009; Gibiansky 2017).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError

REDUCE_SCATTER, ALL_GATHER = "reduce-scatter", "all-gather"


@dataclass(frozen=True, slots=True)
class Send:
    """One chunk on its way from one replica to its right neighbour.

    Attributes:
        step: 0 to 2 (N - 1) - 1; all sends of a step happen at once.
        phase: "reduce-scatter" (the receiver adds) or "all-gather" (it replaces).
        source: rank of the sender.
        target: rank of the receiver, ``(source + 1) % N``.
        chunk: which chunk.
        elements: how many numbers are in it.
    """

    step: int
    phase: str
    source: int
    target: int
    chunk: int
    elements: int


def chunks(size: int, elements: int) -> tuple[slice, ...]:
    """Cut ``elements`` numbers into ``size`` chunks that differ by one at most.

    >>> [c.stop - c.start for c in chunks(4, 10)]
    [3, 3, 2, 2]
    """
    _require(size, elements)
    least, longer = divmod(elements, size)
    ends = [least * k + min(k, longer) for k in range(size + 1)]
    return tuple(slice(a, b) for a, b in pairwise(ends))


def steps(size: int, elements: int) -> tuple[tuple[Send, ...], ...]:
    """List the 2 (N - 1) steps of N sends each.

    Args:
        size: N, how many replicas.
        elements: D, how many numbers each brings.

    >>> [(s.source, s.target, s.chunk) for s in steps(3, 6)[0]]
    [(0, 1, 0), (1, 2, 1), (2, 0, 2)]
    >>> len(steps(3, 6)), steps(3, 6)[2][0].phase
    (4, 'all-gather')
    """
    cut = [c.stop - c.start for c in chunks(size, elements)]
    found = []
    for step in range(2 * (size - 1)):
        scatter = step < size - 1
        # In the second half a replica starts from the chunk that it has finished.
        lead = -step if scatter else size - step
        phase = REDUCE_SCATTER if scatter else ALL_GATHER
        moves = [(rank, (rank + lead) % size) for rank in range(size)]
        found.append(
            tuple(Send(step, phase, r, (r + 1) % size, k, cut[k]) for r, k in moves)
        )
    return tuple(found)


def states(arrays: Sequence[Any]) -> Iterator[tuple[tuple[Send, ...], list[Any]]]:
    """Run the ring, and show what every replica holds after each step.

    Args:
        arrays: what each replica brings, all of one shape and dtype.

    Yields:
        the sends of the step, and the replicas' flat arrays (D,) after it: live
        buffers, to be read before the next step.

    Raises:
        ShapeError: if shapes or dtypes differ.

    >>> for sends, held in states([np.array([1, 2]), np.array([10, 20])]):
    ...     print(sends[0].phase, [a.tolist() for a in held])
    reduce-scatter [[1, 22], [11, 20]]
    all-gather [[11, 22], [11, 22]]
    """
    held = [np.array(a).reshape(-1) for a in arrays]
    kinds = {(np.shape(a), b.dtype) for a, b in zip(arrays, held, strict=True)}
    if len(kinds) > 1:
        kinds_seen = ", ".join(f"{np.shape(a)} {np.asarray(a).dtype}" for a in arrays)
        raise ShapeError(
            f"ring: the replicas bring {kinds_seen}; "
            "one shape and one dtype are required."
        )
    size, elements = len(held), held[0].size if held else 0
    cut = chunks(size, elements)
    for sends in steps(size, elements):
        parcels = [held[s.source][cut[s.chunk]].copy() for s in sends]
        for s, parcel in zip(sends, parcels, strict=True):
            place = held[s.target][cut[s.chunk]]
            if s.phase == REDUCE_SCATTER:
                place += parcel
            else:
                place[...] = parcel
        yield sends, held


def all_reduce(arrays: Sequence[Any]) -> tuple[list[np.ndarray], list[int]]:
    """Sum arrays around the ring, and count what each replica sends.

    The order of each sum is fixed by the ring, so the result has the same bits whenever
    and wherever it is computed, and the same on every replica.

    Args:
        arrays: what each replica brings, all of one shape and dtype.

    Returns:
        what each replica ends with, and how many numbers each has sent.

    Raises:
        ShapeError: if shapes or dtypes differ.

    >>> sums, counted = all_reduce([np.arange(4.0), np.ones(4)])
    >>> sums[0].tolist(), counted
    ([1.0, 2.0, 3.0, 4.0], [4, 4])
    """
    counted = [0] * len(arrays)
    held = [np.array(a).reshape(-1) for a in arrays]
    for sends, held_now in states(arrays):
        held = held_now
        for s in sends:
            counted[s.source] += s.elements
    shape = np.shape(arrays[0]) if arrays else ()
    return [a.reshape(shape) for a in held], counted


def sent(size: int, elements: int, rank: int) -> int:
    """Count exactly what one replica sends: 2D less the two chunks that it need not.

    >>> [sent(4, 8, rank) for rank in range(4)], [sent(4, 10, r) for r in range(4)]
    ([12, 12, 12, 12], [15, 16, 15, 14])
    """
    if size == 1:
        return 0
    cut = [c.stop - c.start for c in chunks(size, elements)]
    return 2 * elements - cut[(rank + 1) % size] - cut[(rank + 2) % size]


def formula(size: int, elements: int) -> Fraction:
    """2 (N-1)/N D, exactly: what each replica sends if N divides D, else their mean.

    >>> formula(4, 8), formula(4, 10)
    (Fraction(12, 1), Fraction(15, 1))
    """
    _require(size, elements)
    return Fraction(2 * (size - 1) * elements, size)


def _require(size: int, elements: int) -> None:
    if size < 1 or elements < 0:
        raise RangeError(
            f"ring: size is {size} and elements is {elements}; "
            "at least 1 replica and 0 elements are required."
        )
