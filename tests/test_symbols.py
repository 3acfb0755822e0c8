"""Formulas read off the rules: precedence, numbers, every op of the registry."""

import re

import numpy as np
import pytest

import backproplab as bp
from backproplab._symbols import Symbol, applied, lift, partial, sent, variable
from backproplab._table import Table

X = np.array([0.5, 1.5, 2.5])
x, y, z = (Symbol(name, X + k) for k, name in enumerate("xyz"))
A = Symbol("A", np.ones((2, 3)))
B = Symbol("B", np.ones((3, 4)))
v = Symbol("v", np.ones((2, 4)))


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        (x + y - z, r"x + y - z"),
        (x - (y + z), r"x - \left(y + z\right)"),
        (x + (-y), r"x - y"),
        (x - (-y), r"x + y"),
        (-(x + y), r"-\left(x + y\right)"),
        (np.negative(-x), r"x"),
        (x + 0, r"x"),
        (0 - x, r"-x"),
        (x + x, r"2\,x"),
        (x * y, r"x\,y"),
        (x * (y + z), r"x\,\left(y + z\right)"),
        (x * 2, r"2\,x"),
        (2 * x * 3, r"6\,x"),
        (x * 1, r"x"),
        (x * 0, r"0"),
        (x * x, r"x^{2}"),
        (3 * y * y, r"3\,y^{2}"),
        (x * y * x, r"x^{2}\,y"),
        (-y * y, r"-y^{2}"),
        ((-x) * (-y), r"x\,y"),
        (-2 * x, r"-2\,x"),
        ((x + y) * (x + y), r"\left(x + y\right)^{2}"),
        (x / y, r"\frac{x}{y}"),
        (-x / y, r"-\frac{x}{y}"),
        (x / -y, r"-\frac{x}{y}"),
        ((x + y) / (x * y), r"\frac{x + y}{x\,y}"),
        (0.5 / y, r"\frac{1}{2\,y}"),
        (x / 1, r"x"),
        ((x / y) ** 2, r"\left(\frac{x}{y}\right)^{2}"),
        (x**2, r"x^{2}"),
        (x**2 * x, r"x^{3}"),
        (x**-1, r"x^{-1}"),
        (x**0.5, r"\sqrt{x}"),
        (x**1, r"x"),
        (x ** (y + 1), r"x^{y + 1}"),
        ((x + 1) ** 3, r"\left(x + 1\right)^{3}"),
        (2**x, r"2^{x}"),
        (np.exp(-x), r"e^{-x}"),
        (np.exp(x) ** 2, r"\left(e^{x}\right)^{2}"),
        (np.log1p(x), r"\log(1 + x)"),
        (np.sqrt(1 - x * x), r"\sqrt{1 - x^{2}}"),
        (np.tanh(x) * 2, r"2\,\tanh(x)"),
        (np.abs(x - y), r"\left|x - y\right|"),
        (np.maximum(x, 0), r"\max(x, 0)"),
        (np.hypot(x, y), r"\operatorname{hypot}(x, y)"),
        (np.square(x + y), r"\left(x + y\right)^{2}"),
        (np.reciprocal(x), r"\frac{1}{x}"),
        (x * (y > 0), r"x\,\mathbf{1}[y > 0]"),
        (lift(x > 0), r"\mathbf{1}[x > 0]"),
        (x * ((x > 0) & (y < 1)), r"x\,\mathbf{1}[x > 0 \wedge y < 1]"),
        (x * ~(x > 0), r"x\,\mathbf{1}[\neg(x > 0)]"),
        (np.where(x > 0, y, 0), r"\mathbf{1}[x > 0]\,y"),
        (
            np.where(x > 0, y, -y),
            r"\begin{cases} y & x > 0 \\ -y & \text{otherwise} \end{cases}",
        ),
        (A @ B, r"A\,B"),
        (A.T, r"A^{\top}"),
        (v @ B.T, r"v\,B^{\top}"),
        ((A @ B) * v, r"\left(A\,B\right)\,v"),
        (A.T @ (v * v), r"A^{\top}\,v^{2}"),
        (A.T @ (v * (A @ B)), r"A^{\top}\,\left(v\,\left(A\,B\right)\right)"),
        (A.T @ (v + v * v), r"A^{\top}\,\left(v + v^{2}\right)"),
        (0.5 * (A @ B), r"0.5\,A\,B"),
        (x.T, r"x"),
        (np.sum(x * y), r"\sum x\,y"),
        (np.sum(x + y) * x, r"\left(\sum x + y\right)\,x"),
        (x - np.sum(x), r"x - \left(\sum x\right)"),
        (A.sum(axis=0), r"\sum_{\text{axis }0} A"),
        (A.sum(axis=(0, 1)), r"\sum_{\text{axis }0, 1} A"),
        (A.mean(axis=1), r"\operatorname{mean}_{\text{axis }1}(A)"),
        (np.max(x), r"\max(x)"),
        (np.reshape(x, (3, 1)), r"x"),
        (x.reshape(1, 3) * 2, r"2\,x"),
        (np.broadcast_to(x * y, (2, 3)) * x, r"x^{2}\,y"),
        (x.astype(np.float32), r"x"),
    ],
)  # fmt: skip
def test_a_formula_is_written_as_on_paper(formula: Symbol, tex: str) -> None:
    assert tex == formula.tex
    assert not formula.opaque


