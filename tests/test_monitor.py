import gc
import tracemalloc

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, plot
from backproplab.distributions import EDGES, Store, added, measure
from backproplab.errors import GradError, RangeError
from backproplab.plot.charts import _looks

rng = np.random.default_rng(0)


def small(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        fc1=nn.Linear(4, 6, rng=rng), act=nn.ReLU(), fc2=nn.Linear(6, 3, rng=rng)
    )


def batch(n=8):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 4), np.float32), rng.integers(0, 3, n)


def train(model, steps, lr=0.1, data=None):
    x, y = data or batch()
    optimizer = bp.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        bp.cross_entropy(model(x), y).backward()
        optimizer.step()


# One array.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (4, 3, 2), (3, 2, 4, 4)])
def test_a_row_says_what_numpy_says(dtype, shape):
    a = np.random.default_rng(0).normal(0.5, 2, shape).astype(dtype)
    exact = a.astype(float)
    tolerance = 100 * np.finfo(np.float32).eps

    row = measure(a)

    expected = [exact.mean(), exact.std(), np.sqrt(np.mean(exact**2)), abs(exact).max()]
    np.testing.assert_allclose(row[:4], expected, rtol=tolerance, atol=tolerance)
    assert a.size == row.counts.sum()
    assert np.array_equal(
        np.histogram(np.log2(abs(exact)), EDGES.astype(float))[0], row.counts
    )


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_squares_that_leave_float32_are_measured_all_the_same(size):
    a = np.array([1, 2, 3], np.float32) * np.float32(size)

    row = measure(a)

    assert pytest.approx(size * np.sqrt(14 / 3), rel=1e-6) == row.rms
    assert pytest.approx(size * np.sqrt(2 / 3), rel=1e-6) == row.std


def test_squares_that_leave_float64_are_measured_all_the_same():
    assert pytest.approx(1e200) == measure(np.array([1e200, -1e200])).rms
    assert pytest.approx(1e-200) == measure(np.array([1e-200, -1e-200])).rms


def test_a_spread_far_from_zero_is_not_lost_in_rounding():
    a = np.float32(4096) + np.arange(8, dtype=np.float32) / 8

    assert pytest.approx(a.astype(float).std(), rel=1e-5) == measure(a).std


def test_zeros_are_in_no_bin_and_subnormals_in_the_first():
    a = np.array([0.0, -0.0, 1e-40, 1.0], np.float32)

    row = measure(a)

    assert 0.5 == row.zeros
    assert (1, 1) == (row.counts[0], row.counts[list(EDGES).index(0)])
    assert 2 == row.counts.sum()


def test_what_is_not_finite_is_counted_and_left_out_of_the_rest():
    row = measure(np.array([np.nan, np.inf, -np.inf, 2.0, 4.0]))

    assert (3.0, 1.0, 4.0, 3) == (row.mean, row.std, row.peak, row.nonfinite)
    assert 2 == row.counts.sum()


def test_an_array_of_nothing_finite_has_no_mean():
    row = measure(np.full(3, np.nan))

    assert np.isnan(row.mean)
    assert 3 == row.nonfinite


def test_an_empty_array_has_a_row():
    assert 0 == measure(np.zeros((0, 3))).counts.sum()


@pytest.mark.parametrize(
    ("shape", "where"),
    [((4, 5), np.s_[:, 2]), ((4, 5, 2, 2), np.s_[:, 2]), ((4, 3, 5), np.s_[..., 2])],
)
def test_a_unit_is_dead_when_it_is_0_for_the_whole_batch(shape, where):
    a = np.random.default_rng(0).normal(size=shape)
    a[where] = 0
    a[0, 0] = 0  # of one example alone: no unit dies of it

    assert pytest.approx(1 / 5) == measure(a).dead


def test_a_unit_that_is_only_ever_negative_is_not_dead():
    assert 0 == measure(np.array([[-1.0, 0.0], [0.0, 2.0]])).dead


def test_a_transposed_array_is_measured_as_it_is():
    a = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32).T

    assert pytest.approx(a.std(), rel=1e-5) == measure(a).std


