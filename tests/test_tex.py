"""The written chain rule: one path or all, symbols and numbers, from the rules."""
# ruff: noqa: E501 (formulas stand on one line, as they are printed)

import numpy as np
import pytest

import backproplab as bp
from backproplab import tex
from backproplab._routes import along, routes_between
from backproplab.errors import GradError, NameLookupError


@pytest.fixture
def scalar_run():
    x = bp.tensor(1.5, requires_grad=True, name="x")
    w = bp.tensor(0.5, requires_grad=True, name="w")
    with bp.record() as run:
        z = x * w
        h = np.tanh(z)
        y = h * w
        loss = (y - 1.0) ** 2
        loss.backward()
    return run


@pytest.fixture
def matrix_run():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 3))
    W1 = bp.tensor(rng.normal(size=(3, 2)), requires_grad=True)
    b = bp.tensor(rng.normal(size=2), requires_grad=True)
    W2 = bp.tensor(rng.normal(size=(2, 1)), requires_grad=True)
    with bp.record() as run:
        h = bp.relu(X @ W1 + b)
        y = h @ W2
        loss = ((y - 1.0) ** 2).mean()
        loss.backward()
    return run


def test_all_paths_are_added_and_numbers_close_the_sum(scalar_run) -> None:
    text = tex.chain_rule(scalar_run, "w", "loss", numbers=True)

    assert (
        r"""\begin{aligned}
\frac{\partial \mathrm{loss}}{\partial w}
&= \frac{\partial \mathrm{loss}}{\partial y}\,\frac{\partial y}{\partial w} + \frac{\partial \mathrm{loss}}{\partial y}\,\frac{\partial y}{\partial h}\,\frac{\partial h}{\partial z}\,\frac{\partial z}{\partial w} \\
&= 2\,\left(y - 1\right)\,h + 2\,\left(y - 1\right)\,w\,\left(1 - h^{2}\right)\,x \\
&= -0.8669 - 0.6107 \\
&= -1.478
\end{aligned}"""
        == text
    )
    assert f"{float(scalar_run['w'].grad):.4g}" == "-1.478"


def test_one_path_alone_is_named_or_taken_from_the_run(scalar_run) -> None:
    want = r"""\begin{aligned}
\frac{\partial \mathrm{loss}}{\partial w}
&= \frac{\partial \mathrm{loss}}{\partial y}\,\frac{\partial y}{\partial w} \\
&= 2\,\left(y - 1\right)\,h
\end{aligned}"""
    rows = {p.nodes: p for p in scalar_run.paths("w", "loss")}

    assert want == tex.chain_rule(scalar_run, "w", path=["w", "y", "loss"])
    row = rows["w", "y", "subtract_1", "loss"]
    assert want == tex.chain_rule(scalar_run, "w", path=row)


def test_between_matrices_each_link_is_written_as_it_is_computed(matrix_run) -> None:
    assert r"""\begin{aligned}
\frac{\partial \mathrm{loss}}{\partial W_{1}}
&= \frac{\partial \mathrm{loss}}{\partial y}\,\frac{\partial y}{\partial h}\,\frac{\partial h}{\partial W_{1}} \\
&= X^{\top}\,\left(\left(0.4\,\left(y - 1\right)\,W_{2}^{\top}\right)\,\mathbf{1}[h > 0]\right)
\end{aligned}""" == tex.chain_rule(matrix_run, "W1")
    numbers = tex.chain_rule(matrix_run, "b", numbers=True).splitlines()[-2]
    values = [f"{g:.4g}" for g in matrix_run["b"].grad]
    assert rf"&= \begin{{pmatrix}} {' & '.join(values)} \end{{pmatrix}}" == numbers


def test_a_bias_is_summed_over_the_rows_that_shared_it(matrix_run) -> None:
    assert r"\sum_{\text{axis }0}" in tex.chain_rule(matrix_run, "b")


def test_gradients_writes_backward_line_by_line(matrix_run) -> None:
    assert r"""\begin{aligned}
\frac{\partial \mathrm{loss}}{\partial y} &= 0.4\,\left(y - 1\right) \\
\frac{\partial \mathrm{loss}}{\partial W_{2}} &= h^{\top}\,\frac{\partial \mathrm{loss}}{\partial y} \\
\frac{\partial \mathrm{loss}}{\partial h} &= \frac{\partial \mathrm{loss}}{\partial y}\,W_{2}^{\top} \\
\frac{\partial \mathrm{loss}}{\partial b} &= \sum_{\text{axis }0} \frac{\partial \mathrm{loss}}{\partial h}\,\mathbf{1}[h > 0] \\
\frac{\partial \mathrm{loss}}{\partial W_{1}} &= X^{\top}\,\left(\frac{\partial \mathrm{loss}}{\partial h}\,\mathbf{1}[h > 0]\right)
\end{aligned}""" == tex.gradients(matrix_run)


