"""A module written out as the source that a learner would write in PyTorch or JAX."""

from inspect import Parameter, signature
from math import prod
from typing import Any

from .. import nn
from ..errors import BackpropError
from .layers import UnsupportedLayerError, described
from .namespace import pair


class Source(str):
    """Python source; print it, run it, or let a notebook show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


_RESIDUAL = """class Residual(nn.Module):
    def __init__(self, fn, scale):
        super().__init__()
        self.fn, self.scale = fn, scale

    def forward(self, x):
        return x + self.scale * self.fn(x)


"""


def show_torch(module: nn.Module) -> Source:
    """Write the module in PyTorch: a function that builds it and loads its state.

    ``build(model.state_dict())`` gives a ``torch.nn.Module`` with the same numbers, in
    the mode, training or not, that the module is in now.

    Raises:
        UnsupportedLayerError: for a layer that PyTorch has not.

    >>> import numpy as np, backproplab as bp
    >>> show_torch(bp.nn.Linear(2, 3, rng=np.random.default_rng(0)))
    import torch
    from torch import nn
    <BLANKLINE>
    <BLANKLINE>
    def build(state):
        model = nn.Linear(2, 3)
        model.load_state_dict({name: torch.as_tensor(a) for name, a in state.items()})
        return model
    """
    residual = any(type(m) is nn.Residual for m in module.modules())
    floats = {a.dtype.name for a in module.state_dict().values() if a.dtype.kind == "f"}
    if len(floats) > 1:
        raise UnsupportedLayerError(
            f"show_torch: the weights are {' and '.join(sorted(floats))}; "
            "one format is required."
        )
    lines = ["    model = " + _torch(module, "", 1)]
    if floats - {"float32"}:
        lines.append(f"    model.to(torch.{floats.pop()})")
    lines.append(
        "    model.load_state_dict({name: torch.as_tensor(a) "
        "for name, a in state.items()})"
    )
    if not module.training:
        lines.append("    model.eval()")
    source = "\n".join(["def build(state):", *lines, "    return model"])
    ordered = (
        "from collections import OrderedDict\n\n" if "OrderedDict" in source else ""
    )
    head = f"{ordered}import torch\nfrom torch import nn\n\n\n"
    return Source(head + (_RESIDUAL if residual else "") + source)


def show_jax(module: nn.Module) -> Source:
    """Write the module in JAX: a pure function of its state and of x.

    ``forward(model.state_dict(), x)`` gives the same numbers, in the mode that the
    module is in now. In training a batch norm uses its batch; the running statistics
    that it would move are left to the caller, as JAX wants it.

    Raises:
        UnsupportedLayerError: for a layer, or an option, that is not written here.

    >>> import numpy as np, backproplab as bp
    >>> rng = np.random.default_rng(0)
    >>> show_jax(bp.nn.Sequential(fc=bp.nn.Linear(2, 3, rng=rng), act=bp.nn.Tanh()))
    import jax
    import jax.numpy as jnp
    from jax import lax
    <BLANKLINE>
    <BLANKLINE>
    def forward(p, x):
        x = x @ p["fc.weight"].T + p["fc.bias"]
        x = jnp.tanh(x)
        return x
    """
    head = "import jax\nimport jax.numpy as jnp\nfrom jax import lax\n\n\n"
    lines = [f"    {line}" for line in _jax(module, "", 0)]
    return Source(head + "\n".join(["def forward(p, x):", *lines, "    return x"]))


def _torch(module: Any, path: str, depth: int) -> str:
    inside = "    " * (depth + 1)
    if type(module) is nn.Sequential:
        named = list(module.named_children())
        count = all(name == str(k) for k, (name, _) in enumerate(named))
        parts = [(n, _torch(m, _under(path, n), depth + 1)) for n, m in named]
        if count:
            body = "".join(f"{inside}{code},\n" for _, code in parts)
            return f"nn.Sequential(\n{body}{'    ' * depth})"
        body = "".join(f'{inside}"{n}": {code},\n' for n, code in parts)
        return f"nn.Sequential(OrderedDict({{\n{body}{'    ' * depth}}}))"
    if type(module) is nn.Residual:
        fn = _branch("show_torch", module, path)
        return f"Residual({_torch(fn, _under(path, 'fn'), depth)}, {module.scale!r})"
    try:
        options = described(module, path)
    except UnsupportedLayerError as error:
        raise _named(error, "show_torch") from None
    usual = {key: p.default for key, p in signature(type(module)).parameters.items()}
    if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d):
        usual |= {"eps": 1e-5, "momentum": 0.1}
    elif type(module) in (nn.Softmax, nn.LogSoftmax):
        usual["dim"] = None  # PyTorch guesses it, and warns
    written = ", ".join(
        repr(value) if usual[key] is Parameter.empty else f"{key}={value!r}"
        for key, value in options.items()
        if usual[key] is Parameter.empty or usual[key] != value
    )
    return f"nn.{type(module).__name__}({written})"


def _jax(module: Any, path: str, depth: int) -> list[str]:
    kind, own = type(module), vars(module)
    if kind is nn.Sequential:
        return [
            line
            for name, m in module.named_children()
            for line in _jax(m, _under(path, name), depth)
        ]
    if kind is nn.Residual:
        fn = _branch("show_jax", module, path)
        bypass = f"bypass{depth or ''}"
        scale = "x" if module.scale == 1 else f"{module.scale!r} * x"
        return [
            f"{bypass} = x",
            *_jax(fn, _under(path, "fn"), depth + 1),
            f"x = {bypass} + {scale}",
        ]
    name = kind.__name__
    write = _LAYERS.get(name)
    if write is None or kind is not getattr(nn, name):
        raise UnsupportedLayerError(
            f"show_jax: {path or 'the module'} is {name}; nothing is written for it.",
            help="there are Sequential, Residual, " + ", ".join(_LAYERS) + ".",
        )

    def state(key: str) -> str:
        return f'p["{_under(path, key)}"]'

    lines = write(
        own | {"training": module.training, "path": path, "name": name}, state
    )
    return lines if isinstance(lines, list) else [f"x = {lines}"]


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


_LAYERS: dict[str, Any] = {
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


def _branch(what: str, module: Any, path: str) -> Any:
    """The branch of a residual block, where it can be written."""
    if not isinstance(module.fn, nn.Module) or not isinstance(
        module.scale, (int, float)
    ):
        raise UnsupportedLayerError(
            f"{what}: {path or 'the module'} is Residual around a plain function, or "
            "with a tensor for its scale; nothing is written for it.",
            help="a Residual around a Module, scaled by a number, can be shown.",
        )
    return module.fn


def _option(own: Any, what: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"show_jax: {own['path'] or 'the module'} is {own['name']} with {what}; "
        "nothing is written for it."
    )


def _named(error: BackpropError, what: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(str(error).replace("to_torch", what, 1))


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
