"""Collects figures while rows are raced, and lays them out as Markdown."""

import ctypes
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .measure import Race
from .peers import AUTOGRAD, HAND, JAX, MISSING, MYGRAD, OURS, STUDENT, TORCH, versions
from .targets import NOISE, Figure

COLUMNS = (HAND, STUDENT, TORCH, JAX, MYGRAD, AUTOGRAD)


@dataclass
class Report:
    """All figures of a run.

    Attributes:
        rows: of the first table: (row, our seconds, A/A, figures by competitor).
        figures: everything that has a target or might have.
        notes: (what, how much), without a target.
        kernels: of the last tables: Markdown by workload.
    """

    rows: list[tuple[str, float, float, dict[str, Figure]]] = field(
        default_factory=list
    )
    figures: list[Figure] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)

    def add_race(self, row: str, race: Race, ours: str = OURS) -> None:
        """Take in a row of the first table."""
        figures = {
            name: Figure(row, name, race.ratio(ours, name))
            for name in COLUMNS
            if name in race.seconds
        }
        self.rows.append((row, race.time(ours), race.noise(OURS), figures))
        self.figures += figures.values()

    def add(self, row: str, against: str, measured: float) -> None:
        """Take in a single ratio."""
        self.figures.append(Figure(row, against, measured))

    def missed(self) -> list[str]:
        """Say which targets are missed, in a line each."""
        missed = [f"{f.row} / {f.against}: {f}" for f in self.figures if f.missed]
        noisy = [
            f"{row}: A/A reads {noise:.3f}"
            for row, _, noise, _ in self.rows
            if abs(noise - 1) > NOISE
        ]
        return missed + noisy

    def markdown(self) -> str:
        """Write all tables."""
        parts = [self._heading(), self._races(), self._others(), *self.kernels]
        targets = [f for f in self.figures if f.at_most is not None]
        met = sum(not f.missed for f in targets)
        parts.append(f"{met} of {len(targets)} targets met. Missed, or too noisy:\n")
        parts[-1] += "\n".join(f"- {line}" for line in self.missed()) or "- none"
        return "\n\n".join(parts) + "\n"

    def _heading(self) -> str:
        missing = f" Missing: {', '.join(MISSING)}." if MISSING else ""
        return (
            "# Speed and memory\n\n"
            f"{versions()}; Python {platform.python_version()}; NumPy's BLAS: {blas()}."
            f"{missing}\n\nA whole training step: forward, backward, SGD; fp32, one "
            "thread, CPU time. Cells: our time over theirs, median of paired ratios; "
            "below 1 we are faster. *hand*: NumPy by hand, preallocated; *student*: "
            "the same with fresh arrays. A/A: ours over ours, which shows the noise."
        )

    def _races(self) -> str:
        rows = [
            [
                row,
                duration(seconds),
                *(str(figures.get(name, "")) for name in COLUMNS),
                f"{noise:.3f}" + (" noisy" if abs(noise - 1) > NOISE else ""),
            ]
            for row, seconds, noise, figures in self.rows
        ]
        return table(["step", "ours", *(f"÷ {c}" for c in COLUMNS), "A/A"], rows)

    def _others(self) -> str:
        in_races = {id(f) for *_, figures in self.rows for f in figures.values()}
        rows = [
            [f"{f.row} ÷ {f.against}", str(f)]
            for f in self.figures
            if id(f) not in in_races
        ]
        return table(["besides", "measured"], rows + [list(n) for n in self.notes])


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Lay out a Markdown table that can be read as text too.

    >>> print(table(["op", "us"], [["tanh", "3"]]))
    | op   | us |
    |------|----|
    | tanh | 3  |
    """
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def duration(seconds: float) -> str:
    """Write a time with three figures.

    >>> duration(0.0123), duration(2.5e-5)
    ('12.3 ms', '25.0 us')
    """
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def blas() -> str:
    """Ask NumPy's own OpenBLAS which kernels it chose; other builds do not tell."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in folder.glob("*openblas*"):
        core = ctypes.CDLL(str(path)).scipy_openblas_get_corename64_
        core.restype = ctypes.c_char_p
        return f"OpenBLAS, {core().decode()} kernels"
    return "unknown"
