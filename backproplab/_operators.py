"""The operators and methods that make a tensor behave like an array, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops
from ._numpy import plain
from .node import mark_changed
from .sockets import is_grad_enabled

_CALCULUS = {
    "add": ops.add, "sub": ops.subtract, "mul": ops.multiply, "truediv": ops.divide,
    "pow": ops.power, "matmul": ops.matmul, "mod": ops.remainder,
}  # fmt: skip
_SIGNS = {"neg": ops.negative, "pos": ops.positive, "abs": ops.abs}
_COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "floordiv": np.floor_divide,
}  # fmt: skip
_CONSTANTS = ("all", "any", "argmax", "argmin", "argsort")  # no gradient flows
_OPS = (
    "abs", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "clip", "cos", "cosh", "cumsum", "diagonal", "dot", "erf", "exp", "exp2", "expm1",
    "fmax", "fmin", "fmod", "inner", "log", "log10", "log1p", "log2", "log_softmax",
    "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum", "moveaxis",
    "norm", "outer", "prod", "ravel", "reciprocal", "relu", "remainder", "repeat",
    "sigmoid", "sign", "sin", "sinc", "sinh", "softmax", "sqrt", "square", "squeeze",
    "std", "sum", "swapaxes", "take", "tan", "tanh", "tile", "trace", "tril", "triu",
    "var",
)  # fmt: skip


def _reflected(op: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: op(other, self)


def _augmented(op: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A new tensor; but with the tape off a leaf is updated in place, as in PyTorch."""

    def update(self: Any, other: Any) -> Any:
        if self._edges != () or is_grad_enabled():
            return op(self, other)
        self.data[...] = op(self._data, plain(other))
        mark_changed(self)
        return self

    return update


def _comparison(ufunc: Any) -> Callable[[Any, Any], Any]:
    return lambda self, other: ufunc(self._data, plain(other))


def _constant(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: getattr(self.data, name)(*args, **kwargs)


methods: dict[str, Callable[..., Any]] = {
    **{f"__{name}__": op for name, op in _CALCULUS.items()},
    **{f"__r{name}__": _reflected(op) for name, op in _CALCULUS.items()},
    **{f"__i{name}__": _augmented(op) for name, op in _CALCULUS.items()},
    **{f"__{name}__": op for name, op in _SIGNS.items()},
    **{f"__{name}__": _comparison(ufunc) for name, ufunc in _COMPARISONS.items()},
    **{name: _constant(name) for name in _CONSTANTS},
    **{name: getattr(ops, name) for name in _OPS},
    "flatten": ops.ravel,
}
