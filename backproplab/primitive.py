"""How an op is declared: value, derivative rules and all else about it, in one place.

Three declarators, named for what is known of the function:

* ``elementwise(*partials)``: y[i] depends on x[i] alone; a partial is dy/dx.
* ``linear(*transposes)``: linear in each input; a transpose carries g from y to x.
* ``primitive(*pullbacks)``: everything else, with rules given by hand.

A rule is plain NumPy over its arguments, so handing it tensors makes it differentiable.
There is one rule for each differentiable input, in order; None where no gradient flows.
"""

from collections.abc import Callable
from functools import lru_cache
from inspect import CO_VARARGS, Parameter, Signature, signature
from types import FunctionType
from typing import Any

import numpy as np

from ._arrays import shape_words
from ._calling import caller
from ._declaring import check_body, check_options, check_rules
from .errors import BackpropError, ShapeError
from .tape import apply, unchanged

Rule = Callable[..., Any]
_parameters = lru_cache(maxsize=4)(signature)  # a rule is read several times in a row

numpy_rules: dict[Any, Callable[..., Any]] = {}  # NumPy function -> our op


class Primitive:
    """One declared op. Everything that is known of it hangs here; see the declarators.

    Attributes:
        name: its name in ``bp.ops``.
        kind: "elementwise", "linear" or "primitive".
        value: the function of arrays.
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
        "call",
        "cast",
        "defaults",
        "differentiable",
        "doc",
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
        "signature",
        "value",
        "variadic",
        "vjp",
    )  # fmt: skip

    call: Rule
    cast: str
    defaults: dict[str, Any]
    differentiable: bool
    doc: str
    example: Rule
    inputs: tuple[str, ...]
    jvp: Rule | None
    keeps_form: bool
    kind: str
    listed: bool
    name: str
    needs: "_Needs"
    numpy: tuple[Any, ...]
    pullbacks: tuple[Any, ...]
    requires: str
    rules: tuple[Any, ...]
    saves: bool
    signature: Signature
    value: Rule
    variadic: bool
    vjp: Rule | None

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
    op.signature = signature(value)
    parameters = list(op.signature.parameters.values())
    op.variadic = bool(parameters) and parameters[0].kind is Parameter.VAR_POSITIONAL
    arity = 1 if op.variadic else inputs or len(rules)
    op.inputs = tuple(p.name for p in parameters[:arity])
    op.defaults = {p.name: p.default for p in parameters[arity:]}
    op.doc = value.__doc__ or ""
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
    by_kind: dict[str, Any] = {
        "elementwise": (_partial_pullback, _sum_of_partials(rules)),
        "linear": (_transpose_pullback, _multilinear(op)),
        "primitive": (lambda rule, _: rule, jvp),
    }
    pull, op.jvp = by_kind[kind]
    fixed = 0 if op.variadic or op.defaults else arity
    op.pullbacks = tuple(None if rule is None else pull(rule, fixed) for rule in rules)
    skip = {"elementwise": 0, "linear": -1, "primitive": 1}[kind]
    op.needs = _Needs(_needed(rule, skip, arity) for rule in rules)
    return op


class _Needs(tuple[Any, ...]):
    """What each rule reads; a joint vjp and a variadic op read everything (None)."""

    __slots__ = ()

    def __getitem__(self, k: Any) -> Any:
        return tuple.__getitem__(self, k) if k < len(self) else None


def _needed(rule: Any, skip: int, arity: int) -> tuple[int, ...] | None:
    """Positions (0 is y) of the parameters that do not begin with an underscore."""
    if not callable(rule):
        return ()
    names = _positional(rule)
    if names is None:
        return None
    shift = 1 if skip < 0 else 0  # a transpose has no y
    names = names[abs(skip) :][: arity + 1 - shift]
    return tuple(i + shift for i, n in enumerate(names) if not n.startswith("_"))


def _positional(rule: Rule) -> list[str] | None:
    """Names of the positional parameters; None where there are as many as one likes."""
    if type(rule) is FunctionType and not rule.__dict__:
        code = rule.__code__  # ten times faster to read than a signature
        if code.co_flags & CO_VARARGS:
            return None
        return list(code.co_varnames[: code.co_argcount])
    parameters = _parameters(rule).parameters.values()
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        return None
    keyword = (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.kind not in keyword]


def _partial_pullback(partial: Any, arity: int = 0) -> Rule:
    """Multiply g by the partial; into ``out`` where the engine offers an array.

    Written out where there are one or two inputs and no options, since passing on
    ``*inputs`` and ``**static`` costs more than a product of small arrays.
    """
    if not callable(partial):
        if partial == 1:
            return unchanged

        def multiple(g: Any, *_inputs: Any, out: Any = None, **_static: Any) -> Any:
            return g * partial if out is None else np.multiply(g, partial, out=out)

        return multiple

    def of_one(g: Any, y: Any, x: Any, out: Any = None) -> Any:
        slope = partial(y, x)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    def of_two(g: Any, z: Any, x: Any, y: Any, out: Any = None) -> Any:
        slope = partial(z, x, y)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    def pullback(g: Any, y: Any, *inputs: Any, out: Any = None, **static: Any) -> Any:
        slope = partial(y, *inputs, **static)
        return g * slope if out is None else np.multiply(g, slope, out=out)

    by_arity: dict[int, Rule] = {1: of_one, 2: of_two}
    return by_arity.get(arity, pullback)


def _sum_of_partials(partials: tuple[Any, ...]) -> Rule:
    pulls = [None if p is None else _partial_pullback(p) for p in partials]

    def jvp(tangents: Any, y: Any, *inputs: Any, **static: Any) -> Any:
        terms = [
            pull(t, y, *inputs, **static)
            for t, pull in zip(tangents, pulls, strict=True)
            if t is not None and pull is not None
        ]
        return sum(terms[1:], terms[0]) if terms else None

    return jvp


def _transpose_pullback(transpose: Rule, arity: int) -> Rule:
    if arity == 1:
        return lambda g, _y, x: transpose(g, x)
    if arity == 2:
        return lambda g, _z, x, y: transpose(g, x, y)
    return lambda g, _y, *inputs, **static: transpose(g, *inputs, **static)


def _multilinear(op: Primitive) -> Rule:
    def jvp(tangents: Any, _y: Any, *inputs: Any, **static: Any) -> Any:
        terms = [
            apply(op, (*inputs[:k], t, *inputs[k + 1 :]), static)
            for k, t in enumerate(tangents)
            if t is not None
        ]
        return sum(terms[1:], terms[0]) if terms else None

    return jvp
