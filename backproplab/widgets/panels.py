"""Small plots side by side as SVG: axes, lines, dots and stems of the labs."""

from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10
from typing import Any

import numpy as np

from .drawing import SHRINK, STATIC, opening
from .numerals import number

LETTER = 6.1  # width of one in a label
LEFT, RIGHT, TOP, BOTTOM = 50.0, 14.0, 44.0, 36.0  # around a plot


class Panel:
    """One plot. What is outside its ranges is cut off; what is not finite, left out.

    Args:
        title: what it shows.
        x: range from left to right.
        y: range from bottom to top.
        size: of the plot in pixels, without what stands around it.
        log: whether x, and whether y, are on a log scale.
        labels: of the two axes.

    >>> panel = Panel("a line", (0, 1), (0, 10))
    >>> panel.line([0, 1], [0, 10], "forth", "rises")
    >>> sheet([[panel]], "a rising line")[:4]
    '<svg'
    """

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        size: tuple[float, float] = (270.0, 180.0),
        log: tuple[bool, bool] = (False, False),
        labels: tuple[str, str] = ("", ""),
    ) -> None:
        self.title, self.ranges, self.size, self.log = title, (x, y), size, log
        self.labels = labels
        self.drawn: list[str] = []
        self._key: list[tuple[str, str]] = []
        self._marks: list[tuple[float, str, int]] = []

    @property
    def whole(self) -> tuple[float, float]:
        """Width and height with everything around."""
        return LEFT + self.size[0] + RIGHT, TOP + self.size[1] + BOTTOM

    def line(
        self, x: Any, y: Any, kind: str, label: str = "", *, marks: bool = False
    ) -> None:
        """Draw a line, in pieces where it is not finite."""
        points = self._points(x, y)
        path = "".join("M" + "L".join(piece) for piece in _pieces(points))
        dots = self._dotted(points, "spots") if marks else ""
        self._add(kind, f'<path class="line" d="{path}"/>{dots}' if path else "", label)

    def dots(self, x: Any, y: Any, kind: str, label: str = "") -> None:
        """Draw a dot for each pair."""
        self._add(kind, self._dotted(self._points(x, y), "dots"), label)

    def stems(self, x: Any, y: Any, kind: str, label: str = "") -> None:
        """Draw bars that stand on zero."""
        base = self._points(x, np.zeros(np.shape(x)))
        pairs = zip(base, self._points(x, y), strict=True)
        path = "".join(f"M{a}L{b}" for a, b in pairs if a and b)
        self._add(kind, f'<path class="stems" d="{path}"/>', label)

    def curves(self, curves: Iterable[Any], kind: str) -> None:
        """Draw many thin lines, each an array (n, 2)."""
        paths = ("M" + "L".join(filter(None, self._points(*c.T))) for c in curves)
        self._add(f"{kind} thin", f'<path class="line" d="{"".join(paths)}"/>', "")

    def upright(self, x: float, text: str, kind: str = "ink", row: int = 0) -> None:
        """Mark a place on the x axis, with words ``row`` lines below the top."""
        (at,) = self._across([x])
        if not 0 <= at <= self.size[0]:
            return
        path = f"M{at:.1f},0V{self.size[1]:g}"
        self._add(kind, f'<path class="line" d="{path}"/>', "")
        self._marks.append((float(at), text, row))

    def words(self, x: float, y: float, text: str) -> None:
        """Write beside a place."""
        (u,), (v,) = self._across([x]), self._down([y])
        if np.isfinite(u) and np.isfinite(v):
            at = f'x="{u + 7:.1f}" y="{v - 7:.1f}"'
            self._add("ink", f'<text class="label" {at}>{escape(text)}</text>', "")

    def level(self, y: float, kind: str = "soft", label: str = "") -> None:
        """Mark a place on the y axis."""
        (at,) = self._down([y])
        path = f"M0,{at:.1f}H{self.size[0]:g}"
        self._add(kind, f'<path class="line" d="{path}"/>', label)

    def svg(self, x: float, y: float) -> str:
        """Write the plot with its upper left corner at (x, y)."""
        w, h = self.size
        return (
            f'<g class="bpl-panel" transform="translate({x + LEFT:g},{y + TOP:g})">'
            f'<text class="title" x="0" y="-26">{escape(self.title)}</text>'
            f"{self._legend()}{self._ticks()}"
            f'<text class="tick" x="{w / 2:g}" y="{h + 31:g}" text-anchor="middle">'
            f"{escape(self.labels[0])}</text>"
            f'<text class="tick" x="{w:g}" y="-26" text-anchor="end">'
            f"{escape(self.labels[1])}</text>"
            f'<svg width="{w:g}" height="{h:g}">{"".join(self.drawn)}'
            f"{self._marked()}</svg>"
            f'<path class="frame" d="M0,0V{h:g}H{w:g}"/></g>'
        )

    def _add(self, kind: str, drawn: str, label: str) -> None:
        self.drawn.append(f'<g class="{kind}">{drawn}</g>')
        if label:
            self._key.append((kind, label))

    def _marked(self) -> str:
        """Write the words of the upright lines above all lines, clear of the others."""
        parts = []
        for at, text, row in self._marks:
            wide = 8 + LETTER * len(text)
            others = [x for x, _, _ in self._marks if x != at]
            right = sum(at < x < at + wide for x in others)
            left = sum(at - wide < x < at for x in others)
            right += 9 * (at + wide > self.size[0])
            left += 9 * (at < wide)
            if (right, at) < (left, self.size[0] * 0.6):
                place = f'x="{at + 5:.1f}" y="{14 + 15 * row}"'
            else:
                place = f'x="{at - 5:.1f}" y="{14 + 15 * row}" text-anchor="end"'
            parts.append(f'<text class="label" {place}>{escape(text)}</text>')
        return "".join(parts)

    def _legend(self) -> str:
        parts, x = [], 0.0
        for kind, label in self._key:
            parts.append(
                f'<g class="{kind}"><path class="line" d="M{x:g},-11h20"/></g>'
                f'<text class="tick" x="{x + 25:g}" y="-7">{escape(label)}</text>'
            )
            x += 38 + LETTER * len(label)
        return "".join(parts)

    def _ticks(self) -> str:
        w, h = self.size
        (x, y), (log_x, log_y) = self.ranges, self.log
        parts = []
        for v, at in _placed(ticks(*x, log_x, 6), self._across):
            parts.append(
                f'<path class="grid" d="M{at:.1f},0V{h:g}"/><text class="tick" '
                f'x="{at:.1f}" y="{h + 16:g}" text-anchor="middle">{tick(v)}</text>'
            )
        for v, at in _placed(ticks(*y, log_y, 5), self._down):
            parts.append(
                f'<path class="grid" d="M0,{at:.1f}H{w:g}"/><text class="tick" '
                f'x="-6" y="{at + 4:.1f}" text-anchor="end">{tick(v)}</text>'
            )
        return "".join(parts)

    def _across(self, x: Any) -> Any:
        return _share(x, self.ranges[0], self.log[0]) * self.size[0]

    def _down(self, y: Any) -> Any:
        return (1 - _share(y, self.ranges[1], self.log[1])) * self.size[1]

    def _points(self, x: Any, y: Any) -> list[str]:
        """Places as text; empty where one is not finite."""
        u, v = self._across(x), self._down(y)
        good = np.isfinite(u) & np.isfinite(v)
        # Far outside is outside enough: keep the numbers short.
        u = np.clip(np.where(good, u, 0.0), -2e3, 3e3).tolist()
        v = np.clip(np.where(good, v, 0.0), -2e3, 3e3).tolist()
        return [
            f"{a:.1f},{b:.1f}" if ok else ""
            for a, b, ok in zip(u, v, good.tolist(), strict=True)
        ]

    def _dotted(self, points: Sequence[str], kind: str) -> str:
        path = "".join(f"M{p}h0" for p in points if p)
        return f'<path class="{kind}" d="{path}"/>'


