"""One engine each: value, gradients, what it kept for backward; nothing is compared."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..errors import BackpropError, GradError, RangeError
from ..tensor import Tensor
from .namespace import Namespace, jax_functions, ours, torch_functions
from .plain import NotAnalyticError, Stepped, plain

Function = Callable[..., Any]
Arrays = Sequence[np.ndarray]

MOST = 5000  # entries that are moved one by one


class MissingError(BackpropError, ImportError):
    """An engine that is not installed."""


class Found(NamedTuple):
    """What one run of an engine gives.

    Attributes:
        value: of the function.
        grads: one array for each argument.
        saved: bytes of each array that was kept for backward, each array once.
        calls: how often the function was called.
    """

    value: float
    grads: tuple[np.ndarray, ...]
    saved: tuple[int, ...]
    calls: int


class OneNumberError(GradError):
    """A function whose value is no single number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(
            f"side_by_side: fn returned an array of shape {shape}; a single number, "
            "of shape (), is required.",
            help="reduce it: `return (...).mean()`.",
        )


def by_backproplab(fn: Function, args: Arrays) -> Found:
    """Our tape."""
    xs = [Tensor(a, requires_grad=True) for a in args]
    y = fn(ours(), *xs)
    value = _one(y)
    if not isinstance(y, Tensor) or not y.requires_grad:
        return Found(value, tuple(map(np.zeros_like, args)), (), 1)
    saved = kept_by_tape(y)
    y.backward()
    grads = [np.zeros_like(x.data) if x.grad is None else x.grad for x in xs]
    return Found(value, tuple(grads), saved, 1)


def kept_by_tape(end: Tensor) -> tuple[int, ...]:
    """Bytes of each array that the rules below ``end`` read, each array once."""
    kept: dict[int, np.ndarray] = {}
    seen: set[int] = set()
    todo: list[Any] = [end]
    while todo:
        node = todo.pop()
        if id(node) in seen or not node._edges:
            continue
        seen.add(id(node))
        values = (node._data, *node._values)
        for k in node._edges:
            todo.append(node._inputs[k])
            needed = node._op.needs[k]
            read = range(len(values)) if needed is None else needed
            _keep(kept, (values[i] for i in read))
        held = node._static.get("saved")
        _keep(kept, held if isinstance(held, tuple) else (held,))
    return tuple(a.nbytes for a in kept.values())


def _keep(kept: dict[int, np.ndarray], values: Iterable[Any]) -> None:
    for a in values:
        if isinstance(a, np.ndarray):
            kept[id(a)] = a


def by_differences(fn: Function, args: Arrays) -> Found:
    """Central differences in float64: two calls for each number that is moved."""
    xp = plain("numeric")
    xs = [np.array(a, float) for a in args]
    value = _one(fn(xp, *xs))
    _few(xs)
    grads, calls = [], 1
    for x in xs:
        grad = np.empty_like(x)
        for i in np.ndindex(x.shape):
            here = x[i]
            # The step at which rounding and the third derivative cost alike.
            h = np.finfo(float).eps ** (1 / 3) * max(1.0, float(abs(here)))
            ends = []
            for x[i] in (here + h, here - h):
                ends.append(_one(fn(xp, *xs)))
            x[i] = here
            grad[i] = (ends[0] - ends[1]) / (2 * h)
            calls += 2
        grads.append(grad)
    return Found(value, tuple(grads), (), calls)


def by_complex_step(fn: Function, args: Arrays) -> Found:
    """f(x + ih) = f(x) + ih f'(x): no difference is taken, no digit is lost.

    Raises:
        NotAnalyticError: if the function is not, as abs and max are not.
    """
    xp, h = plain("complex"), 1e-100
    xs = [np.array(a, complex) for a in args]
    _few(xs)
    grads, calls, value = [], 0, None
    for k, x in enumerate(xs):
        grad = np.empty(x.shape)
        for i in np.ndindex(x.shape):
            here = x[i]
            x[i] = here + 1j * h
            moved = [a.view(Stepped) if j == k else a.real for j, a in enumerate(xs)]
            y = fn(xp, *moved)
            x[i] = here
            _check_one(y)
            if not np.iscomplexobj(y):
                y = _unmoved(y, fn, xp, moved)
            grad[i] = np.asarray(y).view(np.ndarray).imag / h
            value = float(np.asarray(y).view(np.ndarray).real)
            calls += 1
        grads.append(grad)
    if value is None:
        value = _one(fn(xp, *(a.real for a in xs)))
    return Found(value, tuple(grads), (), calls)


