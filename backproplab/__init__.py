"""backproplab: backpropagation to learn, teach and experiment with."""

from importlib import import_module
from typing import Any

from . import errors, ops
from .anomaly import detect_anomaly
from .check import check_grads
from .primitive import elementwise, implements, linear, primitive
from .saving import load, save
from .tape import Plug, enable_grad, is_grad_enabled, no_grad, plugged, scope
from .tensor import Tensor, tensor
from .trace import load_trace, record
from .transforms import (
    checkpoint,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    value_and_grad,
    vjp,
)

# Loaded when first asked for, so that the import costs little more than NumPy's.
_LATER = {
    "data",
    "exercises",
    "formats",
    "grade",
    "nn",
    "optim",
    "plot",
    "widgets",
}


def __getattr__(name: str) -> Any:
    """Find the ops (``bp.exp`` is ``bp.ops.exp``) and the parts that load later."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    if not name.startswith("_") and name in vars(ops):
        return vars(ops)[name]
    known = [*globals(), *_LATER, *ops.registry]
    raise AttributeError(f"backproplab has no {name!r}; {errors.near(name, known)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *ops.registry})
