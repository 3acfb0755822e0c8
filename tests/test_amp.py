"""amp: which op runs in which format, what is cast and rounded, and the scaler."""

import math

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats, ops
from backproplab.amp import GradScaler, Step, autocast, format_of
from backproplab.errors import DTypeError, GradError, NameLookupError, RangeError

NARROW = ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fn"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    return bp.tensor(rng.normal(size=(5, 4)).astype("f"), requires_grad=True)


@pytest.fixture
def w(rng):
    return bp.tensor(rng.normal(size=(4, 3)).astype("f"), requires_grad=True)


def name_of(t):
    return format_of(t).name


def half(a):
    return formats.quantize(a, "float16")


# Values.


@pytest.mark.parametrize("fmt", NARROW)
def test_a_product_rounds_inputs_accumulates_in_float32_and_rounds_once(x, w, fmt):
    with autocast(fmt):
        y = x @ w

    def to_grid(a):
        return formats.quantize(a, fmt)

    assert np.array_equal(to_grid(to_grid(x.data) @ to_grid(w.data)), y.data)
    assert (np.float32, fmt) == (y.dtype, name_of(y))
    assert not np.array_equal((x @ w).data, y.data)


def test_parameters_and_their_gradients_stay_float32(x, w):
    before = w.data.copy()
    with autocast("float16"):
        loss = bp.ops.mse_loss(x @ w, np.zeros((5, 3), np.float32))
    loss.backward()

    assert np.array_equal(before, w.data)
    assert [np.float32] * 2 == [w.dtype, w.grad.dtype]


def test_float64_takes_part_and_is_rounded_once():
    # Rounded through float32 first, this would be a tie and go down to 1.
    between = 1 + 2.0**-11 + 2.0**-40
    x = bp.tensor([between], requires_grad=True)
    with autocast("float16"):
        y = x @ np.ones(1)
    y.backward()

    assert 1 + 2.0**-10 == y.item()
    assert np.float64 == x.grad.dtype


def test_a_real_float16_tensor_counts_as_float16(rng):
    x = bp.tensor(rng.normal(size=(2, 3)).astype(np.float16), requires_grad=True)
    with autocast("float16"):
        y = x @ bp.tensor(np.ones((3, 2), np.float32))
        z = np.exp(x)
    (y.sum() + z.sum()).backward()

    assert ["float16", "float16", "float32"] == [name_of(t) for t in (x, y, z)]
    assert np.float16 == x.grad.dtype


def test_real_float16_matrices_are_multiplied_in_float32_arrays():
    x = bp.tensor(np.full((2, 4096), 1.0, np.float16), requires_grad=True)
    with autocast("float16"):
        y = x @ x.T
    y.backward(np.ones((2, 2)))

    assert (4096.0, np.float32, "float16") == (y.data[0, 0], y.dtype, name_of(y))
    assert np.float16 == x.grad.dtype


def test_integers_python_numbers_and_plain_arrays_are_left_alone(x, w):
    labels = np.array([0, 1, 2, 0, 1])
    with autocast("float16"):
        y = 0.5 * (x @ w)
        loss = bp.cross_entropy(y, labels)
        plain = ops.matmul(x.data, w.data)

    assert ["float16", "float32"] == [name_of(y), name_of(loss)]
    assert np.array_equal(x.data @ w.data, plain)


def test_overflow_gives_infinity_without_a_warning():
    x = bp.tensor(np.float32([300.0]), requires_grad=True)
    with autocast("float16"):
        y = (x @ np.float32([300.0])) - np.float32(0)
        z = x @ np.float32([300.0])
        w = z * 0.0

    assert [np.inf, np.inf] == [y.item(), z.item()]
    assert np.isnan(w.item())


def test_float32_as_the_format_changes_nothing(x, w):
    with autocast("float32"), bp.record() as run:
        y = np.tanh(x @ w)

    assert np.array_equal(np.tanh(x @ w).data, y.data)
    assert "cast" not in [r.op for r in run]


def test_values_keep_their_format_without_a_record(x, w):
    with autocast("bfloat16"), bp.no_grad():
        y = np.tanh(x @ w)

    assert "bfloat16" == name_of(y)
    assert formats.on_grid(y.data, "bfloat16")


