"""Formulas from the rules themselves: run a rule on symbols and read off the TeX."""

from __future__ import annotations

from fractions import Fraction
from math import log, pi
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .primitive import Primitive

# How tightly a piece of TeX holds together: what is looser gets parentheses.
_RELATION, _BIG_SUM, _SUM, _PRODUCT, _FRACTION, _POWER, _ATOM = range(7)
_LONGEST = 160  # characters of a rule that is still read
_SHORT = 80  # characters beyond which the op's name says more

_FUNCTIONS = {
    "log": r"\log", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "tanh": r"\tanh",
    "sinh": r"\sinh", "cosh": r"\cosh", "arctan": r"\arctan", "arcsin": r"\arcsin",
    "arccos": r"\arccos", "maximum": r"\max", "minimum": r"\min", "max": r"\max",
    "min": r"\min", "amax": r"\max", "amin": r"\min", "det": r"\det",
    "sigmoid": r"\sigma",
}  # fmt: skip
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
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip
# Bookkeeping of shapes and formats, which a formula on paper leaves out.
_INVISIBLE = {
    np.reshape, np.broadcast_to, np.expand_dims, np.squeeze, np.ravel, np.copy,
}  # fmt: skip


class Symbol:
    r"""A piece of TeX with the array it stands for, so that rules can ask shapes.

    Attributes:
        tex: the formula.
        value: the array.
        rank: how tightly the formula holds together.
        opaque: whether it went through something that has no notation.

    >>> x, y = Symbol("x", np.ones(3)), Symbol("y", np.ones(3))
    >>> print((1 - y * y).tex, (-x / y**2).tex, np.cos(x * 2).tex, (y * (x > 0)).tex)
    1 - y^{2} -\frac{x}{y^{2}} \cos(2\,x) y\,\mathbf{1}[x > 0]
    """

    __slots__ = ("_factors", "_minus", "opaque", "rank", "tex", "value")
    __array_priority__ = 2000.0

    def __init__(
        self, tex: str, value: Any, rank: int = _ATOM, *, opaque: bool = False
    ) -> None:
        self.tex, self.value, self.rank, self.opaque = tex, value, rank, opaque
        self._minus: Symbol | None = None  # what this is minus of
        self._factors: tuple[float, tuple[tuple[Symbol, int], ...]] | None = None

    shape = property(lambda self: np.shape(self.value))
    ndim = property(lambda self: np.ndim(self.value))
    size = property(lambda self: np.size(self.value))
    dtype = property(lambda self: np.asarray(self.value).dtype)
    T = property(lambda self: np.transpose(self))

    if TYPE_CHECKING:  # written below, for all operators at once
        __add__: Any
        __mul__: Any

    def within(self, rank: int) -> str:
        """The formula, in parentheses where it stands in something tighter."""
        if self.rank == _RELATION and rank > _RELATION:
            return rf"\mathbf{{1}}[{self.tex}]"
        return self.tex if self.rank >= rank else rf"\left({self.tex}\right)"

    def __array__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise TypeError("a symbol is no array")

    def __bool__(self) -> bool:
        raise TypeError("a rule that decides by values has no formula")

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **options: Any
    ) -> Symbol:
        if method != "__call__" or "out" in options:
            what = method if method != "__call__" else "with out="
            raise TypeError(f"np.{ufunc.__name__} {what} has no formula")
        symbols = [x if isinstance(x, Symbol) else lift(x) for x in inputs]
        with np.errstate(all="ignore"):
            value = ufunc(*(s.value for s in symbols), **options)
        return _write(ufunc.__name__, symbols, value)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.where and len(args) != 3:
            raise TypeError("np.where without both cases has no formula")
        plain = [_value(a) for a in args]
        with np.errstate(all="ignore"):
            value = func(*plain, **{k: _value(v) for k, v in kwargs.items()})
        if func in (np.shape, np.ndim, np.size, np.result_type):
            return value
        if func is np.where:
            return _cases(args[0], lift(args[1]), lift(args[2]), value)
        x = args[0]
        if not isinstance(x, Symbol):
            return _named(func.__name__, args, value)
        if func in _INVISIBLE:
            return x._with(value)
        if func in (np.transpose, np.swapaxes):
            if x.ndim < 2:
                return x._with(value)
            return _like(Symbol(rf"{x.within(_ATOM)}^{{\top}}", value, _POWER), x)
        axis = kwargs.get("axis", args[1] if len(args) > 1 else None)
        below = "" if axis is None else rf"_{{\text{{axis }}{_axes(axis)}}}"
        if func is np.sum:
            return _like(Symbol(rf"\sum{below} {x.within(_SUM)}", value, _BIG_SUM), x)
        if func in (np.mean, np.max, np.min, np.prod):
            return _like(Symbol(f"{_head(func.__name__)}{below}({x.tex})", value), x)
        return _named(func.__name__, args, value)

    def _with(self, value: Any) -> Symbol:
        """The same formula for the same numbers in another shape or format."""
        out = Symbol(self.tex, value, self.rank, opaque=self.opaque)
        out._minus, out._factors = self._minus, self._factors
        return out

    def astype(self, dtype: Any) -> Symbol:
        """Formats are left out of formulas."""
        return self._with(np.asarray(self.value).astype(dtype))

    def reshape(self, *shape: Any) -> Symbol:
        """Shapes are left out of formulas."""
        return self._with(
            np.reshape(self.value, shape[0] if len(shape) == 1 else shape)
        )

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """``np.sum``."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """``np.mean``."""
        return np.mean(self, axis=axis, keepdims=keepdims)

    def __getitem__(self, index: Any) -> Symbol:
        value = np.asarray(self.value)[_value(index)]
        return Symbol(rf"{self.within(_ATOM)}[\cdot]", value, opaque=True)


def lift(x: Any) -> Symbol:
    r"""Write a number as a symbol; an array without a name is opaque.

    >>> [lift(x).tex for x in (2, -0.5, 1e-05, 1 / 12, np.pi)]
    ['2', '-0.5', '10^{-5}', '\\frac{1}{12}', '\\pi']
    """
    if isinstance(x, Symbol):
        return x if x.rank != _RELATION else _like(Symbol(x.within(_ATOM), x.value), x)
    if np.ndim(x) or x is None or isinstance(x, (str, bool, np.bool_)):
        return Symbol("c", x, opaque=True)
    number = float(x)
    if number < 0:
        return _negative(lift(-number), x)
    out = Symbol(*_digits(number, x))
    out._factors = (number, ())
    return out


def variable(name: str) -> str:
    r"""Write a name as TeX: ``w1`` is w_1, ``gamma`` is Greek, long names are upright.

    >>> print(*map(variable, ("w1", "fc1.weight", "gamma", "h_2")))
    w_{1} \mathrm{fc1.weight} \gamma h_{2}
    """
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    letters = letters.removesuffix("_") if digits else letters
    if letters in _GREEK or letters == "eps":
        base = "\\" + {"eps": "epsilon"}.get(letters, letters)
    elif len(letters) == 1 and letters.isalpha():
        base = letters
    else:
        return rf"\mathrm{{{_escaped(name)}}}"
    return base + (f"_{{{digits}}}" if digits else "")


def applied(op: Primitive, static: Any, inputs: Sequence[Any], value: Any) -> Symbol:
    """Write ``op(inputs)``: its body run on symbols, or its name where that says more.

    Args:
        op: the declared op.
        static: its options.
        inputs: symbols, None where an optional input was left out.
        value: what the op gave; the formula must give the same.
    """
    options = {k: v for k, v in static.items() if k != "saved"}

    def run() -> Any:
        result = op.value(*inputs, **options)
        return result[0] if op.saves else result

    written = None if op.name in _FUNCTIONS else _tried(run, value)
    if written is None or len(written.tex) > _SHORT:
        return _named(op.name, inputs, value, opaque=False)
    return written


def partial(op: Primitive, k: int, y: Symbol, inputs: Any, static: Any) -> Symbol:
    """Write an elementwise op's local derivative for input ``k``, from its rule."""
    rule = op.rules[k]
    if not callable(rule):
        return lift(rule or 0)
    written = _tried(lambda: rule(y, *inputs, **static))
    if written is None:
        x = inputs[k].tex
        return Symbol(rf"\frac{{\partial {y.tex}}}{{\partial {x}}}", y.value, _FRACTION)
    return written


