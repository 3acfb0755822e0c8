"""backproplab: backpropagation to learn, teach and experiment with."""

from importlib import import_module
from types import ModuleType

from . import errors, ops
from .primitive import elementwise, implements, linear, primitive
from .tape import Plug, enable_grad, is_grad_enabled, no_grad, plugged, scope
from .tensor import Tensor, tensor
from .trace import load_trace, record

# Loaded when first asked for, so that the import costs little more than NumPy's.
_LATER = {"data", "exercises", "formats", "grade", "plot", "widgets"}


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f".{name}", __name__)
    raise AttributeError(
        f"backproplab has no {name!r}; {errors.near(name, [*globals(), *_LATER])}"
    )
