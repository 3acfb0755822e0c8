"""Transforms of functions, with JAX's names and signatures, nested to any order.

A transform calls the function with stand-ins for its arguments, looks at the tape
between stand-ins and outputs, and carries gradients back or tangents forward through
that part alone: no ``.grad`` is written. ``check.py`` does the checks.

What is returned is a plain array, unless something outside the call wants a gradient
(an enclosing transform, an argument or a captured parameter with ``requires_grad``):
then it is a tensor connected to it. A tensor argument gets its gradient as a tensor.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ._checkpoint import checkpoint as checkpoint
from ._linearize import Run
from ._trees import array, kind
from .errors import GradError

Function = Callable[..., Any]
Argnums = int | Sequence[int]


def grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns df/dx at its arguments, for a scalar f.

    Args:
        f: returns one floating-point number; its arguments are arrays, numbers, tensors
            or nested lists, tuples and dicts of them.
        argnums: which positional argument to differentiate; a tuple gives a tuple.
        has_aux: f returns ``(value, aux)``, and the new function ``(gradient, aux)``.

    Raises:
        GradError: if f returns anything but one number of shape ().
        DTypeError: if an argument or the value is not floating point.

    >>> float(grad(lambda x: x * x * x)(2.0))
    12.0
    >>> float(grad(grad(grad(lambda x: x * x * x)))(2.0))
    6.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def value_and_grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False
) -> Function:
    """The function that returns f(x) and df/dx together; see ``grad``.

    With ``has_aux`` it returns ``((value, aux), gradient)``.
    """

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        run = Run("grad", f, args, argnums, kwargs, has_aux)
        seed = np.ones((), run.one_number().dtype)
        g = run.shape_as_inputs(run.pull([seed], reuse=False))
        value = run.result()
        return ((value, run.aux()), g) if has_aux else (value, g)

    return value_and_gradient


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Return f(*primals) and the function g -> g^T J, a tuple with one entry a primal.

    ``vjp_fn`` may be called any number of times.

    >>> y, pull = vjp(lambda x, w: x * w, 3.0, 4.0)
    >>> tuple(map(float, pull(1.0)))
    (4.0, 3.0)
    """
    run = Run("vjp", f, primals, range(len(primals)), {}, has_aux)

    def vjp_fn(g: Any) -> Any:
        return run.shape_as_inputs(run.pull(run.match_outputs(g)))

    return (run.result(), vjp_fn, *((run.aux(),) if has_aux else ()))


def jvp(
    f: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> Any:
    """Return f(*primals) and J t: how the output moves when the primals move along t.

    One pass forward over the tape, with each op's own jvp.

    Raises:
        GradError: if primals and tangents are not sequences of the same structure.
        ShapeError: if a tangent has not its primal's shape.
        DTypeError: if a tangent has not its primal's dtype (Python numbers adapt).

    >>> y, t = jvp(lambda x: x * x, (3.0,), (1.0,))
    >>> float(t)
    6.0
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise GradError(
                f"jvp: {what} is {kind(given)}; a tuple, one entry an argument, is "
                "required.",
                help="write `bp.jvp(f, (x,), (t,))`.",
            )
    run = Run("jvp", f, tuple(primals), range(len(primals)), {}, has_aux)
    pushed = run.push(run.match_inputs(tuple(tangents)))
    return (
        run.result(),
        run.shape_as_outputs(pushed),
        *((run.aux(),) if has_aux else ()),
    )


def jacrev(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns dy/dx of shape y.shape + x.shape, row by row.

    Backward, so right where y has fewer entries than x. Nested outputs and arguments
    give the outputs' structure with the arguments' structure in each place (JAX's).

    >>> jacrev(lambda x: x * x)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @wraps(f, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        run = Run("jacrev", f, args, argnums, kwargs, has_aux)
        blocks = []
        for j, y in enumerate(run.outputs):
            rows = [
                run.pull([e if i == j else None for i in range(len(run.outputs))])
                for e in _basis(y)
            ]
            blocks.append(
                run.shape_as_inputs(
                    _stack([row[k] for row in rows], np.shape(y), np.shape(x), x, 0)
                    for k, x in enumerate(run.leaves)
                )
            )
        jacobian = run.shape_as_outputs(blocks)
        return (jacobian, run.aux()) if has_aux else jacobian

    return jacobian_of


def jacfwd(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns dy/dx of shape y.shape + x.shape, column by column.

    Forward, so right where x has fewer entries than y; otherwise as ``jacrev``.
    """

    @wraps(f, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        run = Run("jacfwd", f, args, argnums, kwargs, has_aux)
        columns = [
            [
                run.push([e if i == k else None for i in range(len(run.leaves))])
                for e in _basis(x)
            ]
            for k, x in enumerate(run.leaves)
        ]
        jacobian = run.shape_as_outputs(
            run.shape_as_inputs(
                _stack([c[j] for c in columns[k]], np.shape(y), np.shape(x), x, -1)
                for k, x in enumerate(run.leaves)
            )
            for j, y in enumerate(run.outputs)
        )
        return (jacobian, run.aux()) if has_aux else jacobian

    return jacobian_of


def jacobian(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns dy/dx of shape y.shape + x.shape; it is ``jacrev``."""
    return jacrev(f, argnums, has_aux)


def hessian(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that returns the second derivatives, of shape x.shape + x.shape.

    Forward over reverse; several argnums give a tuple of tuples.

    >>> hessian(lambda x: (x * x * x).sum())(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(jacrev(f, argnums, has_aux), argnums, has_aux)


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return H v of a scalar f, at the cost of a few gradients and without H.

    Forward over reverse. Several primals give a tuple, over the whole Hessian; a single
    one may stand without its tuple.

    >>> x, v = np.array([1.0, 2.0]), np.ones(2)
    >>> hvp(lambda x: (x * x * x).sum(), (x,), (v,)).tolist()
    [6.0, 12.0]
    """
    if not isinstance(primals, (tuple, list)):
        primals, tangents = (primals,), (tangents,)
    argnums = tuple(range(len(primals))) if len(primals) > 1 else 0
    return jvp(grad(f, argnums), primals, tangents)[1]


def _basis(like: Any) -> Iterator[Any]:
    like = array(like)
    for i in range(like.size):
        e = np.zeros_like(like)
        e.flat[i] = 1
        yield e


def _stack(parts: list[Any], out: Any, into: Any, x: Any, axis: int) -> Any:
    if not parts:
        return np.zeros(out + into, array(x).dtype)
    return np.reshape(np.stack(parts, axis), out + into)