def sent(
    op: Primitive, k: int, g: Symbol, y: Symbol, inputs: Any, static: Any
) -> Symbol:
    """Write what an op sends back to input ``k``, from its rule.

    Where that has no notation, as the transposed Jacobian times ``g``.
    """
    static = {**static, "saved": None} if op.saves else static
    if op.vjp is None and op.pullbacks[k] is None:
        return lift(0)
    if op.kind == "elementwise":
        slope = partial(op, k, y, inputs, static)
        return _product(g, slope, np.multiply(g.value, slope.value))

    def run() -> Any:
        if op.vjp is not None:
            return op.vjp(g, y, *inputs, wrt=[k], **static)[k]
        return op.pullbacks[k](g, y, *inputs, **static)

    written = _tried(run, longest=_LONGEST + 2 * len(g.tex))
    if written is None:
        jacobian = rf"\frac{{\partial {y.tex}}}{{\partial {inputs[k].tex}}}"
        tex = rf"\left({jacobian}\right)^{{\!\top}} {g.within(_PRODUCT)}"
        return Symbol(tex, inputs[k].value, _PRODUCT)
    return written


def _tried(
    run: Callable[[], Any], value: Any = None, longest: int = _LONGEST
) -> Symbol | None:
    """What a rule gives on symbols, if that can be read and is not another number."""
    try:
        with np.errstate(all="ignore"):
            out = lift(run())
        if value is not None and not np.allclose(
            np.asarray(out.value, float), value, rtol=1e-3, equal_nan=True
        ):
            return None
    except Exception:  # a rule may ask more of an array than a symbol can answer
        return None
    return None if out.opaque or len(out.tex) > longest else out


