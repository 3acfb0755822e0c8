"""NumPy functions called on tensors, in all the ways that NumPy lets them be called.

The registry's own tests take one example an op; here are shapes, axes and options.
"""

from math import inf

import numpy as np
import pytest
from test_ops import assert_close, differences

import backproplab as bp

rng = np.random.default_rng(3)
V, W = rng.normal(size=4), rng.normal(size=4)
A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
C, D = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 3))
C += np.sign(C) / 2
S = rng.normal(size=(3, 3)) + 3 * np.eye(3)
P = S @ S.T
X = rng.normal(size=(3, 3))


def arrays(y):
    return [*y] if isinstance(y, (tuple, list)) else [y]


def check(f, *inputs):
    """f of tensors is f of arrays, its vjp and jvp what differences say."""
    leaves = [bp.tensor(x, requires_grad=True) for x in inputs]
    expected, got = arrays(f(*inputs)), arrays(f(*leaves))
    assert len(got) == len(expected)
    for j, (y, z) in enumerate(zip(got, expected, strict=True)):
        if isinstance(y, bp.Tensor):
            assert_close(y.data, z, power=0.9)
            check_output(lambda *xs, j=j: arrays(f(*xs))[j], inputs)
        else:
            np.testing.assert_array_equal(y, z)


def check_output(f, inputs):
    y, pull = bp.vjp(f, *inputs)
    g = np.random.default_rng(0).normal(size=np.shape(y))
    moved = sum_of = 0
    for k, (x, c) in enumerate(zip(inputs, pull(g), strict=True)):

        def along(x, k=k):
            return f(*inputs[:k], x, *inputs[k + 1 :])

        jacobian = differences(along, x)
        assert_close(c, np.tensordot(g, jacobian, np.ndim(g)))
        moved = moved + np.tensordot(jacobian, x, x.ndim)
        sum_of = sum_of + c.sum()
    _, t = bp.jvp(f, tuple(inputs), tuple(inputs))
    assert_close(t, moved)


AXES = [None, 0, -1, 1, (0, 2), (-1, 0), (0, 1, 2), ()]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "max", "min"])
def test_reductions_take_any_axis(name, axis, keepdims):
    check(lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims), C)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES[:-1], ids=str)
def test_std_takes_any_axis(axis, keepdims):
    check(lambda x: np.std(x, axis=axis, keepdims=keepdims), C)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_logsumexp_takes_any_axis(axis, keepdims):
    check(lambda x: bp.ops.logsumexp(x, axis, keepdims=keepdims), C)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "var"])
def test_reductions_take_a_number(name):
    check(getattr(np, name), np.array(2.5))


@pytest.mark.parametrize("name", ["sum", "prod"])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_sum_and_prod_of_nothing_have_empty_gradients(name, axis):
    x = bp.tensor(np.zeros((2, 0)), requires_grad=True)

    y = getattr(np, name)(x, axis=axis)
    y.backward(np.ones(y.shape))

    assert x.grad.shape == (2, 0)


def test_the_greatest_of_nothing_is_refused_with_the_shape():
    with pytest.raises(bp.errors.ShapeError) as caught:
        np.max(bp.tensor(np.zeros(0)))

    assert str(caught.value) == (
        "max: x is (0,); zero-size array to reduction operation maximum "
        "which has no identity."
    )


@pytest.mark.parametrize("options", [{"ddof": 1}, {"correction": 1}, {"ddof": 0.5}])
@pytest.mark.parametrize("f", [np.var, np.std])
def test_variance_takes_numpys_and_the_array_apis_correction(f, options):
    check(lambda x: f(x, axis=-1, **options), A)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_cumsum_takes_any_axis(axis):
    check(lambda x: np.cumsum(x, axis), C)


def test_sum_and_prod_and_mean_take_a_format():
    x = bp.tensor(np.ones(3, np.float16), requires_grad=True)

    for f in (np.sum, np.prod, np.mean, np.cumsum):
        y = f(x, dtype=np.float64)
        y.backward(np.ones(y.shape))

        assert (y.dtype, x.grad.dtype) == (np.float64, np.float16)


