"""A small panel with axes: lines, bars and a filled shape by layer, as parts of SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

import numpy as np

from .numerals import number

FEW = 40  # points up to which each has a mark


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle in which x runs over numbers and y over numbers or decades.

    Attributes:
        left: of the plot, in pixels; the labels of its axis stand to the left of it.
        top: of the plot; its title stands above.
        width: in pixels.
        height: in pixels.
        x: least and largest number across.
        y: least and largest number down; powers of ten where ``log``.
        log: whether y runs over decades.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    @property
    def bottom(self) -> float:
        """Lower end of the plot."""
        return self.top + self.height

    def across(self, v: float) -> float:
        """Pixels from the left of the picture."""
        a, b = self.x
        return self.left + self.width * ((v - a) / (b - a) if b > a else 0.5)

    def down(self, v: float) -> float:
        """Pixels from the top, kept within the plot."""
        a, b = self.y
        if self.log:
            v = log10(v) if v > 0 else a
        share = min(max((v - a) / (b - a), 0.0), 1.0) if b > a else 0.5
        return self.bottom - self.height * share

    def frame(self, title: str, x_title: str = "", every: float = 0) -> str:
        """The title, the lines of the grid and their numbers.

        Args:
            title: stands above, from the left.
            x_title: stands below.
            every: distance of the numbers below; as it fits when 0.
        """
        y_ticks = self._powers() if self.log else self._steps()
        parts = [text(self.left, self.top - 8, title, kind="op")]
        for v, label in y_ticks:
            y = self.down(v)
            parts.append(
                f'<path class="grid" d="M{self.left:g},{y:.1f}h{self.width:g}"/>'
            )
            parts.append(text(self.left - 6, y + 4, label, "end"))
        for v in ticks(*self.x, every):
            at = self.across(v)
            parts.append(text(at, self.bottom + 15, f"{v:g}", "middle"))
        if x_title:
            middle = self.left + self.width / 2
            parts.append(text(middle, self.bottom + 30, x_title, "middle"))
        return "".join(parts)

    def _powers(self) -> list[tuple[float, str]]:
        low, high = int(self.y[0]), int(self.y[1])
        step = max(1, ceil((high - low) * 26 / self.height))
        first = low + -low % step
        return [
            (10.0**p, f"{10.0**p:g}" if -3 <= p <= 3 else number(10.0**p))
            for p in range(first, high + 1, step)
        ]

    def _steps(self) -> list[tuple[float, str]]:
        return [(v, f"{v:g}") for v in ticks(*self.y)]

    def line(
        self,
        xs: Iterable[float],
        ys: Sequence[float],
        kind: str,
        label: str,
        mark: str = "",
    ) -> str:
        """One line; what is not finite is a gap, an exact 0 stands at the lower edge.

        Args:
            xs: numbers across.
            ys: numbers down.
            kind: CSS classes.
            label: what the line is, and what its marks show with their number.
            mark: "o" or "d" for a mark at each of few points.
        """
        path, pen, marks = [], "M", []
        few = mark and len(ys) <= FEW
        for x, y in zip(xs, ys, strict=True):
            if not isfinite(y):
                pen = "M"
                continue
            at = f"{self.across(x):.1f},{self.down(y):.1f}"
            path.append(pen + at)
            pen = "L"
            if few or len(ys) == 1:
                marks.append(_mark(mark, at, f"{label}, {x:g}: {number(y)}"))
        return (
            f'<g class="bpl-series {kind}"><title>{escape(label)}</title>'
            f'<path class="line" d="{"".join(path)}"/>{"".join(marks)}</g>'
        )

    def level(self, v: float, kind: str = "one") -> str:
        """A line across at one number."""
        return f'<path class="{kind}" d="M{self.left:g},{self.down(v):.1f}h{self.width:g}"/>'

    def area(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> str:
        """Steps filled down to the lower edge: one for each x, with width 1."""
        if not len(xs):
            return ""
        path = [f"M{self.across(xs[0] - 0.5):.1f},{self.bottom:g}"]
        for x, y in zip(xs, ys, strict=True):
            path.append(f"V{self.down(y):.1f}H{self.across(x + 0.5):.1f}")
        return f'<path class="{kind}" d="{"".join(path)}V{self.bottom:g}Z"/>'


def histogram(
    left: float, top: float, width: float, height: float, a: np.ndarray, kind: str
) -> str:
    """How the entries of an array are spread, from -m to m, with m at its right."""
    a = a[np.isfinite(a)]
    m = float(np.max(np.abs(a), initial=0.0))
    counts, _ = np.histogram(a / m if m else a, bins=25, range=(-1, 1))
    xs = list(range(25))
    most = float(max(counts.max(), 1))
    panel = Panel(left, top, width, height, (-0.5, 24.5), (0.0, most))
    middle = left + width / 2
    return (
        panel.area(xs, counts.tolist(), kind)
        + f'<path class="grid" d="M{left:g},{panel.bottom:g}h{width:g}"/>'
        + f'<path class="axis" d="M{middle:g},{top:g}v{height:g}"/>'
        + text(left + width + 5, panel.bottom, f"±{number(m, 2)}")
    )


def decades(*lines: Sequence[float]) -> tuple[int, int]:
    """Whole powers of ten around all finite numbers above 0.

    >>> decades([0.5, 20.0], [0.0, 3.0])
    (-1, 2)
    """
    logs = [log10(v) for line in lines for v in line if v > 0 and isfinite(v)]
    if not logs:
        return -1, 1
    low, high = floor(min(logs) + 1e-9), ceil(max(logs) - 1e-9)
    return (low, high) if high > low else (low - 1, high + 1)


def ticks(low: float, high: float, every: float = 0) -> list[float]:
    """Round numbers between two ends, about five.

    >>> ticks(1, 30), ticks(0, 1)
    ([10, 20, 30], [0.0, 0.5, 1.0])
    """
    if high <= low:
        return [low]
    if not every:
        rough = (high - low) / 4
        power = 10.0 ** floor(log10(rough))
        every = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
        every = max(every, 1) if high > 2 else every
    first = ceil(low / every - 1e-9)
    return [k * every for k in range(first, floor(high / every + 1e-9) + 1)]


def text(
    x: float, y: float, words: str, anchor: str = "start", kind: str = "tick"
) -> str:
    """A label."""
    place = f'x="{x:g}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words, quote=False)}</text>'


def _mark(mark: str, at: str, title: str) -> str:
    shape = (
        "m0,-5l5,5l-5,5l-5,-5z"
        if mark == "d"
        else "m-4,0a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z"
    )
    return f'<path class="mark" d="M{at}{shape}"><title>{escape(title)}</title></path>'