def test_rows_of_two_calls_add_up_to_the_row_of_both():
    x = np.random.default_rng(0).normal(size=5)
    y = np.array([0.0, np.inf, 3.0])

    both = added(measure(x), measure(y), 5, 3)

    whole = measure(np.concatenate([x, y]))
    np.testing.assert_allclose(both[:5], whole[:5], rtol=1e-12)
    assert np.array_equal(whole.counts, both.counts)
    assert 1 == both.nonfinite


def test_a_call_of_nothing_finite_adds_its_count_alone():
    both = added(measure(np.full(2, np.nan)), measure(np.ones(2)), 2, 2)

    assert (1.0, 2) == (both.mean, both.nonfinite)


# Many rows.


def filled(steps, every=1, kept=8):
    store = Store(every, kept)
    one = measure(np.ones(2))
    for step in range(steps):
        if store.wants(step):
            store.add(step, {"a": one._replace(mean=float(step))}, {"b": float(step)})
    return store


@pytest.mark.parametrize("steps", [0, 1, 8, 9, 100, 1000])
def test_what_is_kept_is_spread_evenly_over_the_whole_run(steps):
    store = filled(steps)

    assert len(store.steps) <= 8
    if steps:
        assert list(range(0, steps, store.every)) == store.steps
        assert store.steps == store.history("a", "a").mean.tolist()
        assert store.steps == store.numbers("b").tolist()
    if steps > 8:
        assert len(store.steps) >= 4


def test_the_first_steps_are_kept_at_growing_distances():
    assert [0, 1, 4, 16, 32] == filled(40, every=16).steps


def test_a_quantity_that_comes_late_has_gaps_before():
    store = Store(1, 4)
    row = measure(np.ones(1))
    store.add(0, {"a": row}, {})
    store.add(1, {"a": row, "late": row}, {"n": 2.0})

    assert np.isnan(store.history("late", "late").mean[0])
    assert 1 == store.history("late", "late").mean[1]
    assert np.isnan(store.numbers("n")[0])


def test_a_history_cannot_be_written_into():
    history = filled(3).history("a", "a")

    with pytest.raises(ValueError, match="read-only"):
        history.mean[0] = 1
    assert "<History of a, 3 rows, steps 0 to 2>" == repr(history)
    assert "<History of a, empty>" == repr(Store.history(_empty(), "a", "a"))


def _empty():
    store = filled(1)
    store.steps.clear()
    return store


# A run.


def test_statistics_are_those_of_the_recorded_run():
    model, twin = small(), small()
    x, y = batch()
    with bp.record() as run:
        bp.cross_entropy(twin(x), y).backward()

    with bp.Monitor(model, every=1) as monitor:
        train(model, 1)

    for name in ("fc1", "act", "fc2"):
        record = run[name]
        for histories, a in (
            (monitor.activations, record.value),
            (monitor.gradients, record.grad),
        ):
            h = histories[name]
            expected = [a.mean(), a.std(), abs(a).max(), (a == 0).mean()]
            seen = [h.mean[0], h.std[0], h.peak[0], h.zeros[0]]
            np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-7)
    for name, p in twin.named_parameters():
        assert pytest.approx(abs(p.grad).max()) == monitor.gradients[name].peak[0]


def test_the_update_is_measured_against_the_weight_before_it():
    model, twin = small(), small()
    before = twin.state_dict()
    train(twin, 1)

    with bp.Monitor(model, every=1) as monitor:
        train(model, 1)

    for name, after in twin.state_dict().items():
        moved = np.linalg.norm(after - before[name]) / np.linalg.norm(before[name])
        assert pytest.approx(moved, rel=1e-4) == monitor.updates[name][0]


def test_a_parameter_of_zeros_has_no_ratio():
    model = small()
    model.fc1.bias.data[...] = 0

    with bp.Monitor(model) as monitor:
        train(model, 1)

    assert np.isnan(monitor.updates["fc1.bias"][0])


def test_watching_changes_nothing():
    model, twin = small(), small()

    with bp.Monitor(model, every=1):
        train(model, 5)

    train(twin, 5)
    for name, a in twin.state_dict().items():
        assert np.array_equal(a, model.state_dict()[name])