SHAPES = [
    ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((3, 4), (4, 2)),
    ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
    ((0, 4), (4, 2)), ((3, 0), (0, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("m", "n"), SHAPES, ids=str)
def test_matmul_takes_all_of_numpys_shapes(m, n):
    check(np.matmul, rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize(("m", "n"), [*SHAPES[:9], ((), (3, 4)), ((3,), ())], ids=str)
def test_dot_takes_all_of_numpys_shapes(m, n):
    check(np.dot, rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize(
    ("m", "n"), [((4,), (4,)), ((3, 4), (2, 4)), ((2, 3, 4), (4,)), ((), (3,))], ids=str
)
def test_inner_takes_all_of_numpys_shapes(m, n):
    check(np.inner, rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_takes_one_sample_or_many(shape, bias):
    x, w, b = rng.normal(size=shape), rng.normal(size=(5, 4)), rng.normal(size=5)

    check(bp.ops.linear, x, w, *([b] if bias else []))


@pytest.mark.parametrize(
    ("m", "n"),
    [
        ((2, 3), (3, 2)),
        ((4,), (2, 3)),
        ((2, 3), (4,)),
        ((2,), (3,)),
        ((2, 1, 3), (3, 2)),
    ],
    ids=str,
)
def test_kron_and_outer_take_different_numbers_of_axes(m, n):
    check(np.kron, rng.normal(size=m), rng.normal(size=n))
    check(np.outer, rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize(
    ("m", "n", "axes"),
    [
        ((2, 3), (4, 2), 0),
        ((2, 3), (3, 4), 1),
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3, 4), (4, 2), ((-1, 0), (0, 1))),
        ((2, 3, 4), (4, 3, 2), ([2, 0], [0, 2])),
        ((2, 3), (2,), (0, 0)),
    ],
    ids=str,
)
def test_tensordot_takes_all_of_numpys_axes(m, n, axes):
    check(lambda x, y: np.tensordot(x, y, axes), rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize(
    ("m", "n", "axes"),
    [
        ((3,), (3,), {}),
        ((4, 3), (3,), {}),
        ((3, 4), (4, 3), {"axisa": 0}),
        ((4, 3), (4, 3), {"axisc": 0}),
        ((3, 2), (3, 2), {"axis": 0}),
        ((3,), (2, 3, 4), {"axisb": 1}),
    ],
    ids=str,
)
def test_cross_takes_numpys_axes(m, n, axes):
    check(lambda x, y: np.cross(x, y, **axes), rng.normal(size=m), rng.normal(size=n))


@pytest.mark.parametrize("options", [{}, {"offset": -1}, {"axis1": 2, "axis2": 0}])
def test_trace_takes_any_two_axes(options):
    check(lambda x: np.trace(x, **options), C)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("i,i->", [(3,), (3,)]),
        ("i,j->ji", [(3,), (4,)]),
        ("ij->", [(3, 4)]),
        ("ij->ji", [(3, 4)]),
        ("ii->", [(3, 3)]),
        ("ii->i", [(3, 3)]),
        ("iji->j", [(3, 4, 3)]),
        ("iii->", [(2, 2, 2)]),
        ("ij,jk", [(3, 4), (4, 2)]),
        ("ba", [(3, 4)]),
        ("ii", [(3, 3)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij,kj->k", [(2, 3), (4, 3)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 2)]),
        ("...ij,...jk->...ik", [(5, 1, 2, 3), (4, 3, 2)]),
        ("...i->...", [(2, 3)]),
        ("i...,i...", [(3, 2), (3, 2)]),
        ("ij,ij->ij", [(3, 1), (3, 4)]),
        (" i j , j -> i ", [(3, 4), (4,)]),
        ("ij,j->", [(0, 4), (4,)]),
        (",i->i", [(), (3,)]),
    ],
    ids=str,
)
def test_einsum_takes_all_of_numpys_subscripts(subscripts, shapes):
    check(lambda *xs: np.einsum(subscripts, *xs), *(rng.normal(size=s) for s in shapes))


@pytest.mark.parametrize("optimize", [True, "greedy", ["einsum_path", (0, 1), (0, 1)]])
def test_einsum_takes_a_path(optimize):
    check(lambda *xs: np.einsum("ij,jk,kl->il", *xs, optimize=optimize), A, B, B.T)


def test_einsum_takes_lists_of_axes():
    check(lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), A, B)
    check(lambda x, y: np.einsum(x, [..., 0, 1], y, [..., 1, 2]), C, D)


def test_einsum_counts_its_operands():
    with pytest.raises(bp.errors.RuleError) as caught:
        np.einsum("ij,jk->ik", bp.tensor(A))

    assert str(caught.value) == (
        "einsum: 'ij,jk->ik' speaks of 2 operands and got 1; they must be as many."
    )


def test_where_sums_over_the_axes_that_broadcasting_made():
    x = bp.tensor(np.ones((3, 1)), requires_grad=True)
    y = bp.tensor(2.0, requires_grad=True)

    np.where(np.array([True, False, True, True]), x, y).sum().backward()

    assert (x.grad.tolist(), float(y.grad)) == ([[3.0], [3.0], [3.0]], 3.0)


def test_transpose_inverts_negative_axes():
    x = bp.tensor(C, requires_grad=True)
    g = rng.normal(size=(4, 2, 3))

    np.transpose(x, (-1, 0, -2)).backward(g)

    np.testing.assert_array_equal(x.grad, g.transpose(1, 2, 0))


def test_roll_turns_a_tuple_of_shifts_back():
    x = bp.tensor(A, requires_grad=True)
    g = rng.normal(size=A.shape)

    np.roll(x, (1, -2), axis=(0, 1)).backward(g)

    np.testing.assert_array_equal(x.grad, np.roll(g, (-1, 2), axis=(0, 1)))


def test_einsum_of_a_repeated_letter_puts_the_gradient_on_the_diagonal():
    x = bp.tensor(np.ones((2, 3, 2)), requires_grad=True)

    np.einsum("iji->j", x).backward(np.array([1.0, 2.0, 3.0]))

    assert x.grad[:, :, 0].tolist() == [[1, 2, 3], [0, 0, 0]]
    assert x.grad[:, :, 1].tolist() == [[0, 0, 0], [1, 2, 3]]


VECTOR = [None, 2, 1, 3, 2.5, inf, -inf, 0, -1, 0.5]
MATRIX = [None, "fro", "nuc", 1, -1, 2, -2, inf, -inf]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", VECTOR)
def test_vector_norms_have_all_of_numpys_orders(order, keepdims):
    check(lambda x: np.linalg.norm(x, order, axis=1, keepdims=keepdims), C)
    check(lambda x: np.linalg.norm(x, order, keepdims=keepdims), V)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", MATRIX)
def test_matrix_norms_have_all_of_numpys_orders(order, keepdims):
    check(lambda x: np.linalg.norm(x, order, axis=(0, 2), keepdims=keepdims), C)
    check(lambda x: np.linalg.norm(x, order, axis=(-1, 1), keepdims=keepdims), C)
    check(lambda x: np.linalg.norm(x, order, keepdims=keepdims), A)


def test_a_norm_without_order_is_that_of_all_elements():
    check(np.linalg.norm, C)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 0},
        {"n": 2, "axis": 1},
        {"n": 7, "axis": 0},
        {"axis": 0, "prepend": 0.0},
        {"axis": 1, "append": np.ones((3, 2)), "prepend": 1.5},
    ],
    ids=str,
)
def test_diff_takes_numpys_options(options):
    check(lambda x: np.diff(x, **options), A)


def test_diff_differentiates_what_is_put_at_the_ends():
    check(lambda x, y: np.diff(x, axis=0, prepend=y, append=y), A, A[:2])


@pytest.mark.parametrize("options", [{}, {"to_end": 2.0, "to_begin": [1.0, 2.0]}])
def test_ediff1d_takes_numpys_options(options):
    check(lambda x: np.ediff1d(x, **options), A)


GRID = np.array([0.0, 1.0, 1.5, 4.0])


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((), None), ((2.0,), None), ((2.0, 0.5), None), ((), 1), ((GRID,), -1),
     ((), (1, 0)), ((0.5, GRID), (0, 1))],
    ids=str,
)  # fmt: skip
def test_gradient_takes_numpys_spacings(spacing, axis, edge_order):
    check(lambda x: np.gradient(x, *spacing, axis=axis, edge_order=edge_order), A)


