"""The table "Formats and mixed precision" of known answers: what 06 teaches besides."""

from math import sqrt
from time import perf_counter

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats
from backproplab.amp import GradScaler, autocast, shadow
from backproplab.exercises import scaler as scaler_problems
from backproplab.formats import Format, quantize

NARROW = tuple(name for name in formats.names() if formats.get(name).bits <= 16)


# Formats.


def test_the_limits_of_float16_and_the_roundoff_of_bfloat16():
    half, brain = formats.get("float16"), formats.get("bfloat16")

    limits = half.max, half.min_normal, half.min_subnormal, half.unit_roundoff
    assert (65504, 2**-14, 2**-24, 2**-11) == limits
    assert 65520 == half.overflow_threshold
    assert 2**-8 == brain.unit_roundoff
    assert formats.get("float32").emax == brain.emax


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("float16", [65519.9, 65520.0], [65504, np.inf]),
        ("float8_e4m3fn", [448.0, 464.0, 464.1], [448, 448, np.nan]),
        ("float8_e5m2", [57344.0, 61439.9, 61440.0], [57344, 57344, np.inf]),
    ],
)
def test_a_format_overflows_where_the_next_number_would_be_nearer(name, x, expected):
    np.testing.assert_array_equal(expected, quantize(x, name))


def test_half_a_gap_beside_1_is_lost_in_float16():
    assert 1 == quantize(1 + 2.0**-11, "float16") == np.float16(1) + np.float16(2**-11)
    assert quantize(1 + 2.0**-11 + 2.0**-40, "float16") > 1


@pytest.mark.parametrize("name", NARROW)
def test_a_constant_added_and_taken_off_rounds_as_a_cast_does(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    fmt, rng = formats.get(name), np.random.default_rng(0)
    # Up to where float32 still holds the constant; bfloat16 has float32's range.
    high = min(fmt.emax, 100)
    x = rng.choice([-1, 1], 10**6) * 2.0 ** rng.uniform(
        max(fmt.emin, -125), high, 10**6
    )
    x = np.where(rng.random(10**6) < 0.1, x * 2.0 ** (-fmt.precision - 1), x)
    x = x.astype(np.float32)

    power = np.maximum(np.exp2(np.frexp(np.abs(x))[1] - 1), 2.0**fmt.emin)
    c = (1.5 * 2.0 ** (24 - fmt.precision) * power).astype(np.float32)
    y = (x + c) - c

    want = x.astype(vars(ml_dtypes).get(name, name)).astype(np.float32)
    inside = np.abs(x) < 2.0**high
    assert np.array_equal(want[inside], y[inside])
    assert np.array_equal(quantize(x, name)[inside], y[inside])


# Loss scaling.


def flax_skips(steps, scale=2.0**16, interval=2000, peak=3.0):
    """Flax's rule: growth is decided before the clean step is counted."""
    clean, skipped = 0, []
    for k in range(steps):
        if not np.isfinite(quantize(peak * scale, "float16")):
            skipped.append(k)
            scale, clean = scale / 2, 0
        elif clean == interval:
            scale, clean = scale * 2, 0
        else:
            clean += 1
    return skipped


def test_flax_grows_one_step_later():
    assert [0, 1, 2003, 4005] == flax_skips(4006)


def test_the_exercise_on_a_scalers_run_gives_pytorchs_steps():
    problem = bp.exercises.get("amp.steps").problem

    found = problem.forward(scale=2.0**16, peak=3.0, interval=2000)

    assert {"skips": 2, "settled": 2.0**14, "first": 2002, "second": 4003} == found


def test_the_exercise_on_one_step_asks_what_the_scaler_does():
    states = scaler_problems._states(np.random.default_rng(0))
    found = bp.exercises.get("amp.scaler").problem.forward(**states)

    for k, good in enumerate(states["good"]):
        w = bp.tensor(np.float32([1.0]), requires_grad=True)
        optimizer = bp.optim.SGD([w], lr=0.0)
        scaler = GradScaler(states["scale"][k], growth_interval=states["interval"])
        for fine in [True] * int(good) + [bool(states["finite"][k])]:
            w.zero_grad()
            (scaler.scale(w) * np.float32(1 if fine else np.inf)).backward()
            scaler.step(optimizer)
            scaler.update()
        assert found["scale_after"][k] == scaler.get_scale()
        assert found["good_after"][k] == scaler.state_dict()["_growth_tracker"]


@pytest.mark.parametrize(("scaled", "some"), [(False, False), (True, True)])
def test_a_tiny_loss_has_no_gradient_at_all_in_float16_unless_scaled(scaled, some):
    rng = np.random.default_rng(0)
    model = bp.nn.Sequential(bp.nn.Linear(64, 64, rng=rng), bp.nn.ReLU())
    images, labels = bp.data.digits(split="train")
    scaler = GradScaler(enabled=scaled)
    with autocast("float16"):
        loss = bp.cross_entropy(model(images[:48]), labels[:48])
    scaler.scale(loss * 2.0**-20).backward()

    assert some == any(np.any(p.grad) for p in model.parameters())


# Accuracy of gradients.


def first_layer(weights, x, fmt, gates=None):
    """The first layer's gradient, with its own gates or given ones, and its gates."""
    wide = np.float64 if fmt is None else np.float32
    ws = [bp.tensor(w.astype(wide), requires_grad=True) for w in weights]
    h, seen = x.astype(wide), []
    with autocast(fmt or "float64"):
        for k, w in enumerate(ws):
            z = h @ w
            seen.append(z.data > 0)
            h = bp.relu(z) if gates is None else z * gates[k].astype(wide)
    h.backward(np.ones(h.shape, wide))
    return ws[0].grad.astype(np.float64), np.array(seen)


def relative_error(fmt, depth, frozen, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, 128))
    weights = rng.normal(size=(depth, 128, 128)) * sqrt(2 / 128)
    exact, open_ = first_layer(weights, x, None)
    got, ours = first_layer(weights, x, fmt, open_ if frozen else None)
    return np.linalg.norm(got - exact) / np.linalg.norm(exact), np.mean(open_ != ours)