def test_the_last_step_counts_without_another_call():
    model = small()
    monitor = bp.Monitor(model, every=1)
    train(model, 3)

    assert 3 == monitor.steps
    assert (0, 1, 2) == monitor.kept
    monitor.remove()


def test_calls_in_eval_mode_or_without_the_tape_are_no_steps():
    model = small()
    x, _ = batch()
    with bp.Monitor(model, every=1) as monitor:
        train(model, 2)
        model.eval()
        model(x)
        model.train()
        with bp.no_grad():
            model(x)
        train(model, 1)

    assert 3 == monitor.steps


def test_micro_batches_make_one_step():
    model, whole = small(), small()
    x, y = batch()
    with bp.Monitor(whole, every=1) as expected:
        train(whole, 1)
    optimizer = bp.optim.SGD(model.parameters(), lr=0.1)

    with bp.Monitor(model, every=1) as monitor:
        for half in (slice(0, 4), slice(4, 8)):
            (bp.cross_entropy(model(x[half]), y[half]) / 2).backward()
        optimizer.step()

    assert 1 == monitor.steps
    for kind in ("activations", "gradients"):
        seen, wanted = getattr(monitor, kind), getattr(expected, kind)
        assert list(wanted) == list(seen)
        for name in wanted:
            assert pytest.approx(wanted[name].rms[0], rel=1e-4) == seen[name].rms[0]


def test_a_step_that_a_scaler_skips_shows_its_infinities_and_no_update():
    model = small()
    x, y = batch()
    optimizer = bp.optim.SGD(model.parameters(), lr=0.1)
    scaler = bp.amp.GradScaler(init_scale=2.0**127)
    with bp.Monitor(model, every=1) as monitor:
        for _ in range(2):
            optimizer.zero_grad()
            with np.errstate(all="ignore"):
                scaler.scale(bp.cross_entropy(model(x), y) * 1e6).backward()
                scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()

    assert 2 == monitor.steps
    assert 0 < monitor.gradients["fc2.weight"].nonfinite[0]
    assert 0 == monitor.updates["fc2.weight"][0]
    assert "not finite" in str(monitor)


def test_a_change_behind_the_engine_is_told_by_step():
    model = small()
    x, y = batch()
    with bp.Monitor(model, every=1) as monitor:
        for _ in range(2):
            for p in model.parameters():
                p.grad = None
            bp.cross_entropy(model(x), y).backward()
            for p in model.parameters():
                np.subtract(p.data, 0.1 * p.grad, out=p.data)
            monitor.step()

    assert 2 == monitor.steps
    assert (monitor.updates["fc1.weight"] > 0).all()


def test_a_layer_that_is_called_twice_is_measured_over_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(3, 3, rng=np.random.default_rng(0))

        def forward(self, x):
            return self.fc(self.fc(x)) * 1.0

    model = Twice()
    x = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    with bp.no_grad():
        first = model.fc(x).data
        both = np.concatenate([first, model.fc(first).data])

    with bp.Monitor(model) as monitor:
        model(x).sum().backward()
        monitor.step()

    assert pytest.approx(both.std(), rel=1e-4) == monitor.activations["fc"].std[0]
    assert ["fc", "Twice"] == list(monitor.activations)


def test_outputs_in_a_tuple_are_seen_by_their_first_tensor():
    model = nn.MultiheadAttention(4, 2, rng=np.random.default_rng(0))
    x = np.random.default_rng(0).standard_normal((2, 3, 4), np.float32)

    with bp.Monitor(model) as monitor:
        out = model(x, x, x)
        (out[0] if isinstance(out, tuple) else out).sum().backward()
        monitor.step()

    assert "MultiheadAttention" in monitor.activations


def test_a_frozen_layer_gives_values_and_no_gradients():
    model = small()
    model.fc1.requires_grad_(False)

    with bp.Monitor(model) as monitor:
        train(model, 1)

    assert "fc1" in monitor.activations
    assert "fc1.weight" not in monitor.gradients
    assert ["fc2.weight", "fc2.bias"] == list(monitor.updates)


