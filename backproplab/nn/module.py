"""Module: parameters, buffers and submodules, found where they stand: in attributes."""

from collections.abc import Callable, Iterator, Mapping
from reprlib import recursive_repr
from typing import Any, Self

import numpy as np

from ..errors import NameLookupError, near
from ..node import Handle
from ..sockets import mode
from ..tensor import Tensor
from .hooks import Hook, Hooks
from .scopes import in_scope
from .state import Loaded, Slot, load


class Module:
    """A function with parameters. Subclass it, set attributes, write ``forward``.

    What it holds is read from its attributes, in the order in which they were set:

    * a Tensor is a parameter (what an op computed is an activation, and is not);
    * an ndarray is a buffer: saved, never trained;
    * a Module is a child.

    Lists, tuples and dicts of tensors or modules are looked into: ``self.blocks =
    [block, block]`` gives ``blocks.0.weight`` and ``blocks.1.weight``. No registration
    and no ``super().__init__()`` are needed.

    >>> import numpy as np, backproplab as bp
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.gain = bp.tensor(2.0, requires_grad=True)
    ...
    ...     def forward(self, x):
    ...         return self.gain * x
    >>> scale = Scale()
    >>> scale(np.ones(2)).tolist(), [name for name, _ in scale.named_parameters()]
    ([2.0, 2.0], ['gain'])
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; each subclass writes its own."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward.\n"
            "  help: define `def forward(self, x): ...` in the class."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` with the hooks around it, in a scope that plugs can hear."""
        if not mode.get().plugs:
            if "_hooks" in self.__dict__:
                return self._run(args, kwargs)
            return self.forward(*args, **kwargs)
        return in_scope(self, args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hooks = vars(self).get("_hooks")
        if hooks is None:
            return self.forward(*args, **kwargs)
        return hooks.run(self, args, kwargs)

    # What it holds.

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield (dotted path, module) for itself and all below, each module once."""
        return _descend(self, prefix, set())

    def modules(self) -> Iterator["Module"]:
        """Yield itself and all modules below, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (name, module) for the modules directly below, each once."""
        return _once(_held(self, Module))

    def children(self) -> Iterator["Module"]:
        """Yield the modules directly below, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted path, parameter); a shared one once, under its first path."""
        return _once(self._everywhere(_parameters, prefix, recurse))

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the parameters, a shared one once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (dotted path, ndarray) of what is saved but not trained."""
        return _once(self._everywhere(_buffers, prefix, recurse))

    def buffers(self, recurse: bool = True) -> Iterator[np.ndarray]:
        """Yield the arrays that are saved but not trained."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _everywhere(
        self, held: Callable[["Module"], Any], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Any]]:
        below = self.named_modules(prefix) if recurse else [(prefix, self)]
        for path, module in below:
            for name, value in held(module):
                yield _join(path, name), value

    # What can be done to it.

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` here and below: dropout drops, batch norm sees the batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set ``training`` to False here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters (False) or thaw them."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call ``fn`` on every module, children first, itself last."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy parameters and buffers into a dict by dotted path.

        A parameter that stands in two places is there under both paths, as in PyTorch.
        """
        return {
            name: np.array(slot.value) for name, slot in _slots(self, "", ()).items()
        }

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Copy ``state`` into parameters and buffers; on an error, none of it.

        Args:
            state: arrays by dotted path; numbers are brought to the dtype that is here.
            strict: whether missing and unexpected names are errors.

        Returns:
            ``(missing_keys, unexpected_keys)``, both empty if ``strict``.

        Raises:
            NameLookupError: if names are missing or unexpected. The message lists them
                apart, and wrong shapes too.
            ShapeError, DTypeError: if the names are right, and shapes or kinds of
                number are not; strict or not.
        """
        return load(type(self).__name__, _slots(self, "", ()), state, strict)

    # Hooks; their order is told in hooks.py.

    def register_forward_pre_hook(self, hook: Hook) -> Handle:
        """Call ``hook(module, args)`` before ``forward``.

        What it returns, unless None, replaces the positional arguments.
        """
        return Handle(self._hooked().before, hook)

    def register_forward_hook(self, hook: Hook) -> Handle:
        """Call ``hook(module, args, output)`` after ``forward``.

        What it returns, unless None, replaces the output.
        """
        return Handle(self._hooked().after, hook)

    def register_full_backward_hook(self, hook: Hook) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` once per forward call.

        Both gradients are tuples: one entry for each positional argument and each
        output, None where no gradient flows. What the hook returns, unless None,
        replaces ``grad_input``: a tuple of the same length.
        """
        return Handle(self._hooked().backward, hook)

    def _hooked(self) -> Hooks:
        hooks: Hooks = vars(self).setdefault("_hooks", Hooks())
        return hooks

    # How it shows.

    def extra_repr(self) -> str:
        """Say in a few words how it was built; shown between the parentheses."""
        return ""

    @recursive_repr()
    def __repr__(self) -> str:
        name, extra = type(self).__name__, self.extra_repr()
        lines = [
            f"({n}): " + repr(m).replace("\n", "\n  ") for n, m in _held(self, Module)
        ]
        if not lines:
            return f"{name}({extra})"
        body = "\n  ".join([extra, *lines] if extra else lines)
        return f"{name}(\n  {body}\n)"

    def __getattr__(self, name: str) -> Any:
        known = [n for n in dir(self) if not n.startswith("_")]
        raise NameLookupError(
            f"{type(self).__name__} has no attribute {name}.", help=near(name, known)
        )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _descend(module: Module, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    todo = [(path, module)]
    while todo:
        path, module = todo.pop()
        if id(module) not in seen:
            seen.add(id(module))
            yield path, module
            below = [(_join(path, n), child) for n, child in _held(module, Module)]
            todo += reversed(below)


def _held(module: Module, kind: type) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of a kind among the attributes, containers looked into."""
    for name, value in vars(module).items():
        if isinstance(value, kind):
            yield name, value
        elif isinstance(value, (list, tuple, dict)):
            yield from _inside(name, value, kind)


def _inside(name: str, value: Any, kind: type) -> Iterator[tuple[str, Any]]:
    if isinstance(value, kind):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for k, item in enumerate(value):
            yield from _inside(f"{name}.{k}", item, kind)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(f"{name}.{key}", item, kind)


def _parameters(module: Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, t) for name, t in _held(module, Tensor) if t._op is None)


def _buffers(module: Module) -> Iterator[tuple[str, np.ndarray]]:
    return ((n, a) for n, a in vars(module).items() if isinstance(a, np.ndarray))


def _once(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _slots(module: Module, path: str, above: tuple[Module, ...]) -> dict[str, Slot]:
    """Map every path to what stands there, shared things under each of their paths."""
    found = {_join(path, n): Slot(module, n, p.data, p) for n, p in _parameters(module)}
    found |= {_join(path, n): Slot(module, n, a) for n, a in _buffers(module)}
    for name, child in _held(module, Module):
        if all(child is not m for m in (*above, module)):
            found |= _slots(child, _join(path, name), (*above, module))
    return found
