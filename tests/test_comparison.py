import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import GradError, RangeError


def net(*factors, name="layer"):
    """Each layer multiplies by a number, in a scope of its own."""
    x = bp.tensor(np.ones(4), requires_grad=True)
    with bp.record() as run:
        for k, factor in enumerate(factors):
            with bp.scope(f"{name}{k}"):
                x = factor * x
        x.backward(np.ones(4))
    return run


@pytest.fixture
def both():
    return bp.compare_runs({"fades": net(0.5, 0.5, 0.5), "grows": net(2.0, 2.0)})


def test_layers_of_one_name_stand_in_one_row(both):
    values = {row.name: row.values for row in both.rows}

    assert {
        "layer0": (0.5, 2.0),
        "layer1": (0.25, 4.0),
        "layer2": (0.125, None),
    } == values


def test_what_a_run_adds_stands_behind_what_precedes_it():
    rng = np.random.default_rng(0)
    fc1, norm, fc2 = (
        bp.nn.Linear(3, 3, rng=rng),
        bp.nn.BatchNorm1d(3),
        bp.nn.Linear(3, 3, rng=rng),
    )
    runs = {}
    for name, layers in {
        "plain": {"fc1": fc1, "fc2": fc2},
        "batch norm": {"fc1": fc1, "norm": norm, "fc2": fc2},
    }.items():
        with bp.record() as runs[name]:
            bp.nn.Sequential(layers)(rng.normal(size=(5, 3))).sum().backward()

    rows = bp.compare_runs(runs, layers="[fn]*").rows

    assert ["fc1", "norm", "fc2"] == [row.name for row in rows]
    assert rows[1].values[0] is None


def test_runs_without_a_common_name_are_aligned_by_place():
    runs = {"a": net(0.5, 0.5), "b": net(2.0, 2.0, name="block")}

    placed = bp.compare_runs(runs, align="place")

    assert [(0.5, 2.0), (0.25, 4.0)] == [row.values for row in placed.rows]


def test_the_table_has_a_column_for_each_quantity_and_run(both):
    heads = list(both.table()[0])

    assert heads == ["layer"] + [
        f"{quantity} {run}"
        for quantity in ("values", "gradients", "gain")
        for run in ("fades", "grows")
    ]
    assert str(both.table()) == str(both)
    assert both._repr_html_().startswith("<table>")
    assert "<Comparison of fades, grows: 3 layers>" == repr(both)


def test_growth_is_the_mean_factor_of_a_layer(both):
    assert {"fades": 0.5, "grows": 2.0} == both.growth()
    assert {"fades": 0.5, "grows": 2.0} == both.growth("values")
    assert {"fades": 0.5, "grows": 2.0} == both.growth("gain")


def test_growth_of_one_layer_is_unknown():
    assert {"one": None} == bp.compare_runs({"one": net(0.5)}).growth()


@pytest.mark.parametrize("shown", [(), ("gain",), ("values", "gradients", "gain")])
def test_a_plot_has_a_panel_for_each_quantity_and_a_line_for_each_run(both, shown):
    fig = both.plot(*shown)

    assert (len(shown) or 2) == len(fig.axes)
    assert {"log"} == {ax.get_yscale() for ax in fig.axes}
    assert ["fades", "grows"] == [line.get_label() for line in fig.axes[0].lines]
    assert fig is both.plot(*shown, fig=fig)


def test_a_dotted_path_is_cut_at_the_depth():
    x = bp.tensor(np.ones(2), requires_grad=True)
    with bp.record() as run, bp.scope("block"):
        with bp.scope("a"):
            y = 2 * x
        with bp.scope("b"):
            y = y * y
        y.sum().backward()

    outer, inner = (bp.compare_runs({"": run}, depth=d) for d in (1, None))

    assert ["block"] == [row.name for row in outer.rows]
    assert ["block.a", "block.b", "block"] == [row.name for row in inner.rows]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: bp.compare_runs([net(1.0)]),
            TypeError,
            "compare_runs: runs is list of length 1; a dict of at least one run is "
            'required.\n  help: bp.compare_runs({"plain": run1, "residual": run2}).',
        ),
        (
            lambda: bp.compare_runs({}),
            TypeError,
            "compare_runs: runs is dict of length 0; a dict of at least one run is "
            'required.\n  help: bp.compare_runs({"plain": run1, "residual": run2}).',
        ),
        (
            lambda: bp.compare_runs({"a": 3}),
            TypeError,
            "compare_runs: 'a' is int; a recorded run is required.\n"
            "  help: record one: `with bp.record() as run:`.",
        ),
        (
            lambda: bp.compare_runs({"a": net(1.0)}, align="size"),
            RangeError,
            'compare_runs: align is \'size\'; "name" or "place" is required.',
        ),
        (
            lambda: bp.compare_runs({"a": net(1.0)}, layers="fc*"),
            RangeError,
            "compare_runs: 'a' has no layer that fits 'fc*'.\n"
            "  help: print the run to see its names: `print(a)`.",
        ),
        (
            lambda: bp.compare_runs({"a": net(1.0), "b": net(1.0, name="block")}),
            RangeError,
            "compare_runs: 'a' and 'b' share no name of a layer.\n"
            '  help: align them by their place: `align="place"`.',
        ),
        (
            lambda: bp.compare_runs({"a": net(1.0)}).table("loss"),
            RangeError,
            "compare_runs: 'loss' is not measured; one of 'values', 'gradients', "
            "'gain' is required.",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(call, error, message):
    with pytest.raises(error) as caught:
        call()

    assert message == str(caught.value)


def test_a_run_without_backward_is_refused():
    with bp.record() as run:
        bp.tensor(1.0, requires_grad=True) * 2.0

    with pytest.raises(GradError) as caught:
        bp.compare_runs({"half": run})

    assert str(caught.value) == (
        "compare_runs: 'half' has 3 records and no gradient.\n"
        "  help: call `loss.backward()` inside the `with bp.record()` block."
    )
