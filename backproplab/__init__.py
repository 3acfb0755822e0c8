"""backproplab: backpropagation to learn, teach and experiment with."""

from . import errors, ops
from .primitive import elementwise, implements, linear, primitive
from .tape import Plug, enable_grad, is_grad_enabled, no_grad, plugged, scope
from .tensor import Tensor, tensor
