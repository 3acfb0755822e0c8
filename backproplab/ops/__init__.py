"""The ops, one declaration each, in files by field; ``registry`` maps names to them."""

from . import (
    activation,
    arithmetic,
    indexing,
    linalg,
    loss,
    reduction,
    shape,
    transcendental,
)
from ..primitive import Primitive

_FIELDS = (
    arithmetic,
    transcendental,
    activation,
    reduction,
    linalg,
    shape,
    indexing,
    loss,
)

registry: dict[str, Primitive] = {
    op.name: op
    for field in _FIELDS
    for function in vars(field).values()
    if isinstance(op := getattr(function, "primitive", None), Primitive)
}
globals().update({name: op.call for name, op in registry.items()})
