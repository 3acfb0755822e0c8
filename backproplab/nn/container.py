"""Modules that hold modules: one after another, and around a bypass."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..errors import NameLookupError, ShapeError
from .module import Module


class Sequential(Module):
    """Modules called one after another: each gets what the one before returned.

    Args:
        *modules: named "0", "1", ... by their place; or one dict from names to modules.
        **named: modules by name.

    An index gives a module, a slice a Sequential of the same modules under the same
    names; a named module is an attribute too. State dict as ``torch.nn.Sequential``.

    >>> import numpy as np
    >>> from backproplab import nn
    >>> rng = np.random.default_rng(0)
    >>> net = nn.Sequential(fc1=nn.Linear(2, 3, rng=rng), act=nn.ReLU())
    >>> net
    Sequential(
      (fc1): Linear(in_features=2, out_features=3, bias=True)
      (act): ReLU()
    )
    >>> net.fc1 is net[0], len(net[:1])
    (True, 1)
    """

    def __init__(
        self, *modules: Module | Mapping[str, Module], **named: Module
    ) -> None:
        parts: dict[str, Any] = {}
        for k, module in enumerate(modules):
            if isinstance(module, Mapping):
                parts |= module
            else:
                parts[str(k)] = module
        for name, module in (parts | named).items():
            vars(self)[name] = _checked(name, module)

    def forward(self, x: Any) -> Any:
        """Call the modules in order."""
        for module in list(vars(self).values()):
            if isinstance(module, Module):
                x = module(x)
        return x

    def append(self, module: Module) -> Self:
        """Put a module at the end, named by its place; return self."""
        name = str(len(self))
        vars(self)[name] = _checked(name, module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (m for m in vars(self).values() if isinstance(m, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            held = [(n, m) for n, m in vars(self).items() if isinstance(m, Module)]
            return type(self)(dict(held[index]))
        return list(self)[index]


class Residual(Module):
    """x + scale * fn(x): the branch learns a change, and the bypass hands gradients on.

    With ``scale`` a, a random net of L such blocks multiplies the squared norm by about
    (1 + a^2)^L: 2^L for a = 1, e for a = 1/sqrt(L), and 1 for a = 0 (ReZero).

    Args:
        fn: the branch, a module or any function; its output has the shape of its input.
        scale: a number, or a Tensor, which is then a parameter.
    """

    def __init__(self, fn: Callable[[Any], Any], scale: Any = 1.0) -> None:
        self.fn = fn
        self.scale = scale

    def forward(self, x: Any) -> Any:
        """Add the branch to the bypass."""
        y = self.fn(x)
        if np.shape(y) != np.shape(x):
            raise ShapeError(
                f"Residual: x is {np.shape(x)} and fn(x) is {np.shape(y)}; "
                "they must be equal.",
                help="let the branch end with as many features as it began with.",
            )
        if isinstance(self.scale, (int, float)) and self.scale == 1:
            return x + y
        return x + self.scale * y

    def extra_repr(self) -> str:
        """Show the scale of the branch."""
        return f"scale={self.scale!r}"


def _checked(name: str, module: Any) -> Module:
    if not isinstance(module, Module):
        seen = f"Sequential: {name} is {module!r}; a module is required."
        called = module.__name__ if isinstance(module, type) else ""
        raise TypeError(
            f"{seen}\n  help: "
            + (f"call it: `{called}(...)`." if called else "write a Module around it.")
        )
    if "." in name or name in dir(Module):
        raise NameLookupError(
            f"Sequential: {name!r} cannot name a module; a name has no dot and is not "
            "a method's.",
            help=f"call it {name.replace('.', '_')}_ instead.",
        )
    return module
