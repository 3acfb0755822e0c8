"""The function that a user calls: arguments sorted into inputs and options."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from ._signatures import parameters
from .errors import RuleError, near
from .node import Node
from .tape import apply, one, two

if TYPE_CHECKING:
    from .primitive import Primitive


def caller(op: Primitive, body: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function that a user calls."""
    call: Any
    arity, defaults = len(op.inputs), op.defaults
    required = {k for k, default in defaults.items() if default is Parameter.empty}

    if op.listed:

        def call(arrays: Any, *args: Any, **static: Any) -> Any:
            static = {**dict(zip(defaults, args, strict=False)), **static}
            if not static.keys() <= defaults.keys():
                raise _unknown_keyword(op, static)
            return apply(op, tuple(arrays), {**defaults, **static})

    elif op.variadic:

        def call(*args: Any, **static: Any) -> Any:
            if not static.keys() <= defaults.keys():
                raise _unknown_keyword(op, static)
            return apply(op, args, {**defaults, **static})

    elif arity <= 2 and not defaults and not op.saves and op.differentiable:
        call = one(op) if arity == 1 else two(op)
        call.__code__ = call.__code__.replace(
            co_varnames=(*op.inputs, *call.__code__.co_varnames[arity:])
        )

    else:
        kinds = {name: kind for name, (kind, _) in parameters(body).items()}
        by_place = [k for k in defaults if kinds[k] is not Parameter.KEYWORD_ONLY]
        most = arity + len(by_place)

        def call(*args: Any, **static: Any) -> Any:
            if not static and len(args) == arity and not required:
                return apply(op, args, defaults)
            if not static and arity < len(args) <= most:
                static = dict(zip(by_place, args[arity:], strict=False))
                args = args[:arity]
            if (
                len(args) != arity
                or not static.keys() <= defaults.keys()
                or (required and not required <= static.keys())
            ):
                args, static = _bind(op, args, static)
            if not static:
                return apply(op, args, defaults)
            for name, value in static.items():
                if isinstance(value, Node) and value._edges is not None:
                    raise _no_rule_for(op, name)
            return apply(op, args, {**defaults, **static})

    call = wraps(body)(call)
    call.__name__ = call.__qualname__ = op.name
    call.primitive = op
    op.call = call
    return call


# What PyTorch calls the parameters of the ops that NumPy does not have.
_PYTORCH = {
    "input": ("x", "ids"), "weight": ("w", "gamma"), "bias": ("b", "beta"),
    "target": ("y",), "dim": ("axis",), "keepdim": ("keepdims",),
}  # fmt: skip


def _ours(op: Primitive, keyword: str) -> str:
    known = op.signature.parameters
    if keyword in known or op.numpy:
        return keyword
    return next((k for k in _PYTORCH.get(keyword, ()) if k in known), keyword)


def _bind(op: Primitive, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
    static = {_ours(op, k): value for k, value in static.items()}
    try:
        bound = op.signature.bind(*args, **static)
    except TypeError as error:
        if static.keys() - op.signature.parameters.keys():
            raise _unknown_keyword(op, static) from None
        raise RuleError(
            f"{op.name}: {error}; its signature is {op.name}{op.signature}."
        ) from None
    bound.apply_defaults()
    given = bound.arguments
    return (
        tuple(given[name] for name in op.inputs),
        {name: given[name] for name in op.defaults},
    )


def _no_rule_for(op: Primitive, name: str) -> RuleError:
    return RuleError(
        f"{op.name}: {name} is a tensor that wants a gradient, and has no derivative "
        f"rule; there is one for {', '.join(op.inputs)}.",
        help=f"pass `{name}.data` if no gradient is to flow through it, or declare a "
        "rule for each input.",
    )


def _unknown_keyword(op: Primitive, static: dict[str, Any]) -> RuleError:
    extra = sorted(static.keys() - op.signature.parameters.keys())
    return RuleError(
        f"{op.name}: got the keyword {', '.join(extra)}; "
        f"its signature is {op.name}{op.signature}.",
        help=near(extra[0], op.signature.parameters),
    )
