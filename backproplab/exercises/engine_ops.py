"""One op of a learner's engine: its value, its rules, its shapes; and what is said.

The truth is our own engine's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from .engine_probe import MistakeError, tried

Build = Callable[..., Any]


# What each op is, by the way it is written, on operands of these shapes.
OPS: tuple[tuple[str, Build, tuple[tuple[int, ...], ...]], ...] = (
    ("x + y", lambda x, y: x + y, ((3, 3), (3, 3))),
    ("x - y", lambda x, y: x - y, ((3, 3), (3, 3))),
    ("x * y", lambda x, y: x * y, ((3, 3), (3, 3))),
    ("x @ w", lambda x, w: x @ w, ((3, 3), (3, 3))),
    ("x @ w", lambda x, w: x @ w, ((4, 3), (3, 2))),
    ("x.tanh()", lambda x: x.tanh(), ((2, 3),)),
    ("x.sum()", lambda x: x.sum(), ((2, 3),)),
)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Random arrays, the same ones each time."""
    rng = np.random.default_rng(8)
    return [rng.normal(size=shape) for shape in shapes]


def check_rules(make: type) -> None:
    """Judge the values of all ops, and each rule alone; no walk is needed."""
    for written, op, shapes in OPS:
        arrays = draw(*shapes)
        xs = [tried(make, a, doing="`Value(array)`") for a in arrays]
        z = tried(op, *xs, doing=f"`{written}`")
        us = [ours(a) for a in arrays]
        truth = op(*us)
        _same_value(written, z, truth.data, make)
        parents, rules = (_tuple(written, z, key) for key in ("parents", "rules"))
        if [id(p) for p in parents] != [id(x) for x in xs]:
            raise MistakeError(
                "path-missing",
                f"`{written}` has {len(parents)} parents that are its operands in "
                f"their order; it needs {len(xs)}.",
            )
        if len(rules) != len(xs):
            raise MistakeError(
                "path-missing",
                f"`{written}` has {len(rules)} rules for {len(xs)} parents.",
            )
        (g,) = draw((*np.shape(truth.data), 1))
        g = g[..., 0] * 1.5
        truth.backward(g)
        for k, rule in enumerate(rules):
            got = tried(rule, g.copy(), doing=f"rule {k} of `{written}`")
            _local(written, k, got, us[k].grad, g, arrays)


def one_op(make: Any, written: str, op: Build, shapes: Any, backward: Any) -> None:
    """One op under a weighted sum, by ``grad`` alone."""
    arrays = draw(*shapes)
    xs = [tried(make, a, doing="`Tape(array)`") for a in arrays]
    us = [ours(a) for a in arrays]
    z, truth = tried(op, *xs, doing=f"`{written}`"), op(*us)
    _same_value(written, z, truth.data, make)
    g = np.asarray(draw((*truth.shape, 1))[0][..., 0])
    weighted = tried(lambda: (z * make(g)).sum(), doing="`(z * weights).sum()`")
    tried(backward, weighted, doing="`backward()`")
    (truth * g).sum().backward()
    try:
        for k, x in enumerate(xs):
            _local(written, k, grad(x, written), us[k].grad, g, arrays)
    except MistakeError as found:
        if found.verdict.label == "wrong" and share([*xs, z, weighted]):
            raise aliased() from None
        raise


def share(values: Sequence[Any]) -> bool:
    """Whether the gradients of two values lie in one array."""
    grads = [g for v in values if isinstance(g := v.grad, np.ndarray)]
    return any(
        np.may_share_memory(a, b) for i, a in enumerate(grads) for b in grads[:i]
    )


def aliased() -> MistakeError:
    """What is said of two gradients in one array."""
    return MistakeError(
        "aliased",
        "The gradients of two values are one array, and what was added to one went "
        "into the other: `+=` writes into an array that others hold. Make a new one: "
        "`grad = grad + ...`.",
    )