def test_gradient_of_a_vector_on_an_uneven_grid():
    check(lambda x: np.gradient(x, GRID), V)


def test_gradient_says_how_many_samples_it_needs():
    with pytest.raises(bp.errors.ShapeError) as caught:
        np.gradient(bp.tensor(V[:2]), edge_order=2)

    assert str(caught.value) == (
        "gradient: axis 0 has 2 samples; edge_order=2 needs at least 3."
    )


def test_gradient_counts_its_spacings():
    with pytest.raises(bp.errors.RuleError) as caught:
        np.gradient(bp.tensor(A), 1.0, 2.0, 3.0)

    assert str(caught.value) == (
        "gradient: got 3 spacings for 2 axes; "
        "there must be none, one for all, or one for each axis."
    )


@pytest.mark.parametrize("returned", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"axis": 0}, {"axis": (0, -1), "keepdims": True}],
    ids=str,
)
def test_average_without_weights_is_the_mean(options, returned):
    check(lambda x: np.average(x, returned=returned, **options), C)


@pytest.mark.parametrize("returned", [False, True])
def test_average_differentiates_its_weights(returned):
    w = 0.5 + rng.random((2, 3, 4))

    check(lambda x, w: np.average(x, None, w, returned), C, w)
    check(lambda x, w: np.average(x, 1, w, returned), C, w[0, :, 0])
    check(lambda x, w: np.average(x, (2, 0), w, returned), C, w[:, 0].T)