# Writing.


def _write(name: str, a: list[Symbol], value: Any) -> Symbol:
    writer = _WRITERS.get(name)
    if np.ndim(value) == 0 and all(_number(s) is not None for s in a):
        return lift(float(value))._with(value)
    if writer is not None:
        out = writer(*a, value)
    elif name in _RELATIONS:
        low = _RELATION if name.startswith(("logical", "bitwise")) else _SUM
        x, y = a[0].within(low), a[1].within(low)
        out = Symbol(f"{x} {_RELATIONS[name]} {y}", value, _RELATION)
    else:
        out = _named(name, a, value, opaque=False)
    return _like(out, *a)


def _like(out: Symbol, *sources: Symbol) -> Symbol:
    """What is made of something opaque is opaque."""
    out.opaque = out.opaque or any(s.opaque for s in sources)
    return out


def _named(name: str, args: Any, value: Any, *, opaque: bool = True) -> Symbol:
    flat = [s for a in args for s in (a if isinstance(a, (list, tuple)) else [a])]
    body = ", ".join(lift(s).tex for s in flat if isinstance(s, (Symbol, int, float)))
    return Symbol(f"{_head(name)}({body})", value, opaque=opaque)


def _cases(condition: Any, x: Symbol, y: Symbol, value: Any) -> Symbol:
    if not isinstance(condition, Symbol):
        condition = lift(condition)
    if (decided := _number(condition)) is not None:
        return (x if decided else y)._with(value)
    if _is(y, 0):
        out = _product(condition, x, value)
    else:
        test, a, b = condition.tex, x.within(_BIG_SUM), y.within(_BIG_SUM)
        body = rf"{a} & {test} \\ {b} & \text{{otherwise}}"
        out = Symbol(rf"\begin{{cases}} {body} \end{{cases}}", value)
    return _like(out, condition, x, y)