def sheet(rows: Sequence[Sequence[Panel]], label: str, *, alone: bool = False) -> str:
    """Put panels side by side, row below row.

    Args:
        rows: the panels.
        label: what the picture shows, for those who hear it.
        alone: carry the style, for a page without the widget.
    """
    width = max(sum(p.whole[0] for p in row) for row in rows)
    height = sum(max(p.whole[1] for p in row) for row in rows)
    parts = [
        opening(
            width,
            height,
            "img",
            label,
            " bpl-plot bpl-panels",
            0 if alone else SHRINK * width,
        ),
        f"<style>{css()}</style>" if alone else "",
        '<rect class="bpl-paper" width="100%" height="100%"/>',
    ]
    y = 0.0
    for row in rows:
        x = 0.0
        for panel in row:
            parts.append(panel.svg(x, y))
            x += panel.whole[0]
        y += max(p.whole[1] for p in row)
    return "".join([*parts, "</svg>"])


def css() -> str:
    """The style of panels, with the colours of the house."""
    names = ("graph.css", "panels.css")
    return "\n".join(STATIC.joinpath(name).read_text("utf-8") for name in names)


def ticks(low: float, high: float, log: bool, most: int) -> list[float]:
    """Round numbers between two ends, at most ``most`` or so.

    >>> ticks(0.0, 10.0, False, 5), ticks(0.001, 10.0, True, 3)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.001, 0.1, 10.0])
    >>> ticks(1.5, 40.0, True, 5)
    [2.0, 5.0, 10.0, 20.0]
    """
    low, high = min(low, high), max(low, high)
    if log:
        first, last = round(log10(low) + 0.499), floor(log10(high) + 1e-9)
        if last - first < 2:
            near = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
            return [v for v in near if low * 0.999 <= v <= high * 1.001]
        every = max(1, -(-(last - first + 1) // most))
        return [10.0**power for power in range(first, last + 1, every)]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = power * next(s for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first = -floor(-(low / step) + 1e-9)
    return [step * k for k in range(first, floor(high / step + 1e-9) + 1)]


def tick(v: float) -> str:
    """Write a round number."""
    v = float(f"{v:.6g}")
    return number(v, 6) if 1e-3 <= abs(v) < 1e5 or v == 0 else number(v)


def around(*arrays: Any, least: float = 1.0, pad: float = 0.08) -> tuple[float, float]:
    """A range that holds all finite numbers, with some air."""
    flat = np.concatenate([np.ravel(a) for a in arrays])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return -least, least
    low, high = float(flat.min()), float(flat.max())
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return low - pad * (high - low), high + pad * (high - low)


def _placed(values: Sequence[float], place: Any) -> list[tuple[float, float]]:
    return list(zip(values, map(float, place(values)), strict=True))


def _share(v: Any, ends: tuple[float, float], log: bool) -> np.ndarray:
    a = np.asarray(v, float)
    low, high = ends
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            a = np.log10(a)
        low, high = log10(low), log10(high)
    with np.errstate(over="ignore", invalid="ignore"):
        return (a - low) / (high - low)


def _pieces(points: Sequence[str]) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for point in points:
        if point:
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
