"""Einstein summation: products of arrays, summed over what the output does not name."""

from typing import Any

import numpy as np

from ..errors import RuleError
from ..node import Node
from ..primitive import implements, primitive

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _spell_out(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Write subscripts in full: no ellipsis, no blanks, the output said.

    >>> _spell_out("ij...,jk", [4, 2])
    (['ijab', 'jk'], 'abik')
    """
    left, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise RuleError(
            f"einsum: {subscripts!r} speaks of {len(terms)} operands and got "
            f"{len(ndims)}; they must be as many."
        )
    unused = [c for c in _LETTERS if c not in subscripts]
    extra = [
        n - len(t.replace("...", "")) if "..." in t else 0
        for t, n in zip(terms, ndims, strict=True)
    ]
    dots = "".join(unused[: max(0, *extra)])
    if not arrow:
        once = [c for c in left if c.isalpha() and left.count(c) == 1]
        out = ("..." if "..." in left else "") + "".join(sorted(once))
    terms = [
        t.replace("...", dots[len(dots) - e :])
        for t, e in zip(terms, extra, strict=True)
    ]
    return terms, out.replace("...", dots)


def _einsum_vjp(
    g: Any, _y: Any, *operands: Any, wrt: Any, subscripts: str, optimize: Any
) -> list[Any]:
    terms, out = _spell_out(subscripts, [np.ndim(x) for x in operands])
    result: list[Any] = [None] * len(operands)
    for k in wrt:
        x, term = operands[k], terms[k]
        factors = [g, *operands[:k], *operands[k + 1 :]]
        given = [out, *terms[:k], *terms[k + 1 :]]
        free = iter(c for c in _LETTERS if c not in "".join([*terms, out]))
        wanted = ""
        for c, size in zip(term, np.shape(x), strict=True):
            if c in wanted:
                # a repeated letter: only the diagonal takes part
                new = next(free)
                factors.append(np.eye(size, dtype=g.dtype))
                given.append(c + new)
                c = new
            elif not any(c in t for t in given):
                # a letter of x alone: it was summed over, so each gets the same
                factors.append(np.ones(size, g.dtype))
                given.append(c)
            wanted += c
        how = optimize if isinstance(optimize, (bool, str)) else True
        spelt = ",".join(given) + "->" + wanted
        result[k] = np.einsum(spelt, *factors, optimize=how)
    return result


def _einsum_jvp(
    tangents: Any, _y: Any, *operands: Any, subscripts: str, optimize: Any
) -> Any:
    total = None
    for k, t in enumerate(tangents):
        if t is not None:
            moved = (*operands[:k], t, *operands[k + 1 :])
            term = np.einsum(subscripts, *moved, optimize=optimize)
            total = term if total is None else total + term
    return total


@primitive(
    vjp=_einsum_vjp,
    jvp=_einsum_jvp,
    name="einsum",
    cast="low",
    example=lambda rng: (
        (rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 4))),
        {"subscripts": "ij,jk,kk->ki"},
    ),
)
def _einsum(*operands, subscripts, optimize=False):
    """Sum of products, as spelt; each factor gets g times the others, summed too."""
    return np.einsum(subscripts, *operands, optimize=optimize)


@implements(np.einsum)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """Sum of products over all letters that the output lacks, as ``np.einsum``.

    Ellipsis, repeated letters ("ii->i" takes the diagonal) and an output left unsaid
    (letters seen once, in alphabetical order) all have gradients.

    Args:
        *operands: subscripts and arrays, or arrays each followed by its list of axes,
            and the output's list last.
        optimize: NumPy's; backward uses the same.

    Raises:
        RuleError: if the subscripts do not fit the number of operands.

    >>> einsum("ij,j->i", np.ones((2, 3)), np.arange(3.0)).tolist()
    [3.0, 3.0]
    """
    subscripts, *arrays = operands
    if not isinstance(subscripts, str):
        lists = operands[1::2]
        arrays = list(operands[0 : 2 * len(lists) : 2])
        spelt = ",".join(map(_letters, lists))
        subscripts = spelt
        if len(operands) % 2:
            subscripts += "->" + _letters(operands[-1])
    arrays = [a if isinstance(a, Node) else np.asarray(a) for a in arrays]
    _spell_out(subscripts, [np.ndim(a) for a in arrays])
    return _einsum(*arrays, subscripts=subscripts, optimize=optimize)


def _letters(axes: Any) -> str:
    return "".join("..." if a is Ellipsis else _LETTERS[a] for a in axes)
