"""The ops, one declaration each, in files by field; ``registry`` maps names to them."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NameLookupError, near, unknown
from ..primitive import Primitive, numpy_rules
from . import (
    activation,
    arithmetic,
    attention,
    choice,
    contraction,
    convolution,
    decomposition,
    differences,
    indexing,
    joining,
    likelihood,
    linalg,
    lookup,
    loss,
    normalisation,
    norms,
    patches,
    pooling,
    products,
    rearranging,
    reduction,
    shape,
    sorting,
    special,
    spectrum,
    transcendental,
)

if TYPE_CHECKING:
    from .._table import Table

    def __getattr__(name: str) -> Any:
        """Find an op, for type checkers: they cannot see the registry."""

else:
    __getattr__ = unknown(globals())


_FIELDS = (
    arithmetic,
    choice,
    transcendental,
    special,
    activation,
    reduction,
    norms,
    differences,
    linalg,
    products,
    contraction,
    decomposition,
    spectrum,
    shape,
    joining,
    rearranging,
    indexing,
    sorting,
    loss,
    likelihood,
    normalisation,
    convolution,
    pooling,
    patches,
    lookup,
    attention,
)

registry: dict[str, Primitive] = {
    op.name: op
    for field in _FIELDS
    for function in vars(field).values()
    if isinstance(op := getattr(function, "primitive", None), Primitive)
}
composed = {  # functions made of ops, such as split
    name: function
    for field in _FIELDS
    for name, function in vars(field).items()
    if isinstance(function, FunctionType)
    and function.__module__ == field.__name__
    and getattr(function, "primitive", None) is None
    and not name.startswith("_")
}
globals().update({name: op.call for name, op in registry.items()}, **composed)
globals().update(  # NumPy's other names for them: absolute, acos, amax, concat
    {
        name: numpy_rules[function]
        for module in (np, np.linalg)
        for name, function in vars(module).items()
        if callable(function) and function in numpy_rules and name not in globals()
    }
)

__all__ = ["table", *{**registry, **composed}]


def table(*names: str) -> Table:
    r"""One row an op: formula, derivative rules, autocast class, what backward reads.

    Read from the declarations, so text and code cannot disagree. An elementwise op has
    a local derivative for each input; of any other op stands what it sends back when
    the gradient ``g`` comes in. Where a rule has no notation, it stands as a Jacobian.

    Args:
        *names: which ops; all when none is named.

    Raises:
        NameLookupError: if an op is unknown.

    >>> (row,) = table("tanh")
    >>> print(row["formula"], row["derivatives"], row["remembers"])
    $y = \tanh(x)$ $1 - y^{2}$ y
    """
    from ._catalogue import table_of  # when first asked for: the import stays light

    for name in names:
        if name not in registry:
            raise NameLookupError(
                f"ops.table: there is no op {name!r}.", help=near(name, registry)
            )
    return table_of({name: registry[name] for name in names or registry})
