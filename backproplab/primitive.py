"""How an op is declared: value, derivative rules and all else about it, in one place.

Three declarators, named for what is known of the function:

* ``elementwise(*partials)``: y[i] depends on x[i] alone; a partial is dy/dx.
* ``linear(*transposes)``: linear in each input; a transpose carries g from y to x.
* ``primitive(*pullbacks)``: everything else, with rules given by hand.

A rule is plain NumPy over its arguments, so handing it tensors makes it differentiable.
There is one rule for each differentiable input, in order; None where no gradient flows.
"""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

import numpy as np

from ._arrays import shape_words
from ._calling import caller
from ._declaring import check_body, check_options, check_rules
from ._deriving import Rule, derive
from ._signatures import parameters
from .errors import BackpropError, ShapeError

numpy_rules: dict[Any, Callable[..., Any]] = {}  # NumPy function -> our op


class Primitive:
    """One declared op. Everything that is known of it hangs here; see the declarators.

    Attributes:
        name: its name in ``bp.ops``.
        body: the function as declared.
        kind: "elementwise", "linear" or "primitive".
        value: the function of arrays: the body, or the ufunc that it calls.
        rules: as declared, for reading and for TeX.
        pullbacks: one canonical ``(g, y, *inputs, **static) -> contribution`` an input.
        vjp: all contributions at once, ``(g, y, *inputs, wrt, **static) -> sequence``.
        jvp: ``(tangents, y, *inputs, **static) -> tangent``; a tangent may be None.
        keeps_form: whether inputs of one shape and dtype surely give just that.
        needs: for each input, the positions its rule reads (0 is y, 1 the first input).
        cast: autocast class: "low", "fp32", "widest" or "keep".
        example: ``rng -> (inputs, static)`` inside the op's domain, for the tests.
    """

    __slots__ = (
        "body",
        "call",
        "cast",
        "defaults",
        "differentiable",
        "example",
        "inputs",
        "jvp",
        "keeps_form",
        "kind",
        "listed",
        "name",
        "needs",
        "numpy",
        "pullbacks",
        "requires",
        "rules",
        "saves",
        "value",
        "variadic",
        "vjp",
    )  # fmt: skip

    body: Rule
    call: Rule
    cast: str
    defaults: dict[str, Any]
    differentiable: bool
    example: Rule
    inputs: tuple[str, ...]
    jvp: Rule | None
    keeps_form: bool
    kind: str
    listed: bool
    name: str
    needs: tuple[Any, ...]
    numpy: tuple[Any, ...]
    pullbacks: tuple[Any, ...]
    requires: str
    rules: tuple[Any, ...]
    saves: bool
    value: Rule
    variadic: bool
    vjp: Rule | None

    @property
    def signature(self) -> Signature:
        """What the body takes; of the call the same."""
        return signature(self.body)

    def __repr__(self) -> str:
        return f"<{self.kind} op {self.name}{self.signature}>"

    def explain(self, values: Any, error: ValueError) -> Exception:
        """Turn NumPy's complaint into ours: seen, required, and what would fit."""
        if isinstance(error, BackpropError):
            return error
        names = (
            self.inputs
            if not self.variadic
            else tuple(f"x{i}" for i in range(len(values)))
        )
        required = self.requires or (
            "shapes must be equal or 1 from the right."
            if self.kind == "elementwise"
            else f"{error}."
        )
        return ShapeError(
            f"{self.name}: {shape_words(names, values)}; {required}",
            help=self._what_fits(names, values),
        )

    def _what_fits(self, names: tuple[str, ...], values: Any) -> str:
        if len(values) < 2 or self.defaults:
            return ""
        column: list[tuple[str, Any, Any]] = [("[:, None]", lambda x: x[:, None], (1,))]
        turned: list[tuple[str, Any, Any]] = [
            (".T", lambda x: x.T, (2,)),
            (".mT", lambda x: np.swapaxes(x, -1, -2), range(3, 99)),
        ]
        first = self.kind == "elementwise"
        for words, change, ndims in column + turned if first else turned + column:
            for k, (name, x) in enumerate(zip(names, values, strict=True)):
                if np.ndim(x) not in ndims:
                    continue
                try:
                    with np.errstate(all="ignore"):
                        self.value(*values[:k], change(np.asarray(x)), *values[k + 1 :])
                except Exception:  # it does not fit either
                    continue
                return f"`{name}{words}` would fit."
        shaped = (n for n, x in zip(names, values, strict=True) if np.ndim(x))
        shapes = ", ".join(f"{name}.shape" for name in shaped)
        return f"look at the shapes before this line: `print({shapes})`."