def test_an_op_of_your_own_runs_in_the_format_that_it_declares(x):
    @bp.elementwise(lambda _y, x: 2 * x, cast="fp32")
    def squared(x):
        return x * x

    @bp.elementwise(lambda _y, x: 3 * x * x)
    def cubed(x):
        return x * x * x

    with autocast("float16"):
        h = x @ np.eye(4, dtype=np.float32)
        names = [name_of(squared(h)), name_of(cubed(h))]

    assert ["float32", "float16"] == names


# Policies.

CASES = {
    "matmul": (lambda h: h @ h.T, "float16"),
    "linear": (
        lambda h: ops.linear(h, np.ones((2, 4), "f"), np.ones(2, "f")),
        "float16",
    ),
    "einsum": (lambda h: ops.einsum("ij,kj->ik", h, h), "float16"),
    "relu": (bp.relu, "float16"),
    "tanh": (np.tanh, "float16"),
    "reshape": (lambda h: h.reshape(-1), "float16"),
    "mean": (np.mean, "float16"),
    "getitem": (lambda h: h[0], "float16"),
    "two alike": (lambda h: h + h, "float16"),
    "exp": (np.exp, "float32"),
    "power": (lambda h: h**2.0, "float32"),
    "sum": (np.sum, "float32"),
    "cumsum": (np.cumsum, "float32"),
    "softmax": (ops.softmax, "float32"),
    "log_softmax": (ops.log_softmax, "float32"),
    "norm": (ops.norm, "float32"),
    "layer_norm": (lambda h: ops.layer_norm(h, (4,)), "float32"),
    "batch_norm": (lambda h: ops.batch_norm(h, None, None), "float32"),
    "loss": (lambda h: ops.mse_loss(h, h * 0.5), "float32"),
    "mixed": (lambda h: h + np.ones((5, 4), np.float32), "float32"),
    "mixed with float64": (lambda h: h * np.ones((5, 4)), "float64"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_op_runs_in_the_format_that_it_declares(x, name):
    f, expected = CASES[name]
    with autocast("float16"):
        h = x @ np.eye(4, dtype=np.float32)
        y = f(h)

    assert expected == name_of(y)
    assert formats.on_grid(y.data, expected)


def test_two_different_halves_meet_in_float32(x):
    eye = np.eye(4, dtype=np.float32)
    with autocast("float16"):
        a = x @ eye
    with autocast("bfloat16"):
        y = a + x @ eye

    assert "float32" == name_of(y)


def test_every_op_of_the_house_has_a_policy_that_autocast_knows():
    policies = {
        op.primitive.cast
        for op in vars(ops).values()
        if callable(op) and "primitive" in vars(op)
    }

    assert {"low", "fp32", "widest", "keep"} == policies


def test_batch_norm_keeps_float32_statistics(rng):
    layer = bp.nn.BatchNorm1d(4)
    data = (1000 + rng.normal(size=(64, 4))).astype("f")
    with autocast("float16"):
        y = layer(bp.tensor(data))

    assert np.float32 == layer.running_mean.dtype
    assert not formats.on_grid(layer.running_mean, "float16")
    assert "float32" == name_of(y)


def test_a_disabled_block_switches_casting_off_and_keeps_formats(x, w):
    with autocast("float16"):
        h = x @ w
        with autocast(enabled=False):
            y = x @ w
            kept, mixed = h * h, h * np.ones(3, np.float32)
        again = x @ w

    assert np.array_equal((x @ w).data, y.data)
    assert ["float32", "float16", "float32", "float16"] == [
        name_of(t) for t in (y, kept, mixed, again)
    ]


def test_the_innermost_block_decides(x, w):
    with autocast("float16"), autocast("bfloat16"):
        y = x @ w

    assert "bfloat16" == name_of(y)


def test_autocast_decorates_a_function(x, w):
    y = autocast("float16")(ops.matmul)(x, w)

    assert "float16" == name_of(y)


def test_an_unknown_format_is_refused_before_the_block_begins():
    with pytest.raises(ValueError, match="half") as error:
        autocast("half")

    assert str(error.value) == (
        f"formats.get: seen 'half'; required one of {', '.join(formats.names())}.\n"
        "  help: pass one of these names, or a formats.Format of your own."
    )


# The tape.


def test_casts_are_records_whichever_block_is_the_inner_one(x, w):
    x.named("x"), w.named("w")
    with bp.record() as outside, autocast("float16"):
        y = x @ w
        z = np.exp(y)
    with autocast("float16"), bp.record() as inside:
        y = x @ w
        z = np.exp(y)

    expected = ["leaf", "cast", "leaf", "cast", "matmul", "cast", "exp"]
    for run in (outside, inside):
        assert expected == [r.op for r in run]
        assert ["x", "w", "y", "z"] == [r.name for r in run if "cast" not in r.name]
        assert formats.on_grid(run["y"].value, "float16")
    assert np.array_equal(z.data, inside["z"].value)


def test_a_saved_run_has_its_casts_and_paths(x, w, tmp_path):
    with bp.record() as run:
        with autocast("float16"):
            loss = np.sum(x @ w.named("w"))
        loss.backward()
    run.save(tmp_path / "run.npz")
    loaded = bp.load_trace(tmp_path / "run.npz")

    assert [r.op for r in run] == [r.op for r in loaded]
    assert str(run) == str(loaded)
    assert loaded.paths("w", "loss").count == run.paths("w", "loss").count == 1


def test_a_cotangent_is_rounded_to_the_format_of_its_value(x, w, rng):
    g = rng.normal(size=(5, 3)).astype("f")
    with bp.record() as run:
        with autocast("float16"):
            y = x @ w
        y.backward(g)

    a, b = half(x.data), half(w.data)
    assert np.array_equal(half(half(g) @ b.T), x.grad)
    assert np.array_equal(half(a.T @ half(g)), w.grad)
    for record in run:
        for c in record.contributions:
            assert formats.on_grid(c, "float16")


def test_small_gradients_vanish_only_in_the_narrow_part():
    w = bp.tensor(np.float32([1.0]), requires_grad=True)
    with autocast("float16"):
        loss = (w @ np.float32([1.0])) + np.float32(0.0)
    (loss * 2.0**-26).backward()

    assert 0 == w.grad.item()


def test_backward_rounds_outside_the_block_as_inside(x, w):
    with autocast("float16"):
        inside = bp.relu(x @ w).sum()
        inside.backward()
    first = w.grad
    w.zero_grad()
    with autocast("float16"):
        outside = bp.relu(x @ w).sum()
    outside.backward()

    assert np.array_equal(first, w.grad)


def test_anomaly_detection_sees_the_overflow_where_the_output_is_rounded():
    x = bp.tensor(np.float32([300.0]), requires_grad=True)

    with (
        pytest.raises(bp.errors.AnomalyError, match="matmul made inf"),
        bp.detect_anomaly(),
        autocast("float16"),
    ):
        x @ np.float32([300.0])


def test_a_checkpoint_computes_again_in_the_same_format(x, w):
    def f(x):
        h = np.tanh(x @ w)
        return (h * h + h).sum()

    with autocast("float16"):
        plain = f(x)
    plain.backward()
    expected = w.grad
    w.zero_grad()
    with autocast("float16"):
        lean = bp.checkpoint(f)(x)
    lean.backward()

    assert plain.item() == lean.item()
    assert np.array_equal(expected, w.grad)


def test_transforms_round_too_and_second_derivatives_exist(x, w):
    def f(w):
        with autocast("float16"):
            return (np.tanh(x.data @ w) ** 2.0).sum()

    exact = bp.hvp(lambda w: (np.tanh(x.data @ w) ** 2.0).sum(), (w.data,), (w.data,))
    narrow = bp.hvp(f, (w.data,), (w.data,))
    _, tangent = bp.jvp(f, (w.data,), (w.data,))
    slope = bp.grad(f)(w.data)

    for got, want in zip(narrow, exact, strict=True):
        np.testing.assert_allclose(got, want, atol=50 * 2.0**-11)
    assert tangent == pytest.approx(np.vdot(slope, w.data), rel=20 * 2.0**-11)
    assert formats.on_grid(slope, "float16")


def test_joint_rules_and_variadic_ops_round_each_contribution(x):
    with autocast("float16"):
        h = x @ np.eye(4, dtype=np.float32)
        y = np.concatenate([h, np.tanh(h)])
    y.backward(np.full((10, 4), 0.1, np.float32))

    assert "float16" == name_of(y)
    assert formats.on_grid(x.grad, "float16")


def test_a_convolution_runs_in_the_format(rng):
    image = bp.tensor(rng.normal(size=(1, 2, 5, 5)).astype("f"))
    kernel = bp.tensor(rng.normal(size=(3, 2, 3, 3)).astype("f"), requires_grad=True)
    with autocast("bfloat16"):
        y = ops.conv2d(image, kernel)
    y.backward(np.ones_like(y.data))

    assert "bfloat16" == name_of(y)
    assert formats.on_grid(kernel.grad, "bfloat16")


# Accumulation.


def test_a_sum_accumulated_in_the_format_sticks():
    ones = bp.tensor(np.ones(4096, np.float32))
    with autocast("float16", accumulate="float16"):
        narrow = ones @ np.ones(4096, np.float32)
    with autocast("float16"):
        wide = ones @ np.ones(4096, np.float32)

    assert [2048.0, 4096.0] == [narrow.item(), wide.item()]


@pytest.mark.parametrize(
    "shapes", [((4,), (4, 3)), ((2, 4), (4,)), ((5, 2, 4), (4, 3))]
)
def test_accumulating_in_float32_is_the_plain_product_for_every_shape(rng, shapes):
    a, b = (rng.integers(-3, 4, size=s).astype("f") for s in shapes)
    with autocast("float16", accumulate="float32"):
        y = bp.tensor(a) @ b
        z = ops.linear(
            bp.tensor(np.ones((2, 4), "f")), np.ones((3, 4), "f"), np.ones(3, "f")
        )

    assert np.array_equal(a @ b, y.data)
    assert np.array_equal(np.full((2, 3), 5.0), z.data)


def test_a_product_too_large_to_accumulate_is_refused():
    a = bp.tensor(np.ones((512, 512), np.float32))

    with (
        pytest.raises(RangeError) as error,
        autocast("float16", accumulate="float16"),
    ):
        a @ a

    assert str(error.value) == (
        "autocast: a product of shapes (512, 512) and (512, 512) with "
        "accumulate='float16' rounds 134217728 sums; at most 67108864 are allowed.\n"
        "  help: leave `accumulate` out, or take a smaller product."
    )


# The scaler.


@pytest.fixture
def p():
    return bp.tensor(np.float32([1.0, 2.0]), requires_grad=True, name="p")


@pytest.fixture
def optimizer(p):
    return bp.optim.SGD([p], lr=0.5)


def backward(p, scaler, slope=1.0):
    p.zero_grad()
    with np.errstate(over="ignore", invalid="ignore"):
        scaler.scale((p * np.float32(slope)).sum()).backward()


def test_gradients_are_scaled_until_unscaled(p, optimizer):
    scaler = GradScaler(init_scale=8.0)
    backward(p, scaler)
    scaled = p.grad
    scaler.unscale_(optimizer)

    assert [[8.0, 8.0], [1.0, 1.0]] == [scaled.tolist(), p.grad.tolist()]


def test_a_narrow_loss_is_scaled_in_float32_so_that_it_does_not_overflow(p):
    scaler = GradScaler()
    with autocast("float16"):
        inside = scaler.scale(np.mean(p))
        narrow = p @ np.float32([1.0, 1.0])
        scaled = scaler.scale(narrow)
    real = scaler.scale(bp.tensor(np.float16(3.0)))

    assert [1.5 * 2**16, 3 * 2**16, 3 * 2**16] == [
        t.item() for t in (inside, scaled, real)
    ]
    assert np.float32 == real.dtype


def test_step_unscales_unless_that_was_done(p, optimizer):
    scaler = GradScaler(init_scale=8.0)
    for unscale in (False, True):
        backward(p, scaler)
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()

    assert [0.0, 1.0] == p.data.tolist()


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_gradient_that_is_not_finite_skips_the_step(p, optimizer, bad):
    scaler = GradScaler(init_scale=8.0)
    backward(p, scaler)
    p.grad[1] = bad
    scaler.step(optimizer)
    scaler.update()

    assert [1.0, 2.0] == p.data.tolist()
    assert (4.0, [Step(8.0, True)], [0]) == (
        scaler.get_scale(),
        scaler.history,
        scaler.skipped,
    )


def test_one_bad_optimizer_skips_its_own_step_and_halves_the_scale(p, optimizer):
    q = bp.tensor(np.float32([1.0]), requires_grad=True)
    other = bp.optim.SGD([q], lr=0.5)
    scaler = GradScaler(init_scale=8.0)
    for loss in scaler.scale([p.sum(), (q * np.float32(np.inf)).sum()]):
        loss.backward()
    scaler.step(optimizer)
    scaler.step(other)
    scaler.update()

    assert ([0.5, 1.5], [1.0], 4.0) == (
        p.data.tolist(),
        q.data.tolist(),
        scaler.get_scale(),
    )


def test_the_scale_grows_after_clean_updates_in_a_row_only(p, optimizer):
    scaler = GradScaler(init_scale=8.0, growth_interval=3)
    for slope in (1, 1, np.inf, 1, 1, 1, 1):
        backward(p, scaler, slope)
        scaler.step(optimizer)
        scaler.update()

    assert [8, 8, 8, 4, 4, 4, 8] == [step.scale for step in scaler.history]


def test_the_scale_has_no_floor_and_stops_where_float32_does(p, optimizer):
    scaler = GradScaler(init_scale=2.0**127, growth_interval=1)
    backward(p, scaler, 2.0**-20)
    scaler.step(optimizer)
    scaler.update()
    high = scaler.get_scale()
    scaler.update(new_scale=1.0)
    for _ in range(3):
        backward(p, scaler, np.inf)
        scaler.step(optimizer)
        scaler.update()

    assert [2.0**127, 0.125] == [high, scaler.get_scale()]


def test_a_state_goes_on_where_another_stopped(p, optimizer):
    scaler = GradScaler(init_scale=8.0, growth_interval=2)
    backward(p, scaler)
    scaler.step(optimizer)
    scaler.update()
    other = GradScaler()
    other.load_state_dict(scaler.state_dict())
    backward(p, other)
    other.step(optimizer)
    other.update()

    assert 16.0 == other.get_scale()
    assert scaler.state_dict() == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5,
        "growth_interval": 2, "_growth_tracker": 1,
    }  # fmt: skip


def test_a_scaler_that_is_switched_off_only_steps(p, optimizer):
    scaler = GradScaler(enabled=False)
    backward(p, scaler)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    scaler.load_state_dict({})

    assert ([0.5, 1.5], 1.0, {}) == (
        p.data.tolist(),
        scaler.get_scale(),
        scaler.state_dict(),
    )


def test_a_scaler_says_its_scale():
    assert "GradScaler(scale=65536, skipped=0)" == repr(GradScaler())


def used(p, optimizer, *calls):
    """Call the methods of a scaler in this order, after a backward."""
    scaler = GradScaler()
    backward(p, scaler)
    for name in calls:
        getattr(scaler, name)(*() if name == "update" else (optimizer,))


MISUSE = {
    ("unscale_", "unscale_"): (
        "unscale_: it was already called on this optimizer since the last update(); "
        "the gradients would be divided twice.\n"
        "  help: call it once, and `scaler.update()` at the end of each step."
    ),
    ("step", "unscale_"): (
        "unscale_: it is called after step(); it must come before.\n"
        "  help: order: backward, unscale_, clip, step, update."
    ),
    ("step", "step"): (
        "step: it was already called since the last update().\n"
        "  help: call `scaler.update()` after each step."
    ),
    ("update",): (
        "update: no gradients were looked at since the last update().\n"
        "  help: call `scaler.step(optimizer)` first."
    ),
    ("step", "update", "update"): (
        "update: no gradients were looked at since the last update().\n"
        "  help: call `scaler.step(optimizer)` first."
    ),
}


@pytest.mark.parametrize("calls", MISUSE, ids=" ".join)
def test_calls_in_the_wrong_order_say_what_is_required(p, optimizer, calls):
    with pytest.raises(GradError) as error:
        used(p, optimizer, *calls)

    assert MISUSE[calls] == str(error.value)


@pytest.mark.parametrize("method", ["unscale_", "step", "update"])
def test_a_loss_must_have_been_scaled_first(optimizer, method):
    scaler = GradScaler()
    with pytest.raises(GradError) as error:
        getattr(scaler, method)(*() if method == "update" else (optimizer,))

    assert str(error.value) == (
        f"{method}: no loss was scaled yet; gradients would be divided by a scale that "
        "they never had.\n"
        "  help: call `scaler.scale(loss).backward()` first."
    )


def test_a_step_without_any_gradient_is_refused(p, optimizer):
    scaler = GradScaler()
    scaler.scale(p.sum())

    with pytest.raises(GradError) as error:
        scaler.step(optimizer)

    assert str(error.value) == (
        "step: no parameter of this optimizer has a gradient; at least one is "
        "required.\n"
        "  help: call `scaler.scale(loss).backward()` first."
    )


def test_float16_gradients_are_refused_and_nothing_is_divided(p):
    q = bp.tensor(np.ones(2, np.float16), requires_grad=True, name="q")
    scaler = GradScaler(init_scale=8.0)
    scaler.scale((p * q).sum()).backward()

    with pytest.raises(DTypeError) as error:
        scaler.step(bp.optim.SGD([p, q], lr=0.5))

    assert str(error.value) == (
        "unscale_: the gradient of q is float16; float32 is required, since a small "
        "one vanishes when it is divided.\n"
        "  help: keep the parameters in float32 and run the model in "
        "`bp.amp.autocast('float16')`."
    )
    assert [8.0, 8.0] == p.grad.tolist()


def test_only_tensors_are_scaled():
    with pytest.raises(TypeError) as error:
        GradScaler().scale(3.0)

    assert str(error.value) == (
        "scale: seen float; required a Tensor, or a list or tuple of them.\n"
        "  help: pass the loss itself: `scaler.scale(loss).backward()`."
    )


def test_factors_out_of_range_are_refused():
    with pytest.raises(RangeError) as growth:
        GradScaler(growth_factor=1.0)
    with pytest.raises(RangeError) as backoff:
        GradScaler(backoff_factor=1.0)

    assert str(growth.value) == (
        "GradScaler: growth_factor is 1.0; it must be above 1."
    )
    assert str(backoff.value) == (
        "GradScaler: backoff_factor is 1.0; it must be between 0 and 1."
    )


def test_an_empty_state_is_refused():
    with pytest.raises(RangeError) as error:
        GradScaler().load_state_dict({})

    assert str(error.value) == (
        "load_state_dict: the state is empty; it came from a scaler that was switched "
        "off.\n"
        "  help: make this one with `GradScaler(enabled=False)`, too."
    )


def test_one_autocast_serves_several_blocks_also_nested(x, w):
    block = autocast("float16")

    with block:
        with block:
            inner = x @ w
        outer = x @ w
    with block:
        again = x @ w

    assert ["float16"] * 3 == [name_of(y) for y in (inner, outer, again)]
    assert "float32" == name_of(x @ w)


@pytest.mark.parametrize("scale", [0, -2.0, math.nan, math.inf, 1e300, "8", None, [8]])
def test_a_scale_is_a_number_above_zero(scale):
    scaler = GradScaler(init_scale=8.0)
    scaler.scale(bp.tensor(1.0, requires_grad=True))
    said = f"is {scale!r}; a number above 0, up to float32's greatest, is required."

    with pytest.raises(RangeError) as first:
        GradScaler(init_scale=scale)
    assert f"GradScaler: init_scale {said}" == str(first.value)
    if scale is not None:  # None lets the scaler choose
        with pytest.raises(RangeError) as later:
            scaler.update(scale)
        assert f"update: new_scale {said}" == str(later.value)
    with pytest.raises(RangeError) as loaded:
        scaler.load_state_dict({**scaler.state_dict(), "scale": scale})
    assert f"load_state_dict: scale {said}" == str(loaded.value)
    assert 8.0 == scaler.get_scale()


@pytest.mark.parametrize("interval", [0, -1, 2.5, math.nan, "2", None])
def test_a_growth_interval_is_a_whole_number(interval):
    with pytest.raises(RangeError) as error:
        GradScaler(growth_interval=interval)

    assert (
        f"GradScaler: growth_interval is {interval!r}; a whole number of at least 1 is "
        "required."
    ) == str(error.value)


def test_factors_that_are_no_numbers_are_refused():
    with pytest.raises(RangeError) as growth:
        GradScaler(growth_factor="2")
    with pytest.raises(RangeError) as backoff:
        GradScaler(backoff_factor=None)

    assert "GradScaler: growth_factor is '2'; it must be above 1." == str(growth.value)
    assert "GradScaler: backoff_factor is None; it must be between 0 and 1." == str(
        backoff.value
    )


def test_numpys_numbers_serve_a_scaler():
    scaler = GradScaler(np.float32(8), 3, np.float64(0.25), np.int64(7))

    assert 8.0 == scaler.get_scale()
    assert 7 == scaler.state_dict()["growth_interval"]


def test_a_state_that_is_no_scalers_is_refused():
    scaler = GradScaler()

    with pytest.raises(NameLookupError) as error:
        scaler.load_state_dict({"scale": 2.0})

    assert (
        "load_state_dict: the state has no 'growth_factor'; it is no scaler's.\n"
        "  help: pass what `scaler.state_dict()` gave."
    ) == str(error.value)
    assert 2.0**16 == scaler.get_scale()
