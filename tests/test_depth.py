"""Published and derived numbers on depth, each measured on nets that run here.

"E": exact. "P": a paper's claim, with its assumption. "D": derived, and confirmed by
the simulation in the test. A simulated number is compared within a few of its own
standard errors, measured over the draws.
"""

from math import comb

import numpy as np
import pytest

import backproplab as bp
from backproplab import meanfield
from backproplab.errors import RangeError
from backproplab.widgets.depth.theory import lengths

ROUNDING = 64 * np.finfo(float).eps


def within(expected, draws, errors=4):
    """Whether the mean of independent draws is that many standard errors close."""
    draws = np.asarray(draws)
    error = draws.std(ddof=1) / np.sqrt(len(draws))
    return abs(draws.mean() - expected) <= errors * error


def relu_net(weights, x, scale=1.0):
    """Norms^2 of the pre-activations z -> W relu(z), from the input on."""
    norms = [np.sum(x**2)]
    for w in weights:
        x = scale * (np.maximum(x, 0) @ w)
        norms.append(np.sum(x**2))
    return np.array(norms)


# Slopes and first weights.


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_of_sigmoids_passes_at_most_a_quarter_a_layer(seed):
    """E: sigmoid' <= 1/4, so |dy/dx| <= 4^-L prod |w|, for all weights and inputs."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=12) * 3

    def chain(x):
        for w in weights:
            x = bp.ops.sigmoid(w * x)
        return x

    slope = bp.grad(chain)(rng.normal())
    bound = 4.0 ** -len(weights) * np.prod(np.abs(weights))
    assert abs(slope) <= bound


def test_the_quarter_is_reached_at_zero():
    """E: the bound is tight: at 0 each link has the slope w/4."""
    slope = bp.grad(lambda x: bp.ops.sigmoid(3.0 * x))(0.0)

    assert 0.75 == slope


def test_log2_of_the_norm_falls_by_one_a_relu_layer_with_xavier_and_stays_with_he():
    """E: E|z_L|^2 = 2^-L |z_0|^2 for Xavier 2010, |z_0|^2 for He 2015.

    Assumes square layers, weights of mean 0 and inputs symmetric about 0. On one draw
    the two nets differ by exactly 2^L: He's weights are Xavier's times sqrt 2.
    """
    layers, n, nets = 20, 128, 60
    he = []
    for seed in range(nets):
        rng = np.random.default_rng(seed)
        weights = [bp.nn.init.xavier_normal((n, n), rng) for _ in range(layers)]
        x = rng.normal(size=n)
        xavier_norms = relu_net(weights, x)
        he_norms = relu_net(weights, x, np.sqrt(2))
        he.append(he_norms[-1] / he_norms[0])

        gap = np.log2(he_norms / xavier_norms)
        assert np.allclose(gap, np.arange(layers + 1), atol=layers * ROUNDING)

    assert within(1.0, he)


@pytest.mark.parametrize(
    ("name", "std", "expected"), [("standard", 3**-0.5, 0.4901), ("Glorot", 1, 0.8488)]
)
def test_mean_singular_value_of_a_layer(name, std, expected):
    """P: about 0.5 and 0.8 in Glorot & Bengio 2010; D: 8/(3 pi) sw = .4901, .8488.

    Assumes a square layer, n = 1000, at inputs where tanh has slope 1: there the
    Jacobian is W, uniform of variance 1/(3n) (standard) or 1/n (Glorot).
    """
    n, rng = 1000, np.random.default_rng(0)
    if name == "Glorot":
        w = bp.nn.init.xavier_uniform((n, n), rng)
    else:
        w = rng.uniform(-1, 1, size=(n, n)) / np.sqrt(n)

    mean = np.linalg.svd(w, compute_uv=False).mean()

    assert np.isclose(8 / (3 * np.pi) * std, expected, rtol=0, atol=5e-5)
    assert np.isclose(mean, expected, rtol=0, atol=1e-3)  # O(1/n) from the limit


def test_the_jacobian_of_a_tanh_layer_at_zero_is_its_weight():
    """E: what the test above assumes."""
    w = np.random.default_rng(0).normal(size=(5, 5))

    jacobian = bp.jacobian(lambda x: np.tanh(w @ x))(np.zeros(5))

    assert np.allclose(w, jacobian, rtol=ROUNDING)


# Mean-field theory.


def test_tanh_is_critical_at_1_761():
    """P: Schoenholz et al. 2017: chi_1 = 1 at sw^2 = 1.761 for sb^2 = .05, n large."""
    weight = meanfield.critical(np.tanh, 0.05)
    q = meanfield.fixed_point(np.tanh, weight, 0.05)

    assert np.isclose(1.761, weight, rtol=0, atol=5e-4)
    assert np.isclose(1, meanfield.chi(np.tanh, q, weight), atol=1e-9)


@pytest.mark.parametrize("weight", [1.2, 1.761, 2.5])
def test_a_squared_gradient_grows_as_chi_to_the_depth(weight):
    """P: Schoenholz et al. 2017. Assumes wide layers, and weights drawn anew back.

    At width 400 the factor a layer is met within 2 %, the order of 1/sqrt(n) over
    sqrt(depth); values begin at q*.
    """
    layers, n, bias = 20, 400, 0.05
    rng = np.random.default_rng(0)
    q = meanfield.fixed_point(np.tanh, weight, bias)
    z = bp.tensor(np.sqrt(q) * rng.normal(size=(16, n)), requires_grad=True)
    start = z
    for _ in range(layers):
        w = rng.normal(size=(n, n)) * np.sqrt(weight / n)
        z = np.tanh(z) @ w + np.sqrt(bias) * rng.normal(size=n)
    g = rng.normal(size=z.shape)
    z.backward(g)

    growth = (np.sum(start.grad**2) / np.sum(g**2)) ** (1 / layers)

    assert np.isclose(meanfield.chi(np.tanh, q, weight), growth, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "factor"), [("he", 1.0), ("xavier", 0.5), ("relu batch norm", 1.467)]
)
def test_chi_of_a_relu(name, factor):
    """E: sw^2/2; D: pi/(pi - 1) with batch norm, which divides by sw^2 Var relu(z)."""
    slope = meanfield.slope(bp.ops.relu)
    variance = meanfield.energy(bp.ops.relu) - meanfield.mean(bp.ops.relu) ** 2
    weight = {"he": 2.0, "xavier": 1.0}.get(name, 1 / variance)

    assert np.isclose(factor, weight * slope, rtol=0, atol=5e-4)


def test_a_net_whose_values_grow_without_end_has_no_fixed_point():
    with pytest.raises(RangeError) as error:
        meanfield.fixed_point(bp.ops.relu, 4.0)

    assert "fixed_point: with weight=4 and bias=0 q reaches" in str(error.value)
    assert "help: lower weight, or take a bounded phi such as np.tanh." in str(
        error.value
    )


def test_a_constant_has_no_critical_point():
    with pytest.raises(RangeError) as error:
        meanfield.critical(lambda x: 0 * x)

    assert str(error.value) == (
        "critical: chi_1 stays below 1 up to weight=524288.\n  help: is phi constant?"
    )


# Residual nets.


@pytest.mark.parametrize(
    ("branch", "limit"), [(1.0, None), ("1/sqrt L", np.e), (0.0, 1.0)]
)
def test_a_residual_net_multiplies_the_mean_square_by_1_plus_a2_a_block(branch, limit):
    """E: E|z_L|^2 = (1 + a^2)^L |z_0|^2: 2^L, about e, or 1 (ReZero, exactly).

    Assumes branches of mean 0 that keep the mean square: here linear, variance 1/n.
    """
    layers, n, nets = 10, 100, 300
    a = layers**-0.5 if branch == "1/sqrt L" else branch
    ratios = []
    for seed in range(nets):
        rng = np.random.default_rng(seed)
        x = z = rng.normal(size=n)
        for _ in range(layers):
            z = z + a * (rng.normal(size=(n, n)) / np.sqrt(n) @ z)
        ratios.append(np.sum(z**2) / np.sum(x**2))
    expected = (1 + a * a) ** layers

    assert within(expected, ratios) if a else set(ratios) == {1.0}
    if branch == "1/sqrt L":
        assert np.isclose(limit, (1 + 1e-6) ** 10**6, rtol=1e-6)
    elif limit:
        assert limit == expected
    else:
        assert 2.0**layers == expected


def blocks(n):
    """A run of n residual blocks, x + w x each, on single numbers."""
    rng = np.random.default_rng(0)
    x = bp.tensor(1.0, requires_grad=True, name="x")
    z = x
    with bp.record() as run:
        for w in rng.normal(size=n) / 4:
            z = z + w * z
        z = z.named("end")
        z.backward()
    return run


def test_54_blocks_have_2_to_the_54_paths_most_of_19_to_35_branches():
    """E: Veit et al. 2016: 2^n paths, lengths Bin(n, 1/2); P(19..35) = .98017."""
    run = blocks(54)
    share = lengths(np.full(54, 0.5))

    assert 2**54 == run.paths("x", "end", top=1).count
    assert np.allclose([comb(54, k) / 2**54 for k in range(55)], share)
    assert np.isclose(0.98017, share[19:36].sum(), rtol=0, atol=5e-6)


def test_the_sum_over_all_paths_is_the_gradient():
    """E: Veit et al. 2016: the product (1 + w1)(1 + w2)..., multiplied out."""
    run = blocks(8)

    paths = run.paths("x", "end")

    assert 2**8 == len(paths)
    total = sum(path.product for path in paths)
    assert np.isclose(run["x"].grad, total, rtol=2**8 * ROUNDING)


# Shattered gradients.


def test_the_gradient_correlation_of_a_he_relu_net_is_the_product_of_shared_gates():
    """D: prod(1 - arccos(c_l)/pi), c_l the correlation of two inputs at layer l.

    Assumes a plain wide He-ReLU net without norm; two inputs, the same gradient above.
    """
    layers, n, nets = 10, 500, 6
    c, expected = 0.0, 1.0
    for _ in range(layers):
        expected *= meanfield.on_together(c)
        c = meanfield.relu_correlation(c)
    measured = []
    for seed in range(nets):
        rng = np.random.default_rng(seed)
        x = bp.tensor(rng.normal(size=(2, n)), requires_grad=True)
        z = x
        for _ in range(layers):
            z = bp.ops.relu(z) @ (rng.normal(size=(n, n)) * np.sqrt(2 / n))
        g = rng.normal(size=n)
        z.backward(np.stack([g, g]))
        measured.append(np.corrcoef(x.grad)[0, 1])

    assert within(expected, measured)
    assert expected > 10 * 2.0**-layers  # far from independent gates


def test_that_product_falls_as_the_third_power_of_depth():
    """D: about L^-3, since arccos(c_l) -> 3 pi/l; the slope is fitted at L >= 300."""
    c, product, logs = 0.0, 1.0, []
    for _ in range(3000):
        product *= meanfield.on_together(c)
        c = meanfield.relu_correlation(c)
        logs.append(np.log(product))
    at = np.arange(300, 3000)

    slope = np.polyfit(np.log(at + 1), np.array(logs)[at], 1)[0]

    assert np.isclose(-3, slope, rtol=0.03)


def test_independent_gates_halve_the_gradient_correlation_a_layer():
    """P: Balduzzi et al. 2017: 2^-L; D for a wide BN-ReLU net with a large batch.

    Assumes independent gates. Batch norm makes them so: it takes away what samples
    share. Its statistics are held constant on the way back, so that no sample sends
    gradient into another one.
    """
    layers, nets = 5, 8
    measured = [shattered(layers, seed) for seed in range(nets)]

    for layer, correlations in enumerate(np.transpose(measured), 1):
        assert within(2.0**-layer, correlations)


def shattered(layers, seed, n=500, samples=256):
    """Mean correlation of two samples' gradients, 1, 2, ... layers back."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(samples, n))
    way = []
    for _ in range(layers):
        w = rng.normal(size=(n, n)) * np.sqrt(2 / n)
        std = z.std(axis=0)
        z = (z - z.mean(axis=0)) / std
        way.append((w, (z > 0) / std))
        z = np.maximum(z, 0) @ w
    grad = np.tile(rng.normal(size=n), (samples, 1))
    correlations = []
    for w, slope in reversed(way):
        grad = (grad @ w.T) * slope
        others = ~np.eye(samples, dtype=bool)
        correlations.append(np.corrcoef(grad)[others].mean())
    return correlations


# Orthogonal weights.


def test_orthogonal_weights_keep_every_singular_value_of_a_deep_linear_net_at_one():
    """E: Saxe et al. 2014, for a linear net; Gaussian weights do not."""
    layers, n = 50, 32
    rng = np.random.default_rng(0)
    orthogonal, gaussian = np.eye(n), np.eye(n)
    for _ in range(layers):
        orthogonal = bp.nn.init.orthogonal((n, n), rng) @ orthogonal
        gaussian = rng.normal(size=(n, n)) / np.sqrt(n) @ gaussian

    kept = np.linalg.svd(orthogonal, compute_uv=False)
    lost = np.linalg.svd(gaussian, compute_uv=False)

    assert np.allclose(1, kept, rtol=0, atol=layers * ROUNDING)
    assert lost[-1] < 1e-6 * lost[0]


# The checker can fail.


def test_a_wrong_number_is_not_within_the_errors_of_the_draws():
    draws = np.random.default_rng(0).normal(1.0, 0.1, size=100)

    assert within(1.0, draws)
    assert not within(1.1, draws)
