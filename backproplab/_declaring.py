"""Whether a declaration holds together: said when it is made, not when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ._signatures import fits
from .errors import RuleError, near

if TYPE_CHECKING:
    from .primitive import Primitive

_CASTS = ("low", "fp32", "widest", "keep")
_FIRST = {"elementwise": ("y",), "linear": ("g",), "primitive": ("g", "y")}


def check_options(kind: str, rules: Iterable[Any], options: Any, known: Any) -> None:
    """Name what stands in place of a rule, and an option that is none."""
    for rule in rules:
        if not (rule is None or callable(rule) or isinstance(rule, (int, float))):
            raise RuleError(
                f"bp.{kind} declares an op from its rules, "
                f"but got {type(rule).__name__}.",
                help="the ops themselves, linear among them, are in bp.ops.",
            )
    for name in options.keys() - known:
        raise RuleError(f"bp.{kind} has no option {name}.", help=near(name, known))


def check_body(kind: str, value: Any) -> None:
    """Refuse an array: then the function itself was taken for a rule."""
    if not callable(value):
        first = ", ".join((*_FIRST[kind], "x"))
        raise RuleError(
            f"bp.{kind} got {type(value).__name__} where the function that computes "
            "the value is required; the decorator was written without its rules.",
            help=f"write `@bp.{kind}(lambda {first}: ...)` above `def`.",
        )


def check_rules(op: Primitive, count: int, jvp: Any) -> None:
    """Hold the number of rules against the inputs, and what each takes.

    Args:
        op: with its kind, signature, inputs and options set.
        count: of the rules.
        jvp: as given by hand, or None.

    Raises:
        RuleError: for the first that does not fit.
    """
    if op.cast not in _CASTS:
        raise RuleError(
            f"{op.name}: cast is {op.cast!r}; it must be one of {', '.join(_CASTS)}."
        )
    if op.variadic or (op.defaults and type(op.value) is not FunctionType):
        return  # NumPy's own functions have more options than a rule need know
    if not op.inputs or count > len(op.inputs):
        raise RuleError(
            f"{op.name}{op.signature} is declared with {count} rules; "
            "one for each input is required, in order.",
            help="write None for an input through which no gradient flows.",
        )
    options = (*op.defaults, "saved") if op.saves else tuple(op.defaults)
    first = _FIRST[op.kind]
    for name, rule in zip(op.inputs, op.rules, strict=False):
        if callable(rule):
            _check(f"{op.name}: the rule for {name}", rule, first, op.inputs, options)
    if op.vjp is not None:
        wanted = ("wrt", *options)
        _check(f"{op.name}: its vjp", op.vjp, ("g", "y"), op.inputs, wanted)
    if jvp is not None:
        _check(f"{op.name}: its jvp", jvp, ("tangents", "y"), op.inputs, options)


def _check(
    what: str,
    rule: Callable[..., Any],
    first: tuple[str, ...],
    inputs: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    if fits(rule, len(first) + len(inputs), options):
        return
    if "y" in inputs:
        first = tuple("z" if name == "y" else name for name in first)
    taken = ", ".join((*first, *inputs, *(("*", *options) if options else ())))
    try:
        has = str(signature(rule))
    except ValueError:  # as for NumPy's functions
        has = "no parameters that can be read"
    raise RuleError(
        f"{what} takes {has}; it must take ({taken}).",
        help=f"write `lambda {taken}: ...`; a leading _ marks a value that backward "
        "does not need.",
    )
