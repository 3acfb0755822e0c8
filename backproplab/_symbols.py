"""Formulas from the rules themselves: run a rule on symbols and read off the TeX."""

from typing import Any

import numpy as np

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4

_FUNCTIONS = {
    "exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan",
    "tanh": r"\tanh", "sinh": r"\sinh", "cosh": r"\cosh", "arctan": r"\arctan",
    "arcsin": r"\arcsin", "arccos": r"\arccos", "sign": r"\operatorname{sign}",
    "maximum": r"\max", "minimum": r"\min",
}  # fmt: skip
_RELATIONS = {
    "greater": ">", "greater_equal": r"\ge", "less": "<", "less_equal": r"\le",
    "equal": "=", "not_equal": r"\ne", "logical_and": r"\wedge", "bitwise_and": r"\wedge",
}  # fmt: skip
# Bookkeeping of shapes and formats, which a formula on paper leaves out.
_INVISIBLE = {
    np.reshape, np.broadcast_to, np.expand_dims, np.squeeze, np.asarray, np.ravel,
}  # fmt: skip


class Symbol:
    """A piece of TeX that carries the array it stands for, so that rules can ask shapes.

    >>> x = Symbol("x", np.ones(3))
    >>> y = Symbol("y", np.ones(3))
    >>> (1 - y * y).tex, (-x / y**2).tex, np.cos(2 * x).tex
    ('1 - y^{2}', '-\\\\frac{x}{y^{2}}', '\\\\cos(2\\\\,x)')
    """

    __slots__ = ("rank", "tex", "value")
    __array_priority__ = 2000.0

    def __init__(self, tex: str, value: Any, rank: int = _ATOM) -> None:
        self.tex, self.value, self.rank = tex, value, rank

    shape = property(lambda self: np.shape(self.value))
    ndim = property(lambda self: np.ndim(self.value))
    size = property(lambda self: np.size(self.value))
    dtype = property(lambda self: np.asarray(self.value).dtype)
    T = property(lambda self: np.transpose(self))

    def _in(self, rank: int) -> str:
        return self.tex if self.rank >= rank else rf"\left({self.tex}\right)"

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> "Symbol":
        if method != "__call__":
            raise TypeError(f"no formula for np.{ufunc.__name__}.{method}")
        a = [lift(x) for x in inputs]
        with np.errstate(all="ignore"):
            value = ufunc(*(s.value for s in a), **kwargs)
        return Symbol(*_write(ufunc.__name__, a, value))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        first = lift(args[0]) if args and not isinstance(args[0], (list, tuple)) else None
        if func in (np.shape, np.ndim, np.size, np.result_type):
            return func(*(_value(a) for a in args), **kwargs)
        value = func(*(_value(a) for a in args), **{k: _value(v) for k, v in kwargs.items()})
        if func in _INVISIBLE and first is not None:
            return Symbol(first.tex, value, first.rank)
        if func in (np.transpose, np.swapaxes) and first is not None:
            if first.ndim < 2:
                return Symbol(first.tex, value, first.rank)
            return Symbol(rf"{first._in(_ATOM)}^{{\top}}", value, _POWER)
        if func is np.sum and first is not None:
            return Symbol(rf"\sum {first._in(_PRODUCT)}", value, _PRODUCT)
        if func is np.where:
            c, x, y = (lift(a) for a in args)
            if np.ndim(y.value) == 0 and not isinstance(y.value, bool) and np.all(y.value == 0):
                return Symbol(rf"[{c.tex}]\,{x._in(_PRODUCT)}", value, _PRODUCT)
            return Symbol(
                rf"[{c.tex}]\,{x._in(_PRODUCT)} + [\text{{else}}]\,{y._in(_PRODUCT)}", value, _SUM
            )
        body = ", ".join(s.tex for s in map(lift, args) if isinstance(s.value, np.ndarray))
        return Symbol(rf"\operatorname{{{func.__name__.replace('_', ' ')}}}({body})", value)

    def astype(self, dtype: Any) -> "Symbol":
        return Symbol(self.tex, np.asarray(self.value).astype(dtype), self.rank)

    def reshape(self, *shape: Any) -> "Symbol":
        return Symbol(self.tex, np.asarray(self.value).reshape(*shape), self.rank)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "Symbol":
        return np.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "Symbol":
        return np.mean(self, axis=axis, keepdims=keepdims)

    def __getitem__(self, index: Any) -> "Symbol":
        return Symbol(rf"{self._in(_ATOM)}[\cdot]", np.asarray(self.value)[_value(index)])


