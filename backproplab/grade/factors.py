"""Multiples of what a link sends: a path left out, a sign, a 1/n, a number."""

from math import prod
from typing import Any

import numpy as np

from ..trace import Trace
from .links import Break, Link

# Reductions whose result, used again beside the values it came from, is a statistic.
_STATISTICS = {
    "mean", "var", "std", "sum", "norm", "max", "min", "amax", "amin", "logsumexp",
    "prod",
}  # fmt: skip
_NICE = sorted({p / q for p in range(1, 9) for q in range(1, 9)})
_FEW = (2.0, 0.5)


def named(link: Link, c: float, close: float) -> tuple[Break, ...]:
    """Say what it means that a link sends ``c`` times what it should.

    A 1/n may come together with a sign: then there are two breaks.

    Args:
        link: the link.
        c: the factor, as measured.
        close: how exactly it was measured.

    Returns:
        the breaks, with their factors made exact; none for the factor 1.
    """

    def like(n: float) -> bool:
        return abs(c - n) <= close * max(1.0, abs(n))

    if like(1):
        return ()
    if like(0):
        if is_statistic(link):
            why = f"{link.out} is held constant, but it depends on {link.into}."
            return (multiple("statistics-constant", link, 0.0, why, cost=0),)
        return (multiple("path-missing", link, 0.0, _left_out(link), cost=0),)
    turned = f"The sign of {_what(link)} is turned."
    sign = multiple("sign", link, -1.0, turned, cost=0)
    if like(-1):
        return (sign,)
    sums, means = counts(link)
    for n in sorted(sums):
        if like(1 / n):
            why = f"The rule sums over {n} terms here; you have their mean."
            return (multiple("mean-not-sum", link, 1 / n, why, cost=0),)
    for n in sorted(means):
        if like(n):
            why = f"A mean over {n:g} brings the factor 1/{n:g}; it is missing."
            return (multiple("sum-not-mean", link, float(n), why, cost=0),)
    if c < 0:
        without = named(link, -c, close)
        if without and without[0].label in ("mean-not-sum", "sum-not-mean"):
            return (*without, sign)
    nice = [s * n for n in _NICE for s in (1, -1) if like(s * n)]
    why = (
        f"A constant number is wrong: {_what(link)} differs from what it should "
        "be by one and the same factor in all entries."
    )
    return (multiple("constant-factor", link, nice[0] if nice else c, why),)


def multiple(label: str, link: Link, c: float, why: str, cost: int = 1) -> Break:
    """Make the break in which a link sends ``c`` times what it should."""

    def sends(g: np.ndarray) -> Any:
        raw = link.pull(g)
        return None if raw is None else c * raw

    return Break(label, link, why, sends, cost=cost, factor=c)


def usual(link: Link) -> list[Break]:
    """The multiples that are tried where two links may be broken."""
    sums, means = counts(link)
    factors = [-1.0, *(1 / n for n in sums), *map(float, means), *_FEW]
    several = len(link.run[link.x].consumers) > len(link.ks)
    if link.ks and (several or is_statistic(link)):
        factors.insert(0, 0.0)
    return [b for c in dict.fromkeys(factors) for b in named(link, c, 1e-12)]


def is_nice(c: float) -> bool:
    """Whether a learner may have written this factor: a ratio of small numbers.

    >>> is_nice(-1.5), is_nice(0.731)
    (True, False)
    """
    return any(abs(abs(c) - n) < 1e-12 * n for n in _NICE)


def is_own(link: Link, c: float) -> bool:
    """Whether the rule itself holds the factor that was left out or doubled."""
    if link.entry.op in ("add", "subtract"):
        return False
    records = [link.run[i] for i in link.entry.inputs if i >= 0]
    numbers = [
        abs(float(np.reshape(r.value, ())))
        for r in records
        if r.op == "constant" and np.size(r.value) == 1
    ]
    if link.entry.op == "square":
        numbers.append(2.0)
    return any(abs(c) in (n, 1 / n) for n in numbers if n)


def places(link: Link) -> set[int]:
    """Records that send something to the link's input."""
    return {o for o, _ in link.run[link.x].consumers}


def _what(link: Link) -> str:
    if not link.ks:
        return f"all that comes back to {link.into}"
    return f"what {link.out} sends back to {link.into}"


def _left_out(link: Link) -> str:
    several, uses = link.run[link.x].consumers, places(link)
    if len(link.ks) == 1 and len(several) > 1 == len(uses):
        return f"{link.into} stands twice in {link.out}; only one of the two counts."
    if len(uses) > 1:
        return (
            f"{link.into} is used in {len(uses)} places, and what comes back from "
            f"{link.out} is left out."
        )
    return f"What comes back from {link.out} is left out."


