"""The table "Batch normalisation" of known answers, number by number."""

from math import pi

import numpy as np
import pytest

import backproplab as bp
from backproplab.nn.batch_norm import CONVENTIONS
from backproplab.widgets.batch_norm.depth import RATE, exponent, growth, per_layer
from backproplab.widgets.batch_norm.paths import split

EXACT = 1e-12  # what the table allows


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normalised(x, eps=0.0, axis=0):
    """Batch norm without its weights, from primitives."""
    centred = x - np.mean(x, axis=axis, keepdims=True)
    variance = np.mean(centred * centred, axis=axis, keepdims=True)
    return centred / np.sqrt(variance + eps)


def backward(f, g, *inputs):
    """Value of f, and the gradients of its inputs for the incoming gradient g."""
    tensors = [bp.tensor(a, requires_grad=True) for a in inputs]
    y = f(*tensors)
    y.backward(g)
    return y.data, *(t.grad for t in tensors)


# The gradient (Ioffe & Szegedy 2015, section 3): exact; eps = 0 where it is named.


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
def test_dx_is_what_is_left_without_its_mean_and_its_part_along_xhat(rng, eps):
    x, dy, gamma = (
        rng.normal(size=(16, 3)),
        rng.normal(size=(16, 3)),
        rng.normal(size=3),
    )
    s, xhat = np.sqrt(x.var(axis=0) + eps), normalised(x, eps)

    _, dx = backward(lambda x: bp.ops.batch_norm(x, gamma, None, eps=eps), dy, x)

    left = dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0)
    np.testing.assert_allclose(dx, gamma / s * left, rtol=0, atol=EXACT)


def test_dx_sums_to_zero_for_every_eps(rng):
    x, dy = rng.normal(size=(16, 3)), rng.normal(size=(16, 3))

    _, dx = backward(lambda x: bp.ops.batch_norm(x, None, None), dy, x)

    assert np.abs(dx.sum(axis=0)).max() < EXACT


def test_dx_has_no_part_along_xhat_when_eps_is_zero(rng):
    x, dy = rng.normal(size=(16, 3)), rng.normal(size=(16, 3))

    _, dx = backward(lambda x: bp.ops.batch_norm(x, None, None, eps=0), dy, x)
    _, with_eps = backward(lambda x: bp.ops.batch_norm(x, None, None, eps=0.1), dy, x)

    assert np.abs((dx * normalised(x)).sum(axis=0)).max() < EXACT
    assert np.abs((with_eps * normalised(x)).sum(axis=0)).max() > 1e-3