def elementwise(
    *partials: Rule | float | None, **options: Any
) -> Callable[[Rule], Any]:
    """Declare y = f(x, ...) computed element by element, by its local derivatives.

    The pullback (g times the partial) and the jvp (the sum of partial times tangent)
    follow. Broadcasting is undone by the engine.

    Args:
        *partials: for each input ``lambda y, x, ...: dy/dx``, or the number that it is,
            or None where no gradient flows. A leading ``_`` says that backward does
            not need this value.
        **options: see ``primitive``.

    >>> import numpy as np, backproplab as bp
    >>> @bp.elementwise(lambda y, _x: -y * y)
    ... def inverse(x):
    ...     return 1 / x
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> inverse(x).backward()
    >>> float(x.grad)
    -0.25
    """
    return _declarator("elementwise", partials, options)


def linear(*transposes: Rule | None, **options: Any) -> Callable[[Rule], Any]:
    """Declare a function that is linear in each input, by its transposes.

    The jvp follows: put the tangent where the input was, and add over the inputs.

    Args:
        *transposes: for each input ``lambda g, x, ..., **static: contribution``.
        **options: see ``primitive``.
    """
    return _declarator("linear", transposes, options)


def primitive(
    *pullbacks: Rule | None,
    vjp: Rule | None = None,
    jvp: Rule | None = None,
    inputs: int | None = None,
    **options: Any,
) -> Callable[[Rule], Any]:
    """Declare a function by rules given by hand.

    Args:
        *pullbacks: for each input ``lambda g, y, x, ..., **static: contribution``.
        vjp: instead of pullbacks where inputs share work: ``vjp(g, y, *inputs, wrt,
            **static)`` returns one contribution an input; those whose position is not
            in ``wrt`` are not looked at.
        jvp: ``jvp(tangents, y, *inputs, **static)``; ``tangents[k]`` is None where
            input k stands still.
        inputs: how many leading parameters are inputs, where there are no pullbacks.
        **options: ``ufunc`` or ``numpy`` (the NumPy function that it stands for; a
            tuple for several), ``cast`` (autocast class), ``example`` (``rng ->
            (inputs, static)``), ``requires`` (the shape rule, in words), ``saves`` (the
            function returns ``y, saved`` and the rules get ``saved=``, None when they
            must compute it again from tensors), ``listed`` (of ``*inputs``: the caller
            passes them as one sequence, as to ``np.concatenate``), ``name``.
    """
    options |= {"vjp": vjp, "jvp": jvp, "inputs": inputs}
    return _declarator("primitive", pullbacks, options)


def implements(*functions: Any) -> Callable[[Rule], Rule]:
    """Let a function made of ops stand for NumPy functions when called with tensors."""

    def register(f: Rule) -> Rule:
        numpy_rules.update(dict.fromkeys(functions, f))
        return f

    return register


def _declarator(kind: str, rules: tuple[Any, ...], options: dict[str, Any]) -> Any:
    check_options(kind, rules, options, _declare.__kwdefaults__)

    def declare(value: Rule) -> Rule:
        check_body(kind, value)
        op = _declare(kind, value, rules, **options)
        call = op.call = caller(op, value)
        numpy_rules.update(dict.fromkeys(op.numpy, call))
        return call

    return declare


def _declare(
    kind: str,
    value: Rule,
    rules: tuple[Any, ...],
    *,
    vjp: Rule | None = None,
    jvp: Rule | None = None,
    inputs: int | None = None,
    ufunc: Any = None,
    numpy: Any = (),
    cast: str = "keep",
    example: Rule | None = None,
    requires: str = "",
    saves: bool = False,
    listed: bool = False,
    name: str | None = None,
) -> Primitive:
    op = Primitive()
    op.name, op.kind, op.value, op.rules = name or value.__name__, kind, value, rules
    op.body, taken = value, list(parameters(value).items())
    op.variadic = bool(taken) and taken[0][1][0] is Parameter.VAR_POSITIONAL
    arity = 1 if op.variadic else inputs or len(rules)
    op.inputs = tuple(name for name, _ in taken[:arity])
    op.defaults = {name: default for name, (_, default) in taken[arity:]}
    op.cast, op.requires, op.saves, op.listed = cast, requires, saves, listed
    op.example = example or (lambda rng: ((rng.normal(size=(3, 4)),), {}))
    op.numpy = (ufunc,) if ufunc else numpy if isinstance(numpy, tuple) else (numpy,)
    op.vjp = vjp
    check_rules(op, len(rules), jvp)
    op.differentiable = vjp is not None or any(r is not None for r in rules)
    if ufunc and kind == "elementwise" and not op.defaults:
        op.value = ufunc  # what the body calls
    # Our own ops are tested for it; one of a learner's may widen float32.
    op.keeps_form = kind == "elementwise" and value.__module__.startswith(__package__)
    derive(op, arity, jvp)
    return op