def _sum(x: Symbol, y: Symbol, value: Any) -> Symbol:
    if _is(x, 0) or _is(y, 0):
        return (y if _is(x, 0) else x)._with(value)
    if y._minus is not None:
        return _difference(x, y._minus, value)
    if x._minus is not None:
        return _difference(y, x._minus, value)
    if x.tex == y.tex:
        return _product(lift(2), x, value)
    return Symbol(f"{x.within(_SUM)} + {y.within(_SUM)}", value, _SUM)


def _difference(x: Symbol, y: Symbol, value: Any) -> Symbol:
    if _is(y, 0):
        return x._with(value)
    if _is(x, 0):
        return _negative(y, value)
    if y._minus is not None:
        return _sum(x, y._minus, value)
    return Symbol(f"{x.within(_SUM)} - {y.within(_PRODUCT)}", value, _SUM)


def _negative(x: Symbol, value: Any) -> Symbol:
    if x._minus is not None:
        return x._minus._with(value)
    out = Symbol(f"-{x.within(_PRODUCT)}", value, _SUM)
    out._minus = x
    return out


def _product(x: Symbol, y: Symbol, value: Any) -> Symbol:
    """Numbers come first, equal factors make a power, a minus goes to the front."""
    if x._minus is not None or y._minus is not None:
        even = x._minus is not None and y._minus is not None
        a = x if x._minus is None else x._minus
        b = y if y._minus is None else y._minus
        out = _product(a, b, value)
        return out if even else _negative(out, value)
    m, of_x = x._factors or (1.0, ((x, 1),))
    n, of_y = y._factors or (1.0, ((y, 1),))
    number, powers = m * n, dict[str, tuple[Symbol, int]]()
    for base, exponent in (*of_x, *of_y):
        before = powers[base.tex][1] if base.tex in powers else 0
        powers[base.tex] = (base, before + exponent)
    factors = tuple(powers.values())
    least = _FRACTION if len(factors) > 1 else _PRODUCT if number != 1 else _RELATION
    pieces = [_power_of(base, n, least) for base, n in factors]
    if number == 0:
        return lift(0.0)._with(value)
    tex = pieces[0] if len(pieces) == 1 else ""
    if number != 1 or not factors:
        digits = _digits(number, value)[0]
        # Two numbers side by side would read as one.
        glue = r"\cdot " if pieces and pieces[0][:1].isdigit() else r"\,"
        tex = glue.join([digits, *pieces[:1]]) + "".join(r"\," + p for p in pieces[1:])
    elif len(pieces) > 1:
        tex = r"\,".join(pieces)
    alone = number == 1 and len(factors) == 1
    rank = (factors[0][0].rank if factors[0][1] == 1 else _POWER) if alone else _PRODUCT
    out = Symbol(tex, value, rank)
    out._factors = (number, factors)
    return out


def _power_of(base: Symbol, n: int, least: int = _RELATION) -> str:
    return f"{base.within(_ATOM)}^{{{n}}}" if n != 1 else base.within(least)


def _quotient(x: Symbol, y: Symbol, value: Any) -> Symbol:
    if _is(y, 1):
        return x._with(value)
    if x._minus is not None:
        return _negative(_quotient(x._minus, y, value), value)
    if y._minus is not None:
        return _negative(_quotient(x, y._minus, value), value)
    inverse = 1 / (_number(x) or np.inf)
    if 1 < inverse < 1000 and inverse == int(inverse):
        x, y = lift(1), _product(lift(inverse), y, y.value)
    above, below = x.within(_BIG_SUM), y.within(_BIG_SUM)
    return Symbol(rf"\frac{{{above}}}{{{below}}}", value, _FRACTION)


