"""Tensor: a node of the tape that behaves like an array; ``_operators`` has its ops."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from . import ops
from ._memory import keep_freed
from ._numpy import CONSTANT, no_rule, plain
from ._operators import methods
from .errors import DTypeError, GradError, ShapeError
from .node import Change, Handle, Node, extra, form_of, ids, label, mark_changed
from .primitive import numpy_rules
from .sockets import is_grad_enabled
from .tape import backward


class Tensor(Node):
    """An array that remembers how it was computed.

    Args:
        data: array, nested list or number; copied, dtype kept (NumPy's default for
            Python numbers).
        requires_grad: whether ``backward`` is to leave a gradient here.
        name: what records, messages and pictures call it.
        dtype: number format to convert to; None keeps the data's.

    Raises:
        DTypeError: if a gradient is asked of integers or booleans.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ()
    __array_priority__: ClassVar[float] = 1000.0

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        *,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if isinstance(data, Node):
            data = data._data
        array = np.array(data, dtype)
        if array.dtype.kind not in "fiub":
            raise DTypeError(
                f"tensor: the data has dtype {array.dtype}; real numbers are required.",
                help="every row of a nested list must have the same length."
                if array.dtype == object
                else "",
            )
        self._id = next(ids)
        self._data = array
        self._op = self._inputs = self._values = self._static = None
        self._edges, self._form = None, form_of(array.shape, array.dtype)
        self.grad = self._extra = None
        self.requires_grad = requires_grad
        if name is not None:
            extra(self).name = name

    # What it is.

    @property
    def data(self) -> np.ndarray:
        """The array itself, not a copy. Assigning marks the tensor as changed."""
        if type(self._data) is not np.ndarray:
            self._data = np.asarray(self._data)
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        value = np.asarray(value, dtype=self._data.dtype)
        if value.shape != self.shape:
            raise ShapeError(
                f"data: the new value has shape {value.shape}, the tensor "
                f"{self.shape}; they must be equal."
            )
        if value is not self._data:
            extra(self).change = Change()  # who shares the old data keeps it
        self._data = value
        mark_changed(self)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted here."""
        return self._edges is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._op is not None and self._edges is not None and not wanted:
            raise GradError(
                f"requires_grad: {label(self)} was computed from tensors that want a "
                "gradient; only leaves can be switched.",
                help="use `.detach()` for a copy without a history.",
            )
        if not wanted:
            self._edges = None
        elif self._edges is None:
            if self._data.dtype.kind != "f":
                raise DTypeError(
                    f"requires_grad: the data has dtype {self._data.dtype}; "
                    "only floating-point numbers have gradients.",
                    help="write 3.0 for 3, or convert: "
                    "`np.asarray(data, dtype=float)`.",
                )
            self._op, self._edges = None, ()

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by hand, not computed from what wants a gradient."""
        return not self._edges

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        """Number format."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The transpose: axes in reverse order."""
        return ops.transpose(self)

    @property
    def mT(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The transpose of the last two axes."""
        return ops.matrix_transpose(self)

    @property
    def name(self) -> str | None:
        """What records, messages and pictures call it."""
        return self._extra.name if self._extra is not None else None

    def named(self, name: str) -> "Tensor":
        """Name it, and return it: ``h = np.tanh(z).named("h")``."""
        extra(self).name = name
        return self

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="tensor(")
        tail = ", requires_grad=True" if self.requires_grad else ""
        if self._op is not None and self._edges:
            tail = f", op={self._op.name}"
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"tensor({body}{dtype}{tail})"

    def __format__(self, spec: str) -> str:
        return format(repr(self) if self.ndim else self.item(), spec)

    # Backward.

    def backward(self, g: Any = None, retain_graph: bool = False) -> None:
        """Add dL/dx to ``.grad`` of every leaf x that this was computed from.

        Args:
            g: the incoming gradient, of this tensor's shape; 1 for a single number.
            retain_graph: keep what the rules need, so that backward can run again.

        Raises:
            GradError: if no gradient is wanted, ``g`` is missing or misshapen, or the
                graph was used up by an earlier backward.
        """
        if self._edges is None:
            raise GradError(
                f"backward() was called on {label(self)}, which needs no gradient.",
                help="make an input with `bp.tensor(..., requires_grad=True)`, "
                "and compute outside `bp.no_grad()`.",
            )
        backward([(self, self._seed(g))], _accumulate, retain=retain_graph)

    def _seed(self, g: Any) -> np.ndarray:
        if g is None and self.size == 1:
            return np.ones(self.shape, self.dtype)
        name = self.name or "loss"
        if g is None:
            raise GradError(
                f"backward() starts from a scalar, but {name} has shape {self.shape}.",
                help=f"reduce it (`{name}.mean().backward()`) or pass the incoming "
                f"gradient: `{name}.backward(g)` with g of shape {self.shape}.",
            )
        g = np.array(g._data if isinstance(g, Node) else g, dtype=self.dtype)
        if g.shape != self.shape:
            raise ShapeError(
                f"backward: g has shape {g.shape} and {name} has shape {self.shape}; "
                "they must be equal."
            )
        return g

    def detach(self) -> "Tensor":
        """A tensor of the same data without a history; the data is shared."""
        out = Tensor.__new__(Tensor)
        Tensor.__init__(out, 0.0)
        out._data, out._form = self._data, self._form
        extra(out).change = extra(self).change
        return out

    def numpy(self) -> np.ndarray:
        """The array itself: the same memory, no gradient."""
        return self.data

    def item(self) -> float:
        """The only element, as a Python number."""
        return self._data.item()

    def tolist(self) -> Any:
        """The values as nested lists."""
        return self.data.tolist()

    def reshape(self, *shape: Any) -> "Tensor":
        """The same numbers in another shape: ``t.reshape(2, -1)`` or of a tuple."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> "Tensor":
        """Permute axes, or reverse them."""
        order = axes[0] if len(axes) == 1 else axes or None
        return ops.transpose(self, order)

    def astype(self, dtype: Any) -> "Tensor":
        """Change the number format, visibly on the tape."""
        return ops.cast(self, np.dtype(dtype))

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate value at the next backward."""
        if self._edges is None:
            raise GradError(
                f"retain_grad: {label(self)} needs no gradient, so none will come.",
                help="make an input with `bp.tensor(..., requires_grad=True)`.",
            )
        extra(self).retain = True

    def register_hook(self, fn: Callable[[np.ndarray], Any]) -> "Handle":
        """Call ``fn(grad)`` when this tensor's whole gradient is known.

        Hooks run in the order of registration, once a backward pass, before ``.grad``
        is written; each sees what the one before returned. The array is read-only:
        return a new one to replace it.
        """
        if self._edges is None:
            raise GradError(
                f"register_hook: {label(self)} needs no gradient, "
                "so the hook cannot run.",
                help="make it with `bp.tensor(..., requires_grad=True)`.",
            )
        return Handle(extra(self).hooks, fn)

    def __reduce__(self) -> Any:
        """Copy and pickle leaves, without their hooks: a copy is a node of its own."""
        if self._edges:
            raise GradError(
                f"copy: {label(self)} is part of a graph; only leaves can be copied.",
                help="use `.detach()` for its values alone.",
            )
        return _copied, (self.data, self.requires_grad, self.name, self.grad)

    # NumPy's protocols.

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if method == "__call__" and not kwargs:
            rule = numpy_rules.get(ufunc)
            if rule is not None:
                return rule(*inputs)
            if ufunc in CONSTANT:
                return ufunc(*(x._data if isinstance(x, Node) else x for x in inputs))
        raise no_rule(ufunc, method, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        refused = [k for k in ("out", "where") if kwargs.get(k) is not None]
        rule = numpy_rules.get(func)
        if rule is not None and not refused:
            return rule(*args, **kwargs)
        if func in CONSTANT and not refused:
            return func(*plain(args), **{k: plain(v) for k, v in kwargs.items()})
        raise no_rule(func, "__call__", dict.fromkeys(refused))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._edges is not None:
            raise GradError(
                f"np.asarray on {label(self)} would cut it off from its gradient.",
                help="say so: `t.detach()` or `t.data`.",
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    # Operators.

    __hash__ = Node.__hash__

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no len().")
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.data)

    def __index__(self) -> int:
        return self.data.__index__()

    def __getitem__(self, index: Any) -> "Tensor":
        return ops.getitem(self, plain(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._edges or (self._edges is not None and is_grad_enabled()):
            raise GradError(
                f"assignment into {label(self)} would make its gradient wrong.",
                help="build a new tensor, with bp.where for instance; "
                "or write to `t.data[...]` before it is used.",
            )
        self.data[plain(index)] = plain(value)
        mark_changed(self)


def tensor(
    data: Any,
    requires_grad: bool = False,
    *,
    name: str | None = None,
    dtype: Any = None,
) -> Tensor:
    """Make a tensor from a copy of ``data``; see ``Tensor``."""
    return Tensor(data, requires_grad, name=name, dtype=dtype)


def _copied(data: Any, requires_grad: bool, name: str | None, grad: Any) -> Tensor:
    out = Tensor(data, requires_grad, name=name)
    out.grad = grad
    return out


def _accumulate(leaf: Any, g: Any, ours: bool) -> None:
    if leaf._edges is not None:
        if leaf.grad is not None:
            leaf.grad = leaf.grad + g
        else:
            leaf.grad = g if ours else np.array(g)


for _name, _method in methods.items():
    setattr(Tensor, _name, _method)

keep_freed()
