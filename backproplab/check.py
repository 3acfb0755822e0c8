"""check_grads: hold derivative rules against numerical differentiation.

What broken numbers say about the rule is worked out in ``_causes``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._causes import Case, cause_of_jvp, cause_of_vjp
from ._numerical import Point
from ._points import parts_of, point_at
from ._trees import array
from .errors import CheckError, RangeError
from .transforms import jvp, vjp


def check_grads(
    f: Callable[..., Any],
    args: Any,
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    rng: np.random.Generator | None = None,
) -> None:
    """Raise if a derivative of f at ``args`` is wrong; say where, and the likely cause.

    All in float64. The vjp of a random incoming gradient g and the jvp of a random
    tangent t are held against numerical derivatives, and against each other: the
    adjoint identity <g, J t> = <g^T J, t>. Numerical derivatives are complex steps
    where f takes complex numbers (right to rounding; Squire & Trapp 1998), else central
    differences with Richardson's extrapolation. Of a large input, 512 random entries
    are looked at. If f is made of several ops, the broken one is looked for.

    Args:
        f: an op, or any function made of ops.
        args: its arguments, a tuple. Floating-point leaves are differentiated; all else
            (integers, None, strings) is passed as it is.
        order: 2 also checks the derivatives of the derivatives; and so on.
        modes: "rev" for the vjp, "fwd" for the jvp.
        rng: where directions come from; seeded with 0 if there is none.

    Raises:
        CheckError: an AssertionError that names op, input, entry, expected, got, cause.
        RangeError: if ``order`` or ``modes`` ask for nothing.

    >>> import backproplab as bp
    >>> @bp.elementwise(lambda y, x: 2 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> check_grads(cube, (1.0,))
    Traceback (most recent call last):
    backproplab.errors.CheckError: check_grads: the gradient of x in cube is wrong: ...
    """
    call = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    _require_something("order", order, isinstance(order, int) and order >= 1)
    known = bool(modes) and all(m in ("fwd", "rev") for m in modes)
    _require_something("modes", modes, known)
    rng = rng or np.random.default_rng(0)
    point = point_at(f, call)
    finding = _search(point, order, modes, rng)
    if finding is None:
        return
    for part in parts_of(point):
        inner = _search(part, order, modes, rng)
        if inner is not None:
            finding = inner
            break
    raise finding.error()


def _require_something(name: str, value: Any, fits: bool) -> None:
    """Refuse to check nothing."""
    if not fits:
        required = "1 or more" if name == "order" else '"fwd", "rev" or both'
        raise RangeError(f"check_grads: {name} is {value!r}; {required} is required.")


class Finding(NamedTuple):
    """What is wrong: a sentence, and how to find the cause of it."""

    seen: str
    cause: Callable[[], str]

    def error(self) -> CheckError:
        """The message, with the likely cause as its help."""
        return CheckError(f"check_grads: {self.seen}", help=self.cause())


def _search(
    point: Point, order: int, modes: Sequence[str], rng: np.random.Generator
) -> Finding | None:
    """Find the first thing that is wrong at a point, lower orders first."""
    again = point.values(point.xs)
    if not all(map(np.array_equal, point.ys, again, [True] * len(again))):
        return Finding(
            f"{point.name} gave two different values at one point.",
            lambda: "draw random numbers outside of it and pass them in.",
        )
    vs = [rng.normal(size=y.shape).astype(y.dtype) for y in point.ys]
    ts = [rng.normal(size=x.shape) for x in point.xs]
    point.try_complex(rng)
    rules: dict[str, Callable[..., Any]] = {}
    if "rev" in modes:
        rules["vjp"] = lambda *xs: vjp(point.outputs, *xs)[1](tuple(vs))
    if "fwd" in modes:
        rules["jvp"] = lambda *xs: jvp(point.outputs, xs, tuple(ts))[1]
    got: dict[str, list[Any]] = {}
    for rule, derived in rules.items():
        try:
            got[rule] = [array(g) for g in derived(*point.xs)]
        except Exception as error:
            return _raised(point, rule, error)
        judge = _judge_vjp if rule == "vjp" else _judge_jvp
        finding = judge(point, vs if rule == "vjp" else ts, got[rule], rng)
        if finding is not None:
            return finding
    if len(got) == 2:
        finding = _judge_adjoint(point, vs, ts, got["vjp"], got["jvp"])
        if finding is not None:
            return finding
    if order > 1:
        for rule, derived in rules.items():
            deeper = Point(
                derived, point.xs, f"the {rule} of {point.name}", point.names
            )
            finding = _search(deeper, order - 1, modes, rng)
            if finding is not None:
                return finding
    return None


def _judge_vjp(
    point: Point, vs: list[Any], got: list[Any], rng: np.random.Generator
) -> Finding | None:
    v = np.concatenate([v.ravel() for v in vs])
    most = max(1, min(512, 4_000_000 // max(v.size, 1)))
    case = Case(point, vs, got)
    for x in point.xs:
        entries = np.arange(x.size)
        if x.size > most:
            entries = np.sort(rng.choice(x.size, most, replace=False))
        case.look(entries)
    for k, x in enumerate(point.xs):
        expected, seen, wrong = case.expected[k], case.seen[k], case.wrong(k)
        if wrong.any():
            i = int(np.argmax(np.where(wrong, np.abs(seen - expected), -1)))
            where = np.unravel_index(case.entries[k][i], x.shape)
            return Finding(
                f"the gradient of {point.names[k]} in {point.name} is wrong"
                f"{_words(where, expected[i], seen[i], wrong)}",
                lambda k=k: cause_of_vjp(case, k),  # type: ignore[misc]
            )
    return None


def _judge_jvp(
    point: Point, ts: list[Any], got: list[Any], _rng: np.random.Generator
) -> Finding | None:
    weight = max(float(np.abs(t).max(initial=0)) for t in ts)
    for j, (expected, seen) in enumerate(zip(point.slope(ts), got, strict=True)):
        wrong = ~(np.abs(seen - expected) <= point.tolerance(expected, weight))
        if wrong.any():
            off = np.where(wrong, np.abs(seen - expected), -1)
            where = np.unravel_index(int(np.argmax(off)), off.shape)
            which = f" of output {j}" if len(got) > 1 else ""
            return Finding(
                f"the tangent{which} (jvp) in {point.name} is wrong"
                f"{_words(where, expected[where], seen[where], wrong)}",
                lambda j=j: cause_of_jvp(point, ts, got, j),  # type: ignore[misc]
            )
    return None


def _judge_adjoint(
    point: Point, vs: list[Any], ts: list[Any], back: list[Any], forth: list[Any]
) -> Finding | None:
    left = [a * b for a, b in zip(vs, forth, strict=True)]
    right = [a * b for a, b in zip(back, ts, strict=True)]
    size = sum(float(np.abs(p).sum()) for p in (*left, *right))
    a, b = (sum(float(p.sum()) for p in side) for side in (left, right))
    if abs(a - b) <= point.eps ** (3 / 4) * size:
        return None
    return Finding(
        f"vjp and jvp of {point.name} disagree: <g, J t> = {a:.12g}, "
        f"<g^T J, t> = {b:.12g}.",
        lambda: (
            "the two rules differ by too little for numerical derivatives to see: "
            "look for a constant with too few digits, or a float32 on the way."
        ),
    )


def _raised(point: Point, rule: str, error: Exception) -> Finding:
    said = f"{type(error).__name__}: {error}".splitlines()[0]

    def cause() -> str:
        if isinstance(error, ValueError):
            return "likely cause: shapes do not fit: a missing transpose or axis."
        return (
            "a rule is plain NumPy on its arguments, and takes tensors too where "
            "derivatives of derivatives are wanted."
        )

    return Finding(f"the {rule} rule in {point.name} raised {said}", cause)


def _words(where: Any, expected: Any, got: Any, wrong: Any) -> str:
    index = f" at {[int(i) for i in where]}" if len(where) else ""
    count = (
        f" ({wrong.sum()} of {wrong.size} entries are wrong)" if wrong.size > 1 else ""
    )
    digits = 6 if f"{expected:.6g}" != f"{got:.6g}" else 12
    return f"{index}: expected {expected:.{digits}g}, got {got:.{digits}g}{count}."
