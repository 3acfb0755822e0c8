"""Trace: what a run looked like, frozen, whatever happens afterwards."""

import gc
import weakref

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim
from backproplab.errors import GradError, NameLookupError


def rel(a, b) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


def eps(a) -> float:
    return 100 * np.finfo(np.asarray(a).dtype).eps


def small_net(copy: bool = False):
    rng = np.random.default_rng(0)
    w1 = bp.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="w1")
    b1 = bp.tensor(rng.normal(size=4), requires_grad=True, name="b1")
    w2 = bp.tensor(rng.normal(size=(4, 1)), requires_grad=True, name="w2")
    x = rng.normal(size=(5, 3))
    with bp.record(copy=copy) as run:
        z = x @ w1 + b1
        h = np.tanh(z)
        out = (h @ w2) * h.mean()
        loss = (out * out).mean()
        loss.backward()
    return run, {"w1": w1, "b1": b1, "w2": w2}


def snapshot(run) -> list:
    return [
        (r.name, np.array(r.value), None if r.grad is None else np.array(r.grad))
        for r in run
    ]


def same(a, b) -> bool:
    return all(
        n == m and np.array_equal(v, w) and (g is None) is (h is None)
        and (g is None or np.array_equal(g, h))
        for (n, v, g), (m, w, h) in zip(a, b, strict=True)
    )  # fmt: skip


# What it says.


def test_a_run_prints_as_a_table() -> None:
    w = bp.tensor([3.0, 4.0], requires_grad=True, name="w")

    with bp.record() as run:
        h = w * 2.0
        loss = h.sum()
        loss.backward()

    assert """\
id  name  op        inputs  shape  |value|  |grad|
 0  w     leaf              (2,)         5    2.83
 1  2     constant          ()           2
 2  h     multiply  w, 2    (2,)        10    1.41
 3  loss  sum       h       ()          14       1""" == str(run)
    assert "<Trace of 4 records, 3 backward steps>" == repr(run)
    assert "<Record 2 h = multiply (2,), |grad| 1.41>" == repr(run["h"])
    assert "<Record 1 2 = constant (), no grad>" == repr(run[1])
    assert run._repr_html_().startswith("<table><thead><tr><th>id</th>")


def test_grad_is_the_sum_of_the_contributions() -> None:
    run, tensors = small_net()

    for r in run:
        if r.contributions:
            assert rel(sum(r.contributions), r.grad) < eps(r.grad)
    for name, t in tensors.items():
        np.testing.assert_array_equal(t.grad, run[name].grad)


def test_consumers_say_who_sent_each_contribution() -> None:
    run, _ = small_net()
    h = run["h"]

    senders = {(run[o].op, k) for o, k in h.consumers}

    assert {("matmul", 0), ("mean", 0)} == senders
    for o, k in h.consumers:
        assert h.id == run[o].inputs[k]


def test_hooks_change_the_gradient_and_not_the_contributions() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as run:
        h = w * 2.0
        h.register_hook(lambda g: 10 * g)
        (h * h).backward()

    assert 12.0 == sum(run["h"].contributions)
    assert 120.0 == run["h"].grad
    assert 240.0 == run["w"].grad == w.grad


def test_local_is_the_slope_where_the_op_is_elementwise() -> None:
    run, _ = small_net()

    np.testing.assert_array_equal(1 - run["h"].value ** 2, run["h"].local)
    left, right = run["out"].local
    np.testing.assert_array_equal(np.broadcast_to(run["mean_1"].value, (5, 1)), left)
    assert (5, 1) == right.shape
    assert run["loss"].local is None
    assert run["w1"].local is None


def test_a_record_knows_its_format_scope_source_and_saved_bytes() -> None:
    x = bp.tensor(np.ones((2, 3), np.float32), requires_grad=True)

    with bp.record() as run, bp.scope("layer"):
        h = np.tanh(x)
    r = run["layer.h"]

    assert ("float32", "layer", 2 * 3 * 4) == (r.format, r.scope, r.saved_bytes)
    assert r.source.startswith("test_trace.py:")
    assert r"\mathrm{layer.h} = \tanh(x)" == r.tex
    assert r.requires_grad
    assert h.shape == r.shape


