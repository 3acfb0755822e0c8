"""How numbers are distributed: one array in a row, and many rows in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

LOWEST, HIGHEST = -60, 20  # powers of two; a bin holds 2^k up to below 2^(k+1)
EDGES = np.arange(LOWEST, HIGHEST + 1)
KEPT = 512  # rows of a history


class Row(NamedTuple):
    """One array in numbers. Mean, std and peak are of what is finite.

    Attributes:
        mean: of the entries.
        std: biased (divides by their number).
        rms: root mean square.
        peak: largest magnitude.
        zeros: share that is exactly 0.
        dead: share of units that are 0 for the whole batch. Units stand on axis 1, in
            (n, t, d) on the last; a single axis has none, and 0 here.
        nonfinite: number of NaN and infinite entries.
        counts: (80,) entries by magnitude, see ``EDGES``; zeros are in no bin, smaller
            and larger ones in the first and the last.
    """

    mean: float
    std: float
    rms: float
    peak: float
    zeros: float
    dead: float
    nonfinite: int
    counts: np.ndarray


def measure(a: Any, *, units: bool = True) -> Row:
    """Measure an array of any shape.

    Args:
        a: the array.
        units: look for dead units too.

    >>> row = measure(np.array([0.0, 3.0, -1.0, np.inf]))
    >>> row.peak, row.zeros, row.nonfinite
    (3.0, 0.25, 1)
    >>> {int(k): int(n) for k, n in zip(EDGES, row.counts) if n}
    {0: 1, 1: 1}
    """
    a = np.asarray(a)
    if a.dtype not in _LAYOUTS:
        a = a.astype(np.float32 if a.dtype == np.float16 else np.float64)
    flat = a.ravel(order="K")
    n = flat.size
    if not n:
        return _EMPTY
    integers, mantissa, bins = _LAYOUTS[flat.dtype]
    every = np.bincount(bins.take(flat.view(integers) >> mantissa), minlength=_BINS + 2)
    counts, small, bad = every[:_BINS], int(every[_BINS]), int(every[_BINS + 1])
    zeros = dead = 0.0
    if small:
        none = n - int(np.count_nonzero(flat))
        counts[0] += small - none
        if none:
            zeros, dead = none / n, _dead(a) if units else 0.0
    if bad:
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return Row(np.nan, np.nan, np.nan, np.nan, zeros, dead, bad, counts)
    peak = max(float(_max(flat)), -float(_min(flat)))
    if flat.dtype == np.float32 and not 1e-12 < peak < 1e15:
        flat = flat.astype(np.float64)  # its squares would leave float32
    scale = 1.0
    if not 1e-140 < peak < 1e140 and peak:
        scale, flat = peak, flat / peak
    m = flat.size
    mean = float(_sum(flat)) / m
    off = flat - flat.dtype.type(mean)
    variance = float(off @ off) / m
    std, rms = scale * variance**0.5, scale * (variance + mean * mean) ** 0.5
    return Row(scale * mean, std, rms, peak, zeros, dead, bad, counts)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One quantity over a training run: what was kept of it, a row a step.

    Attributes:
        name: of the layer or parameter.
        steps: (t,) the steps that the rows are of, 0 the first.
        mean: (t,) as in ``Row``, and so are the following; NaN where nothing came.
        counts: (t, 80) entries by magnitude.
    """

    name: str
    steps: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    rms: np.ndarray
    peak: np.ndarray
    zeros: np.ndarray
    dead: np.ndarray
    nonfinite: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        if not len(self):
            return f"<History of {self.name}, empty>"
        first, last = self.steps[[0, -1]]
        return f"<History of {self.name}, {len(self)} rows, steps {first} to {last}>"