def test_equations_writes_forward_line_by_line(scalar_run, matrix_run) -> None:
    assert r"""\begin{aligned}
z &= x\,w \\
h &= \tanh(z) \\
y &= h\,w \\
\mathrm{loss} &= \left(y - 1\right)^{2}
\end{aligned}""" == tex.equations(scalar_run)
    assert r"""\begin{aligned}
h &= \max(X\,W_{1} + b, 0) \\
y &= h\,W_{2} \\
\mathrm{loss} &= \operatorname{mean}(\left(y - 1\right)^{2})
\end{aligned}""" == tex.equations(matrix_run)


def test_fan_out_of_one_value_into_one_op_counts_twice() -> None:
    x = bp.tensor(3.0, requires_grad=True, name="x")
    with bp.record() as run:
        y = x * x
        y.backward()

    assert r"&= 2\,x" == tex.chain_rule(run, "x").splitlines()[3]


def test_the_value_of_each_term_adds_up_to_the_gradient(scalar_run, matrix_run) -> None:
    for run in (scalar_run, matrix_run):
        for r in run:
            if r.op == "leaf" and r.grad is not None:
                routes = routes_between(run, r.id, run["loss"].id)
                total = sum(along(run, route).value for route in routes)
                np.testing.assert_allclose(total, r.grad, rtol=1e-12)


def test_a_seed_that_is_not_one_is_called_g() -> None:
    x = bp.tensor(np.ones(3), requires_grad=True, name="x")
    with bp.record() as run:
        y = np.exp(x)
        y.backward(np.array([1.0, 2.0, 3.0]))

    assert r"&= g\,y" == tex.chain_rule(run, "x").splitlines()[3]


def test_the_end_may_be_any_value_and_the_start_itself(scalar_run) -> None:
    assert r"""\begin{aligned}
\frac{\partial h}{\partial z}
&= \frac{\partial h}{\partial z} \\
&= g\,\left(1 - h^{2}\right)
\end{aligned}""" == tex.chain_rule(scalar_run, "z", "h")
    assert r"""\begin{aligned}
\frac{\partial \mathrm{loss}}{\partial \mathrm{loss}}
&= 1
\end{aligned}""" == tex.chain_rule(scalar_run, "loss")


def test_a_notebook_sets_the_formula(scalar_run) -> None:
    text = tex.equations(scalar_run)

    assert isinstance(text, str)
    assert rf"$\displaystyle {text}$" == text._repr_latex_()


def test_a_large_array_is_not_written_out() -> None:
    x = bp.tensor(np.ones((5, 5)), requires_grad=True, name="x")
    with bp.record() as run:
        y = np.exp(x).sum()
        y.backward()

    last = tex.chain_rule(run, "x", numbers=True).splitlines()[-2]

    assert r"&= \text{array of shape }(5, 5)" == last


def test_where_no_gradient_flows_it_says_so(scalar_run) -> None:
    with pytest.raises(GradError) as caught:
        tex.chain_rule(scalar_run, "loss", "w")
    assert (
        "chain_rule: no gradient flows from w to loss.\n"
        "  help: the first name is an input, the second depends on it; "
        "see `run.paths(a, b)`."
    ) == str(caught.value)
    with pytest.raises(GradError) as caught:
        tex.gradients(scalar_run, "w")
    assert (
        "gradients: no gradient flows back from w.\n"
        "  help: make an input with `bp.tensor(..., requires_grad=True)`."
    ) == str(caught.value)


def test_too_many_paths_are_refused_with_a_way_on() -> None:
    x = bp.tensor(1.0, requires_grad=True, name="x")
    with bp.record() as run:
        h = x
        for _ in range(4):
            f = np.tanh(h)
            h = h + f
        h.backward()

    with pytest.raises(GradError) as caught:
        tex.chain_rule(run, "x")
    assert (
        "chain_rule: there are 16 paths from x to h_4; at most 12 are written out.\n"
        "  help: choose one (`path=[...]`, its names in order), or write "
        "`bp.tex.gradients(run)`."
    ) == str(caught.value)
    assert r"\frac{\partial h_{4}}{\partial x}" in tex.gradients(run)


def test_a_path_that_is_none_is_answered_with_those_there_are(scalar_run) -> None:
    with pytest.raises(GradError) as caught:
        tex.chain_rule(scalar_run, "w", path=["w", "h", "loss"])
    assert (
        "chain_rule: w -> h -> loss is no path of this run.\n"
        "  help: there are: w -> y -> loss, w -> z -> h -> y -> loss."
    ) == str(caught.value)


def test_a_run_without_backward_or_name_says_so() -> None:
    with bp.record() as run:
        h = bp.tensor(1.0, name="w") * 2.0  # noqa: F841

    with pytest.raises(GradError, match=r"^chain_rule: the run has 3 records and no"):
        tex.chain_rule(run, "w")
    with pytest.raises(NameLookupError, match=r"^run\['v'\]: no record has this name"):
        tex.chain_rule(run, "v")
