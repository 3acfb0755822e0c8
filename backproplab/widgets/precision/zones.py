"""The zones of a format by size: what becomes zero, subnormal, normal, infinite."""

from dataclasses import dataclass
from html import escape
from math import inf, log2

from ...formats import Format
from ..panels import Panel

LOST, SUBNORMAL, NORMAL, BEYOND = "lost", "subnormal", "normal", "beyond"


@dataclass(frozen=True, slots=True)
class Zone:
    """All sizes that a format treats alike.

    Attributes:
        kind: "lost", "subnormal", "normal" or "beyond".
        words: what happens to a number there.
        low: log2 of the smallest size; minus infinity where all is lost.
        high: log2 of the size where the next zone begins.
    """

    kind: str
    words: str
    low: float
    high: float


def zones(fmt: Format) -> tuple[Zone, ...]:
    """The four zones, smallest sizes first, for rounding to nearest.

    Half the smallest subnormal number is still rounded to zero (a tie, to even).

    >>> from backproplab import formats
    >>> [(z.kind, round(z.high, 2)) for z in zones(formats.get("float16"))]
    [('lost', -25.0), ('subnormal', -14.0), ('normal', 16.0), ('beyond', inf)]
    """
    ends = (
        log2(fmt.min_subnormal) - 1,
        log2(fmt.min_normal),
        log2(fmt.overflow_threshold),
    )
    end = {"inf": "infinity", "nan": "NaN", "saturate": "max"}[fmt.default_overflow]
    return (
        Zone(LOST, "becomes 0", -inf, ends[0]),
        Zone(SUBNORMAL, "subnormal: bits are lost", ends[0], ends[1]),
        Zone(NORMAL, "normal: all bits", ends[1], ends[2]),
        Zone(BEYOND, f"becomes {end}", ends[2], inf),
    )


def shade(panel: Panel, fmt: Format, *, row: int = 0) -> None:
    """Shade and label the zones in a panel whose x axis is log2 of a size.

    Args:
        panel: drawn on later; what was drawn before lies below.
        fmt: whose zones.
        row: lines below the top where the words stand.
    """
    (left, right), (width, height) = panel.ranges[0], panel.size
    for zone in zones(fmt):
        a, b = (
            (min(max(v, left), right) - left) / (right - left) * width
            for v in (zone.low, zone.high)
        )
        if b - a < 1:
            continue
        panel.drawn.append(
            f'<g class="zone {zone.kind}"><title>{escape(zone.words)}</title>'
            f'<rect x="{a:.1f}" y="0" width="{b - a:.1f}" height="{height:g}"/>'
            + _words(zone, (a + b) / 2, b - a, 14 + 15 * row)
            + "</g>"
        )


def _words(zone: Zone, x: float, room: float, y: float) -> str:
    short = zone.words.split(":")[0].removeprefix("becomes ")
    for text in (zone.words, short):
        if 6.2 * len(text) < room:
            return (
                f'<text class="label" x="{x:.1f}" y="{y:g}" text-anchor="middle">'
                f"{escape(text)}</text>"
            )
    return ""