def broadcast(make: Any, sign: str, shapes: Any, backward: Any) -> None:
    """Judge a sum, difference or product of two shapes."""
    ops: dict[str, Build] = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
    }
    arrays, written = draw(*shapes), f"x {sign} y"
    xs, us = [make(a) for a in arrays], [ours(a) for a in arrays]
    (w,) = draw(np.broadcast_shapes(*shapes))
    end = tried(lambda: (ops[sign](*xs) * make(w)).sum(), doing=f"`{written}`")
    tried(backward, end, doing="`backward()`")
    (ops[sign](*us) * w).sum().backward()
    for x, u in zip(xs, us, strict=True):
        got, want = grad(x, written), np.asarray(u.grad)
        words = f"`{written}`, x {shapes[0]} and y {shapes[1]}"
        if got.shape != want.shape:
            if got.shape == w.shape:
                raise MistakeError(
                    "no-batch-sum",
                    f"{words}: the gradient of one has shape {got.shape}, itself it "
                    f"has {want.shape}. Sum over the axes that were broadcast.",
                )
            label = "keepdims" if got.size == want.size else "shape"
            raise MistakeError(
                label,
                f"{words}: the gradient of one has shape {got.shape}; "
                f"{want.shape} is required. Keep the axes of size 1.",
            )
        if not near(got, want):
            if want.size and near(got * (w.size // want.size), want):
                raise MistakeError(
                    "mean-not-sum",
                    f"{words}: averaged over the axis that was broadcast, not summed.",
                )
            raise MistakeError("wrong", f"{words}: the gradient is wrong.")


def grad(x: Any, written: str) -> np.ndarray:
    """The gradient that a value holds."""
    got = tried(lambda: x.grad, doing="`.grad`")
    if got is None:
        raise MistakeError(
            "path-missing", f"No gradient came to an operand of {written}."
        )
    return array(got, "`.grad`")


def array(got: Any, place: str) -> np.ndarray:
    """Take in numbers, whatever holds them."""
    try:
        return np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        raise MistakeError(
            "wrong",
            f"{place} is {type(got).__name__}; an array of numbers is required.",
        ) from None


def ours(a: np.ndarray) -> Tensor:
    """The same array in our engine."""
    return Tensor(a.copy(), requires_grad=True)


def close(a: Any, b: Any) -> bool:
    """Equal in shape, and in value up to rounding."""
    return np.shape(a) == np.shape(b) and near(a, b)


def near(a: Any, b: Any) -> bool:
    """Equal in value up to rounding."""
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


def _local(
    written: str, k: int, got: Any, truth: Any, g: Any, arrays: Sequence[Any]
) -> None:
    """Judge what one op sends to one operand; name the slip if it is a known one."""
    place = f"What `{written}` sends to operand {k + 1}"
    got = array(got, place)
    if got.shape != truth.shape:
        if got.shape == truth.T.shape and near(got.T, truth):
            raise MistakeError("transposed", f"{place} is transposed.")
        raise MistakeError(
            "shape", f"{place} has shape {got.shape}; the operand has {truth.shape}."
        )
    if near(got, truth):
        return
    if near(-got, truth):
        raise MistakeError("sign", f"{place} has the wrong sign.")
    if close(got.T, truth):
        raise MistakeError("transposed", f"{place} is transposed.")
    if close(got, g):
        raise MistakeError(
            "local-factor-missing",
            f"{place} is what came in, as it came: the local derivative is missing.",
        )
    if written == "x * y" and close(got, g * arrays[k]):
        raise MistakeError(
            "wrong-operand",
            f"{place} holds that operand itself. "
            "The slope of a product is the other factor.",
        )
    raise MistakeError("wrong", f"{place} is wrong: check the rule.")


def _same_value(written: str, z: Any, truth: Any, make: Any) -> None:
    if not isinstance(z, make):
        raise MistakeError(
            "wrong",
            f"`{written}` is of the type {type(z).__name__}, not "
            f"{getattr(make, '__name__', make)}: return `type(self)(...)`.",
        )
    got = array(tried(lambda: z.data, doing=f"`({written}).data`"), f"`{written}`")
    if got.shape != np.shape(truth):
        raise MistakeError(
            "shape", f"`{written}` has shape {got.shape}; {np.shape(truth)} is right."
        )
    if not near(got, truth):
        raise MistakeError(
            "wrong", f"`{written}` has the wrong value, before any gradient."
        )


def _tuple(written: str, z: Any, key: str) -> tuple[Any, ...]:
    return tuple(tried(lambda: tuple(getattr(z, key)), doing=f"`({written}).{key}`"))
