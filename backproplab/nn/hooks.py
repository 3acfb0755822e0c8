"""Hooks on modules: what runs before, after and on the way back; no layers live here.

Order and number, for one call of a module:

1. forward pre-hooks, in the order of registration, each with the arguments that the one
   before returned;
2. ``forward``;
3. forward hooks, in the order of registration, each with the output that the one before
   returned;
4. at each backward pass, when the gradients of all its inputs are known: the full
   backward hooks, in the order of registration, once for each forward call. A module
   used twice in one run is told twice, the later call first.

A hook that was removed does not run again, not even for calls that it was there for. A
hook that raises ends the call, or the backward pass, with its own error.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import GradError
from ..primitive import linear
from ..sockets import is_grad_enabled
from ..tensor import Tensor

Hook = Callable[..., Any]


class Hooks:
    """The hooks of one module, by kind, in the order of registration."""

    __slots__ = ("after", "backward", "before")

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}

    def run(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``module.forward`` with everything that waits around it."""
        for hook in list(self.before.values()):
            given = hook(module, args)
            if given is not None:
                args = given if isinstance(given, tuple) else (given,)
        watch = None
        if self.backward and is_grad_enabled():
            watch = _Watch(module, self.backward)
            args = watch.enter(args)
        output = module.forward(*args, **kwargs)
        for hook in list(self.after.values()):
            given = hook(module, args, output)
            if given is not None:
                output = given
        return watch.leave(output) if watch else output


@linear(lambda g, _x: g)
def identity(x: Any) -> Any:
    """The same values under a new id: a place on the tape where a hook can stand."""
    return np.array(x)


class _Watch:
    """One forward call, whose backward hooks wait for it.

    Each input passes two identities. Backward reaches the younger ones of all inputs
    before any of the older ones: the younger gather the gradients, then the older
    hand on what the hooks answered.
    """

    def __init__(self, module: Any, hooks: dict[int, Hook]) -> None:
        self.module, self.live, self.hooks = module, hooks, dict(hooks)
        self.inputs = self.outputs = 0
        self.grad_input: dict[int, Any] = {}
        self.grad_output: dict[int, Any] = {}
        self.answers: dict[int, Any] = {}

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        self.wanted = _wanting(args)
        args = _gate(args, self.wanted, self._answer)
        return _gate(args, self.wanted, self.grad_input.__setitem__)

    def leave(self, output: Any) -> Any:
        several = isinstance(output, tuple)
        outputs = output if several else (output,)
        if not all(isinstance(y, Tensor) for y in outputs):
            raise GradError(
                f"register_full_backward_hook: {type(self.module).__name__} returned "
                f"{type(output).__name__}; a tensor or a tuple of tensors is required.",
                help="return the tensors themselves, or remove the hook.",
            )
        self.outputs = len(outputs)
        wanted = _wanting(outputs)
        if not self.wanted:  # no input will tell when backward has passed
            outputs = _gate(outputs, wanted, self._last)
        outputs = _gate(outputs, wanted, self.grad_output.__setitem__)
        return outputs if several else outputs[0]

    def _answer(self, k: int, _g: Any) -> Any:
        if not self.answers:
            self.answers = self._ask(self.grad_input)
        return self.answers.pop(k)

    def _last(self, _k: int, _g: Any) -> None:
        if self.grad_output:
            self._ask({})

    def _ask(self, known: dict[int, Any]) -> dict[int, Any]:
        """Run the hooks; return for each known input what is to be handed on."""
        grads = tuple(known.get(k) for k in range(self.inputs))
        grad_output = tuple(self.grad_output.get(k) for k in range(self.outputs))
        asked = tuple(known)
        known.clear()
        self.grad_output.clear()
        for key, hook in self.hooks.items():
            if key in self.live:
                given = hook(self.module, grads, grad_output)
                if given is not None:
                    grads = self._checked(given, grads)
        return {k: grads[k] for k in asked}

    def _checked(self, given: Any, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        given = given if isinstance(given, (tuple, list)) else (given,)
        name = f"full backward hook on {type(self.module).__name__}"
        if len(given) != len(grads):
            raise GradError(
                f"{name}: it returned {len(given)} gradients; the module was called "
                f"with {len(grads)} positional arguments, each needs one or None.",
                help="return None to leave the gradients as they are.",
            )
        for k, (new, old) in enumerate(zip(given, grads, strict=True)):
            if old is None and new is not None:
                raise GradError(
                    f"{name}: it returned a gradient for argument {k}, "
                    "which got no gradient to replace.",
                    help=f"return None in place {k}.",
                )
        # None where there was a gradient says, as in PyTorch: none flows.
        return tuple(
            old * 0 if new is None and old is not None else new
            for new, old in zip(given, grads, strict=True)
        )


def _wanting(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(
        k for k, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad
    )


def _gate(
    values: tuple[Any, ...], wanted: Sequence[int], see: Callable[[int, Any], Any]
) -> tuple[Any, ...]:
    """Put an identity before each wanted value; ``see(k, g)`` stands on it."""
    gated = list(values)
    for k in wanted:
        gated[k] = identity(values[k])
        gated[k].register_hook(partial(see, k))
    return tuple(gated)
