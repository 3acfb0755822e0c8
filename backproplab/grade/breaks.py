"""Ways to get one rule wrong; multiples live in factors.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .expression import slips
from .links import Break, Link, exchanged, times
from .substitutes import PRODUCTS, factors, read, symbols

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..trace import Record

# Ops that only move numbers, or choose among them: there is no factor to get wrong.
_MOVES = {
    "getitem", "reshape", "transpose", "swapaxes", "broadcast_to", "cast", "squeeze",
    "expand_dims", "ravel", "concatenate", "stack",
}  # fmt: skip
# Ops that read entries of an array, the same ones several times maybe.
_READS = {"getitem", "embedding", "take", "take_along_axis"}
# Options of losses, and what leaves them out.
_NEUTRAL = {"weight": None, "pos_weight": None, "label_smoothing": 0.0}
_TURNS = {"transpose", "swapaxes", "matrix_transpose"}
_DIAGONAL = 400  # entries up to which a Jacobian's diagonal is worth its passes
_NODES = 60  # other records whose values are tried in place of an operand


def breaks(link: Link) -> Iterator[Break]:
    """Yield each way to break one link, but for multiples of what it sends."""
    yield from _upstream(link)
    if not link.ks:
        return
    yield from _last_kept(link)
    yield from _unturned(link)
    if link.entry.op in _MOVES:
        return
    yield from _missing(link)
    yield from _transposed(link)
    yield from factors(link)
    yield from symbols(link)
    yield from _operands(link)
    yield from _axes(link)
    yield from _options(link)
    yield from slips(link)
    yield from _diagonal(link)


def _last_kept(link: Link) -> Iterator[Break]:
    """Of the contributions to an entry that is read several times, only the last."""
    if link.entry.op not in _READS or len(link.ks) > 1:
        return
    marks = np.arange(float(np.size(link.sent))).reshape(np.shape(link.sent))
    args = [marks if p == link.ks[0] else v for p, v in enumerate(link.values[1:])]
    try:
        at = np.ravel(link.entry.primitive.value(*args, **link.entry.static))
    except Exception:  # it does more than read
        return
    if np.unique(at).size == at.size:
        return

    def sends(g: np.ndarray) -> np.ndarray:
        sent = np.zeros(marks.size)
        sent[at.astype(int)] = np.ravel(g)
        return sent.reshape(marks.shape)

    why = (
        f"Some entries of {link.into} are read several times in {link.out}; what comes "
        "back to them adds, and only the last of it is kept."
    )
    yield Break("overwritten", link, why, sends)
    often = np.bincount(at.astype(int), minlength=marks.size).clip(1)
    share = 1 / often.reshape(marks.shape)
    why = f"What comes back to an entry of {link.into} adds; you have the mean of it."
    yield Break("mean-not-sum", link, why, lambda g: link.pull(g) * share)


def _missing(link: Link) -> Iterator[Break]:
    why = (
        f"The gradient that comes into {link.out} is passed on to {link.into} without "
        f"the factor d{link.out}/d{link.into}."
    )
    axes = _left_by(link)
    if not axes:
        yield times("local-factor-missing", link, 1.0, why, cost=0)
        return
    yield Break(
        "local-factor-missing",
        link,
        why,
        lambda g: np.expand_dims(g, axes),
        lambda t: np.sum(t, axis=axes),
        cost=0,
    )


def _left_by(link: Link) -> tuple[int, ...]:
    """Axes that a reduction takes away, so that its output no longer broadcasts."""
    axis, x, out = link.entry.static.get("axis"), np.shape(link.sent), np.shape(link.g)
    if len(link.ks) > 1 or not isinstance(axis, (int, tuple)):
        return ()
    axes = tuple(a % len(x) for a in (axis if isinstance(axis, tuple) else (axis,)))
    kept = tuple(n for a, n in enumerate(x) if a not in axes)
    return axes if kept == out != x else ()


def _upstream(link: Link) -> Iterator[Break]:
    if link.ks:
        why = (
            f"d{link.out}/d{link.into} stands alone, without the gradient that comes "
            f"into {link.out}."
        )
    else:
        why = f"The gradient that comes into {link.into} is left out, as if it were 1."
    ones = link.pull(np.ones_like(link.g))
    yield Break("upstream-missing", link, why, lambda g: ones, steady=True)


def _transposed(link: Link) -> Iterator[Break]:
    op, values = link.entry.op, link.values
    if op not in PRODUCTS or op == "multiply" or len(link.ks) > 1:
        return
    (k,) = link.ks
    if _square(link.g):
        why = f"The gradient that comes into {link.out} stands transposed."
        yield Break(
            "transposed",
            link,
            why,
            lambda g: link.pull(_turned(g)),
            lambda t: _turned(link.push(t)),
            cost=0,
        )
    if _square(link.sent):
        why = "The product comes out transposed: its factors are swapped."
        yield Break(
            "transposed",
            link,
            why,
            lambda g: _turned(link.pull(g)),
            lambda t: link.push(_turned(t)),
            cost=0,
        )
    for p, v in enumerate(values[1:], 1):
        if p != k + 1 and _square(v):
            why = f"{link.names[p]} stands the wrong way round: transposed, or not."
            yield exchanged("transposed", link, {p: _turned(v)}, why, cost=0)
        if p != k + 1 and np.ndim(v) >= 2 <= np.ndim(link.g):
            yield from _products(link, v)


def _products(link: Link, v: np.ndarray) -> Iterator[Break]:
    """Every product of the two factors, in either order and turned or not."""
    why = "The two factors are swapped or turned, so that another product comes out."
    for swapped in (False, True):
        for turn_g in (False, True):
            for turn_v in (False, True):
                sends = partial(_product, v, swapped, turn_g, turn_v)
                try:
                    shape = sends(link.g).shape
                except ValueError:
                    continue
                if shape[-2:] == np.shape(link.sent)[-2:]:
                    yield Break("transposed", link, why, sends, cost=0)


def _product(v: Any, swapped: bool, turn_g: bool, turn_v: bool, g: Any) -> Any:
    a, b = _turned(g) if turn_g else g, _turned(v) if turn_v else v
    return b @ a if swapped else a @ b


def _operands(link: Link) -> Iterator[Break]:
    """The value of another record in place of an operand."""
    values, names, run = link.values, link.names, link.run
    own = {link.output, *link.entry.inputs}
    others = [r for r in run if r.id not in own and _may_stand_in(r)]
    others = sorted(others, key=lambda r: abs(r.id - link.output))[:_NODES]
    matrices = link.entry.op in PRODUCTS - {"multiply"}
    for p in read(link):
        shape = np.shape(values[p])
        if not shape and link.entry.primitive.kind != "elementwise":
            continue
        for r in others:
            why = f"{r.name} stands where the rule has {names[p]}."
            if r.shape == shape and r.id not in own:
                changed = {p: np.asarray(r.value)}
                yield exchanged("wrong-operand", link, changed, why, cost=2)
            if matrices and len(shape) == 2 and r.shape == shape[::-1]:
                changed = {p: _turned(r.value)}
                yield exchanged("wrong-operand", link, changed, why, cost=2)


def _unturned(link: Link) -> Iterator[Break]:
    """What comes back through a transposition, not turned back."""
    if link.entry.op in _TURNS and np.shape(link.g) == np.shape(link.sent):
        why = f"The gradient that comes into {link.out} is to be turned back."
        yield Break("transposed", link, why, lambda g: g, lambda t: t, cost=0)


def _may_stand_in(r: Record) -> bool:
    """Whether a value is one that somebody may take for an operand: no number."""
    if r.op != "constant":
        return True
    return np.size(r.value) > 1 and np.asarray(r.value).dtype.kind == "f"


def _axes(link: Link) -> Iterator[Break]:
    """A softmax or a reduction along another axis; a filter that is not flipped."""
    axis, ndim = link.entry.static.get("axis"), np.ndim(link.sent)
    if isinstance(axis, int) and ndim > 1:
        for other in range(ndim):
            if other != axis % ndim:
                why = f"Axis {other} stands where the rule has axis {axis}."
                yield exchanged("factor-substituted", link, {"axis": other}, why)
    if link.entry.op.startswith("conv") and np.ndim(link.g) > 2:
        along = tuple(range(2, np.ndim(link.g)))
        why = f"The filter of {link.out} stands the wrong way round."
        if link.ks == (0,):
            turned = {2: np.flip(link.values[2], along)}
            yield exchanged("factor-substituted", link, turned, why)
        elif link.ks == (1,):
            yield Break(
                "factor-substituted",
                link,
                why,
                lambda g: np.flip(link.pull(g), along),
                lambda t: link.push(np.flip(t, along)),
            )


def _options(link: Link) -> Iterator[Break]:
    """An option of a loss that changes its slope, left out."""
    for option, neutral in _NEUTRAL.items():
        value = link.entry.static.get(option)
        if value is not None and np.any(value):
            why = f"`{option}` is left out in the derivative of {link.out}."
            yield exchanged("factor-substituted", link, {option: neutral}, why)


def _diagonal(link: Link) -> Iterator[Break]:
    """Only the diagonal of the Jacobian, as if no entry depended on another."""
    g, shape = link.g, np.shape(link.g)
    if (
        link.entry.primitive.kind != "primitive"
        or shape != np.shape(link.sent)
        or not 1 < g.size <= _DIAGONAL
    ):
        return
    entries = np.zeros(shape)
    for i in np.ndindex(shape):
        alone = np.zeros_like(g)
        alone[i] = 1
        c = link.pull(alone)
        if c is None or np.shape(c) != shape:
            return
        entries[i] = c[i]
    why = (
        f"d{link.out}/d{link.into} is taken entry by entry, as if no entry of "
        f"{link.out} depended on the others of {link.into}."
    )
    yield times("factor-substituted", link, entries, why)


def _square(v: Any) -> bool:
    return np.ndim(v) >= 2 and np.shape(v)[-1] == np.shape(v)[-2]


def _turned(v: Any) -> Any:
    return None if v is None else np.swapaxes(v, -1, -2)
