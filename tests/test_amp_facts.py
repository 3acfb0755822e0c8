"""The table "Formats and mixed precision" of known answers: what concerns amp."""

from contextlib import nullcontext
from math import erf, sqrt
from time import perf_counter

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats
from backproplab.amp import GradScaler, autocast

# Loss scaling (PyTorch's rule; Micikevicius et al. 2018, section 3.2).


def test_the_scaler_of_a_constant_gradient_3_skips_as_pytorch_does():
    w = bp.tensor(np.float32([1.0]), requires_grad=True)
    optimizer, scaler = bp.optim.SGD([w], lr=0.0), GradScaler()
    x = np.float32([3.0])
    for _ in range(4005):
        w.zero_grad()
        with autocast("float16"):
            y = w @ x
        scaler.scale(y).backward()
        scaler.step(optimizer)
        scaler.update()

    assert [0, 1, 2002, 4003] == scaler.skipped
    assert [2.0**16, 2.0**15, 2.0**14] == [s.scale for s in scaler.history[:3]]
    assert [2.0**14, 2.0**15] == [s.scale for s in scaler.history[2001:2003]]
    assert 2.0**14 == scaler.get_scale()


@pytest.mark.parametrize(("scale", "share"), [(1, 0.0995), (8, 0.0125), (64, 0.00156)])
def test_a_loss_scale_saves_the_share_of_gradients_that_would_be_flushed(scale, share):
    n, spread = 2**20, 2.0**-22
    g = np.random.default_rng(0).normal(scale=spread, size=n)
    x = bp.tensor(np.ones((n, 1), np.float32), requires_grad=True)
    with autocast("float16"):
        y = x @ np.ones((1, 1), np.float32)
    y.backward(g[:, None] * scale)
    flushed = np.mean(x.grad == 0)

    expected = erf(2.0**-25 / (scale * spread * sqrt(2)))
    assert expected == pytest.approx(share, rel=0.005)
    assert flushed == pytest.approx(expected, abs=4 * sqrt(expected / n))


def digits_accuracy(fmt, scaled, loss_scale=2.0**-20, epochs=20):
    """Test accuracy of a 6x64 ReLU net whose loss is made small."""
    rng = np.random.default_rng(0)
    nn, (images, labels) = bp.nn, bp.data.digits(split="train")
    layers = [
        f() for _ in range(5) for f in (lambda: nn.Linear(64, 64, rng=rng), nn.ReLU)
    ]
    model = nn.Sequential(*layers, nn.Linear(64, 10, rng=rng))
    for p in model.parameters():
        if p.ndim == 2:
            p.data = nn.init.kaiming_normal(p.shape, rng)
    optimizer = bp.optim.SGD(model.parameters(), lr=0.02 / loss_scale, momentum=0.9)
    scaler = GradScaler(enabled=scaled)
    for _ in range(epochs):
        for x, y in bp.data.batches(images, labels, 64, rng):
            optimizer.zero_grad()
            with autocast(fmt) if fmt else nullcontext():
                loss = bp.cross_entropy(model(x), y)
            scaler.scale(loss * loss_scale).backward()
            scaler.step(optimizer)
            scaler.update()
    images, labels = bp.data.digits(split="test")
    with bp.no_grad():
        return float(np.mean(model(images).data.argmax(axis=1) == labels))


def test_digits_with_a_tiny_loss_need_scaling_in_float16_and_not_in_bfloat16():
    plain = digits_accuracy(None, scaled=False)
    lost = digits_accuracy("float16", scaled=False)
    saved = digits_accuracy("float16", scaled=True)
    wide = digits_accuracy("bfloat16", scaled=False)

    assert lost < 0.2
    assert min(plain, saved, wide) > 0.96


# Master weights.


def test_4096_updates_of_2_to_the_minus_12_need_a_float32_master_weight():
    step = np.float32(2.0**-12)
    rng = np.random.default_rng(0)
    narrow, master = np.float32(1.0), bp.tensor(np.float32([1.0]), requires_grad=True)
    by_chance = np.ones(400, np.float32)
    optimizer = bp.optim.SGD([master], lr=1.0)
    for _ in range(4096):
        narrow = formats.quantize(narrow + step, "float16")
        by_chance = formats.quantize(by_chance + step, "float16", "stochastic", rng=rng)
        master.zero_grad()
        with autocast("float16"):
            loss = master @ np.float32([-(2.0**-12)])
        loss.backward()
        optimizer.step()

    assert [1.0, 2.0] == [narrow.item(), master.item()]
    assert by_chance.mean() == pytest.approx(2.0, abs=4 * 0.027 / 20)
    assert by_chance.std() == pytest.approx(0.027, rel=0.15)


# Accuracy of gradients.


def first_layer(weights, x, gate, fmt):
    """The first layer's gradient in a format, and the share of gates that flipped."""
    dtype = np.float64 if fmt is None else np.float32
    ws = [bp.tensor(w.astype(dtype), requires_grad=True) for w in weights]
    h = x.astype(dtype)
    gates = []
    with autocast(fmt) if fmt else nullcontext():
        for w in ws:
            h = gate(h @ w)
            gates.append(h.data > 0)
    h.backward(np.ones(h.shape))
    return ws[0].grad.astype(np.float64), np.array(gates)


def relative_error(gate, fmt, depth, seed=0, gain=1.0):
    """Against float64, in units of u; and the share of gates that flipped."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, 128))
    weights = [rng.normal(size=(128, 128)) * sqrt(gain / 128) for _ in range(depth)]
    exact, open_ = first_layer(weights, x, gate, None)
    got, ours = first_layer(weights, x, gate, fmt)
    error = np.linalg.norm(got - exact) / np.linalg.norm(exact)
    return error / formats.get(fmt).unit_roundoff, np.mean(open_ != ours)


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_smooth_net_is_exact_to_a_few_u_and_alike_in_every_format(depth):
    errors = [relative_error(np.tanh, f, depth)[0] for f in ("float16", "bfloat16")]

    assert all(0.9 < error < 2.5 for error in errors)
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_gates_that_flip_make_the_error_of_a_relu_net_grow_as_the_root_of_u():
    cases = [
        [relative_error(bp.relu, fmt, 4, seed, gain=2.0) for seed in range(8)]
        for fmt in ("float16", "bfloat16")
    ]
    (half, half_flipped), (brain, brain_flipped) = np.mean(cases, axis=1)
    # In units of u: sqrt(u)/u is sqrt(8) times more in float16; smooth nets are alike.
    assert half / brain == pytest.approx(sqrt(8), rel=0.4)
    assert half > 10
    assert brain_flipped / half_flipped == pytest.approx(8, rel=0.5)


# Speed.


def test_a_product_under_autocast_takes_at_most_4_times_as_long():
    rng = np.random.default_rng(0)
    a, b = (bp.tensor(rng.normal(size=(512, 512)).astype("f")) for _ in range(2))
    plain, cast = [], []
    for _ in range(15):
        start = perf_counter()
        a @ b
        middle = perf_counter()
        with autocast("float16"):
            a @ b
        plain.append(middle - start)
        cast.append(perf_counter() - middle)

    assert np.median(cast) <= 4 * np.median(plain)
