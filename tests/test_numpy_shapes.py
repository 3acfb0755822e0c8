"""NumPy functions that move numbers about, on tensors, in all of NumPy's ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_numpy_functions import A, C, V, check

import backproplab as bp

B = A[:2]
N = np.array(1.5)
EPS = np.finfo(float).eps


@pytest.mark.parametrize("f", [np.atleast_1d, np.atleast_2d, np.atleast_3d])
def test_atleast_deepens_each_input(f):
    for x in (N, V, A, C):
        check(f, x)
    check(f, N, A)


@pytest.mark.parametrize("f", [np.vstack, np.hstack, np.dstack, np.column_stack])
def test_stacks_join_vectors_and_matrices(f):
    check(lambda x, y: f([x, y]), V, V + 1)
    check(lambda x, y: f([x, y]), A, A + 1)


def test_vstack_joins_a_row():
    check(lambda x, y: np.vstack([x, y]), A, V)


@pytest.mark.parametrize("axis", [0, -2, None])
def test_concatenate_and_append_take_any_axis(axis):
    check(lambda x, y: np.concatenate([x, y, x], axis=axis), A, B)
    check(lambda x, y: np.append(x, y, axis=axis), A, B)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack_takes_any_axis(axis):
    check(lambda x, y: np.stack([x, y], axis=axis), A, A + 1)


@pytest.mark.parametrize(
    ("sections", "axis"), [(2, 1), (4, -1), ([1], 0), ([1, 3], 1), ([2, 1], 1)], ids=str
)
def test_split_cuts_evenly_or_where_told(sections, axis):
    check(lambda x: np.split(x, sections, axis), A)


def test_split_says_when_parts_cannot_be_equal():
    with pytest.raises(bp.errors.ShapeError) as caught:
        np.split(bp.tensor(A), 2)

    assert str(caught.value) == (
        "split: axis 0 has size 3, which does not divide into 2 equal parts.\n"
        "  help: array_split allows unequal parts."
    )


def test_array_split_wants_a_part():
    with pytest.raises(bp.errors.ShapeError) as caught:
        np.array_split(bp.tensor(A), 0)

    assert str(caught.value) == "array_split: 0 sections; at least 1 is required."


@pytest.mark.parametrize("sections", [2, 3, 5, [1, 2]])
def test_array_split_allows_unequal_parts(sections):
    check(lambda x: np.array_split(x, sections, axis=-1), A)


def test_splits_by_name_have_their_axes():
    check(lambda x: np.vsplit(x, 3), A)
    check(lambda x: np.hsplit(x, 2), A)
    check(lambda x: np.hsplit(x, 2), V)
    check(lambda x: np.dsplit(x, [1, 3]), C)


@pytest.mark.parametrize("options", [{}, {"indexing": "ij"}, {"sparse": True}], ids=str)
def test_meshgrid_takes_numpys_options(options):
    check(lambda x, y: np.meshgrid(x, y, **options), V, V[:3])
    check(lambda x, y, z: np.meshgrid(x, y, z, **options), V[:2], V[:3], V[1:])


def test_broadcast_arrays_adds_gradients_over_what_it_repeats():
    check(np.broadcast_arrays, V, N, A)


@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace_differentiates_its_ends(endpoint):
    check(lambda a, b: np.linspace(a, b, 5, endpoint), N, V)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_delete_take_and_compress_read_along_an_axis(axis):
    check(lambda x: np.delete(x, [1], axis), A)
    check(lambda x: np.take(x, [[0, 2], [2, -1]], axis), A)
    check(lambda x: np.compress([True, False, True], x, axis), A)


@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_take_reads_beyond_the_end_in_two_ways(mode):
    check(lambda x: np.take(x, [0, 7, -9], 1, mode=mode), A)


def test_extract_keeps_what_holds():
    check(lambda x: np.extract(A > 0, x), A)


def test_take_along_axis_reads_flat_arrays_too():
    check(lambda x: np.take_along_axis(x, np.array([3, 3, 0]), None), A)


@pytest.mark.parametrize("repeats", [2, [2, 0, 1]], ids=str)
@pytest.mark.parametrize("axis", [0, -2])
def test_repeat_takes_one_count_or_one_a_place(repeats, axis):
    check(lambda x: np.repeat(x, repeats, axis), A)
    check(lambda x: np.repeat(x, 3), A)


@pytest.mark.parametrize(
    "mode", ["constant", "edge", "reflect", "symmetric", "wrap"], ids=str
)
@pytest.mark.parametrize("width", [1, (2, 5), ((1, 0), (2, 3)), {-1: (1, 2)}], ids=str)
def test_pad_takes_numpys_modes_and_widths(mode, width):
    check(lambda x: np.pad(x, width, mode), A)


@pytest.mark.parametrize(("shift", "axis"), [(2, None), (-1, 0), ((1, 2), (0, -1))])
def test_roll_and_flip_take_several_axes(shift, axis):
    check(lambda x: np.roll(x, shift, axis), C)
    check(lambda x: np.flip(x, axis), C)


@pytest.mark.parametrize("axes", [None, (0, 2, 1), (-1, 0, -2)], ids=str)
def test_transpose_takes_negative_axes(axes):
    check(lambda x: np.transpose(x, axes), C)


@st.composite
def shapes_that_broadcast(draw):
    return draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))


@given(
    shapes_that_broadcast(),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from(["add", "multiply", "maximum", "arctan2", "logaddexp", "fmin"]),
)
def test_any_two_shapes_that_broadcast_get_gradients_of_their_own(shapes, dtype, name):
    first, second = shapes.input_shapes
    rng = np.random.default_rng(0)
    x = bp.tensor(rng.normal(size=first).astype(dtype), requires_grad=True)
    y = bp.tensor(rng.normal(size=second).astype(dtype), requires_grad=True)

    z = getattr(np, name)(x, y)
    z.backward(np.ones(z.shape))

    assert (z.shape, z.dtype) == (shapes.result_shape, dtype)
    assert (x.grad.shape, x.grad.dtype) == (first, dtype)
    assert (y.grad.shape, y.grad.dtype) == (second, dtype)


@given(
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=3).flatmap(
        lambda shape: st.tuples(st.just(shape), hnp.valid_tuple_axes(len(shape)))
    ),
    st.booleans(),
    st.sampled_from(["sum", "mean", "prod", "var", "max", "min"]),
)
def test_any_axes_of_any_shape_reduce_to_numpys_shape(where, keepdims, name):
    shape, axis = where
    x = bp.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)

    y = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    y.backward(np.ones(y.shape))

    expected = getattr(np, name)(x.data, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(y.data, expected)
    assert x.grad.shape == shape


@given(
    hnp.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=3, max_side=3
    )
)
def test_any_two_shapes_that_matmul_takes_get_gradients_of_their_own(shapes):
    first, second = shapes.input_shapes
    rng = np.random.default_rng(0)
    x = bp.tensor(rng.normal(size=first), requires_grad=True)
    y = bp.tensor(rng.normal(size=second), requires_grad=True)

    z = x @ y
    z.backward(np.ones(z.shape))

    # A stack of matrices is one product here: only there may a last bit differ.
    few = 0 if max(len(first), len(second)) < 3 else 4 * EPS
    np.testing.assert_allclose(z.data, x.data @ y.data, rtol=few, atol=few)
    assert (x.grad.shape, y.grad.shape) == (first, second)
