r"""What happens at one value, written out: formula, local derivative, gradient, numbers."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from .._symbols import Symbol, lift, variable
from ..trace import Record, Trace, replay
from . import numerals
from .scene import slope

Index = tuple[int, ...]


def explain(run: Trace, i: int) -> str:
    r"""Write the chain rule at one record as HTML with TeX.

    An array is explained by its formula and by the entry with the largest gradient.

    >>> import numpy as np, backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> with bp.record() as run:
    ...     y = np.square(x)
    ...     y.backward()
    >>> r"\cdot 4 = 4" in explain(run, 1)
    True
    """
    r = run[i]
    at = _entry(r)
    parts = [_title(r), _forward(run, r, at)]
    if r.grad is None:
        why = "no gradient came here" if r.requires_grad else "wants no gradient"
        parts.append(_line("bwd", "Gradient", f"none: {why}"))
    else:
        parts += [_arrived(run, r, at), _sent(run, r, at)]
    return f'<div class="bpl-graph bpl-formula">{"".join(filter(None, parts))}</div>'


def _title(r: Record) -> str:
    kind = r.op.replace("_", " ")
    sizes = numerals.shape(r.shape)
    return (
        f"<h4><code>{escape(r.name)}</code> "
        f"<span>{escape(kind)} · {sizes} · {escape(r.source)}</span></h4>"
    )


def _forward(run: Trace, r: Record, at: Index | None) -> str:
    if not r.inputs:
        return _line("fwd", "Value", f"${variable(r.name)} = {_tex(r.value)}$")
    lines = [f"$\\displaystyle {r.tex}$"]
    if at is not None and r._entry.primitive.kind == "elementwise":
        operands = [_plug(_pick(run[x].value, at, r.shape)) for x in r.inputs]
        worked = _worked(r, operands)
        place = "" if at == () else f"{_at(at)} "
        result = numerals.tex_number(_pick(r.value, at, r.shape))
        plugged = f"{worked} = " if worked is not None else ""
        lines.append(f"{place}${plugged}{result}$")
    elif np.ndim(r.value) == 0:
        lines.append(f"$= {numerals.tex_number(r.value)}$")
    return _line("fwd", "Value", "<br>".join(lines))


def _worked(r: Record, operands: list[Symbol]) -> str | None:
    static = {k: v for k, v in r._entry.static.items() if k != "saved"}
    try:
        return lift(r._entry.primitive.value(*operands, **static)).tex
    except Exception:  # a value that asks more of an array than a symbol can answer
        return None


def _arrived(run: Trace, r: Record, at: Index | None) -> str:
    assert r.grad is not None
    seed = _seed(run)
    left = rf"\frac{{\partial {seed}}}{{\partial {variable(r.name)}}}"
    if not r.consumers:
        here = numerals.tex_number(r.grad) if r.grad.ndim == 0 else _tex(r.grad)
        return _line("bwd", "Gradient", rf"$\displaystyle {left} = {here}$, the start")
    senders = [f"<code>{escape(run[o].name)}</code>" for o, _ in r.consumers]
    source = f"from {_and(dict.fromkeys(senders))}"
    if at is None:
        return _line("bwd", "Gradient", f"$\\displaystyle {left}$ {source}")
    parts = [numerals.tex_number(c[at]) for c in r.contributions]
    total = numerals.tex_number(r.grad[at])
    written = " + ".join(f"({p})" if p.startswith("-") else p for p in parts[:6])
    if len(parts) > 6:
        written += r" + \dots"
    equation = f"{written} = {total}" if len(parts) > 1 else total
    place = "" if at == () else f"{_at(at)} "
    return _line("bwd", "Gradient", rf"{place}$\displaystyle {left} = {equation}$ {source}")


def _sent(run: Trace, r: Record, at: Index | None) -> str:
    rows, place = [], ""
    for k, x in replay.edges(run, r.id):
        name = f"<code>{escape(run[x].name)}</code>"
        whole = rf"\frac{{\partial {variable(r.name)}}}{{\partial {variable(run[x].name)}}}"
        formula = _rule(run, r, k)
        local = slope(run, r.id, k)
        if local is None or at is None:
            c = next(
                c
                for c, consumer in zip(run[x].contributions, run[x].consumers, strict=True)
                if consumer == (r.id, k)
            )
            what = f"$\\displaystyle {formula}$, " if formula else ""
            rows.append(f"to {name}: {what}{numerals.sized(c)}")
            continue
        place = "" if at == () else f"{_at(at)}<br>"
        s, g = float(local[at]), float(np.asarray(r.grad)[at])
        symbolic = f"{formula} = " if formula and not _plain(formula) else ""
        rows.append(
            rf"to {name}: $\displaystyle {whole} = {symbolic}{numerals.tex_number(s)}$, so "
            rf"${_factor(g)} \cdot {_factor(s)} = {numerals.tex_number(g * s)}$"
        )
    if not rows:
        return ""
    return _line("bwd", "It sends", place + "<br>".join(rows))


def _rule(run: Trace, r: Record, k: int) -> str:
    """The rule run on symbols: a slope for an elementwise op, else what g becomes."""
    op, static = r._entry.primitive, dict(r._entry.static)
    if "saved" in static:
        static["saved"] = None  # the rule then starts from its operands
    xs = [None if x < 0 else replay.symbol(run, x) for x in r._entry.inputs]
    y, g = Symbol(variable(r.name), r.value), Symbol("g", r.grad)
    try:
        with np.errstate(all="ignore"):
            if op.kind == "elementwise":
                rule = op.rules[k]
                tex = lift(rule(y, *xs, **static) if callable(rule) else rule).tex
            elif op.vjp is not None:
                tex = lift(op.vjp(g, y, *xs, wrt=(k,), **static)[k]).tex
            else:
                tex = lift(op.pullbacks[k](g, y, *xs, **static)).tex
        return tex if len(tex) < 120 else ""
    except Exception:  # a rule that asks more of an array than a symbol can answer
        return ""


def _entry(r: Record) -> Index | None:
    """Entry with the largest gradient, or value where none came; None for empty ones."""
    a = np.abs(np.asarray(r.value if r.grad is None else r.grad, dtype=float))
    if a.size == 0:
        return None
    return tuple(int(n) for n in np.unravel_index(np.argmax(np.nan_to_num(a)), a.shape))


def _pick(value: Any, at: Index, shape: tuple[int, ...]) -> float:
    return float(np.broadcast_to(value, shape)[at])


def _seed(run: Trace) -> str:
    started = [r for r in run if r.grad is not None and not r.consumers]
    return variable(started[-1].name) if started else "L"


def _at(at: Index) -> str:
    return f"<small>entry [{', '.join(map(str, at))}]:</small>"


def _plug(x: float) -> Symbol:
    return Symbol(numerals.tex_number(x), x, lift(x).rank)


def _plain(tex: str) -> bool:
    return tex.replace(".", "").lstrip("-").isdigit()


def _factor(x: float) -> str:
    text = numerals.tex_number(x)
    return f"({text})" if text.startswith("-") else text


def _tex(a: Any) -> str:
    if np.ndim(a) == 0:
        return numerals.tex_number(a)
    if np.ndim(a) == 1 and numerals.fits(a, 30):
        return r"[\," + r",\; ".join(map(numerals.tex_number, a)) + r"\,]"
    return rf"\text{{{numerals.sized(a)}}}"


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _line(kind: str, head: str, body: str) -> str:
    return f'<p class="{kind}"><b>{head}</b><span>{body}</span></p>'