def test_a_call_that_raises_leaves_no_hook_behind():
    model = small()
    monitor = bp.Monitor(model, every=1)
    with pytest.raises(bp.errors.ShapeError):
        model(np.ones((2, 5), np.float32))
    train(model, 2)
    monitor.remove()

    assert 2 == monitor.steps
    assert not any(_hooks(m) for m in model.modules())
    assert not any(p._extra.hooks for p in model.parameters())


def _hooks(module):
    hooks = vars(module).get("_hooks")
    return hooks and [*hooks.before, *hooks.after, *hooks.backward]


def test_removing_ends_watching_and_keeps_what_was_seen():
    model = small()
    monitor = bp.Monitor(model)
    train(model, 2)
    monitor.remove()
    monitor.remove()
    train(model, 2)

    assert 2 == monitor.steps
    assert repr(monitor).endswith("removed>")
    with bp.Monitor(model) as again:
        train(model, 1)
    assert 1 == again.steps


def test_memory_is_flat_over_100_000_steps():
    store = Store(1, 64)
    row = measure(np.random.default_rng(0).normal(size=100))

    def run(steps):
        for step in steps:
            if store.wants(step):
                store.add(step, {("a", "x"): row, ("g", "x"): row}, {"x": 1.0})

    run(range(1000))
    size = store.nbytes
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run(range(1000, 100_000))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert size == store.nbytes
    assert grown < 4096
    assert 32 <= len(store.steps) <= 64
    assert store.steps[-1] > 98_000


def test_memory_of_a_watched_model_is_flat():
    model = small()
    monitor = bp.Monitor(model, every=1, kept=8)
    train(model, 50)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    train(model, 400)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    monitor.remove()

    assert 450 == monitor.steps
    assert grown < 8192


# How it shows.


@pytest.fixture(scope="module")
def monitor():
    model = small()
    with bp.Monitor(model, every=1) as monitor:
        train(model, 6)
    return monitor


def test_a_monitor_is_one_line_and_prints_a_table(monitor):
    assert (
        "<Monitor of Sequential: 6 steps, 6 rows, 3 layers, 4 parameters, removed>"
        == repr(monitor)
    )
    lines = str(monitor).splitlines()
    assert [repr(monitor), "at step 5"] == lines[:2]
    assert ["name", "mean", "std", "|max|", "zeros", "dead"] == lines[2].split()[:6]
    assert 3 + 7 == len(lines)


def test_the_table_of_an_earlier_step_is_there_too(monitor):
    first, last = monitor.table(0), monitor.table()

    assert first[0]["mean"] == monitor.activations["fc1"].mean[0]
    assert last[0]["mean"] == monitor.activations["fc1"].mean[-1]


def test_layers_come_before_parameters_in_the_order_of_the_model(monitor):
    assert [
        "fc1", "act", "fc2", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias",
    ] == list(monitor.gradients)  # fmt: skip


def test_the_overview_draws_a_line_for_each_layer_and_parameter(monitor):
    fig = monitor.plot()

    assert [3, 4, 4] == [len(ax.lines) for ax in fig.axes]
    line = fig.axes[0].lines[0]
    assert monitor.activations["fc1"].std.tolist() == line.get_ydata().tolist()
    assert monitor.kept == tuple(line.get_xdata())


@pytest.mark.parametrize(("shown", "panels"), [("activations", 3), ("gradients", 7)])
def test_histograms_are_drawn_one_panel_a_name(monitor, shown, panels):
    fig = monitor.plot(shown)

    drawn = [ax for ax in fig.axes if ax.collections]
    assert panels == len(drawn)
    mesh = drawn[0].collections[0].get_array()
    shares = np.asarray(mesh).reshape(-1, 6).sum(axis=0)
    assert (shares > 0.9).all()
    assert plot.svg(fig).startswith("<svg ")


def test_zeros_and_dead_units_are_told_in_the_title():
    model = small()
    model.fc1.bias.data[:] = [-100, 9, 9, 9, 9, 9]
    with bp.Monitor(model) as monitor:
        train(model, 2)

    titles = [ax.get_title(loc="left") for ax in monitor.plot("activations").axes]

    assert "act: 17% zero, 17% of units dead" in titles


