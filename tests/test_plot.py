import subprocess
import sys

import numpy as np
import pytest

import backproplab as bp
from backproplab import plot
from backproplab.magnitudes import magnitudes


@pytest.fixture
def run():
    rng = np.random.default_rng(0)
    x = bp.tensor(rng.normal(size=(4, 3)))
    w = bp.tensor(rng.normal(size=(3, 2)), requires_grad=True)
    with bp.record() as run:
        h = np.tanh(x @ w)
        loss = (h * 0.0).sum()
        loss.backward()
    return run


def test_a_figure_shows_itself_in_a_notebook(run):
    fig = plot.gradient_flow(run)

    assert "<svg " == fig._repr_html_()[:5]


def test_a_screen_reader_hears_what_a_chart_shows():
    fig = plot.by_layer(["a", "b"], {"gain": {"plain <": [1.0, 2.0], "skip": [1, 1]}})

    assert (
        '<svg role="img" aria-label="chart. gain against layer: plain &lt;, skip" '
        in plot.svg(fig)
    )


def test_importing_the_package_loads_no_picture_library():
    code = (
        "import sys, backproplab;"
        "print({'matplotlib', 'ipywidgets', 'anywidget'} & set(sys.modules))"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "set()" == out.stdout.strip(), out.stderr


def test_gradient_flow_draws_values_and_gradients_of_each_layer(run):
    fig = plot.gradient_flow(run)

    ax = fig.axes[0]
    assert "log" == ax.get_xscale()
    assert ["matmul_1", "h", "multiply_1", "loss"] == [
        t.get_text() for t in ax.get_yticklabels()
    ]
    drawn = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert np.isclose(drawn["values"][1], np.sqrt(np.mean(run["h"].value ** 2)))


def test_an_exact_zero_is_a_cross_at_the_axis(run):
    ax = plot.gradient_flow(run).axes[0]

    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert [2, 2] == [len(line.get_ydata()) for line in crosses]


def test_a_figure_is_drawn_anew_in_place(run):
    fig = plot.gradient_flow(run)

    again = plot.gradient_flow({"a": run, "b": run}, fig=fig)

    assert again is fig
    assert 1 == len(fig.axes)


def test_ink_follows_the_theme(run):
    picture = plot.svg(plot.gradient_flow(run))

    assert "var(--jp-ui-font-color1, #222222)" in picture
    assert plot.FORWARD.lower() in picture
    assert plot.BACKWARD.lower() in picture


def test_no_window_and_no_registry_knows_a_figure(run):
    plot.gradient_flow(run)

    assert (
        "matplotlib.pyplot" not in sys.modules
        or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_a_layer_is_measured_at_its_output():
    rng = np.random.default_rng(0)
    model = bp.nn.Sequential(bp.nn.Linear(3, 3, rng=rng), bp.nn.Tanh())
    with bp.record() as run:
        y = model(np.ones((2, 3)))
        (y * y).sum().backward()

    rows = {row.name: row for row in magnitudes({"": run})}

    out = run["0"]
    assert np.isclose(rows["0"].values[0], np.sqrt(np.mean(out.value**2)))
    assert np.isclose(rows["0"].grads[0], np.sqrt(np.mean(out.grad**2)))
    assert rows["1"].gains[0] == run.gain()["1"]


def test_runs_are_joined_by_name_and_gaps_are_none(run):
    with bp.record() as other:
        h = np.exp(bp.tensor(1.0))
        h * 2.0

    rows = {row.name: row for row in magnitudes({"a": run, "b": other})}

    assert rows["matmul_1"].values[1] is None
    assert rows["h"].values[1] == np.e
    assert rows["h"].grads[1] is None
