"""Layers to PyTorch and back: the same arguments, the same weights and buffers."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np

from .. import nn
from ..errors import BackpropError
from .engines import engine

# What a layer is built from, under the names that both libraries give to it.
_CONV = (
    "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
    "groups", "padding_mode",
)  # fmt: skip
_BATCH = ("num_features", "eps", "momentum", "affine", "track_running_stats")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "AvgPool2d": (
        "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
        "divisor_override",
    ),
    "BatchNorm1d": _BATCH,
    "BatchNorm2d": _BATCH,
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "Dropout": ("p",),
    "ELU": ("alpha",),
    "Embedding": ("num_embeddings", "embedding_dim", "padding_idx"),
    "Flatten": ("start_dim", "end_dim"),
    "GELU": ("approximate",),
    "GroupNorm": ("num_groups", "num_channels", "eps", "affine"),
    "Identity": (),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "LeakyReLU": ("negative_slope",),
    "Linear": ("in_features", "out_features"),
    "LogSoftmax": ("dim",),
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "MultiheadAttention": (
        "embed_dim", "num_heads", "dropout", "kdim", "vdim", "batch_first",
    ),
    "RMSNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "ReLU": (),
    "SiLU": (),
    "Sigmoid": (),
    "Softmax": ("dim",),
    "Softplus": ("beta", "threshold"),
    "Tanh": (),
}  # fmt: skip
_WITH_BIAS = ("Conv1d", "Conv2d", "Linear", "LayerNorm")
_DRAWS = ("Conv1d", "Conv2d", "Linear", "Embedding", "MultiheadAttention")
# Where PyTorch keeps another name for "as usual" than an attribute of ours.
_TORCH_EXTRAS = {"max_norm": None, "sparse": False, "scale_grad_by_freq": False}


class UnsupportedLayerError(BackpropError, TypeError):
    """A layer that the other library has not, or has otherwise."""


def to_torch(module: nn.Module) -> Any:
    """The same layers in PyTorch, with copies of all weights and buffers.

    ``training`` and ``requires_grad`` are taken over, too.

    Args:
        module: a layer of ``nn``, or a Sequential of these.

    Returns:
        a ``torch.nn.Module`` whose state dict has the same names and numbers.

    Raises:
        MissingError: without PyTorch.
        UnsupportedLayerError: if PyTorch has no such layer; it is named with its path.
    """
    described(module)  # what cannot be built is told even without PyTorch
    torch = engine("torch")
    theirs = _built_torch(torch, module)
    state = {name: torch.as_tensor(a) for name, a in module.state_dict().items()}
    dtypes = {a.dtype for a in state.values() if a.is_floating_point()}
    if len(dtypes) == 1:
        theirs.to(dtypes.pop())
    theirs.load_state_dict(state)
    wants = {name: p.requires_grad for name, p in module.named_parameters()}
    for name, p in theirs.named_parameters():
        p.requires_grad_(wants.get(name, True))
    modes = {path: m.training for path, m in module.named_modules()}
    for path, other in theirs.named_modules():
        other.training = modes.get(path, module.training)
    return theirs


def from_torch(source: Any, *, rng: np.random.Generator | None = None) -> Any:
    """Our layers for a PyTorch module; for a state dict, arrays to load.

    Args:
        source: a ``torch.nn.Module`` of layers that both have, or a state dict.
        rng: where a Dropout draws from.

    Returns:
        a Module with copies of all weights and buffers; or for a state dict a dict of
        arrays, for ``model.load_state_dict``.

    Raises:
        UnsupportedLayerError: if we have no such layer, or not with these options.

    >>> import numpy as np
    >>> from_torch({"weight": np.eye(2)})["weight"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(source, Mapping):
        return {name: _array(a) for name, a in source.items()}
    if not _is_torch_module(source):
        raise TypeError(
            f"from_torch: source is {type(source).__name__}; a torch.nn.Module or a "
            "state dict is required.\n  help: pass `model` or `model.state_dict()`."
        )
    module = _built(source, "", rng)
    state = from_torch(source.state_dict())
    module.load_state_dict(state)
    wants = {name: p.requires_grad for name, p in source.named_parameters()}
    for name, tensor in module.named_parameters():
        tensor.requires_grad = wants[name]
    return module


def described(module: Any, path: str = "") -> dict[str, Any]:
    """The arguments from which a layer of ours is built, checked all the way down."""
    name = type(module).__name__
    if isinstance(module, nn.Sequential) and type(module) is nn.Sequential:
        for child, held in module.named_children():
            described(held, _under(path, child))
        return {}
    if name not in ARGUMENTS or type(module) is not getattr(nn, name):
        raise _unsupported("to_torch", name, path, "PyTorch")
    own = vars(module)
    if name in ("BatchNorm1d", "BatchNorm2d") and own["convention"] != "pytorch":
        raise UnsupportedLayerError(
            f"to_torch: {path or 'the module'} is {name} by the convention "
            f"{own['convention']!r}; PyTorch has its own alone.",
            help='build it with convention="pytorch".',
        )
    options = {key: own[key] for key in ARGUMENTS[name]}
    if name in _WITH_BIAS:
        options["bias"] = own["bias"] is not None
    elif name == "MultiheadAttention":
        options["bias"] = own["in_proj_bias"] is not None
    return options


def _built_torch(torch: Any, module: Any) -> Any:
    if isinstance(module, nn.Sequential):
        parts = {n: _built_torch(torch, m) for n, m in module.named_children()}
        theirs = torch.nn.Sequential()
        for n, m in parts.items():
            theirs.add_module(n, m)
        return theirs
    return getattr(torch.nn, type(module).__name__)(**described(module))


def _built(theirs: Any, path: str, rng: np.random.Generator | None) -> nn.Module:
    name = type(theirs).__name__
    if name == "Sequential":
        parts = {n: _built(m, _under(path, n), rng) for n, m in theirs.named_children()}
        made: nn.Module = nn.Sequential(parts)
        made.training = theirs.training
        return made
    if name not in ARGUMENTS or not type(theirs).__module__.startswith("torch.nn."):
        raise _unsupported("from_torch", name, path, "backproplab")
    options = {key: getattr(theirs, key) for key in ARGUMENTS[name]}
    for key, usual in _TORCH_EXTRAS.items():
        if getattr(theirs, key, usual) != usual:
            raise UnsupportedLayerError(
                f"from_torch: {path or 'the module'} is {name} with "
                f"{key}={getattr(theirs, key)}; backproplab's has no {key}."
            )
    if name in _WITH_BIAS:
        options["bias"] = theirs.bias is not None
    elif name == "MultiheadAttention":
        options["bias"] = theirs.in_proj_bias is not None
        if theirs.bias_k is not None or theirs.add_zero_attn:
            raise UnsupportedLayerError(
                f"from_torch: {path or 'the module'} is {name} with bias_k or "
                "add_zero_attn; backproplab's has neither."
            )
    if name == "Dropout":
        options["rng"] = rng
    elif name in _DRAWS:  # what is drawn is overwritten by the state
        options["rng"] = rng or np.random.default_rng(0)
    floats = [p.dtype for p in theirs.state_dict().values() if p.is_floating_point()]
    if floats and "dtype" in signature(getattr(nn, name)).parameters:
        options["dtype"] = str(floats[0]).removeprefix("torch.")
    made = getattr(nn, name)(**options)
    made.training = theirs.training
    for below in made.modules():
        below.training = theirs.training
    return made


def _array(a: Any) -> np.ndarray:
    plain = getattr(a, "detach", None)
    return np.array(a if plain is None else plain().cpu().numpy())


def _is_torch_module(source: Any) -> bool:
    return any(
        c.__module__ == "torch.nn.modules.module" and c.__name__ == "Module"
        for c in type(source).__mro__
    )


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unsupported(what: str, name: str, path: str, other: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"{what}: {path or 'the module'} is {name}; {other} has no such layer.",
        help="both have Sequential, " + ", ".join(ARGUMENTS) + ".",
    )