def counts(link: Link) -> tuple[set[float], set[float]]:
    """Numbers of terms over which a link sums, and over which it averages."""
    if not link.ks:
        return set(), set()
    op, name = link.entry.primitive, link.entry.op
    x, out = np.shape(link.sent), np.shape(link.g)
    sums: set[float] = set()
    means: set[float] = set()
    if op.kind == "elementwise":
        lead = len(out) - len(x)
        wide = [n for i, n in enumerate(out) if i < lead or x[i - lead] != n]
        sums |= {*wide, prod(wide)}
        means |= _divided(link)
    elif name in ("matmul", "linear", "dot", "inner"):
        rows = out[-1:] if link.ks[0] == 0 else out[:-1]
        sums |= {*rows, prod(rows)}
    elif name in ("sum", "nansum"):
        # half of a sum over 2 of several axes is more often the 2 of a square
        sums |= {prod(x) // max(prod(out), 1), *(set(_axes(link, x)) - {2})}
    elif name in ("var", "std"):
        means |= {prod(x) // max(prod(out), 1), *_axes(link, x)}
    elif name.endswith("loss") or "entropy" in name or name == "kl_div":
        sums, means = _of_loss(link, x)
    elif op.kind == "linear" and len(link.entry.inputs) == 1:
        means |= _averaged(link, x, out)
    elif x != out:
        spots = prod(out[2:])
        sums |= {*out, prod(out[:-1]), out[0] * spots if out else 1, spots}
        if prod(out) % max(prod(x), 1) == 0:
            sums.add(prod(out) // max(prod(x), 1))
    return sums - {0, 1}, means - {0, 1}


def _axes(link: Link, x: tuple[int, ...]) -> list[int]:
    """Sizes of the axes over which a reduction goes."""
    axis = link.entry.static.get("axis")
    if axis is None:
        return list(x)
    return [x[a] for a in (axis if isinstance(axis, tuple) else (axis,))]


def _of_loss(link: Link, x: tuple[int, ...]) -> tuple[set[float], set[float]]:
    """Over what a loss sums, and over what it averages: the classes are no rows."""
    reduction = link.entry.static.get("reduction", "mean")
    if reduction == "none":
        return set(), set()
    rest: tuple[int, ...] = ()
    if link.entry.op in ("cross_entropy", "nll_loss"):
        rest = x[1:2] if len(x) > 1 else x
    elif reduction == "batchmean":
        rest = x[1:]
    rows = list(x)
    for n in rest:
        rows.remove(n)
    over: set[float]
    among: set[float]
    over, among = {prod(rows), *rows}, {prod(rest), *rest}
    if reduction == "sum":
        return over | among, set()
    total = _divisor(link)
    if total is None or any(np.isclose(total, n) for n in over):
        return among, set(over)
    return among, {total}  # the rows have weights, or some do not count


def _divisor(link: Link) -> float | None:
    """What a loss that averages divides its sum by."""
    whole = link.fit(link.pull(link.g, {"reduction": "sum"}))
    size = float(np.vdot(link.sent, link.sent))
    if whole is None or not size:
        return None
    return float(f"{np.vdot(whole, link.sent) / size:.12g}")


def _averaged(link: Link, x: tuple[int, ...], out: tuple[int, ...]) -> set[int]:
    """Window sizes of an op that averages: it spreads ones evenly, as 1/n."""
    spread = link.fit(link.pull(np.ones(out)))
    if spread is None or not spread.size:
        return set()
    share = float(spread.flat[0])
    if not 0 < share < 1 or not np.allclose(spread, share):
        return set()
    n = round(1 / share)
    if not np.isclose(n * share, 1):
        return set()
    return {n, *(m for m in x if n % m == 0)} if prod(x) == n * prod(out) else {n}


def _divided(link: Link) -> set[int]:
    """The n of a sum that is divided by n, or multiplied by 1/n, in another step."""
    if link.entry.op not in ("divide", "multiply") or link.ks != (0,):
        return set()
    c = link.values[2]
    if np.size(c) != 1 or not float(np.reshape(c, ())):
        return set()
    n = float(np.reshape(c, ())) ** (1 if link.entry.op == "divide" else -1)
    whole = round(n)
    if whole < 2 or abs(n - whole) > 1e-9 * whole:
        return set()
    return {whole} if whole in _summed(link.run, link.output, link.x) else set()


def _summed(run: Trace, output: int, x: int) -> set[int]:
    """Numbers of terms of the sums just before ``x`` or just after ``output``."""
    found: set[int] = set()
    near = [run[x], *(run[o] for o, _ in run[output].consumers)]
    near += [run[i] for i in run[x].inputs]
    for r in near:
        if r.op == "sum":
            before = run[r.inputs[0]].shape
            found |= {prod(before) // max(prod(r.shape), 1), *before}
    return found


def is_statistic(link: Link) -> bool:
    """Whether the output is a mean, norm or sum used beside what it came from."""
    run, size = link.run, np.size(link.g)
    if link.entry.op not in _STATISTICS or not link.ks or size >= np.size(link.sent):
        return False
    return any(_widens(run, o, size) for o, _ in run[link.output].consumers)


def _widens(run: Trace, i: int, size: int, depth: int = 6) -> bool:
    """Whether a record, or what is made of it, is larger than ``size``."""
    if np.size(run[i].value) > size:
        return True
    return depth > 0 and any(
        _widens(run, o, size, depth - 1) for o, _ in run[i].consumers
    )