def test_a_bias_before_batch_norm_has_gradient_zero(rng):
    x, w, b = rng.normal(size=(16, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    dy = rng.normal(size=(16, 3))

    _, _, db = backward(lambda w, b: bp.ops.batch_norm(x @ w + b, None, None), dy, w, b)

    assert np.abs(db).max() < EXACT


def test_weights_before_batch_norm_feel_no_gradient_along_themselves(rng):
    x, w, dy = (
        rng.normal(size=(16, 4)),
        rng.normal(size=(4, 3)),
        rng.normal(size=(16, 3)),
    )

    _, dw = backward(lambda w: bp.ops.batch_norm(x @ w, None, None, eps=0), dy, w)

    assert np.abs((w * dw).sum(axis=0)).max() < EXACT
    assert np.abs(dw).max() > 0.1


def test_through_a_batch_of_two_nothing_flows_back_when_eps_is_zero(rng):
    x, dy = rng.normal(size=(2, 5)), rng.normal(size=(2, 5))

    y, dx = backward(lambda x: bp.ops.batch_norm(x, None, None, eps=0), dy, x)

    np.testing.assert_allclose(np.abs(y), 1.0, rtol=EXACT)
    assert np.abs(dx).max() < EXACT


def test_dropping_the_slope_of_the_variance_along_the_mean_is_no_mistake(rng):
    x, dy = rng.normal(size=(16, 3)), rng.normal(size=(16, 3))

    def variance(mean):
        return ((x - mean) ** 2).mean(axis=0)

    slope = bp.jacobian(variance)(x.mean(axis=0))

    assert np.abs(slope).max() < EXACT
    paths = split("batch", x, dy, 0.0)
    _, dx = backward(normalised, dy, x)
    np.testing.assert_allclose(paths.total, dx, rtol=0, atol=EXACT)


def test_constant_statistics_are_told_by_name(rng):
    x = bp.tensor(rng.normal(size=(8, 3)), requires_grad=True, name="x")
    with bp.record() as run:
        y = normalised(x, 1e-5).named("y")
        y.backward(rng.normal(size=y.shape))
    dy = run["y"].grad

    constant = dy / np.sqrt(x.data.var(axis=0) + 1e-5)
    said = bp.grade.diagnose(run, "x", constant)

    assert "statistics-constant" == said.label


# Running statistics: PyTorch's, Flax's and Keras' sources.


def test_the_conventions_are_those_of_the_libraries():
    assert (1e-5, 0.1, True, True) == CONVENTIONS["pytorch"]
    assert (1e-5, 0.99, False, False) == CONVENTIONS["flax"]
    assert (1e-3, 0.99, False, False) == CONVENTIONS["keras"]


@pytest.mark.parametrize(
    ("convention", "new", "ddof"),
    [("pytorch", 0.1, 1), ("flax", 0.01, 0), ("keras", 0.01, 0)],
)
def test_one_batch_moves_the_running_statistics_by_its_weight(
    rng, convention, new, ddof
):
    x = rng.normal(3.0, 2.0, size=(5, 4))
    norm = bp.nn.BatchNorm1d(4, convention=convention, dtype=np.float64)

    y = norm(x).data

    np.testing.assert_allclose(norm.running_mean, new * x.mean(axis=0))
    np.testing.assert_allclose(
        norm.running_var, 1 - new + new * x.var(axis=0, ddof=ddof)
    )
    np.testing.assert_allclose(y, normalised(x, norm.eps), rtol=0, atol=EXACT)


def test_a_batch_of_one_in_training_is_an_error():
    norm = bp.nn.BatchNorm1d(3)

    with pytest.raises(bp.errors.ShapeError) as raised:
        norm(np.ones((1, 3)))

    assert str(raised.value) == (
        "BatchNorm1d: x is (1, 3); in training each feature needs at least 2 values, "
        "because 1 has no variance.\n"
        "  help: pass a larger batch, or call `model.eval()` to use the running "
        "statistics."
    )


# Growth at initialisation. Yang et al. 2019 (A Mean Field Theory of Batch
# Normalization): ReLU, Gaussian weights, wide layers, large batches.


def mean_of(measure, seeds=3, **options):
    return np.mean([measure(growth("batch", seed=s, **options)) for s in range(seeds)])


def test_gradients_grow_by_pi_over_pi_minus_one_a_layer_for_large_batches():
    measured = mean_of(per_layer, size=256, width=256)

    assert pytest.approx(1.467, abs=5e-4) == pi / (pi - 1) == RATE
    assert pytest.approx(RATE, rel=0.03) == measured


def test_gradients_grow_faster_for_small_batches():
    rates = [mean_of(per_layer, size=n, width=128) for n in (128, 16, 8, 4)]

    assert sorted(rates) == rates
    assert rates[-1] > 2


def test_with_skips_the_growth_is_a_power_of_depth():
    squares = [growth("batch", 256, width=128, skip=True, seed=s) for s in range(3)]

    power = np.mean([exponent(s) for s in squares])

    assert pytest.approx(RATE, rel=0.07) == power
    assert max(s[-1] for s in squares) < 300 < RATE**32


def test_the_fits_find_what_is_put_in():
    k = np.arange(33)

    assert pytest.approx(1.3) == per_layer(1.3**k)
    assert pytest.approx(2.0) == exponent(((RATE + 32) / (RATE + k[::-1])) ** 2)


# Norms as code: each fused rule is the composition from primitives.


def composed(name, x, weight, bias):
    if name == "batch_norm":
        return weight * normalised(x, 1e-5) + bias
    if name == "layer_norm":
        return weight * normalised(x, 1e-5, axis=1) + bias
    if name == "group_norm":
        rows = np.reshape(x, (len(x), 2, 3))
        return weight * np.reshape(normalised(rows, 1e-5, axis=2), x.shape) + bias
    return weight * x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-5)


FUSED = {
    "batch_norm": lambda x, w, b: bp.ops.batch_norm(x, w, b),
    "layer_norm": lambda x, w, b: bp.ops.layer_norm(x, 6, w, b),
    "group_norm": lambda x, w, b: bp.ops.group_norm(x, 2, w, b),
    "rms_norm": lambda x, w, _b: bp.ops.rms_norm(x, 6, w, eps=1e-5),
}


@pytest.mark.parametrize("name", FUSED)
def test_a_fused_norm_is_its_composition_in_value_and_gradient(rng, name):
    inputs = rng.normal(size=(5, 6)), rng.normal(size=6), rng.normal(size=6)
    g = rng.normal(size=(5, 6))

    fused = backward(FUSED[name], g, *inputs)
    plain = backward(lambda *a: composed(name, *a), g, *inputs)

    for a, b in zip(fused, plain, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (lambda: bp.nn.BatchNorm1d(4, dtype=np.float64), (5, 4), 0),
        (lambda: bp.nn.BatchNorm1d(4, dtype=np.float64), (5, 4, 3), (0, 2)),
        (lambda: bp.nn.BatchNorm2d(4, dtype=np.float64), (5, 4, 3, 2), (0, 2, 3)),
        (lambda: bp.nn.LayerNorm(4, dtype=np.float64), (5, 4), 1),
        (lambda: bp.nn.GroupNorm(1, 4, dtype=np.float64), (5, 4, 3), (1, 2)),
        (lambda: bp.nn.GroupNorm(4, 4, dtype=np.float64), (5, 4, 3), 2),
    ],
)
def test_a_norm_layer_is_its_composition_in_value_and_gradient(rng, layer, shape, axes):
    x, g = rng.normal(size=shape), rng.normal(size=shape)

    fused = backward(layer(), g, x)
    plain = backward(lambda x: normalised(x, 1e-5, axis=axes), g, x)

    for a, b in zip(fused, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=EXACT)


