"""What happens at one value, written out: formula, slopes, gradient, numbers."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from .._symbols import Symbol, applied, lift, partial, sent
from .._symbols import variable as _variable
from ..trace import Record, Trace, replay
from . import numerals
from .steps import slope

Index = tuple[int, ...]


def variable(name: str) -> str:
    r"""Write a name in TeX; a bare number, which ``nn.Sequential`` gives, is a layer's.

    >>> variable("w1"), variable("0")
    ('w_{1}', '\\text{layer 0}')
    """
    return rf"\text{{layer {name}}}" if name.isdigit() else _variable(name)


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
    name = variable(r.name)
    if not r.inputs:
        return _line("fwd", "Value", math(f"{name} = {_tex(r.value)}"))
    op, static = r._entry.primitive, r._entry.static
    if op is None:
        return _line(
            "fwd",
            "Value",
            math(f"{name} = {_tex(r.value)}") + ", by an op unknown here",
        )
    body = applied(op, static, symbols(run, r), r.value).tex
    lines = [math(f"{name} = {body}")]
    if at is not None and op.kind == "elementwise":
        result = numerals.tex_number(_pick(r.value, at, r.shape))
        lines.append(_at(at) + math(f"{_worked(run, r, at)} = {result}"))
    elif np.ndim(r.value) == 0:
        lines.append(math(f"= {numerals.tex_number(r.value)}"))
    return _line("fwd", "Value", "<br>".join(lines))


def symbols(run: Trace, r: Record) -> list[Symbol | None]:
    """The operands by the names that their boxes have."""
    found: list[Symbol | None] = []
    for x in r._entry.inputs:
        if x < 0:
            found.append(None)
        elif run[x].op == "constant" and np.ndim(run[x].value) == 0:
            found.append(lift(run[x].value))
        else:
            found.append(Symbol(variable(run[x].name), run[x].value))
    return found


def _worked(run: Trace, r: Record, at: Index) -> str:
    """The formula with numbers in the place of names."""
    holes: dict[str, str] = {}
    operands: list[Symbol | None] = []
    for x, named in zip(r._entry.inputs, symbols(run, r), strict=True):
        if x < 0 or named is None or named.tex != variable(run[x].name):
            operands.append(named)
            continue
        value = _pick(run[x].value, at, r.shape)
        hole = rf"\x{{{x}}}"
        holes[hole] = factor(value)
        operands.append(Symbol(hole, value))
    value = _pick(r.value, at, r.shape)
    tex = applied(r._entry.primitive, r._entry.static, operands, value).tex
    tex = tex.replace(r"\,\x", r"\cdot \x")  # side by side, numbers would read as one
    for hole, number in holes.items():
        # What stands alone in parentheses needs none of its own.
        bare = number.removeprefix("(").removesuffix(")")
        for before, after in ("()", "(,", ",,", ",)"):
            tex = tex.replace(f"{before}{hole}{after}", f"{before}{bare}{after}")
            tex = tex.replace(f"{before} {hole}{after}", f"{before} {bare}{after}")
        tex = tex.replace(hole, number)
    return tex


def _arrived(run: Trace, r: Record, at: Index | None) -> str:
    assert r.grad is not None
    seed = _seed(run)
    left = rf"\frac{{\partial {seed}}}{{\partial {variable(r.name)}}}"
    if not r.consumers:
        here = _tex(r.grad)
        return _line("bwd", "Gradient", math(f"{left} = {here}") + ", the start")
    senders = [f"<code>{escape(run[o].name)}</code>" for o, _ in r.consumers]
    source = f"from {_and(dict.fromkeys(senders))}"
    if at is None:
        return _line("bwd", "Gradient", f"{math(left)} {source}")
    parts = [numerals.tex_number(c[at]) for c in r.contributions]
    total = numerals.tex_number(r.grad[at])
    written = " + ".join(f"({p})" if p.startswith("-") else p for p in parts[:6])
    if len(parts) > 6:
        written += r" + \dots"
    equation = f"{written} = {total}" if len(parts) > 1 else total
    return _line("bwd", "Gradient", f"{_at(at)}{math(f'{left} = {equation}')} {source}")


def _sent(run: Trace, r: Record, at: Index | None) -> str:
    rows, place = [], ""
    op, static = r._entry.primitive, r._entry.static
    y, g = Symbol(variable(r.name), r.value), Symbol("g", r.grad)
    for k, x in replay.edges(run, r.id):
        name = f"to <code>{escape(run[x].name)}</code>"
        come = dict(zip(run[x].consumers, run[x].contributions, strict=True)).get(
            (r.id, k)
        )
        local = slope(run, r.id, k)
        if local is None or at is None:
            formula = sent(op, k, g, y, symbols(run, r), static).tex
            size = "" if come is None else f" <small>{numerals.sized(come)}</small>"
            rows.append(f"{name}: {math(formula)}{size}")
            continue
        place = _at(at) + "<br>" if at else ""
        left = rf"\frac{{\partial {y.tex}}}{{\partial {variable(run[x].name)}}}"
        formula = partial(op, k, y, symbols(run, r), static).tex
        slope_at, g_at = float(local[at]), float(np.asarray(r.grad)[at])
        number = numerals.tex_number(slope_at)
        equation = left if formula == left else f"{left} = {formula}"
        equation += "" if formula == number else f" = {number}"
        passed = numerals.tex_number(g_at * slope_at)
        plugged = rf"{numerals.tex_number(g_at)} \cdot {factor(slope_at)} = {passed}"
        row = f"{name}: {math(equation)}, so {math(plugged)}"
        if come is not None and np.shape(come) != r.shape:
            row += f", then summed to its shape: <small>{numerals.sized(come)}</small>"
        rows.append(row)
    return _line("bwd", "It sends", place + "<br>".join(rows)) if rows else ""


def _entry(r: Record) -> Index | None:
    """Entry with the largest gradient, or value where none came; None if empty."""
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
    return f"<small>entry [{', '.join(map(str, at))}]:</small> " if at else ""


def math(tex: str) -> str:
    r"""Set TeX off for MathJax, safe within HTML.

    >>> print(math("x < 0"))
    $\displaystyle x &lt; 0$
    """
    return rf"$\displaystyle {escape(tex, quote=False)}$"


def factor(x: float) -> str:
    """Write a number as a factor: negative ones in parentheses."""
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