@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "float8_e4m3fn"])
def test_a_value_that_autocast_rounds_has_the_narrow_format(fmt) -> None:
    w = bp.tensor(np.ones((2, 2), np.float32), requires_grad=True, name="w")

    with bp.record() as run, bp.amp.autocast(fmt):
        h = w @ w
        k = np.exp(h)  # noqa: F841

    formats = {r.name: r.format for r in run}
    assert {"w": "float32", "cast_1": fmt, "h": fmt, "k": "float32"}.items() <= (
        formats.items()
    )
    assert np.float32 == run["h"].value.dtype


def test_what_autocast_computed_before_the_block_keeps_its_format() -> None:
    w = bp.tensor(np.ones((2, 2), np.float32), requires_grad=True)
    with bp.amp.autocast("bfloat16"):
        h = w @ w

    with bp.record() as run:
        h * 2.0

    assert ("leaf", "bfloat16") == (run["h"].op, run["h"].format)


def test_iteration_is_in_tape_order_and_inputs_come_first() -> None:
    run, _ = small_net()

    assert list(range(len(run))) == [r.id for r in run]
    assert all(i < r.id for r in run for i in r.inputs)


def test_a_record_cannot_be_changed() -> None:
    run, _ = small_net()

    with pytest.raises(AttributeError):
        run["h"].value = 0
    for array in (run["h"].value, run["h"].grad, run["h"].contributions[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


# It never changes.


def test_an_optimiser_does_not_change_the_trace() -> None:
    run, tensors = small_net()
    before = snapshot(run)

    for _ in range(3):
        optim.SGD(tensors.values(), lr=0.1).step()
    for t in tensors.values():
        t.data[...] = 7
        t.grad[...] = 7

    assert same(before, snapshot(run))


def test_writing_to_raw_arrays_and_views_of_leaves_does_not_change_the_trace() -> None:
    w = bp.tensor(np.arange(4.0), requires_grad=True, name="w")
    x = np.ones((2, 2))

    with bp.record() as run:
        square = w.reshape(2, 2)
        row = square[0]
        part = w[1:]
        loss = (square * x).sum() + row.sum() + part.sum()
        loss.backward()
        before = snapshot(run)
        w.data[...] = -1
        x[...] = -1

    assert same(before, snapshot(run))


def test_a_buffer_that_is_reused_within_the_block_is_recorded_each_time() -> None:
    w = bp.tensor(np.ones(2), requires_grad=True, name="w")
    batch = np.empty(2)

    with bp.record() as run:
        for k in (1.0, 2.0):
            batch[:] = k
            loss = (w * batch).sum()
            loss.backward()

    assert [1.0, 2.0] == [run[n].value[0] for n in ("batch", "batch_2")]
    np.testing.assert_array_equal(3 * np.ones(2), w.grad)
    np.testing.assert_array_equal(w.grad, run["w"].grad)


def test_several_training_steps_are_told_apart() -> None:
    w = bp.tensor(np.ones(2), requires_grad=True, name="w")
    steps = optim.SGD([w], lr=0.25)

    with bp.record() as run:
        for _ in range(3):
            steps.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            steps.step()

    assert ["w", "w_2", "w_3"] == [n for n in run.names if n.startswith("w")]
    for k, name in enumerate(("w", "w_2", "w_3")):
        np.testing.assert_allclose(0.5**k, run[name].value[0])
        np.testing.assert_allclose(2 * run[name].value, run[name].grad)


def test_a_leaf_changed_between_forward_and_backward_keeps_its_own_gradients() -> None:
    w = bp.tensor(2.0, requires_grad=True, name="w")

    with bp.record() as run:
        first = w * 3.0
        w.data = np.asarray(5.0)
        second = w * 4.0
        first.backward()
        assert 3.0 == w.grad
        second.backward()

    assert (2.0, 3.0) == (run["w"].value, run["w"].grad)
    assert (5.0, 4.0) == (run["w_2"].value, run["w_2"].grad)


def test_copy_guards_even_against_writing_into_a_computed_value() -> None:
    w = bp.tensor(np.ones(2), requires_grad=True)

    with bp.record(copy=True) as run:
        h = w * 2.0
    h.data[...] = 7

    np.testing.assert_array_equal([2.0, 2.0], run["h"].value)


@pytest.mark.parametrize("copy", [False, True])
def test_no_gradient_that_is_handed_out_belongs_to_the_trace(copy) -> None:
    w = bp.tensor(np.ones((2, 2)), requires_grad=True, name="w")
    x = w if copy else w.data.copy()  # of w, slopes are computed values themselves

    def f(u):
        v = u * 3.0
        return (v * v).sum()

    with bp.record(copy=copy) as run:
        h = np.tanh(w @ w)
        h.retain_grad()
        (h.reshape(4) * 2.0).sum().backward()
        value, slope = bp.value_and_grad(f)(x)
        _, back = bp.vjp(f, x)
        handed = [w.grad, h.grad, value, slope, *back(np.ones(()))]
    before = snapshot(run)
    for array in handed:
        if isinstance(array, (bp.Tensor, np.ndarray)):
            (array.data if isinstance(array, bp.Tensor) else array)[...] = 7

    assert same(before, snapshot(run))


def test_copies_share_nothing_with_the_run() -> None:
    w = bp.tensor(np.ones(4), requires_grad=True)

    with bp.record(copy=True) as run:
        h = w * 2.0
        part = h[1:].reshape(3, 1)
        part.sum().backward()

    for t, name in ((w, "w"), (h, "h"), (part, "part")):
        assert not np.shares_memory(t.data, run[name].value)
    assert not np.shares_memory(w.grad, run["w"].grad)


def test_copies_are_compared_with_nothing_that_was_not_changed() -> None:
    with bp.record(copy=True) as run:
        h = bp.tensor(np.ones(2)) * 2.0
        h + 1.0
        h[0] = 5.0
        h + 1.0

    assert ["h", "h_2"] == [r.name for r in run if r.name.startswith("h")]
    assert (2.0, 5.0) == (run["h"].value[0], run["h_2"].value[0])


def test_an_array_that_a_hook_returned_is_not_shared() -> None:
    w = bp.tensor(np.ones(2), requires_grad=True, name="w")
    mine = np.full(2, 5.0)

    with bp.record() as run:
        h = w * 2.0
        h.register_hook(lambda g: mine)
        h.sum().backward()
    mine[...] = 0

    np.testing.assert_array_equal([5.0, 5.0], run["h"].grad)


# Backward passes of every kind.


def test_two_backward_passes_add_and_both_seeds_are_known() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as run:
        h = w * w
        h.backward(retain_graph=True)
        h.backward(np.asarray(2.0))

    assert 3.0 == run["h"].grad
    assert 18.0 == run["w"].grad == w.grad
    assert 4 == len(run["w"].contributions)


def test_a_backward_pass_that_starts_inside_keeps_seed_and_contributions_apart() -> (
    None
):
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as run:
        h = w * 2.0
        loss = h * 5.0
        bp.tape.backward(
            [(loss, np.asarray(1.0)), (h, np.asarray(7.0))], lambda leaf, g, ours: None
        )
    grads = bp.trace.replay.backward(run, bp.trace.replay.seeds(run))

    assert 12.0 == run["h"].grad
    assert (5.0,) == run["h"].contributions
    assert 24.0 == grads[run["w"].id]


def test_what_was_computed_before_the_block_is_a_leaf() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")
    h = (w * 2.0).named("h")

    with bp.record() as run:
        loss = h * 5.0
        loss.backward()

    assert "leaf" == run["h"].op
    assert 5.0 == run["h"].grad
    assert 10.0 == w.grad
    assert "w" not in run


def test_what_was_computed_before_but_used_within_replays_to_the_same_gradient() -> (
    None
):
    w = bp.tensor(3.0, requires_grad=True, name="w")
    before = w * 2.0

    with bp.record() as run:
        loss = w * w + before
        loss.backward()
    grads = bp.trace.replay.backward(run, bp.trace.replay.seeds(run))

    assert 8.0 == w.grad == run["w"].grad == grads[run["w"].id]
    assert 6.0 == sum(run["w"].contributions)


def test_gradients_of_gradients_are_recorded() -> None:
    x = bp.tensor(2.0, requires_grad=True, name="x")

    with bp.record() as run:
        slope = bp.grad(lambda u: u * u * u)
        y = slope(x)

    assert 12.0 == float(y.data if isinstance(y, bp.Tensor) else y)
    assert len(run) > 0
    assert all(np.isfinite(r.value).all() for r in run)


def test_no_grad_within_the_block_is_recorded_without_gradients() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as run:
        with bp.no_grad():
            h = w * 2.0
        loss = w * 3.0
        loss.backward()

    assert not run["h"].requires_grad
    assert run["h"].grad is None
    assert 1 == len(run["w"].contributions)
    assert h.requires_grad is False


def test_nested_records_each_hold_the_inner_run() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as outer:
        a = w * 2.0
        with bp.record() as inner:
            b = a * 3.0
            b.backward()

    assert 6.0 == outer["w"].grad
    assert 3.0 == inner["a"].grad == outer["a"].grad
    assert "w" not in inner
    assert "leaf" == inner["a"].op


def test_an_exception_in_the_block_leaves_a_readable_trace_and_no_plug() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    def stumble() -> None:
        h = w * 2.0
        h.backward()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), bp.record() as run:
        stumble()

    assert 2.0 == run["w"].grad
    assert () == bp.sockets.current_plugs()


def test_an_exception_in_backward_leaves_what_was_done() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    def refuse(g):
        raise RuntimeError("no")

    with bp.record() as run:
        h = w * 2.0
        h.register_hook(refuse)
        loss = h * h
        with pytest.raises(RuntimeError, match="no"):
            loss.backward()

    assert 1.0 == run["loss"].grad
    assert run["w"].grad is None
    assert str(run)


def test_a_trace_can_be_read_before_the_block_ends() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")

    with bp.record() as run:
        assert 0 == len(run)
        h = w * 2.0
        assert 6.0 == run["h"].value
        h.backward()
        assert 2.0 == run["w"].grad
        (h * 1.0).named("late")
        assert "late" in run

    assert [r.id for r in run] == list(range(len(run)))


def test_backward_steps_are_the_engines_order() -> None:
    run, _ = small_net()
    order = []

    class Listen(bp.Plug):
        def arrive(self, node, g):
            order.append(np.shape(node.data))

    with bp.plugged(Listen()):
        again, _ = small_net()
    steps = run.backward_steps()

    assert order == [s.grad.shape for s in again.backward_steps()]
    assert ["loss", "multiply_1"] == [steps[0].name, steps[1].name]
    assert {"w1", "b1", "w2"} == {s.name for s in steps if not s.sends}
    for s in steps:
        assert run[s.id].grad is s.grad
        for x, c in s.sends:
            assert any(c is d for d in run[x].contributions)


# Memory.


def test_no_tensor_outlives_its_block_because_of_the_trace() -> None:
    cell = """
w = bp.tensor(np.ones(3), requires_grad=True)
def inside():
    local = np.ones(3).view(Thing)
    h = np.tanh(w) * local
    h.sum().backward()
    return weakref.ref(h), weakref.ref(local)
with bp.record() as run:
    refs = (weakref.ref(w), *inside())
del w
"""

    class Thing(np.ndarray):
        """Dies with what holds it."""

    cells = {"bp": bp, "np": np, "weakref": weakref, "Thing": Thing}
    exec(cell, cells)
    gc.collect()

    assert all(r() is None for r in cells["refs"])
    assert "h" in cells["run"]


def test_a_trace_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        run, _ = small_net()
        _, record = str(run), run["h"]
        dead = weakref.ref(run)
        del run

        assert dead() is None
        np.testing.assert_array_equal(1 - record.value**2, record.local)
    finally:
        gc.enable()


# Paths.


def test_products_of_all_paths_sum_to_the_gradient() -> None:
    run, tensors = small_net()

    for name, t in tensors.items():
        paths = run.paths(name, "loss")
        assert paths.count == len(paths)
        assert rel(sum(p.product for p in paths), t.grad) < eps(t.grad)
        assert all((name, "loss") == (p.nodes[0], p.nodes[-1]) for p in paths)
    sizes = [np.linalg.norm(p.product) for p in run.paths("w1", "loss")]
    assert sizes == sorted(sizes, reverse=True)


def test_54_residual_blocks_have_2_to_the_54_paths() -> None:
    x = bp.tensor(1.0, requires_grad=True, name="x")

    with bp.record() as run:
        h = x
        for _ in range(54):
            h = h + h * 0.1
        loss = h.named("loss")
        loss.backward()
    top = run.paths("x", "loss", top=3)

    assert 2**54 == run.paths("x", "loss", top=1).count
    assert 3 == len(top)
    assert 1.0 == top[0].product
    assert top[0].product >= top[1].product >= top[2].product


def test_too_many_paths_are_refused_and_the_message_says_how_to_go_on() -> None:
    x = bp.tensor(1.0, requires_grad=True, name="x")

    with bp.record() as run:
        h = x
        for _ in range(15):
            h = h + h
        h.named("loss").backward()

    with pytest.raises(GradError) as caught:
        run.paths("x", "loss")
    assert (
        "paths: there are 32768 paths from x to loss; at most 20000 are written out.\n"
        "  help: ask for the largest: `run.paths('x', 'loss', top=5)`."
    ) == str(caught.value)


def test_where_nothing_flows_there_is_no_path() -> None:
    run, _ = small_net()

    assert 0 == run.paths("loss", "w1").count
    assert "no path from x to loss carries a gradient" == repr(run.paths("x", "loss"))
    one = run.paths("loss", "loss")
    assert "1 path (norm of the product, nodes)\n         1  loss" == repr(one)


# Differences and gains.


def test_diff_compares_two_runs_name_by_name() -> None:
    def run_in(dtype):
        w = bp.tensor(np.linspace(0.1, 1, 5, dtype=dtype), requires_grad=True, name="w")
        with bp.record() as run:
            h = np.tanh(w)
            loss = h.sum()
            loss.backward()
        return run

    rows = run_in(np.float16).diff(run_in(np.float64))

    assert ["w", "h", "loss"] == [row.name for row in rows]
    assert 0 < rows["h"].value_error < 2**-10
    assert 0 < rows["w"].grad_error < 2**-9
    assert 0 == rows["loss"].grad_error
    with pytest.raises(NameLookupError) as caught:
        rows["hh"]
    assert (
        "diff['hh']: the two runs do not share this name.\n  help: did you mean h?"
    ) == str(caught.value)
    with pytest.raises(AttributeError, match=r"^a row of diff has no 'error'; .+"):
        _ = rows[0].error


def test_diff_is_infinite_where_shapes_differ_and_zero_where_both_are_nan() -> None:
    def run_of(values):
        with bp.record() as run:
            (bp.tensor(values, name="w") * 1.0).named("h")
        return run

    assert np.inf == run_of([1.0]).diff(run_of([1.0, 2.0]))["h"].value_error
    nan = [np.nan, np.inf, 1.0]
    assert 0 == run_of(nan).diff(run_of(nan))["h"].value_error


def mlp(layers: int) -> nn.Module:
    rng = np.random.default_rng(1)
    parts = []
    for _ in range(layers):
        parts += [nn.Linear(6, 6, rng=rng), nn.Tanh()]
    return nn.Sequential(*parts)


def test_gain_of_a_module_is_grad_out_over_grad_in() -> None:
    model = mlp(3)

    with bp.record() as run:
        out = model(np.random.default_rng(0).normal(size=(8, 6)))
        loss = (out * out).sum()
        loss.backward()
    gain, norm = run.gain(), lambda n: np.linalg.norm(run[n].grad)

    assert ["1", "2", "3", "4", "5"] == [k for k in gain if k.isdigit()]
    for k in range(1, 6):
        want = norm(str(k - 1)) / norm(str(k))
        assert abs(gain[str(k)] / want - 1) < 1e-12
    assert "0" not in gain  # only data and parameters feed it


def test_gain_of_plain_ops_multiplies_up_along_a_chain() -> None:
    w = bp.tensor(np.ones(3), requires_grad=True, name="w")

    with bp.record() as run:
        a = w * 2.0
        b = a * 3.0
        c = b * 5.0
        c.backward(np.ones(3))

    assert {"b": 3.0, "c": 5.0} == run.gain()


def test_gain_of_a_residual_block_counts_both_branches() -> None:
    x = bp.tensor(np.ones(3), requires_grad=True)

    with bp.record() as run:
        h = x * 1.0
        with bp.scope("block"):
            with bp.scope("branch"):
                f = h * 0.5
            h = h + f
        h.backward(np.ones(3))

    assert abs(run.gain()["block"] / np.sqrt(2) - 1) < 1e-12
    assert abs(run.gain()["block.branch"] / 0.5 - 1) < 1e-12
    assert abs(run.gain(depth=1)["block"] / 1.5 - 1) < 1e-12


def test_gain_is_exact_where_squares_of_gradients_underflow() -> None:
    w = bp.tensor(np.ones(3), requires_grad=True)

    with bp.record() as run:
        h = w * 1.0
        k = h * 0.5
        k.backward(np.full(3, 1e-250))

    assert abs(run.gain()["k"] / 0.5 - 1) < 1e-12


# What is missing is said.


def test_a_run_without_a_backward_pass_says_so() -> None:
    with bp.record() as run:
        h = bp.tensor(1.0) * 2.0  # noqa: F841

    for ask in (run.gain, run.backward_steps):
        with pytest.raises(GradError) as caught:
            ask()
        assert (
            f"{ask.__name__}: the run has 3 records and no backward pass.\n"
            "  help: call `loss.backward()` inside the `with bp.record()` block."
        ) == str(caught.value)


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    run, _ = small_net()

    with pytest.raises(NameLookupError) as caught:
        run["los"]
    assert (
        "run['los']: no record has this name or scope.\n  help: did you mean loss?"
    ) == str(caught.value)
    with pytest.raises(NameLookupError) as caught:
        run[99]
    assert f"run[99]: the run has {len(run)} records, ids 0 to {len(run) - 1}." == str(
        caught.value
    )
    with pytest.raises(NameLookupError, match=r"^run\[None\]: no record has this"):
        run[None]  # type: ignore[index]
    assert None not in run
    assert [] not in run
    assert 0 in run
    assert len(run) not in run


def test_an_empty_run_says_that_it_is_empty() -> None:
    with bp.record() as run:
        pass

    help_ = "\n  help: compute something inside the `with bp.record()` block."
    with pytest.raises(NameLookupError) as caught:
        run["h"]
    assert "run['h']: no record has this name or scope." + help_ == str(caught.value)
    with pytest.raises(NameLookupError) as caught:
        run[0]
    assert "run[0]: the run has 0 records." + help_ == str(caught.value)
    assert "(no rows)" == str(run)