def test_clip_takes_both_of_numpys_names_for_bounds():
    check(lambda x: np.clip(x, min=-0.5, max=0.5), A)
    check(lambda x: np.clip(x, a_min=-0.5, a_max=None), A)
    check(lambda x: np.clip(x, None, 0.5), A)
    check(lambda x, low: np.clip(x, min=low), A, V)


def test_select_takes_the_first_choice_that_holds():
    def f(x, y):
        return np.select([A > 0.5, A > 0], [x, y * x], default=x.sum())

    x, y = bp.tensor(A, requires_grad=True), bp.tensor(V, requires_grad=True)

    check(f, A, V)
    assert f(x, y).dtype == np.float64
    check(lambda x: np.select([A > 0], [x]), A)


def test_slogdet_has_a_constant_sign():
    check(np.linalg.slogdet, S)
    check(np.linalg.slogdet, np.stack([S, -S]))


def test_symmetric_eigenproblems_read_the_symmetric_part():
    def problem(x):
        w, v = np.linalg.eigh(x + np.swapaxes(x, -1, -2))
        return w, np.abs(v)

    check(problem, X)
    check(lambda x: np.linalg.eigvalsh(x + np.swapaxes(x, -1, -2)), np.stack([X, S]))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)], ids=str)
def test_svd_has_derivatives_of_all_three_parts(shape):
    def parts(x):
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return np.abs(u), s, np.abs(vh)

    x = np.random.default_rng(5).normal(size=shape)

    check(parts, x)
    check(np.linalg.svdvals, x)
    check(lambda x: np.linalg.svd(x, compute_uv=False), x)


def test_svd_refuses_vectors_that_have_no_derivative():
    with pytest.raises(bp.errors.RuleError) as caught:
        np.linalg.svd(bp.tensor(A))

    assert str(caught.value) == (
        "svd: x is (3, 4) and full_matrices is True; "
        "the vectors beyond min(m, n) have no derivative.\n"
        "  help: pass full_matrices=False."
    )


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 1)], ids=str)
def test_solve_takes_vectors_and_matrices(shape):
    check(np.linalg.solve, S, rng.normal(size=shape))
    check(np.linalg.solve, np.stack([S, P]), rng.normal(size=shape))


def test_inverses_take_wide_tall_and_stacked_matrices():
    check(np.linalg.inv, np.stack([S, P]))
    check(np.linalg.pinv, A)
    check(np.linalg.pinv, A.T)
    check(lambda x: np.linalg.pinv(x, rcond=1e-10), C)
    check(lambda x: np.linalg.pinv(x, rtol=1e-10), A)


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_has_both_triangles(upper):
    check(lambda x: np.linalg.cholesky(x @ np.swapaxes(x, -1, -2), upper=upper), S)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_decompositions_keep_the_number_format(dtype):
    x = bp.tensor(P.astype(dtype), requires_grad=True)

    for f in (np.linalg.inv, np.linalg.det, np.linalg.cholesky, np.linalg.pinv):
        assert f(x).dtype == dtype
    for f in (np.linalg.svd, np.linalg.eigh, np.linalg.slogdet):
        assert all(np.asarray(y.data).dtype == dtype for y in f(x)[1:])


def test_gelu_names_its_two_formulas():
    with pytest.raises(bp.errors.RuleError) as caught:
        bp.ops.gelu(A, approximate="erf")

    assert str(caught.value) == (
        "gelu: approximate is 'erf'; it must be 'none' or 'tanh'."
    )


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_has_both_formulas(approximate):
    check(lambda x: bp.ops.gelu(x, approximate), A)


def test_erf_is_right_to_three_units_in_the_last_place():
    from math import erf

    x = np.concatenate(
        [np.linspace(-7, 7, 20001), np.logspace(-300, 0, 301), [0.0, inf]]
    )
    expected = np.array([erf(v) for v in x])

    off = np.abs(bp.ops.erf(x) - expected) / np.spacing(np.abs(expected))

    assert off.max() <= 3


@pytest.mark.parametrize(
    "options", [{}, {"beta": 2.0}, {"beta": 3.0, "threshold": 1.0}]
)
def test_softplus_takes_pytorchs_options(options):
    check(lambda x: bp.ops.softplus(x, **options), A + 0.01)


@pytest.mark.parametrize("axis", [0, -1, (0, 1)], ids=str)
@pytest.mark.parametrize("f", [bp.ops.softmax, bp.ops.log_softmax])
def test_softmax_takes_any_axis(f, axis):
    check(lambda x: f(x, axis), C)


@pytest.mark.parametrize("f", [bp.ops.softmax, bp.ops.log_softmax])
def test_softmax_of_nothing_is_nothing(f):
    assert f(np.zeros((3, 0))).shape == (3, 0)