def test_only_the_layers_asked_for_are_drawn(monitor):
    fig = monitor.plot("gradients", "*.weight")
    assert ["fc1.weight", "fc2.weight"] == [
        ax.get_title(loc="left") for ax in fig.axes if ax.collections
    ]

    assert [2] == [len(ax.lines) for ax in monitor.plot("updates", "fc1.*").axes]
    assert [1] == [len(ax.lines) for ax in monitor.plot("", "act").axes]


@pytest.mark.parametrize("shown", ["", "activations", "gradients", "updates"])
def test_layers_that_are_not_there_are_refused(monitor, shown):
    with pytest.raises(RangeError) as error:
        monitor.plot(shown, "fc9*")

    assert (
        "Monitor.plot: no name fits 'fc9*'.\n"
        "  help: print the monitor to see the names."
    ) == str(error.value)


def test_updates_are_drawn_alone_and_into_a_given_figure(monitor):
    fig = plot.figure()

    again = monitor.plot("updates", fig=fig)

    assert again is fig
    assert 1 == len(fig.axes)


def test_many_lines_have_looks_of_their_own():
    looks = _looks(9)

    assert 9 == len({(tuple(k["color"]), str(k["linestyle"])) for k in looks})


# What it refuses.


def test_what_is_no_module_cannot_be_watched():
    with pytest.raises(TypeError) as error:
        bp.Monitor(np.tanh)

    assert (
        "Monitor: model is a ufunc; a Module is required.\n"
        "  help: wrap functions in a `bp.nn.Module` with a `forward`."
    ) == str(error.value)


def test_a_model_has_one_monitor():
    model = small()

    with bp.Monitor(model), pytest.raises(GradError) as error:
        bp.Monitor(model)

    assert (
        "Monitor: this Sequential has a monitor already.\n"
        "  help: remove the other one with `.remove()`, or use it in a `with` block."
    ) == str(error.value)


def test_a_model_without_parameters_has_nothing_to_watch():
    with pytest.raises(GradError) as error:
        bp.Monitor(nn.ReLU())

    assert (
        "Monitor: ReLU has no parameter that wants a gradient; there is nothing to "
        "watch.\n  help: thaw it with `model.requires_grad_()`."
    ) == str(error.value)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"every": 0}, RangeError, "Monitor: every is 0; at least 1 is required."),
        ({"kept": 1}, RangeError, "Monitor: kept is 1; at least 2 is required."),
        ({"every": 2.0}, TypeError, "Monitor: every is 2.0; an integer is required."),
        ({"kept": True}, TypeError, "Monitor: kept is True; an integer is required."),
    ],
)
def test_a_count_out_of_range_is_refused(options, kind, message):
    with pytest.raises(kind) as error:
        bp.Monitor(small(), **options)

    assert message == str(error.value)


def test_a_step_without_a_call_is_refused():
    with bp.Monitor(small()) as monitor, pytest.raises(GradError) as error:
        monitor.step()

    assert (
        "Monitor.step: Sequential was not called in training mode since step 0; there "
        "is no step to end.\n"
        "  help: call it after `optimizer.step()`, once for each step."
    ) == str(error.value)


def test_a_plot_of_nothing_is_refused_and_a_print_says_what_to_do():
    with bp.Monitor(small()) as monitor, pytest.raises(GradError) as error:
        monitor.plot()

    assert (
        "Monitor.plot: no step was measured yet.\n  help: call the model in training "
        "mode, then backward() and an optimizer step."
    ) == str(error.value)
    assert str(monitor).endswith("then backward() and an optimizer step.")


def test_an_unknown_plot_is_refused(monitor):
    with pytest.raises(RangeError) as error:
        monitor.plot("weights")

    assert (
        "Monitor.plot: there is no 'weights'.\n"
        "  help: shown is one of activations, gradients, updates; or nothing, for all."
    ) == str(error.value)


def test_a_hook_that_comes_while_a_step_is_measured_stays():
    model = small()
    calls = []

    def once(module, _args, _output):
        if not calls:
            model.act.register_forward_pre_hook(lambda *_: calls.append("before"))
        calls.append("after")

    model.fc1.register_forward_hook(once)
    with bp.Monitor(model, every=1):
        train(model, 2)

    assert ["after", "before", "after", "before"] == calls