def _unmoved(y: Any, fn: Function, xp: Namespace, moved: Sequence[Any]) -> Any:
    """Let a real result pass where the argument is not used; else it was dropped."""
    silent = [np.full(a.shape, np.nan) if isinstance(a, Stepped) else a for a in moved]
    with np.errstate(all="ignore"):
        if np.isnan(_one(fn(xp, *silent))):
            raise NotAnalyticError("the imaginary part was dropped on the way")
    return y


def by_torch(fn: Function, args: Arrays) -> Found:
    """PyTorch's graph; what it keeps is seen by its own hooks for saved tensors."""
    torch = engine("torch")
    kept: dict[tuple[int, ...], int] = {}
    held = []  # so that no address is used twice

    def pack(t: Any) -> Any:
        held.append(t)
        kept[t.data_ptr(), *t.shape] = t.nbytes
        return t

    xs = [torch.tensor(a, requires_grad=True) for a in args]
    xp = torch_functions(np.result_type(*args) if args else np.dtype(float))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = fn(xp, *xs)
    shape = tuple(getattr(y, "shape", ()))
    if shape:
        raise OneNumberError(shape)
    if not isinstance(y, torch.Tensor) or not y.requires_grad:
        return Found(float(y), tuple(map(np.zeros_like, args)), (), 1)
    found = torch.autograd.grad(y, xs, allow_unused=True)
    grads = [
        np.zeros_like(a) if g is None else g.numpy()
        for a, g in zip(args, found, strict=True)
    ]
    sizes = tuple(size for size in kept.values() if size)
    return Found(y.item(), tuple(grads), sizes, 1)


def by_jax(fn: Function, args: Arrays) -> Found:
    """JAX's vjp; what it keeps are the arrays inside the function that it returns."""
    jax = engine("jax")
    with precision_of(args):
        xp = jax_functions()
        y, pull = jax.vjp(lambda *xs: fn(xp, *xs), *map(jax.numpy.asarray, args))
        _check_one(y)
        leaves = jax.tree_util.tree_leaves(pull)
        kept = {id(a): a.nbytes for a in leaves if isinstance(a, jax.Array)}
        grads = tuple(np.asarray(g) for g in pull(jax.numpy.ones_like(y)))
        return Found(float(y), grads, tuple(kept.values()), 1)


RUNS: dict[str, Callable[[Function, Arrays], Found]] = {
    "backproplab": by_backproplab,
    "numeric": by_differences,
    "complex": by_complex_step,
    "torch": by_torch,
    "jax": by_jax,
}


def engine(name: str) -> Any:
    """Import an engine now that it is asked for.

    Raises:
        MissingError: if it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise MissingError(
            f"missing: pip install {name}", help="then restart the kernel."
        ) from None


def precision_of(args: Arrays) -> Any:
    """Open a block in which JAX keeps float64, where the arguments are."""
    jax = engine("jax")
    if all(a.dtype != np.float64 for a in args):
        return nullcontext()
    if "enable_x64" in dir(jax):
        return jax.enable_x64(True)
    return import_module("jax.experimental").enable_x64(True)  # before JAX 0.8


def _check_one(y: Any) -> None:
    if shape := np.shape(y):
        raise OneNumberError(shape)


def _one(y: Any) -> float:
    _check_one(y)
    return float(y.item() if isinstance(y, Tensor) else y)


def _few(xs: Arrays) -> None:
    entries = sum(x.size for x in xs)
    if entries > MOST:
        raise RangeError(
            f"left out: {entries:,} numbers would be moved one by one; "
            f"at most {MOST:,} are"
        )