def _power(x: Symbol, y: Symbol, value: Any) -> Symbol:
    if _is(y, 1):
        return x._with(value)
    if _is(y, 0.5):
        return Symbol(rf"\sqrt{{{x.tex}}}", value)
    n = _number(y) or 0.0
    if n > 1 and n == int(n) and x._factors is None and x._minus is None:
        out = Symbol(_power_of(x, int(n)), value, _POWER)
        out._factors = (1.0, ((x, int(n)),))
        return out
    return Symbol(f"{x.within(_ATOM)}^{{{y.within(_SUM)}}}", value, _POWER)


def _matrix_product(x: Symbol, y: Symbol, value: Any) -> Symbol:
    def factor(s: Symbol) -> str:
        # Element by element first, then row by column: the order must be seen.
        by_element = s._factors is not None and len(s._factors[1]) > 1
        return s.within(_FRACTION if by_element else _PRODUCT)

    return Symbol(rf"{factor(x)}\,{factor(y)}", value, _PRODUCT)


def _template(text: str, rank: int = _ATOM) -> Any:
    return lambda x, value: Symbol(text.replace("#", x.within(_BIG_SUM)), value, rank)


def _complement(x: Symbol, value: Any) -> Symbol:
    return Symbol(rf"\neg({x.tex})", value, _RELATION)


_WRITERS: dict[str, Any] = {
    "add": _sum,
    "subtract": _difference,
    "multiply": _product,
    "divide": _quotient,
    "power": _power,
    "float_power": _power,
    "matmul": _matrix_product,
    "negative": _negative,
    "positive": lambda x, value: x._with(value),
    "square": lambda x, value: _product(x, x, value),
    "reciprocal": lambda x, value: _quotient(lift(1), x, value),
    "exp": _template("e^{#}", _POWER),
    "exp2": _template("2^{#}", _POWER),
    "expm1": _template("e^{#} - 1", _SUM),
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


def _digits(number: float, value: Any) -> tuple[str, Any, int]:
    """Four digits at most, or the fraction or constant that the number is."""
    if number in _CONSTANTS:
        return _CONSTANTS[number], value, _FRACTION
    if not np.isfinite(number):
        return (r"\infty" if number > 0 else r"\mathrm{NaN}"), value, _ATOM
    if number and f"{number:.3g}" != f"{number:.9g}" and abs(number) < 1e6:
        f = Fraction(number).limit_denominator(9999)
        if f.numerator in range(1, 10) and abs(float(f) / number - 1) < 1e-9:
            return rf"\frac{{{f.numerator}}}{{{f.denominator}}}", value, _FRACTION
    head, _, exponent = f"{number:.4g}".partition("e")
    if not exponent:
        return head, value, _ATOM
    tail = f"10^{{{int(exponent)}}}"
    if head == "1":
        return tail, value, _POWER
    return rf"{head}\cdot {tail}", value, _PRODUCT


def _head(name: str) -> str:
    return _FUNCTIONS.get(name) or rf"\operatorname{{{_escaped(name)}}}"


def _axes(axis: Any) -> str:
    return ", ".join(map(str, axis)) if isinstance(axis, tuple) else str(axis)


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")


def _number(s: Symbol) -> float | None:
    """The number that a symbol writes; None where it writes a variable."""
    if s._minus is not None:
        number = _number(s._minus)
        return None if number is None else -number
    return s._factors[0] if s._factors is not None and not s._factors[1] else None


def _is(s: Symbol, number: float) -> bool:
    return _number(s) == number


def _value(x: Any) -> Any:
    if isinstance(x, Symbol):
        return x.value
    if isinstance(x, (tuple, list)):
        return type(x)(_value(v) for v in x)
    return x


def _operator(ufunc: Any, *, swap: bool = False) -> Any:
    if swap:
        return lambda self, other: ufunc(other, self)
    return lambda self, other: ufunc(self, other)


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "pow": np.power, "matmul": np.matmul, "and": np.logical_and, "or": np.logical_or,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
    setattr(Symbol, f"__r{_name}__", _operator(_ufunc, swap=True))
for _name, _ufunc in {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
for _name, _ufunc in {
    "neg": np.negative, "abs": np.absolute, "invert": np.logical_not,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", lambda self, _f=_ufunc: _f(self))
