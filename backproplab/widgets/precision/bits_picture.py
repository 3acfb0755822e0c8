"""The picture of one number in a format: its bits, its neighbours, its place."""

from fractions import Fraction
from html import escape
from math import copysign, isfinite, log2

import numpy as np

from ..drawing import SHRINK, STATIC, opening
from ..numerals import number
from ..panels import Panel, css
from .bits import Bits, around
from .bits_words import plain
from .number import Exact, to_odd, write
from .zones import shade

WIDTH, LEFT = 860.0, 20.0
_PARTS = ("sign", "exponent", "significand")


def render(bits: Bits, *, alone: bool = False) -> str:
    """Draw the bits as cells, the neighbours on a line, and the format's range.

    Args:
        bits: a stored number.
        alone: carry the style, for a page without the widget.
    """
    style = f"<style>{css()}{own_css()}</style>" if alone else ""
    label = f"{bits.fmt.name}: the bits {bits.code:0{bits.fmt.bits}b}"
    looks, least = " bpl-plot bpl-panels bpl-bits", 0 if alone else SHRINK * WIDTH
    return "".join(
        [
            opening(WIDTH, 342, "group", label, looks, least),
            style,
            '<rect class="bpl-paper" width="100%" height="100%"/>',
            _cells(bits, alive=not alone),
            _line(bits),
            _range(bits),
            "</svg>",
        ]
    )


def own_css() -> str:
    """What the pictures of this lab need beside the style of panels."""
    return STATIC.joinpath("precision.css").read_text("utf-8")


def _cells(bits: Bits, *, alive: bool) -> str:
    fmt = bits.fmt
    wide = min(44.0, (WIDTH - 2 * LEFT - 16) / fmt.bits)
    parts, x = [], LEFT
    sizes = (1, fmt.exponent_bits, fmt.precision - 1)
    place = fmt.bits
    for name, size in zip(_PARTS, sizes, strict=True):
        start = x
        for _ in range(size):
            place -= 1
            one = bits.code >> place & 1
            parts.append(_cell(x, wide, name, place, one, alive))
            x += wide
        if size:
            parts.append(_brace(name, start, x, bits))
        x += 8
    return "".join(parts)


def _cell(x: float, wide: float, part: str, place: int, one: int, alive: bool) -> str:
    label = f"{part} bit, place {place}"
    pressed = (
        f' data-press="{place}" tabindex="0" role="switch" aria-label="{label}" '
        f'aria-checked="{"true" if one else "false"}"'
    )
    return (
        f'<g class="bit {part} {"one" if one else "nought"}"{pressed if alive else ""}>'
        f"<title>{label}{': press to flip it' if alive else ''}</title>"
        f'<rect x="{x + 1:.1f}" y="30" width="{wide - 2:.1f}" height="42" rx="4"/>'
        f'<text x="{x + wide / 2:.1f}" y="56" text-anchor="middle">{one}</text></g>'
    )


def _brace(part: str, start: float, end: float, bits: Bits) -> str:
    now = {
        "sign": "−" if bits.sign else "+",
        "exponent": f"e = {bits.exponent}",
        "significand": f"f = {bits.significand}",
    }[part]
    short = {"significand": "f", "exponent": "e"}
    name = part if 7.7 * len(part) < end - start or part == "sign" else short[part]
    middle = (start + end) / 2
    left = part == "sign"
    at = f'x="{start + 1 if left else middle:.1f}"'
    anchor = "" if left else ' text-anchor="middle"'
    return (
        f'<g class="part {part}"><path d="M{start + 2:.1f},78H{end - 2:.1f}"/>'
        f'<text class="name" {at} y="20"{anchor}>{name}</text>'
        f'<text class="tick" {at} y="94"{anchor}>{now}</text></g>'
    )


def _line(bits: Bits) -> str:
    """The grid around the stored number, and where the typed one lies."""
    points = around(bits)
    if not points:
        return _note(160, "NaN lies nowhere on the line of numbers.")
    gap = max(np.diff(points))
    low, high = points[0] - gap / 2, points[-1] + gap / 2
    edge = 0.0
    if bits.kind == "infinity":
        edge = copysign(bits.fmt.overflow_threshold, bits.stored)
        low, high = min(low, edge - gap), max(high, edge + gap)

    def across(v: float) -> float:
        return LEFT + 10 + (v - low) / (high - low) * (WIDTH - 2 * LEFT - 20)

    digits = _digits(points)
    parts = [_note(122, "The numbers next to it"), '<g class="grid-line">']
    parts.append(f'<path class="frame" d="M{LEFT},165H{WIDTH - LEFT}"/>')
    for v in points:
        here = v == bits.stored
        parts.append(
            f'<g class="point{" stored" if here else ""}">'
            f'<path d="M{across(v):.1f},{155 if here else 159}v{20 if here else 12}"/>'
            f'<text class="tick" x="{across(v):.1f}" y="190" text-anchor="middle">'
            f"{escape(_tick(v, digits))}</text></g>"
        )
    if edge:
        parts.append(
            f'<g class="point edge"><path d="M{across(edge):.1f},150v25"/>'
            f'<text class="tick" x="{across(edge):.1f}" y="206" text-anchor="middle">'
            f"overflow from {escape(plain(edge))}</text></g>"
        )
    parts.append(_typed(bits, across))
    return "".join(parts) + "</g>"


def _digits(points: list[float]) -> int:
    """One digit more than it takes to tell the numbers apart."""
    for digits in range(3, 17):
        if len({number(v, digits) for v in points}) == len(points):
            return digits + 1
    return 17


def _tick(v: float, digits: int) -> str:
    text = plain(v)
    return text if len(text) <= 8 else number(v, digits)


def _typed(bits: Bits, across: object) -> str:
    held = to_odd(bits.typed)
    at = float(np.clip(across(held), LEFT, WIDTH - LEFT))  # type: ignore[operator]
    text = f"typed {_brief(bits.typed)}"
    if at in (LEFT, WIDTH - LEFT):
        text += " (further out)"
    anchor = "start" if at < 200 else "end" if at > WIDTH - 200 else "middle"
    return (
        f'<g class="typed"><path d="M{at:.1f},163l-6,-12h12z"/>'
        f'<text class="label" x="{at:.1f}" y="146" text-anchor="{anchor}">'
        f"{escape(text)}</text></g>"
    )


def _brief(x: Exact) -> str:
    if isinstance(x, Fraction):
        if x.denominator > 1 and len(str(x)) <= 9 and x.denominator & 1:
            return str(x).replace("-", "−")
        return plain(to_odd(x))
    return plain(x) if x else write(x)


def _range(bits: Bits) -> str:
    """Where the number lies among all sizes, zone by zone."""
    fmt = bits.fmt
    low, high = log2(fmt.min_subnormal) - 1, log2(fmt.overflow_threshold)
    pad = max(2.0, 0.15 * (high - low))
    size = (WIDTH - 64 - 20, 44.0)
    panel = Panel(
        f"All sizes that {fmt.name} knows", (low - pad, high + pad), (0, 1), size=size,
        labels=("log2 of the size", ""),
    )  # fmt: skip
    shade(panel, fmt)
    held = abs(to_odd(bits.typed))
    if held > 0 and isfinite(held):
        at = float(np.clip(log2(held), low - 0.97 * pad, high + 0.97 * pad))
        panel.upright(at, "yours", "back", 1)
    # The y axis says nothing here.
    return f'<g class="bpl-flat">{panel.svg(-30, 210)}</g>'


def _note(y: float, text: str) -> str:
    return f'<text class="title" x="{LEFT}" y="{y:g}">{escape(text)}</text>'
