"""How each layer is written in JAX: a line or a few, from its options and state.

A writer gets ``own``, what the layer holds with ``training``, ``path`` and ``name``,
and ``state(key)``, which spells an entry of the state dict. A single expression that it
returns becomes ``x``; a list of lines is taken as it is.
"""

from math import prod
from typing import Any

from .layers import UnsupportedLayerError
from .namespace import pair


def _affine(own: Any, state: Any, along: str = "") -> list[str]:
    """Scale and shift where they are there."""
    found = []
    for key, sign in (("weight", "*"), ("bias", "+")):
        if own.get(key) is not None:
            found.append(f"x = x {sign} {state(key)}{along}")
    return found


def _linear(own: Any, state: Any) -> str:
    bias = "" if own["bias"] is None else f" + {state('bias')}"
    return f"x @ {state('weight')}.T{bias}"


def _flatten(own: Any, state: Any) -> str:
    if (own["start_dim"], own["end_dim"]) != (1, -1):
        raise _option(own, "start_dim and end_dim other than 1 and -1")
    return "x.reshape(x.shape[0], -1)"


def _batch_norm(own: Any, state: Any) -> list[str]:
    wide = own["name"] == "BatchNorm2d"
    along = ".reshape(-1, 1, 1)" if wide else ""
    axes = "(0, 2, 3)" if wide else "0"
    if not own["training"] and own["track_running_stats"]:
        mean, var = (state(k) + along for k in ("running_mean", "running_var"))
        first = f"x = (x - {mean}) / jnp.sqrt({var} + {own['eps']})"
    else:
        first = f"x = jax.nn.standardize(x, axis={axes}, epsilon={own['eps']})"
    return [first, *_affine(own, state, along)]


def _layer_norm(own: Any, state: Any) -> list[str]:
    axes = tuple(range(-len(own["normalized_shape"]), 0))
    first = f"x = jax.nn.standardize(x, axis={axes}, epsilon={own['eps']})"
    return [first, *_affine(own, state)]


def _rms_norm(own: Any, state: Any) -> list[str]:
    axes = tuple(range(-len(own["normalized_shape"]), 0))
    eps = "jnp.finfo(x.dtype).eps" if own["eps"] is None else own["eps"]
    square = f"jnp.mean(x**2, axis={axes}, keepdims=True)"
    return [f"x = x / jnp.sqrt({square} + {eps})", *_affine(own, state)]


def _conv2d(own: Any, state: Any) -> list[str]:
    if own["padding_mode"] != "zeros":
        raise _option(own, f"padding_mode {own['padding_mode']!r}")
    given = own["padding"]
    sides: Any = given.upper() if isinstance(given, str) else None
    if sides is None:
        sides = [(p, p) for p in pair(given)]
    lines = [
        "x = lax.conv_general_dilated(",
        f"    x, {state('weight')}, window_strides={pair(own['stride'])}, "
        f"padding={sides!r},",
        f"    rhs_dilation={pair(own['dilation'])}, "
        f"feature_group_count={own['groups']},",
        ")",
    ]
    if own["bias"] is not None:
        lines.append(f"x = x + {state('bias')}.reshape(-1, 1, 1)")
    return lines


def _pool(own: Any, state: Any) -> str:
    size = pair(own["kernel_size"])
    step = size if own["stride"] is None else pair(own["stride"])
    greatest = own["name"] == "MaxPool2d"
    sides = [(0, 0), (0, 0), *((p, p) for p in pair(own["padding"]))]
    if own["ceil_mode"] or (greatest and pair(own["dilation"]) != (1, 1)):
        raise _option(own, "ceil_mode or dilation")
    if not greatest and (
        own["divisor_override"] or (not own["count_include_pad"] and own["padding"])
    ):
        raise _option(own, "divisor_override, or padding that does not count")
    start, how = ("-jnp.inf", "lax.max") if greatest else ("0.0", "lax.add")
    windows = f"(1, 1, {size[0]}, {size[1]}), (1, 1, {step[0]}, {step[1]})"
    code = f"lax.reduce_window(x, {start}, {how}, {windows}, {sides!r})"
    return code if greatest else f"{code} / {prod(size)}"


def _dropout(own: Any, state: Any) -> list[str]:
    if own["training"] and own["p"]:
        raise _option(own, "dropout in training, whose random numbers differ")
    return []


def _softplus(own: Any, state: Any) -> str:
    b, top = own["beta"], own["threshold"]
    return f"jnp.where(x * {b} > {top}, x, jax.nn.softplus({b} * x) / {b})"


def _embedding(own: Any, state: Any) -> str:
    return f"jnp.asarray({state('weight')})[x]"


def _option(own: Any, what: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"show_jax: {own['path'] or 'the module'} is {own['name']} with {what}; "
        "nothing is written for it."
    )


LAYERS: dict[str, Any] = {
    "AvgPool2d": _pool,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "Conv2d": _conv2d,
    "Dropout": _dropout,
    "ELU": lambda own, state: f"jax.nn.elu(x, alpha={own['alpha']})",
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GELU": lambda own, state: (
        f"jax.nn.gelu(x, approximate={own['approximate'] == 'tanh'})"
    ),
    "Identity": lambda own, state: [],
    "LayerNorm": _layer_norm,
    "LeakyReLU": lambda own, state: (
        f"jax.nn.leaky_relu(x, negative_slope={own['negative_slope']})"
    ),
    "Linear": _linear,
    "LogSoftmax": lambda own, state: f"jax.nn.log_softmax(x, axis={own['dim']})",
    "MaxPool2d": _pool,
    "RMSNorm": _rms_norm,
    "ReLU": lambda own, state: "jax.nn.relu(x)",
    "SiLU": lambda own, state: "jax.nn.silu(x)",
    "Sigmoid": lambda own, state: "jax.nn.sigmoid(x)",
    "Softmax": lambda own, state: f"jax.nn.softmax(x, axis={own['dim']})",
    "Softplus": _softplus,
    "Tanh": lambda own, state: "jnp.tanh(x)",
}
