"""backproplab: backpropagation to learn, teach and experiment with."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors, ops
from .primitive import elementwise, implements, linear, primitive
from .sockets import Plug, enable_grad, is_grad_enabled, no_grad, plugged, scope
from .tensor import Tensor, tensor

if TYPE_CHECKING:
    from .anomaly import detect_anomaly
    from .check import check_grads
    from .comparison import compare_runs
    from .monitor import Monitor
    from .saving import load, save
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

__all__ = [
    "Monitor", "Plug", "Tensor", "check_grads", "checkpoint", "compare_runs",
    "detect_anomaly", "elementwise", "enable_grad", "errors", "grad", "hessian", "hvp",
    "implements", "is_grad_enabled", "jacfwd", "jacobian", "jacrev", "jvp", "linear",
    "load", "load_trace", "no_grad", "ops", "plugged", "primitive", "record", "save",
    "scope", "tensor", "value_and_grad", "vjp",
]  # fmt: skip

# Loaded when first asked for, so that the import costs little more than NumPy's.
_LATER = {
    "amp", "anomaly", "check", "data", "exercises", "formats", "grade", "interop",
    "meanfield", "nn", "optim", "parallel", "plot", "saving", "tex", "trace",
    "transforms", "widgets",
}  # fmt: skip
_FROM = {
    "checkpoint": "transforms",
    "check_grads": "check",
    "Monitor": "monitor",
    "compare_runs": "comparison",
    "detect_anomaly": "anomaly",
    "grad": "transforms",
    "hessian": "transforms",
    "hvp": "transforms",
    "jacfwd": "transforms",
    "jacobian": "transforms",
    "jacrev": "transforms",
    "jvp": "transforms",
    "load": "saving",
    "load_trace": "trace",
    "record": "trace",
    "save": "saving",
    "value_and_grad": "transforms",
    "vjp": "transforms",
}


def __getattr__(name: str) -> Any:
    """Find the ops (``bp.exp`` is ``bp.ops.exp``) and what loads when asked for."""
    if name in _LATER:
        return import_module(f".{name}", __name__)
    if name in _FROM:
        found = getattr(import_module(f".{_FROM[name]}", __name__), name)
    elif not name.startswith("_") and name in vars(ops):
        found = vars(ops)[name]
    else:
        known = [*globals(), *_LATER, *_FROM, *ops.registry]
        raise AttributeError(f"backproplab has no {name!r}; {errors.near(name, known)}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_FROM, *ops.registry})
