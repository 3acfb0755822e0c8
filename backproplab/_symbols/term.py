r"""How formulas are put together on paper: numbers, sums, products, fractions, powers.

Nothing is computed here but with the numbers that a formula writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, log, pi

# How tightly a piece of TeX holds together: what is looser gets parentheses.
RELATION, BIG_SUM, SUM, PRODUCT, FRACTION, POWER, ATOM = range(7)

_RELATIONS = {
    "greater": ">", "greater_equal": r"\ge", "less": "<", "less_equal": r"\le",
    "equal": "=", "not_equal": r"\ne", "logical_and": r"\wedge", "logical_or": r"\vee",
    "bitwise_and": r"\wedge", "bitwise_or": r"\vee",
}  # fmt: skip
_CONSTANTS = {
    pi: r"\pi", pi / 2: r"\frac{\pi}{2}", pi**0.5: r"\sqrt{\pi}",
    2 / pi**0.5: r"\frac{2}{\sqrt{\pi}}", log(2): r"\log(2)", log(10): r"\log(10)",
    pi / 180: r"\frac{\pi}{180}", 180 / pi: r"\frac{180}{\pi}",
    0.5**0.5: r"\frac{1}{\sqrt{2}}",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A piece of TeX, and what of its inside the next step may rearrange.

    Attributes:
        tex: the formula.
        rank: how tightly it holds together.
        minus: what this is minus of, if it is.
        factors: a number, and the bases with their exponents, that this is the product
            of; a number alone has no bases.
    """

    tex: str
    rank: int = ATOM
    minus: Term | None = None
    factors: tuple[float, tuple[tuple[Term, int], ...]] | None = None

    def within(self, rank: int) -> str:
        """The formula, in parentheses where it stands in something tighter."""
        if self.rank == RELATION and rank > RELATION:
            return rf"\mathbf{{1}}[{self.tex}]"
        return self.tex if self.rank >= rank else rf"\left({self.tex}\right)"

    @property
    def number(self) -> float | None:
        """The number that this writes; None where it writes a variable."""
        if self.minus is not None:
            number = self.minus.number
            return None if number is None else -number
        if self.factors is not None and not self.factors[1]:
            return self.factors[0]
        return None


def number(x: float) -> Term:
    r"""Write a number: four digits at most, or the fraction or constant that it is.

    >>> [number(x).tex for x in (2, -0.5, 1e-05, 1 / 12, pi)]
    ['2', '-0.5', '10^{-5}', '\\frac{1}{12}', '\\pi']
    """
    if x < 0:
        return negative(number(-x))
    tex, rank = _digits(float(x))
    return Term(tex, rank, factors=(float(x), ()))


def plus(x: Term, y: Term) -> Term:
    """Write x + y."""
    if x.number == 0 or y.number == 0:
        return y if x.number == 0 else x
    if y.minus is not None:
        return less(x, y.minus)
    if x.minus is not None:
        return less(y, x.minus)
    if x.tex == y.tex:
        return times(number(2), x)
    return Term(f"{x.within(SUM)} + {y.within(SUM)}", SUM)


def less(x: Term, y: Term) -> Term:
    """Write x - y."""
    if y.number == 0:
        return x
    if x.number == 0:
        return negative(y)
    if y.minus is not None:
        return plus(x, y.minus)
    return Term(f"{x.within(SUM)} - {y.within(PRODUCT)}", SUM)


def negative(x: Term) -> Term:
    """Write -x."""
    if x.minus is not None:
        return x.minus
    return Term(f"-{x.within(PRODUCT)}", SUM, minus=x)


def times(x: Term, y: Term) -> Term:
    """Write x y: numbers first, equal factors as a power, a minus at the front."""
    if x.minus is not None or y.minus is not None:
        even = x.minus is not None and y.minus is not None
        out = times(x.minus or x, y.minus or y)
        return out if even else negative(out)
    m, of_x = x.factors or (1.0, ((x, 1),))
    n, of_y = y.factors or (1.0, ((y, 1),))
    product, powers = m * n, dict[str, tuple[Term, int]]()
    for base, exponent in (*of_x, *of_y):
        before = powers[base.tex][1] if base.tex in powers else 0
        powers[base.tex] = (base, before + exponent)
    if product == 0:
        return number(0.0)
    factors = tuple(powers.values())
    least = FRACTION if len(factors) > 1 else PRODUCT if product != 1 else RELATION
    pieces = [_power(base, n, least) for base, n in factors]
    if product != 1 or not factors:
        # Two numbers side by side would read as one.
        glue = r"\cdot " if pieces and pieces[0][:1].isdigit() else r"\,"
        digits = _digits(product)[0]
        tex = glue.join([digits, *pieces[:1]]) + "".join(r"\," + p for p in pieces[1:])
    else:
        tex = r"\,".join(pieces)
    rank = PRODUCT
    if product == 1 and len(factors) == 1:
        ((base, exponent),) = factors
        rank = base.rank if exponent == 1 else POWER
    return Term(tex, rank, factors=(product, factors))


