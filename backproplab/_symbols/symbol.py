"""Symbol: a formula that NumPy computes with, so that rules can run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .names import function
from .term import ATOM, BIG_SUM, POWER, RELATION, SUM, WRITERS, Term, cases, number

# Bookkeeping of shapes and formats, which a formula on paper leaves out.
_INVISIBLE = {
    np.reshape, np.broadcast_to, np.expand_dims, np.squeeze, np.ravel, np.copy,
}  # fmt: skip


class Symbol:
    r"""A formula with the array it stands for, so that rules can ask shapes.

    Attributes:
        term: the formula.
        value: the array.
        opaque: whether it went through something that has no notation.

    >>> x, y = Symbol("x", np.ones(3)), Symbol("y", np.ones(3))
    >>> print((1 - y * y).tex, (-x / y**2).tex, np.cos(x * 2).tex, (y * (x > 0)).tex)
    1 - y^{2} -\frac{x}{y^{2}} \cos(2\,x) y\,\mathbf{1}[x > 0]
    """

    __slots__ = ("opaque", "term", "value")
    __array_priority__ = 2000.0

    def __init__(self, term: Term | str, value: Any, *, opaque: bool = False) -> None:
        self.term = Term(term) if isinstance(term, str) else term
        self.value, self.opaque = value, opaque

    tex = property(lambda self: self.term.tex)
    shape = property(lambda self: np.shape(self.value))
    ndim = property(lambda self: np.ndim(self.value))
    size = property(lambda self: np.size(self.value))
    dtype = property(lambda self: np.asarray(self.value).dtype)
    T = property(lambda self: np.transpose(self))

    if TYPE_CHECKING:  # written below, for all operators at once
        __add__: Any
        __mul__: Any

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
        if np.ndim(value) == 0 and all(s.term.number is not None for s in symbols):
            return Symbol(number(float(value)), value)
        writer = WRITERS.get(ufunc.__name__)
        if writer is None:
            return _like(named(ufunc.__name__, symbols, value), *symbols)
        return _like(Symbol(writer(*(s.term for s in symbols)), value), *symbols)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.where and len(args) != 3:
            raise TypeError("np.where without both cases has no formula")
        plain = [_value(a) for a in args]
        with np.errstate(all="ignore"):
            value = func(*plain, **{k: _value(v) for k, v in kwargs.items()})
        if func in (np.shape, np.ndim, np.size, np.result_type):
            return value
        if func is np.where:
            return _where(args[0], lift(args[1]), lift(args[2]), value)
        x = args[0]
        if not isinstance(x, Symbol):
            return named(func.__name__, args, value, opaque=True)
        if func in _INVISIBLE:
            return x._with(value)
        if func in (np.transpose, np.swapaxes):
            if x.ndim < 2:
                return x._with(value)
            turned = Term(rf"{x.term.within(ATOM)}^{{\top}}", POWER)
            return Symbol(turned, value, opaque=x.opaque)
        axis = kwargs.get("axis", args[1] if len(args) > 1 else None)
        below = "" if axis is None else rf"_{{\text{{axis }}{_axes(axis)}}}"
        if func is np.sum:
            total = Term(rf"\sum{below} {x.term.within(SUM)}", BIG_SUM)
            return Symbol(total, value, opaque=x.opaque)
        if func in (np.mean, np.max, np.min, np.prod):
            tex = f"{function(func.__name__)}{below}({x.tex})"
            return Symbol(tex, value, opaque=x.opaque)
        return named(func.__name__, args, value, opaque=True)

    def _with(self, value: Any) -> Symbol:
        """The same formula for the same numbers in another shape or format."""
        return Symbol(self.term, value, opaque=self.opaque)

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
        return Symbol(rf"{self.term.within(ATOM)}[\cdot]", value, opaque=True)


def lift(x: Any) -> Symbol:
    r"""Write a number as a symbol; an array without a name is opaque.

    >>> lift(1 / 12).tex, lift(np.ones(3)).opaque
    ('\\frac{1}{12}', True)
    """
    if isinstance(x, Symbol):
        if x.term.rank != RELATION:
            return x
        return Symbol(x.term.within(ATOM), x.value, opaque=x.opaque)
    if np.ndim(x) or x is None or isinstance(x, (str, bool, np.bool_)):
        return Symbol("c", x, opaque=True)
    return Symbol(number(float(x)), x)


def named(name: str, args: Any, value: Any, *, opaque: bool = False) -> Symbol:
    """Write a function by its name, applied to the symbols and numbers among args."""
    flat = [s for a in args for s in (a if isinstance(a, (list, tuple)) else [a])]
    body = ", ".join(lift(s).tex for s in flat if isinstance(s, (Symbol, int, float)))
    return Symbol(f"{function(name)}({body})", value, opaque=opaque)


def _like(out: Symbol, *sources: Symbol) -> Symbol:
    """What is made of something opaque is opaque."""
    out.opaque = out.opaque or any(s.opaque for s in sources)
    return out


def _where(condition: Any, x: Symbol, y: Symbol, value: Any) -> Symbol:
    test = condition if isinstance(condition, Symbol) else lift(condition)
    out = Symbol(cases(test.term, x.term, y.term), value)
    if (decided := test.term.number) is not None:
        return _like(out, x if decided else y)
    return _like(out, test, x, y)


def _axes(axis: Any) -> str:
    return ", ".join(map(str, axis)) if isinstance(axis, tuple) else str(axis)


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
