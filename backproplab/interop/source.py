"""A module written out as the source that a learner would write in PyTorch or JAX."""

from inspect import Parameter, signature
from typing import Any

from .. import nn
from ..errors import BackpropError
from .jax_layers import LAYERS
from .layers import UnsupportedLayerError, described


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
    write = LAYERS.get(name)
    if write is None or kind is not getattr(nn, name):
        raise UnsupportedLayerError(
            f"show_jax: {path or 'the module'} is {name}; nothing is written for it.",
            help="there are Sequential, Residual, " + ", ".join(LAYERS) + ".",
        )

    def state(key: str) -> str:
        return f'p["{_under(path, key)}"]'

    lines = write(
        own | {"training": module.training, "path": path, "name": name}, state
    )
    return lines if isinstance(lines, list) else [f"x = {lines}"]


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


def _named(error: BackpropError, what: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(str(error).replace("to_torch", what, 1))


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
