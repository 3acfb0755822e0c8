"""Where a derivative does not exist, ours is PyTorch's: kinks, ties, zeros, bounds.

The numbers here are PyTorch's; ``oracle/test_torch_ops.py`` asks PyTorch itself.
"""

from math import inf, nan

import numpy as np
import pytest

import backproplab as bp


def slopes(f, *xs):
    """df/dx of the sum of f, for each x."""
    leaves = [bp.tensor(x, requires_grad=True) for x in xs]
    bp.ops.sum(f(*leaves)).backward()
    found = [x.grad.tolist() for x in leaves]
    return found[0] if len(found) == 1 else found


def curvature(f, x):
    """The second derivative of f at the number x."""
    return float(bp.grad(bp.grad(f))(x))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", 0.0),
        ("leaky_relu", 0.01),
        ("elu", 1.0),
        ("abs", 0.0),
        ("fabs", 0.0),
        ("sign", 0.0),
        ("softplus", 0.5),
        ("silu", 0.5),
        ("gelu", 0.5),
        ("sinc", 0.0),
        ("erf", 2 / np.sqrt(np.pi)),
        ("nan_to_num", 1.0),
    ],
)
def test_the_slope_at_zero_is_that_of_pytorch(name, expected):
    assert slopes(getattr(bp.ops, name), 0.0) == pytest.approx(expected)


def test_sqrt_has_an_infinite_slope_at_zero():
    with np.errstate(divide="ignore"):
        assert slopes(np.sqrt, 0.0) == inf


@pytest.mark.parametrize("op", [np.maximum, np.minimum])
def test_a_tie_of_two_gives_each_half(op):
    assert slopes(op, [1.0, 2.0], [1.0, 2.0]) == [[0.5, 0.5], [0.5, 0.5]]


def test_maximum_away_from_a_tie_gives_all_to_the_greater():
    assert slopes(np.maximum, [1.0, 5.0], [3.0, 2.0]) == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("op", [np.fmax, np.fmin])
