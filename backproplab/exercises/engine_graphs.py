"""Graphs on which the classic bugs of a walk show, and what is then said.

The truth is our own engine's on the same graph.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .engine_code import reference
from .engine_ops import (
    OPS,
    Build,
    aliased,
    broadcast,
    close,
    draw,
    grad,
    one_op,
    ours,
    share,
)
from .engine_probe import MistakeError, bounded, tried

DEEP, DOUBLINGS = 3000, 40


def check_order(order: Callable[..., Any]) -> None:
    """Judge the list of visits on small graphs, then on a deep and on a doubled one."""
    make = reference()["Value"]
    for build in GRAPHS:
        (x, y) = (make(a) for a in draw((2, 2), (2, 2)))
        end, _ = build(x, y)
        found = tried(lambda e: list(order(e)), end, doing="`order(end)`")
        _visits(found, end)
    end = make(np.ones(()))
    for _ in range(DEEP):
        end = end.tanh()
    _large(lambda: _visits(list(order(end)), end), "`order(end)`")
    end = _doubled(make)
    _large(lambda: _visits(list(order(end)), end), "`order(end)`")


def check_backward(backward: Callable[..., Any]) -> None:
    """Judge a walk over graphs that the checker builds."""
    _walks(reference()["Value"], backward, "`backward(end)`")


def check_tape(make: type) -> None:
    """Judge a whole engine: op by op, then graphs, then shapes that broadcast."""

    def backward(end: Any) -> None:
        end.backward()

    for written, op, shapes in OPS:
        one_op(make, written, op, shapes, backward)
    _walks(make, backward, "`backward()`")
    for shapes in (((4, 3), (3,)), ((4, 3), (4, 1)), ((1, 3), (4, 1)), ((3, 1), ())):
        for sign in "+-*":
            broadcast(make, sign, shapes, backward)


def _chain(x: Any, y: Any) -> Any:
    a = x * y
    b = a.tanh()
    return b.sum(), (a, b)


def _fan_out(x: Any, y: Any) -> Any:
    a = x * x
    b = a + x
    c = b * y
    return c.sum(), (a, b, c)


def _short_first(x: Any, y: Any) -> Any:
    a = x * y
    b = a.tanh()
    c = b.tanh()
    d = a * c
    return d.sum(), (a, b, c, d)


def _long_first(x: Any, y: Any) -> Any:
    a = x * y
    b = a.tanh()
    c = b.tanh()
    d = c * a
    return d.sum(), (a, b, c, d)


def _shared_first(x: Any, y: Any) -> Any:
    a = x + y
    b = x.tanh()
    c = a + b
    return c.sum(), (a, b, c)


def _shared_last(x: Any, y: Any) -> Any:
    b = x.tanh()
    a = x + y
    c = b + a
    return c.sum(), (b, a, c)


GRAPHS = (_chain, _fan_out, _short_first, _long_first, _shared_first, _shared_last)


def _walks(make: Any, backward: Callable[..., Any], doing: str) -> None:
    for build in GRAPHS:
        _graph(make, build, backward, doing)
    _again(make, backward, doing)
    end = make(np.ones(()))
    for _ in range(DEEP):
        end = end.tanh()
    _large(lambda: backward(end), doing)
    end = _doubled(make)
    _large(lambda: backward(end), doing)


def _graph(make: Any, build: Build, backward: Any, doing: str) -> None:
    arrays = draw((2, 2), (2, 2))
    xs, us = [make(a) for a in arrays], [ours(a) for a in arrays]
    end, inner = tried(build, *xs, doing="the forward pass")
    truth, our_inner = build(*us)
    for u in our_inner:
        u.retain_grad()
    tried(backward, end, doing=doing)
    truth.backward()
    held = [
        (grad(v, "a value on the way"), np.asarray(u.grad))
        for v, u in zip((*inner, *xs), (*our_inner, *us), strict=True)
    ]
    wrong = [k for k, (got, want) in enumerate(held) if not close(got, want)]
    if not wrong:
        return
    if all(close(-got, want) for got, want in [held[k] for k in wrong]):
        raise MistakeError("sign", f"{doing} subtracts contributions; they add.")
    _overwritten(arrays, build, held)
    if share([*inner, *xs]):
        raise aliased()
    _missed(build, held, doing)


def _overwritten(arrays: Any, build: Build, held: Any) -> None:
    """Blame it if one contribution alone is there."""
    if build is not _fan_out:
        return
    (x, y), (got, _) = arrays, held[-2]
    if any(close(got, part) for part in (x * y, 2 * x * y, y)):
        raise MistakeError(
            "overwritten",
            "In `(x * x + x) * y` three arrows arrive at x, and only the last one is "
            "kept: where ways part, gradients add.",
        )


def _missed(build: Build, held: Any, doing: str) -> None:
    """Blame the order of the visits, or say no more than that it is wrong."""
    if build is _chain:
        raise MistakeError(
            "wrong", f"{doing} is wrong on a chain: `(x * y).tanh().sum()`."
        )
    if build is _fan_out:
        raise MistakeError("wrong", f"{doing} is wrong where x is used three times.")
    if build in (_short_first, _long_first):
        (a_got, a_want), (x_got, x_want) = held[0], held[-2]
        if close(a_got, a_want):
            raise MistakeError(
                "order",
                "In `a * a.tanh().tanh()`, with `a = x * y`, the gradient of a is "
                "whole at the end, but it was sent on to x before that: a value was "
                "visited before all that used it.",
            )
        raise MistakeError(
            "order" if not close(x_got, x_want) else "wrong",
            "In `a * a.tanh().tanh()` a contribution was lost on its way to a: the "
            "order of the visits, or the sum, is not right.",
        )
    raise MistakeError("wrong", f"{doing} is wrong on `(x + y) + x.tanh()`.")


def _again(make: Any, backward: Any, doing: str) -> None:
    """A second pass over one graph gives the gradient again, or twice."""
    arrays = draw((2, 2), (2, 2))
    xs, us = [make(a) for a in arrays], [ours(a) for a in arrays]
    end, _ = tried(_short_first, *xs, doing="the forward pass")
    _short_first(*us)[0].backward()
    for _ in range(2):
        tried(backward, end, doing=doing)
    for x, u in zip(xs, us, strict=True):
        got = grad(x, "a value")
        if not any(close(got, n * u.grad) for n in (1, 2)):
            raise MistakeError(
                "carried-over",
                "A second pass over the same graph is wrong: the gradients on the way "
                "still hold those of the first pass. Set them to zero at the start.",
            )


def _visits(found: list[Any], end: Any) -> None:
    """Judge an order: all, each once, none before its users."""
    made, todo = {id(end): end}, [end]
    while todo:
        for parent in todo.pop().parents:
            if id(parent) not in made:
                made[id(parent)] = parent
                todo.append(parent)
    place = {id(v): k for k, v in enumerate(found)}
    if len(place) < len(found):
        raise MistakeError(
            "twice",
            f"{len(found)} visits for {len(made)} values: one that is used twice is "
            "visited twice, and would send its gradient twice.",
        )
    if place.keys() - made.keys():
        raise MistakeError("wrong", "The list holds what `end` was not made of.")
    if missing := len(made.keys() - place.keys()):
        raise MistakeError(
            "path-missing", f"{missing} of {len(made)} values are not in the list."
        )
    early = [
        (place[id(v)], place[id(p)])
        for v in made.values()
        for p in v.parents
        if place[id(p)] <= place[id(v)]
    ]
    edges = sum(len(v.parents) for v in made.values())
    if early and len(early) == edges:
        raise MistakeError(
            "reversed",
            "The inputs come first: this is the order of the forward pass. The "
            "backward pass begins at the end.",
        )
    if early:
        user, value = early[0]
        raise MistakeError(
            "order",
            f"Visit {value} is a value that visit {user} still uses: it would be sent "
            "on before its gradient is whole.",
        )


def _doubled(make: Any) -> Any:
    value = make(np.asarray(2.0**-DOUBLINGS))
    for _ in range(DOUBLINGS):
        value = value + value
    return value


def _large(call: Callable[[], Any], doing: str) -> None:
    """Run on a large graph, where the small ones went well."""
    try:
        with np.errstate(all="ignore"):
            bounded(call)
    except RecursionError:
        raise MistakeError(
            "recursion",
            f"{doing} calls itself once per value on the way: a chain of {DEEP:,} is "
            "deeper than Python's stack. Keep a list of what is left to visit.",
        ) from None
    except TimeoutError as error:
        raise MistakeError(
            "exponential",
            f"{doing} was {error} on {DOUBLINGS + 1} values, of which each is the one "
            f"before twice: 2^{DOUBLINGS} paths lead back, and it walks every one. "
            "Remember what was visited.",
        ) from None
    except MistakeError:
        raise
    except Exception:
        tried(call, doing=doing)