@pytest.mark.parametrize(
    ("number", "tex"),
    [
        (2, "2"), (-3, "-3"), (0.1, "0.1"), (0.25, "0.25"), (1 / 3, r"\frac{1}{3}"),
        (1 / 64, r"\frac{1}{64}"), (np.pi, r"\pi"), (np.log(2), r"\log(2)"),
        (1e-5, "10^{-5}"), (2.5e-7, r"2.5\cdot 10^{-7}"), (1e6, "10^{6}"),
        (-1e-5, "-10^{-5}"), (123456.0, r"1.235\cdot 10^{5}"), (np.inf, r"\infty"),
        (np.nan, r"\mathrm{NaN}"), (np.float32(0.5), "0.5"), (0.0, "0"),
    ],
)  # fmt: skip
def test_a_number_is_written_short(number: float, tex: str) -> None:
    assert tex == lift(number).tex


def test_numbers_are_worked_out() -> None:
    n = lift(2.0)

    assert "x" == (x ** (n - 1)).tex
    assert "3" == (n * n - 1).tex
    assert "x" == np.where(n == 2, x, y).tex


def test_numbers_side_by_side_do_not_read_as_one() -> None:
    assert r"2\cdot 3^{x}" == (2 * 3**x).tex


def test_the_value_goes_along_with_the_formula() -> None:
    formula = (1 - x * x) / np.exp(y)

    np.testing.assert_allclose((1 - X * X) / np.exp(X + 1), formula.value)
    assert ((3,), 1, 3, X.dtype) == (x.shape, x.ndim, x.size, x.dtype)


@pytest.mark.parametrize(
    ("name", "tex"),
    [
        ("w", "w"), ("w1", "w_{1}"), ("h_2", "h_{2}"), ("gamma", r"\gamma"),
        ("eps", r"\epsilon"), ("beta2", r"\beta_{2}"), ("loss", r"\mathrm{loss}"),
        ("fc1.weight", r"\mathrm{fc1.weight}"), ("dL_dw", r"\mathrm{dL\_dw}"),
        ("_", r"\mathrm{\_}"), ("7", r"\mathrm{7}"), ("W", "W"),
    ],
)  # fmt: skip
def test_a_variable_is_written_as_on_paper(name: str, tex: str) -> None:
    assert tex == variable(name)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bool(x > 0),
        lambda: np.asarray(x),
        lambda: np.add.reduce(x),
        lambda: float(x),
    ],
)
def test_what_asks_for_values_is_refused_and_not_answered_wrongly(ask) -> None:
    with pytest.raises(TypeError):
        ask()


def test_what_has_no_notation_is_opaque_and_stays_so() -> None:
    for formula in (x[0], np.cumsum(x), x * np.ones(3), np.concatenate([x, y])):
        assert formula.opaque
        assert (formula + 1).opaque


# Every op.

OPS = sorted(bp.ops.registry)


def at_example(name: str):
    op = bp.ops.registry[name]
    inputs, static = op.example(np.random.default_rng(0))
    static = {**op.defaults, **static}
    value = op.value(*inputs, **static)
    if op.saves:
        value, static = value[0], {**static, "saved": value[1]}
    names = [f"x{k}" for k in range(len(inputs))] if op.variadic else op.inputs
    xs = [
        None if a is None else Symbol(variable(n), np.asarray(a))
        for n, a in zip(names, inputs, strict=True)
    ]
    return op, xs, static, value


def is_well_formed(tex: str) -> bool:
    plain = re.sub(r"\\[{}]", "", tex)
    depth = 0
    for c in plain:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            return False
    pairs = ((r"\left", r"\right"), (r"\begin", r"\end"))
    return depth == 0 and all(
        len(re.findall(re.escape(a) + r"(?![a-z])", plain))
        == len(re.findall(re.escape(b) + r"(?![a-z])", plain))
        for a, b in pairs
    )