def test_that_comparison_can_fail(rng):
    x, g = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))

    _, right = backward(lambda x: normalised(x, 1e-5), g, x)
    _, other = backward(lambda x: normalised(x, 1e-3), g, x)

    assert np.abs(right - other).max() > EXACT


# Benefit: smoothness, not "internal covariate shift" (Santurkar et al. 2018).

# One small net, one learning rate, the digits: what the paper shows on large ones.


class Shaken(bp.nn.Module):
    """Moves and stretches each feature at random, anew in every step."""

    def __init__(self, rng):
        self.rng = rng

    def forward(self, x):
        stretch, move = self.rng.uniform((0.5, -1), (1.5, 1), (x.shape[1], 2)).T
        return x * stretch.astype("f4") + move.astype("f4")


def net(kind, rng):
    layers, width = [], 64
    for _ in range(6):
        linear = bp.nn.Linear(width, 48, rng=rng)
        linear.weight.data[:] = bp.nn.init.kaiming_normal((48, width), rng)
        norm = [] if kind == "plain" else [bp.nn.BatchNorm1d(48)]
        shaken = [Shaken(rng)] if kind == "shaken" else []
        layers += [linear, *norm, *shaken, bp.nn.ReLU()]
        width = 48
    return bp.nn.Sequential(*layers, bp.nn.Linear(48, 10, rng=rng))


def trained(kind, seed):
    """The loss at the end, how gradients change in a step, how means drift."""
    rng = np.random.default_rng(seed)
    images, labels = bp.data.digits(split="train")
    model, means, seen = net(kind, rng), [], []
    model[-2].register_forward_hook(lambda *a: means.append(a[2].data.mean(axis=0)))
    optimizer = bp.optim.SGD(model.parameters(), lr=0.2)

    def gradient(pick):
        model.zero_grad()
        loss = bp.ops.cross_entropy(model(images[pick]), labels[pick])
        loss.backward()
        return loss.item(), np.concatenate([p.grad.ravel() for p in model.parameters()])

    for _ in range(100):
        pick = rng.integers(len(images), size=128)
        loss, g = gradient(pick)
        optimizer.step()
        _, after = gradient(pick)
        seen.append((loss, np.linalg.norm(after - g) / np.linalg.norm(g)))
    drift = np.abs(np.diff(means[::2], axis=0)).mean() / np.mean(means)
    return np.mean(seen[-10:], axis=0)[0], np.median(seen, axis=0)[1], drift


@pytest.mark.parametrize("seed", [0, 1])
def test_batch_norm_smooths_and_helps_even_where_its_inputs_drift_more(seed):
    plain, norm, shaken = (trained(k, seed) for k in ("plain", "norm", "shaken"))

    assert norm[1] < 0.6 * plain[1]
    assert norm[0] < 0.2 * plain[0]
    assert shaken[2] > plain[2]
    assert shaken[0] < plain[0]
