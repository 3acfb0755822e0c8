"""Which functions ``xp`` has, in each engine its own; plain NumPy's are in plain.py."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .. import ops
from ..errors import NameLookupError, near
from ..tensor import Tensor

MATHS = (
    "abs", "arctan", "concatenate", "cos", "cosh", "cumsum", "einsum", "exp", "expm1",
    "log", "log1p", "matmul", "max", "maximum", "mean", "min", "minimum", "reshape",
    "sign", "sin", "sinh", "sqrt", "square", "stack", "sum", "swapaxes", "tanh",
    "transpose", "tril", "triu", "var", "where",
)  # fmt: skip
MAKERS = ("arange", "asarray", "ones", "zeros")
LAYERS = (
    "avg_pool2d", "batch_norm", "conv2d", "cross_entropy", "gelu", "layer_norm",
    "linear", "log_softmax", "logsumexp", "max_pool2d", "mse_loss", "relu",
    "scaled_dot_product_attention", "sigmoid", "silu", "softmax", "softplus",
)  # fmt: skip
NAMES = (*MATHS, *MAKERS, *LAYERS, "pi", "inf")


class Namespace:
    """What a function is written against: ``xp.tanh``, ``xp.conv2d``, ``xp.asarray``.

    NumPy's names with NumPy's keywords, and ours of layers with PyTorch's. A raw array
    that is not an argument enters through ``xp.asarray``.

    Args:
        engine: its name, for messages.
        functions: by name; the names are ``NAMES``.
    """

    def __init__(self, engine: str, functions: Mapping[str, Any]) -> None:
        self.engine = engine
        vars(self).update(functions)
        self.pi, self.inf = np.pi, np.inf

    def __getattr__(self, name: str) -> Any:
        raise NameLookupError(
            f"xp.{name}: not every engine has it in one form; xp has {len(NAMES)} "
            "names.",
            help=near(name, NAMES),
        )

    def __repr__(self) -> str:
        return f"<namespace of {self.engine}: {len(NAMES)} names>"


def ours() -> Namespace:
    """Our ops; arrays are made by NumPy."""
    found = {name: getattr(ops, name) for name in (*MATHS, *LAYERS)}

    def asarray(x: Any, dtype: Any = None) -> Any:
        return x if isinstance(x, Tensor) and dtype is None else np.asarray(x, dtype)

    makers = {name: getattr(np, name) for name in MAKERS} | {"asarray": asarray}
    return Namespace("backproplab", found | makers)


def torch_functions(dtype: np.dtype[Any]) -> Namespace:
    """PyTorch's own functions under NumPy's keywords; floats are made as ``dtype``."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    own = getattr(torch, dtype.name)

    def asarray(x: Any, dtype: Any = None) -> Any:
        x = x if isinstance(x, torch.Tensor) else torch.as_tensor(np.asarray(x))
        return x if dtype is None else x.to(getattr(torch, np.dtype(dtype).name))

    def tensor(x: Any) -> Any:
        return x if isinstance(x, torch.Tensor) else torch.as_tensor(x, dtype=own)

    def over(f: Any) -> Callable[..., Any]:
        def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            axes = tuple(range(x.ndim)) if axis is None else axis
            return f(x, dim=axes, keepdim=keepdims)

        return reduced

    def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        return torch.var(x, dim=axes, correction=ddof, keepdim=keepdims)

    def batch_norm(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
        return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)

    def made(name: str) -> Callable[..., Any]:
        return lambda *args, **options: asarray(getattr(np, name)(*args, **options))

    same = (
        "abs", "arctan", "cos", "cosh", "einsum", "exp", "expm1", "log", "log1p",
        "matmul", "reshape", "sign", "sin", "sinh", "sqrt", "square", "swapaxes",
        "tanh", "tril", "triu", "where",
    )  # fmt: skip
    layers = (
        "avg_pool2d", "conv2d", "gelu", "layer_norm", "linear", "max_pool2d",
        "mse_loss", "relu", "scaled_dot_product_attention", "sigmoid", "silu",
        "softplus",
    )  # fmt: skip
    return Namespace(
        "torch",
        {name: getattr(torch, name) for name in same}
        | {name: getattr(functional, name) for name in layers}
        | {name: made(name) for name in ("arange", "ones", "zeros")}
        | {
            "asarray": asarray,
            "batch_norm": batch_norm,
            "concatenate": lambda xs, axis=0: torch.cat(tuple(xs), dim=axis),
            "cross_entropy": lambda x, target: functional.cross_entropy(
                x, asarray(target, np.int64)
            ),
            "cumsum": lambda x, axis: torch.cumsum(x, dim=axis),
            "log_softmax": lambda x, axis=-1: torch.log_softmax(x, dim=axis),
            "logsumexp": over(torch.logsumexp),
            "max": over(torch.amax),
            "maximum": lambda x, y: torch.maximum(tensor(x), tensor(y)),
            "mean": over(torch.mean),
            "min": over(torch.amin),
            "minimum": lambda x, y: torch.minimum(tensor(x), tensor(y)),
            "softmax": lambda x, axis=-1: torch.softmax(x, dim=axis),
            "stack": lambda xs, axis=0: torch.stack(tuple(xs), dim=axis),
            "sum": over(torch.sum),
            "transpose": lambda x, axes=None: x.permute(
                tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
            ),
            "var": var,
        },
    )


