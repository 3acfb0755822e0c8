"""One number in a format, in words and as a formula with its numbers plugged in."""

from math import isfinite, log2

from ..numerals import number
from .bits import Bits


def says(bits: Bits) -> str:
    """Tell what is stored, as a formula with its numbers and in words, as HTML."""
    return (
        f'<div class="bpl-plugged">{_formula(bits)}</div>'
        f"<div>{_kind(bits)} {_neighbours(bits)}</div><div>{_error(bits)}</div>"
    )


def plain(x: float) -> str:
    """Write a number in full where that is short, else with 9 digits.

    >>> plain(0.0999755859375), plain(-0.1), plain(2.0**-24)
    ('0.0999755859375', '−0.1', '5.96046448e−8')
    """
    text = repr(x) if len(repr(abs(x))) <= 15 else f"{x:.9g}"
    head, _, power = text.removesuffix(".0").partition("e")
    text = f"{head}e{int(power)}" if power else head
    return text.replace("-", "−").replace("inf", "∞")


def power_of_two(k: int) -> str:
    """Write 2 to a power as HTML."""
    return f"2<sup>{k}</sup>".replace("-", "−")


def _formula(bits: Bits) -> str:
    fmt, e, f = bits.fmt, bits.exponent, bits.significand
    width = fmt.precision - 1
    digits = f"{f:0{width}b}" if width else ""
    head = f"(−1)<sup>{bits.sign}</sup> × "
    if bits.kind == "NaN":
        rest = "any other" if fmt.has_inf else "all ones"
        return f"exponent all ones, significand {rest}: <b>NaN</b>, not a number"
    if bits.kind == "infinity":
        return (
            f"{head}∞: exponent all ones, significand 0 = <b>{plain(bits.stored)}</b>"
        )
    lead, power = (1, e) if e else (0, 1)
    shown = (
        f"{head}2<sup>{power} − {bits.bias}</sup> × {lead}.{digits or '0'}<sub>2</sub>"
    )
    size = lead + f / 2**width
    return (
        f"{shown} = {'−' if bits.sign else ''}{power_of_two(power - bits.bias)} × "
        f"{plain(size)} = <b>{plain(bits.stored)}</b>"
    )


def _kind(bits: Bits) -> str:
    fmt = bits.fmt
    return {
        "normal": f"Normal: e is not 0, so a hidden 1 stands before the point; the "
        f"bias is {bits.bias}.",
        "subnormal": "Subnormal: e is 0, so the digit before the point is 0 and the "
        f"power stays at 1 − {bits.bias}. Leading zeros are bits that are lost.",
        "zero": "Zero: e and f are 0. It has a sign, too.",
        "infinity": f"Beyond the largest number, {plain(fmt.max)}: from "
        f"{plain(fmt.overflow_threshold)} on, rounding gives infinity.",
        "NaN": "What has no value: 0/0, ∞ − ∞"
        + ("." if fmt.has_inf else f"; here, from {plain(fmt.overflow_threshold)} on."),
    }[bits.kind]


def _neighbours(bits: Bits) -> str:
    if not isfinite(bits.stored):
        return ""
    sides = (
        f"<b>{plain(v)}</b>" if isfinite(v) or bits.fmt.has_inf else "none"
        for v in (bits.below, bits.above)
    )
    return f"Neighbours: {' and '.join(sides)}. Gap (ulp): {_as_power(bits.gap)}."


def _error(bits: Bits) -> str:
    if bits.error is None:
        return "There is no finite error to measure."
    if bits.error == 0:
        return "What you typed is on the grid: <b>error 0</b>."
    error, gap = float(bits.error), bits.gap
    text = f"Stored − typed = <b>{_signed(error)}</b>, {number(abs(error) / gap)} gaps"
    if bits.relative is not None:
        u = bits.fmt.unit_roundoff
        text += (
            f". Relative error {number(bits.relative)} = "
            f"{number(bits.relative / u)} u, where u = {_as_power(u)}"
        )
        if bits.relative > u:
            text += ": more than rounding a normal number ever costs"
    return text + "."


def _signed(x: float) -> str:
    return ("+" if x > 0 else "") + number(x)


def _as_power(x: float) -> str:
    return f"{power_of_two(int(log2(x)))} = {number(x)}"