def over(x: Term, y: Term) -> Term:
    """Write x / y; 0.5 / y is 1 over 2 y."""
    if y.number == 1:
        return x
    if x.minus is not None:
        return negative(over(x.minus, y))
    if y.minus is not None:
        return negative(over(x, y.minus))
    inverse = 1 / (x.number or inf)
    if 1 < inverse < 1000 and inverse == int(inverse):
        x, y = number(1), times(number(inverse), y)
    return Term(rf"\frac{{{x.within(BIG_SUM)}}}{{{y.within(BIG_SUM)}}}", FRACTION)


def power(x: Term, y: Term) -> Term:
    """Write x to the y."""
    if y.number == 1:
        return x
    if y.number == 0.5:
        return Term(rf"\sqrt{{{x.tex}}}")
    n = y.number or 0.0
    if n > 1 and n == int(n) and x.factors is None and x.minus is None:
        return Term(_power(x, int(n)), POWER, factors=(1.0, ((x, int(n)),)))
    return Term(f"{x.within(ATOM)}^{{{y.within(SUM)}}}", POWER)


def matrix_product(x: Term, y: Term) -> Term:
    """Write x y between matrices: no factor changes its place."""

    def factor(s: Term) -> str:
        # Element by element first, then row by column: the order must be seen.
        by_element = s.factors is not None and len(s.factors[1]) > 1
        return s.within(FRACTION if by_element else PRODUCT)

    return Term(rf"{factor(x)}\,{factor(y)}", PRODUCT)


def cases(test: Term, x: Term, y: Term) -> Term:
    """Write x where the test holds, else y; an indicator where y is 0."""
    if test.number is not None:
        return x if test.number else y
    if y.number == 0:
        return times(test, x)
    body = (
        rf"{x.within(BIG_SUM)} & {test.tex} \\ "
        rf"{y.within(BIG_SUM)} & \text{{otherwise}}"
    )
    return Term(rf"\begin{{cases}} {body} \end{{cases}}")


def _power(base: Term, n: int, least: int = RELATION) -> str:
    return f"{base.within(ATOM)}^{{{n}}}" if n != 1 else base.within(least)


def _relation(name: str) -> Callable[[Term, Term], Term]:
    low = RELATION if name.startswith(("logical", "bitwise")) else SUM
    sign = _RELATIONS[name]
    return lambda x, y: Term(f"{x.within(low)} {sign} {y.within(low)}", RELATION)


def _template(text: str, rank: int = ATOM) -> Callable[[Term], Term]:
    return lambda x: Term(text.replace("#", x.within(BIG_SUM)), rank)


def _complement(x: Term) -> Term:
    return Term(rf"\neg({x.tex})", RELATION)


WRITERS: dict[str, Callable[..., Term]] = {  # by the name of the NumPy function
    **{name: _relation(name) for name in _RELATIONS},
    "add": plus,
    "subtract": less,
    "multiply": times,
    "divide": over,
    "power": power,
    "float_power": power,
    "matmul": matrix_product,
    "negative": negative,
    "positive": lambda x: x,
    "square": lambda x: times(x, x),
    "reciprocal": lambda x: over(number(1), x),
    "exp": _template("e^{#}", POWER),
    "exp2": _template("2^{#}", POWER),
    "expm1": _template("e^{#} - 1", SUM),
    "log1p": _template(r"\log(1 + #)"),
    "log2": _template(r"\log_{2}(#)"),
    "log10": _template(r"\log_{10}(#)"),
    "sqrt": _template(r"\sqrt{#}"),
    "cbrt": _template(r"\sqrt[3]{#}"),
    "absolute": _template(r"\left|#\right|"),
    "fabs": _template(r"\left|#\right|"),
    "logical_not": _complement,
    "invert": _complement,
}


def _digits(x: float) -> tuple[str, int]:
    if x in _CONSTANTS:
        return _CONSTANTS[x], FRACTION
    if not isfinite(x):
        return (r"\infty" if x > 0 else r"\mathrm{NaN}"), ATOM
    if x and f"{x:.3g}" != f"{x:.9g}" and abs(x) < 1e6:
        f = Fraction(x).limit_denominator(9999)
        if f.numerator in range(1, 10) and abs(float(f) / x - 1) < 1e-9:
            return rf"\frac{{{f.numerator}}}{{{f.denominator}}}", FRACTION
    head, _, exponent = f"{x:.4g}".partition("e")
    if not exponent:
        return head, ATOM
    tail = f"10^{{{int(exponent)}}}"
    return (tail, POWER) if head == "1" else (rf"{head}\cdot {tail}", PRODUCT)