def _operator(ufunc: Any, swap: bool = False) -> Any:
    if swap:
        return lambda self, other: ufunc(other, self)
    return lambda self, other: ufunc(self, other)


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "pow": np.power, "matmul": np.matmul,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
    setattr(Symbol, f"__r{_name}__", _operator(_ufunc, swap=True))
for _name, _ufunc in {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "and": np.logical_and,
}.items():  # fmt: skip
    setattr(Symbol, f"__{_name}__", _operator(_ufunc))
Symbol.__neg__ = lambda self: np.negative(self)  # type: ignore[attr-defined]
Symbol.__abs__ = lambda self: np.absolute(self)  # type: ignore[attr-defined]
Symbol.__invert__ = lambda self: np.logical_not(self)  # type: ignore[attr-defined]


def lift(x: Any) -> Symbol:
    """Write a number or array as a symbol."""
    if isinstance(x, Symbol):
        return x
    if np.ndim(x) == 0 and not isinstance(x, (str, type(None), bool)):
        text = f"{float(x):.4g}"
        return Symbol(text, x, _SUM if text.startswith("-") else _ATOM)
    return Symbol(r"c", x)


def variable(name: str) -> str:
    """Write a name as TeX: ``w1`` is w_1, ``gamma`` is Greek, long names are upright.

    >>> variable("w1"), variable("fc1.weight"), variable("gamma"), variable("dL_dw")
    ('w_{1}', '\\\\mathrm{fc1.weight}', '\\\\gamma', '\\\\mathrm{dL\\\\_dw}')
    """
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    greek = {
        "alpha", "beta", "gamma", "delta", "epsilon", "eps", "theta", "lambda", "mu", "sigma",
        "phi", "psi", "rho", "tau", "eta", "xi",
    }  # fmt: skip
    if letters in greek:
        base = "\\" + {"eps": "epsilon"}.get(letters, letters)
    elif len(letters) == 1 and letters.isalpha():
        base = letters
    else:
        return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"
    return base + (f"_{{{digits}}}" if digits else "")


def _value(x: Any) -> Any:
    if isinstance(x, Symbol):
        return x.value
    if isinstance(x, (tuple, list)):
        return type(x)(_value(v) for v in x)
    return x


def _is(s: Symbol, number: float) -> bool:
    return s.tex == f"{number:.4g}"


def _write(name: str, a: list[Symbol], value: Any) -> tuple[str, Any, int]:
    if len(a) == 1:
        return _write_unary(name, a[0], value)
    x, y = a[0], a[1]
    if name == "add":
        if _is(x, 0) or _is(y, 0):
            kept = y if _is(x, 0) else x
            return kept.tex, value, kept.rank
        return f"{x.tex} + {y._in(_SUM)}", value, _SUM
    if name == "subtract":
        return f"{x.tex} - {y._in(_PRODUCT)}", value, _SUM
    if name in ("multiply", "matmul"):
        if name == "multiply" and (_is(x, 1) or _is(y, 1)):
            kept = y if _is(x, 1) else x
            return kept.tex, value, kept.rank
        if name == "multiply" and x.tex == y.tex:
            return f"{x._in(_ATOM)}^{{2}}", value, _POWER
        sign = r"\," if name == "matmul" or not y.tex[:1].isdigit() else r"\cdot "
        return f"{x._in(_PRODUCT)}{sign}{y._in(_PRODUCT)}", value, _PRODUCT
    if name == "divide":
        return rf"\frac{{{x.tex}}}{{{y.tex}}}", value, _ATOM
    if name == "power":
        if _is(y, 1):
            return x.tex, value, x.rank
        return f"{x._in(_ATOM)}^{{{y.tex}}}", value, _POWER
    if name in _RELATIONS:
        return f"[{x.tex} {_RELATIONS[name]} {y.tex}]", value, _ATOM
    head = _FUNCTIONS.get(name, rf"\operatorname{{{name}}}")
    return f"{head}({', '.join(s.tex for s in a)})", value, _ATOM


def _write_unary(name: str, x: Symbol, value: Any) -> tuple[str, Any, int]:
    if name == "negative":
        return f"-{x._in(_PRODUCT)}", value, _SUM
    if name == "square":
        return f"{x._in(_ATOM)}^{{2}}", value, _POWER
    if name == "sqrt":
        return rf"\sqrt{{{x.tex}}}", value, _ATOM
    if name == "absolute":
        return rf"\left|{x.tex}\right|", value, _ATOM
    if name == "reciprocal":
        return rf"\frac{{1}}{{{x.tex}}}", value, _ATOM
    head = _FUNCTIONS.get(name, rf"\operatorname{{{name}}}")
    return f"{head}({x.tex})", value, _ATOM