FORMATS = [
    *map(formats.get, ("float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")),
    Format("of one's own", 8, 6),
]


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_with_gates_held_the_error_is_about_u_and_alike_in_every_format(depth):
    errors = [
        relative_error(fmt, depth, True)[0] / fmt.unit_roundoff for fmt in FORMATS
    ]

    assert all(0.7 < error < 2.5 for error in errors)
    assert errors == pytest.approx([errors[0]] * len(errors), rel=0.15)


def test_with_free_gates_it_is_about_the_root_of_u_and_a_share_of_u_flips():
    found = [
        np.mean([relative_error(fmt, 4, False, seed) for seed in range(6)], axis=0)
        for fmt in FORMATS
    ]

    for fmt, (error, flipped) in zip(FORMATS, found, strict=True):
        assert error == pytest.approx(0.85 * sqrt(fmt.unit_roundoff), rel=0.4)
        assert flipped == pytest.approx(0.25 * fmt.unit_roundoff, rel=0.4)


def test_the_exercise_on_errors_splits_as_a_shadow_run_does():
    problem = bp.exercises.get("amp.born").problem
    x = problem.instance().given.x.astype(np.float32)
    one = np.ones((1, 1), np.float32)
    column = bp.tensor(x[:, None])
    run = shadow(lambda: np.tanh(column @ one), "bfloat16")  # the product is narrow
    node = next(n for n in run.nodes if n.op == "tanh")
    x, y = x.astype(np.float64), run.output[:, 0].astype(np.float64)

    found = problem.forward(x, quantize(x, "bfloat16"), y)

    size = np.linalg.norm(np.tanh(x))
    for part, expected in found.items():
        assert np.linalg.norm(expected) / size == pytest.approx(getattr(node, part))


# What is emulated.


def test_numpys_own_float16_product_is_far_slower_and_so_not_used():
    def seconds(a):
        times = []
        for _ in range(5):
            start = perf_counter()
            a @ a
            times.append(perf_counter() - start)
        return min(times)

    ones = np.ones((256, 256), np.float32)

    assert seconds(ones.astype(np.float16)) > 20 * seconds(ones)