def jax_functions() -> Namespace:
    """``jax.numpy``, ``jax.nn`` and ``jax.lax``, with our names and layouts."""
    jax: Any = import_module("jax")
    jnp, lax = jax.numpy, jax.lax
    maths = {name: getattr(jnp, name) for name in (*MATHS, *MAKERS)}
    return Namespace("jax", maths | _jax_layers(jax, jnp, lax))


def _jax_layers(jax: ModuleType, jnp: Any, lax: Any) -> dict[str, Any]:
    nn = jax.nn

    def conv2d(x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0) -> Any:
        sides = [(p, p) for p in pair(padding)]
        y = lax.conv_general_dilated(x, w, pair(stride), sides)
        return y if b is None else y + b.reshape(-1, 1, 1)

    def max_pool2d(x: Any, kernel_size: Any) -> Any:
        window = (1,) * (x.ndim - 2) + pair(kernel_size)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")

    def avg_pool2d(x: Any, kernel_size: Any) -> Any:
        window = (1,) * (x.ndim - 2) + pair(kernel_size)
        total = lax.reduce_window(x, 0.0, lax.add, window, window, "VALID")
        return total / np.prod(window)

    def standardised(x: Any, axes: Any, eps: float) -> Any:
        return nn.standardize(x, axis=axes, epsilon=eps)

    def batch_norm(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
        along = (-1, *(1,) * (x.ndim - 2))
        y = standardised(x, (0, *range(2, x.ndim)), eps)
        y = y if gamma is None else y * gamma.reshape(along)
        return y if beta is None else y + beta.reshape(along)

    def layer_norm(
        x: Any,
        normalized_shape: Any,
        weight: Any = None,
        bias: Any = None,
        eps: Any = 1e-5,
    ) -> Any:
        y = standardised(x, tuple(range(-len(tuple(normalized_shape)), 0)), eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def attention(q: Any, k: Any, v: Any, *, is_causal: bool = False) -> Any:
        # jax.nn.dot_product_attention adds up in float32, in float64 mode too.
        scores = q @ jnp.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
        if is_causal:
            scores = jnp.where(np.tri(*scores.shape[-2:]) > 0, scores, -jnp.inf)
        return nn.softmax(scores) @ v

    def cross_entropy(x: Any, target: Any) -> Any:
        picked = jnp.take_along_axis(
            nn.log_softmax(x), jnp.asarray(target)[:, None], axis=-1
        )
        return -picked.mean()

    return {
        "avg_pool2d": avg_pool2d,
        "batch_norm": batch_norm,
        "conv2d": conv2d,
        "cross_entropy": cross_entropy,
        "gelu": lambda x: nn.gelu(x, approximate=False),
        "layer_norm": layer_norm,
        "linear": lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b,
        "log_softmax": nn.log_softmax,
        "logsumexp": nn.logsumexp,
        "max_pool2d": max_pool2d,
        "mse_loss": lambda x, y: ((x - y) ** 2).mean(),
        "relu": nn.relu,
        "scaled_dot_product_attention": attention,
        "sigmoid": nn.sigmoid,
        "silu": nn.silu,
        "softmax": nn.softmax,
        "softplus": nn.softplus,
    }


def pair(x: Any) -> tuple[int, int]:
    """One number for both axes of a picture, or one for each."""
    return (x, x) if isinstance(x, int) else tuple(x)