@pytest.mark.parametrize("name", OPS)
def test_every_op_and_every_derivative_has_a_formula(name: str) -> None:
    op, xs, static, value = at_example(name)
    out, g = Symbol("out", value), Symbol("g", np.ones_like(value))

    whole = applied(op, static, xs, value)
    formulas = [whole]
    for k, s in enumerate(xs):
        if s is not None:
            if op.kind == "elementwise":
                formulas.append(partial(op, k, out, xs, static))
            formulas.append(sent(op, k, g, out, xs, static))

    assert all(f.tex and is_well_formed(f.tex) for f in formulas)
    assert not any("object at" in f.tex or "None" in f.tex for f in formulas)
    np.testing.assert_allclose(whole.value, value, rtol=1e-3)


def test_a_formula_that_gives_another_number_is_not_shown() -> None:
    @bp.elementwise(lambda y, _x: y)
    def shady(x):
        """Not what its formula says: symbols are no arrays."""
        return np.exp(x) if isinstance(x, np.ndarray) else x * 2

    op = shady.primitive

    assert r"\operatorname{shady}(x)" == applied(op, {}, [x], np.exp(X)).tex


def test_a_rule_without_notation_stands_as_a_derivative() -> None:
    @bp.elementwise(lambda y, x: np.interp(x, [0, 1], [0, 1]))
    def odd(x):
        return np.interp(x, [0, 1], [0, 1])

    op, out, g = odd.primitive, Symbol("y", X), Symbol("g", X)

    assert r"\frac{\partial y}{\partial x}" == partial(op, 0, out, [x], {}).tex
    assert r"g\,\frac{\partial y}{\partial x}" == sent(op, 0, g, out, [x], {}).tex
    assert r"\operatorname{odd}(x)" == applied(op, {}, [x], X).tex
    sort, xs, static, value = at_example("sort")
    assert r"\left(\frac{\partial y}{\partial x}\right)^{\!\top} g" == (
        sent(sort, 0, g, Symbol("y", value), xs, static).tex
    )


DERIVATIVES = {
    "add": "$1$, $1$",
    "multiply": "$y$, $x$",
    "divide": r"$\frac{1}{y}$, $-\frac{z}{y}$",
    "negative": "$-1$",
    "square": r"$2\,x$",
    "sqrt": r"$\frac{1}{2\,y}$",
    "exp": "$y$",
    "log": r"$\frac{1}{x}$",
    "sin": r"$\cos(x)$",
    "cos": r"$-\sin(x)$",
    "tanh": "$1 - y^{2}$",
    "sigmoid": r"$y\,\left(1 - y\right)$",
    "relu": r"$\mathbf{1}[y > 0]$",
    "abs": r"$\operatorname{sign}(x)$",
    "matmul": r"$g\,w^{\top}$, $x^{\top}\,g$",
    "transpose": r"$g^{\top}$",
    "reshape": "$g$",
    "inv": r"$-y^{\top}\,g\,y^{\top}$",
}


def test_the_table_of_ops_shows_the_rules_as_they_are_declared() -> None:
    table = bp.ops.table()
    rows = {row["op"]: row for row in table}

    assert isinstance(table, Table)
    assert list(bp.ops.registry) == list(rows)
    assert DERIVATIVES == {name: rows[name]["derivatives"] for name in DERIVATIVES}
    assert {
        "op": "tanh",
        "formula": r"$y = \tanh(x)$",
        "rule": "local derivative",
        "derivatives": "$1 - y^{2}$",
        "cast": "keep",
        "remembers": "y",
    } == rows["tanh"]
    assert ("low", "x, w") == (rows["matmul"]["cast"], rows["matmul"]["remembers"])
    assert "nothing" == rows["add"]["remembers"]
    assert "sends back" == rows["matmul"]["rule"]


def test_a_table_prints_shows_and_escapes() -> None:
    table = Table([{"name": "<w>", "size": 3.14159}, {"name": "b", "size": None}])

    assert "name  size\n<w>   3.14\nb" == str(table) == repr(table)
    assert (
        "<table><thead><tr><th>name</th><th>size</th></tr></thead><tbody>"
        "<tr><td>&lt;w&gt;</td><td>3.14</td></tr><tr><td>b</td><td></td></tr>"
        "</tbody></table>"
    ) == table._repr_html_()
    assert "(no rows)" == str(Table())
    assert "<em>no rows</em>" == Table()._repr_html_()
    script = Table([{"name": "$<script>$"}])
    assert "<script>" not in script._repr_html_()


def test_the_table_of_ops_can_be_asked_for_some_by_name():
    assert ["tanh", "add"] == [row["op"] for row in bp.ops.table("tanh", "add")]
    with pytest.raises(bp.errors.NameLookupError) as caught:
        bp.ops.table("tahn")
    assert (
        "ops.table: there is no op 'tahn'.\n  help: did you mean tan or tanh or arctan?"
        == str(caught.value)
    )