def test_fmax_and_fmin_give_a_tie_to_the_first_and_nothing_to_nan(op):
    got = slopes(op, [1.0, nan, 2.0], [1.0, 2.0, nan])

    assert got == [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("op", [bp.ops.max, bp.ops.min])
def test_a_tie_over_an_axis_shares_the_gradient_evenly(op):
    x = [[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]

    assert slopes(lambda x: op(x, axis=0), x) == [[0.5] * 3] * 2
    assert slopes(op, x) == pytest.approx(np.full((2, 3), 1 / 6))


def test_clip_has_slope_one_on_its_bounds():
    assert slopes(lambda x: np.clip(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [
        0, 1, 1, 1, 0,
    ]  # fmt: skip


def test_clip_gives_a_bound_the_gradient_where_it_replaces_x():
    got = slopes(np.clip, [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])

    assert got == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_clip_with_contradicting_bounds_is_its_upper_bound():
    got = slopes(np.clip, [-1.0, 0.5, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])

    assert got == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_where_lets_no_nan_of_the_other_branch_through():
    x = bp.tensor([0.0, 4.0], requires_grad=True)
    g = np.array([inf, 1.0])

    np.where(np.array([False, True]), x, 1.0).backward(g)

    assert x.grad.tolist() == [0.0, 1.0]


def test_a_number_to_the_power_zero_has_slope_zero():
    assert slopes(lambda x: x**0, [0.0, 3.0]) == [0.0, 0.0]
    assert slopes(lambda x: x ** np.zeros(2), [0.0, 3.0]) == [0.0, 0.0]


def test_zero_to_a_power_has_slope_zero_in_the_exponent():
    assert slopes(lambda n: np.zeros(2) ** n, [0.0, 2.0]) == [0.0, 0.0]


def test_a_square_written_as_a_power_has_curvature_two_at_zero():
    assert curvature(lambda x: x**2, 0.0) == 2.0


def test_the_angle_at_the_origin_has_slope_zero():
    assert slopes(np.arctan2, 0.0, 0.0) == [0.0, 0.0]


def test_the_length_at_the_origin_has_no_slope():
    with np.errstate(invalid="ignore"):
        assert np.isnan(slopes(np.hypot, 0.0, 0.0)).all()


@pytest.mark.parametrize("order", [None, 1, 2, 3, 0.5, 0])
def test_the_norm_of_zeros_has_slope_zero(order):
    assert slopes(lambda x: np.linalg.norm(x, order), [0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1])
def test_the_norm_of_a_zero_matrix_has_slope_zero(order):
    got = slopes(lambda x: np.linalg.norm(x, order), np.zeros((2, 2)))

    assert got == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("order", [inf, -inf])
def test_equal_extremes_share_the_gradient_of_a_norm(order):
    assert slopes(lambda x: np.linalg.norm(x, order), [2.0, -2.0]) == [0.5, -0.5]


def test_equal_singular_values_share_the_gradient_of_the_spectral_norm():
    got = slopes(lambda x: np.linalg.norm(x, 2), np.eye(2))

    assert got == [[0.5, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("f", [np.var, np.std])
def test_equal_values_have_no_slope_of_spread(f):
    assert slopes(f, [3.0, 3.0, 3.0]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([2.0, 3.0, 5.0], [15.0, 10.0, 6.0]),
        ([2.0, 0.0, 5.0], [0.0, 10.0, 0.0]),
        ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]),
        ([0.0], [1.0]),
        ([1e-200, 1e-200, 1e300], [1e100, 1e100, 0.0]),
    ],
)
def test_a_product_is_exact_with_zeros_among_its_factors(x, expected):
    assert slopes(np.prod, x) == pytest.approx(expected, rel=1e-15)


def test_a_product_with_two_zeros_has_a_mixed_second_derivative():
    hessian = bp.hessian(np.prod)(np.array([0.0, 3.0, 0.0]))

    assert hessian.tolist() == [[0, 0, 3], [0, 0, 0], [3, 0, 0]]


def test_logsumexp_of_minus_infinities_has_slope_zero():
    assert slopes(bp.ops.logsumexp, [-inf, -inf]) == [0.0, 0.0]
    assert slopes(bp.ops.logsumexp, [-inf, 1.0]) == [0.0, 1.0]


@pytest.mark.parametrize("x", [-1000.0, 1000.0])
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "gelu", "silu", "elu", "tanh"])
def test_activations_survive_large_inputs(name, x):
    op = getattr(bp.ops, name)

    assert np.isfinite(op(x))
    assert np.isfinite(slopes(op, x))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_and_its_kin_survive_large_inputs(name):
    op = getattr(bp.ops, name)
    x = np.array([1e4, -1e4, 0.0])

    assert np.isfinite(op(x)).all()
    assert np.isfinite(slopes(op, x)).all()


def test_logaddexp_of_infinities_has_no_nan():
    assert slopes(np.logaddexp, -inf, -inf) == [0.0, 0.0]
    assert slopes(np.logaddexp, -inf, 0.0) == [0.0, 1.0]


def test_the_determinant_of_a_singular_matrix_has_its_cofactors():
    x = [[1.0, 2.0], [2.0, 4.0]]

    assert np.allclose(slopes(np.linalg.det, x), [[4.0, -2.0], [-2.0, 1.0]])


def test_the_determinant_of_rank_n_minus_two_has_no_slope():
    assert np.allclose(slopes(np.linalg.det, np.diag([1.0, 0.0, 0.0])), 0)


def test_sinc_is_smooth_at_zero():
    assert curvature(np.sinc, 0.0) == pytest.approx(-(np.pi**2) / 3)
    assert slopes(np.sinc, 1e-9) == pytest.approx(-(np.pi**2) / 3 * 1e-9)


def test_equal_eigenvalues_have_finite_gradients():
    got = slopes(lambda x: np.linalg.eigvalsh(x) ** 2, 3 * np.eye(2))

    assert np.allclose(got, 6 * np.eye(2))


def test_remainder_keeps_slope_one_at_its_jumps():
    assert slopes(np.remainder, 4.0, 2.0) == [1.0, -2.0]
    assert slopes(np.fmod, -4.0, 2.0) == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, k: np.arctan2(x, k),
        lambda x, k: np.arctan2(k, x),
        lambda x, k: x**k,
        lambda x, k: bp.ops.kl_div(x, k),
        lambda x, k: bp.ops.binary_cross_entropy_with_logits(k, x),
    ],
    ids=["arctan2 y", "arctan2 x", "power", "kl_div", "bce target"],
)
def test_slopes_beside_narrow_integers_and_bools_are_those_beside_floats(f, dtype):
    k = np.array([101, 1, 0]).astype(dtype)

    at_floats, at_integers = (
        bp.grad(lambda x: f(x, other).sum())(np.array([1.5, 0.7, 2.5]))  # noqa: B023
        for other in (k.astype(float), k)
    )

    np.testing.assert_array_max_ulp(at_floats, at_integers, 4)
