"""Numbers as a learner types them, read exactly: ``0.1`` is one tenth, not a float."""

import ast
import re
from fractions import Fraction
from math import copysign, inf, isinf, isnan, nan, nextafter
from typing import TypeAlias

import numpy as np

from ...errors import RangeError

Exact: TypeAlias = Fraction | float  # a float only for inf, NaN and minus zero

_NAMES = {"inf": inf, "infinity": inf, "∞": inf, "nan": nan}
_SIGNS = {"^": "**", "−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "∞": "inf"}
_LONG = 60  # characters
_BITS = 1000  # of a numerator or denominator: then float64 does not overflow
_HELP = "type a number such as `0.1`, `1/3`, `65520`, `2^-25`, `-inf` or `nan`."


def read(text: str) -> Exact:
    """Read a number, a fraction or a small calculation with + - * / ^ and brackets.

    Raises:
        RangeError: if it is none of these, or too long to be held exactly.

    >>> read("1/3"), read("0.1"), read("2^-3"), read("-0"), read("-inf")
    (Fraction(1, 3), Fraction(1, 10), Fraction(1, 8), -0.0, -inf)
    """
    clean = text.strip().lower()
    for sign, plain in _SIGNS.items():
        clean = clean.replace(sign, plain)
    if not clean:
        raise RangeError("No number was typed.", help=_HELP)
    if len(clean) > _LONG:
        raise RangeError(
            f"The number has {len(clean)} characters; at most {_LONG} are read.",
            help=_HELP,
        )
    try:
        return _Reader(clean).value()
    except (SyntaxError, ValueError):
        raise RangeError(f"`{text.strip()}` is not a number.", help=_HELP) from None
    except ZeroDivisionError:
        raise RangeError(f"`{text.strip()}` divides by zero.", help=_HELP) from None
    except OverflowError:
        raise RangeError(
            f"`{text.strip()}` has more than {_BITS} bits when written out.", help=_HELP
        ) from None


def write(x: float) -> str:
    """Write a float so that ``read`` gives exactly it back.

    >>> write(0.0999755859375), write(2.0**-24), write(-0.0), write(3.0)
    ('0.0999755859375', '1 * 2^-24', '-0', '3')
    """
    if isinf(x) or isnan(x):
        return str(x)
    text = f"{x:.17g}"
    if len(text) <= 16 and Fraction(text) == Fraction(x):
        return text
    top, bottom = x.as_integer_ratio()
    power = 1 - bottom.bit_length()
    while top % 2 == 0:
        top, power = top // 2, power + 1
    return f"{top} * 2^{power}"


def to_odd(x: Exact) -> float:
    """Round to float64 so that rounding once more to fewer bits errs but once.

    What float64 cannot hold goes to the neighbour whose last bit is 1 (Boldo and
    Melquiond 2008, Emulation of FMA and correctly rounded sums).

    >>> to_odd(Fraction(1, 4)), to_odd(Fraction(1) + Fraction(1, 2**60)) > 1.0
    (0.25, True)
    """
    if isinstance(x, float):
        return x
    near = x.numerator / x.denominator
    if Fraction(near) == x or np.float64(near).view(np.uint64) & np.uint64(1):
        return near
    return nextafter(near, inf if x > Fraction(near) else -inf)


class _Reader:
    """Walks the syntax tree; whatever is not named here is refused."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self) -> Exact:
        return self._of(ast.parse(self.text, mode="eval").body)

    def _of(self, node: ast.expr) -> Exact:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self._plain(node)
        if isinstance(node, ast.Name) and node.id in _NAMES:
            return _NAMES[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            x = self._of(node.operand)
            return x if isinstance(node.op, ast.UAdd) else (-x if x else -0.0)
        if isinstance(node, ast.BinOp):
            return _limited(
                _applied(node.op, self._of(node.left), self._of(node.right))
            )
        raise ValueError

    def _plain(self, node: ast.Constant) -> Exact:
        if isinstance(node.value, int):
            return _limited(Fraction(node.value))
        written = ast.get_source_segment(self.text, node) or ""
        power = re.search(r"e([+-]?\d+)$", written.replace("_", ""))
        if power and abs(int(power[1])) > 300:
            raise OverflowError
        return _limited(Fraction(written))


def _applied(op: ast.operator, a: Exact, b: Exact) -> Exact:
    """Calculate exactly; with infinities, as floats do."""
    if isinstance(op, ast.Pow):
        if isinstance(b, float) and b:
            raise ValueError
        if isinstance(a, float):
            return Fraction(1) if b == 0 else a ** int(b)
        if Fraction(b).denominator != 1:
            raise ValueError
        long = max(a.numerator.bit_length(), a.denominator.bit_length())
        if long * abs(Fraction(b)) > _BITS:
            raise OverflowError
        return Fraction(a ** int(b))
    if isinstance(op, ast.Div) and b == 0:
        raise ZeroDivisionError
    if isinstance(a, float) or isinstance(b, float):
        a, b = (float(to_odd(v)) for v in (a, b))
    if isinstance(op, ast.Add):
        return a + b
    if isinstance(op, ast.Sub):
        return a - b
    if isinstance(op, ast.Mult):
        return a * b
    if isinstance(op, ast.Div):
        return a / b
    raise ValueError


def _limited(x: Exact) -> Exact:
    """The number, if it is not too long; a finite float becomes a fraction."""
    if isinstance(x, float):
        if isinf(x) or isnan(x) or (x == 0 and copysign(1, x) < 0):
            return x
        return Fraction(x)
    if max(x.numerator.bit_length(), x.denominator.bit_length()) > _BITS:
        raise OverflowError
    return x