class Store:
    """Rows of many quantities by step; when it is full, every other row goes.

    The distance between kept rows doubles each time: a long run leaves between half of
    ``kept`` and ``kept`` rows, spread evenly over it, whatever its length.

    Args:
        every: distance between steps that are kept, to begin with. Below it, steps 1,
            4, 16, ... are kept too, until the store is full once: training moves
            fastest at first.
        kept: rows at most; at least 2.
    """

    def __init__(self, every: int, kept: int) -> None:
        self.every, self.kept, self._early = every, kept, every
        self.steps: list[int] = []
        self._columns: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        self._numbers: dict[Any, np.ndarray] = {}

    def wants(self, step: int) -> bool:
        """Whether a step is to be measured."""
        early = step < self._early and step in _EARLY
        return early or step % self.every == 0

    def add(self, step: int, rows: dict[Any, Row], numbers: dict[Any, float]) -> None:
        """Keep the rows, and single numbers, of a step."""
        while len(self.steps) >= self.kept:
            self._thin()
        if not self.wants(step):
            return
        t = len(self.steps)
        self.steps.append(step)
        for key, row in rows.items():
            if key not in self._columns:
                bins = len(EDGES) - 1
                self._columns[key] = (
                    np.full((self.kept, 7), np.nan),
                    np.zeros((self.kept, bins), np.uint32),
                )
            values, counts = self._columns[key]
            values[t], counts[t] = row[:7], row.counts
        for key, number in numbers.items():
            if key not in self._numbers:
                self._numbers[key] = np.full(self.kept, np.nan)
            self._numbers[key][t] = number

    def history(self, key: Any, name: str) -> History:
        """What was kept of a quantity."""
        t = len(self.steps)
        values, counts = self._columns[key]
        columns = {f: _frozen(values[:t, k]) for k, f in enumerate(Row._fields[:7])}
        return History(name, _frozen(self.steps), **columns, counts=_frozen(counts[:t]))

    def numbers(self, key: Any) -> np.ndarray:
        """Single numbers, a step each."""
        return _frozen(self._numbers[key][: len(self.steps)])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._columns)

    @property
    def numbered(self) -> list[Any]:
        """What single numbers were kept of."""
        return list(self._numbers)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, filled or not: it grows with the quantities alone."""
        tables = [a for pair in self._columns.values() for a in pair]
        return sum(a.nbytes for a in [*tables, *self._numbers.values()])

    def _thin(self) -> None:
        self.every, self._early = 2 * self.every, 0
        stay = [i for i, step in enumerate(self.steps) if step % self.every == 0]
        self.steps = [self.steps[i] for i in stay]
        t = len(stay)
        for values, counts in self._columns.values():
            values[:t], counts[:t] = values[stay], counts[stay]
            values[t:], counts[t:] = np.nan, 0
        for numbers in self._numbers.values():
            numbers[:t] = numbers[stay]
            numbers[t:] = np.nan


def added(a: Row, b: Row, n: int, m: int) -> Row:
    """The row of two arrays of ``n`` and ``m`` entries as if they were one.

    >>> x, y = np.arange(4.0), np.ones(2)
    >>> both = added(measure(x), measure(y), 4, 2)
    >>> whole = measure(np.concatenate([x, y]))
    >>> bool(np.allclose(both[:5], whole[:5]))
    True
    """
    p, q = n - a.nonfinite, m - b.nonfinite
    if not p or not q:
        keep = a if p else b
        mean, std, rms, peak = keep.mean, keep.std, keep.rms, keep.peak
    else:
        mean = (p * a.mean + q * b.mean) / (p + q)
        rms = ((p * a.rms**2 + q * b.rms**2) / (p + q)) ** 0.5
        apart = p * (a.mean - mean) ** 2 + q * (b.mean - mean) ** 2
        std = ((p * a.std**2 + q * b.std**2 + apart) / (p + q)) ** 0.5
        peak = max(a.peak, b.peak)
    return Row(
        mean, std, rms, peak,
        (n * a.zeros + m * b.zeros) / (n + m),
        min(a.dead, b.dead),  # a unit that lives once is not dead
        a.nonfinite + b.nonfinite,
        a.counts + b.counts,
    )  # fmt: skip


_max, _min, _sum = np.maximum.reduce, np.minimum.reduce, np.add.reduce
_BINS = len(EDGES) - 1
_EARLY = frozenset(4**k for k in range(16))
_EMPTY = Row(np.nan, np.nan, np.nan, np.nan, 0.0, 0.0, 0, np.zeros(_BINS, int))


def _bins(exponent: int) -> np.ndarray:
    """The bin of each pattern of sign and exponent, by which a float's bits begin.

    Two bins follow those of ``EDGES``: zero or subnormal, and not finite.
    """
    field = np.arange(1 << exponent)
    one = (1 << exponent - 1) - 1  # the field of numbers from 1 to below 2
    bins = np.clip(field - one - LOWEST, 0, _BINS - 1)
    bins[0], bins[-1] = _BINS, _BINS + 1
    return np.tile(bins, 2).astype(np.intp)


# dtype: (the unsigned integers of that size, bits of the mantissa, bins)
_LAYOUTS: dict[Any, tuple[Any, Any, np.ndarray]] = {
    np.dtype(np.float32): (np.uint32, np.uint32(23), _bins(8)),
    np.dtype(np.float64): (np.uint64, np.uint64(52), _bins(11)),
}


def _dead(a: np.ndarray) -> float:
    if a.ndim < 2:
        return 0.0
    units = 2 if a.ndim == 3 else 1
    other = tuple(k for k in range(a.ndim) if k != units)
    none = _max(a, axis=other) == 0
    if none.any():
        none &= _min(a, axis=other) == 0
    return float(np.count_nonzero(none)) / none.size


def _frozen(a: Any) -> np.ndarray:
    a = np.array(a)
    a.flags.writeable = False
    return a
