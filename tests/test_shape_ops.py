"""Shape, joining, rearranging and indexing: NumPy's values, and gradients put back."""

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import RangeError, RuleError, ShapeError
from backproplab.ops import scatter_add


def normal(*shapes):
    rng = np.random.default_rng(3)
    return tuple(rng.normal(size=shape) for shape in shapes)


def gradient(f, x):
    """The gradient of f(x) weighted by 1, 2, 3, ..."""
    return bp.grad(
        lambda x: np.sum(f(x) * (1 + np.arange(np.size(f(x)))).reshape(np.shape(f(x))))
    )(x)


def check(f, *args):
    """Tensors give NumPy's value, and the derivatives that differences give."""
    expected = f(*args)
    got = f(*(bp.tensor(x, requires_grad=True) for x in args))
    parts = [expected], [got]
    if isinstance(expected, (list, tuple)):
        parts = expected, got
        assert len(expected) == len(got)
    for e, g in zip(*parts, strict=True):
        assert isinstance(g, bp.Tensor)
        assert g.dtype == e.dtype
        np.testing.assert_array_equal(g.data, e)
    bp.check_grads(f, args)


ONE_INPUT = {
    "reshape": [
        (lambda x: np.reshape(x, (4, -1)), (2, 6)),
        (lambda x: np.reshape(x, 12), (2, 6)),
        (lambda x: np.reshape(x, (3, 4), order="F"), (2, 6)),
        (lambda x: np.reshape(x, (1, 1)), ()),
        (lambda x: np.reshape(x, (3, 0)), (0, 2)),
    ],
    "ravel": [
        (np.ravel, (2, 3)),
        (np.ravel, ()),
        (lambda x: np.ravel(x, order="F"), (2, 3, 2)),
    ],
    "transpose": [
        (np.transpose, (2, 3, 4)),
        (lambda x: np.transpose(x, (-1, 0, 1)), (2, 3, 4)),
        (np.transpose, ()),
    ],
    "matrix_transpose": [(np.matrix_transpose, (2, 3, 4))],
    "swapaxes": [(lambda x: np.swapaxes(x, -1, 0), (2, 3, 4))],
    "moveaxis": [
        (lambda x: np.moveaxis(x, -1, 0), (2, 3, 4)),
        (lambda x: np.moveaxis(x, (0, 2), (-1, 0)), (2, 3, 4)),
    ],
    "rollaxis": [
        (lambda x, a=a, s=s: np.rollaxis(x, a, s), (2, 3, 4))
        for a in (-1, 0, 1, 2)
        for s in (-2, 0, 1, 3)
    ],
    "expand_dims": [
        (lambda x: np.expand_dims(x, -1), (2, 3)),
        (lambda x: np.expand_dims(x, (0, -2)), (2, 3)),
    ],
    "squeeze": [
        (np.squeeze, (1, 3, 1)),
        (lambda x: np.squeeze(x, -1), (1, 3, 1)),
        (lambda x: np.squeeze(x, axis=(0, 2)), (1, 3, 1)),
    ],
    "broadcast_to": [
        (lambda x: np.broadcast_to(x, (2, 4, 3)), (1, 3)),
        (lambda x: np.broadcast_to(x, (2, 2)), ()),
    ],
    "atleast": [
        (f, shape)
        for f in (np.atleast_1d, np.atleast_2d, np.atleast_3d)
        for shape in ((), (3,), (2, 3), (2, 3, 4))
    ],
    "flip": [
        (np.flip, (2, 3)),
        (lambda x: np.flip(x, -1), (2, 3)),
        (lambda x: np.flip(x, axis=(0, 1)), (2, 3, 2)),
        (np.fliplr, (2, 3)),
        (np.flipud, (2, 3)),
    ],
    "roll": [
        (lambda x: np.roll(x, 2), (3, 4)),
        (lambda x: np.roll(x, -1, axis=0), (3, 4)),
        (lambda x: np.roll(x, (1, 2), axis=(0, -1)), (3, 4)),
        (lambda x: np.roll(x, (1, 1), axis=(0, 0)), (3, 4)),
    ],
    "rot90": [(lambda x, k=k: np.rot90(x, k), (2, 3)) for k in range(-1, 4)]
    + [(lambda x: np.rot90(x, axes=(2, 0)), (2, 3, 4))],
    "triangles": [
        (lambda x, f=f, k=k: f(x, k), shape)
        for f in (np.tril, np.triu)
        for k in (-1, 0, 1)
        for shape in ((2, 3, 4), (3,))
    ],
    "diagonal": [
        (np.diagonal, (3, 4)),
        (lambda x: np.diagonal(x, 1), (3, 4)),
        (lambda x: np.diagonal(x, -2, axis1=-1, axis2=0), (3, 2, 4)),
        (lambda x: np.diagonal(x, 7), (3, 4)),
    ],
    "diag": [
        (lambda x, k=k: np.diag(x, k), shape)
        for k in (-1, 0, 2)
        for shape in ((3,), (3, 4), (4, 2))
    ]
    + [(lambda x: np.diagflat(x, 1), (2, 2))],
    "tile": [
        (lambda x: np.tile(x, 3), (2, 3)),
        (lambda x: np.tile(x, (2, 1, 2)), (2, 3)),
        (lambda x: np.tile(x, (2,)), (2, 1, 3)),
        (lambda x: np.tile(x, (2, 2)), ()),
    ],
    "repeat": [
        (lambda x: np.repeat(x, 3), (2, 3)),
        (lambda x: np.repeat(x, 2, axis=-1), (2, 3)),
        (lambda x: np.repeat(x, [2, 0, 3], axis=1), (2, 3)),
        (lambda x: np.repeat(x, [1, 2, 0, 3, 0, 1]), (2, 3)),
        (lambda x: np.repeat(x, [2], axis=0), (2, 3)),
        (lambda x: np.repeat(x, 0, axis=0), (2, 3)),
    ],
    "pad": [
        (lambda x: np.pad(x, 1), (2, 3)),
        (lambda x: np.pad(x, (1, 2), constant_values=7), (3,)),
        (
            lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=((1, 2), (3, 4))),
            (2, 3),
        ),
        (lambda x: np.pad(x, {-1: (1, 2)}), (2, 3)),
        *(
            (lambda x, m=mode: np.pad(x, ((1, 2), (0, 4)), mode=m), (3, 2))
            for mode in ("edge", "reflect", "symmetric", "wrap")
        ),
    ],
    "getitem": [
        (lambda x: x[1], (3, 4)),
        (lambda x: x[-1, 2], (3, 4)),
        (lambda x: x[1:, ::-2], (3, 4)),
        (lambda x: x[..., None, 0], (3, 4)),
        (lambda x: x[[0, 2, 2]], (3, 4)),
        (lambda x: x[[0, 2, 2], [1, 1, 1]], (3, 4)),
        (lambda x: x[:, [3, 3], None], (3, 4)),
        (lambda x: x[np.ix_([0, 2, 0], [1, 1])], (3, 4)),
        (lambda x: x[np.arange(12).reshape(3, 4) % 5 > 1], (3, 4)),
        (lambda x: x[np.array([True, False, True])], (3, 4)),
        (lambda x: x[np.array([True, False, True]), 1:], (3, 4)),
        (lambda x: x[np.array([[0, 1], [1, 1]])], (3, 4)),
        (lambda x: x[np.zeros(0, int)], (3, 4)),
        (lambda x: x[()], ()),
        (lambda x: x[None], ()),
    ],
    "take": [
        (lambda x: np.take(x, [0, 5, 5, -1]), (3, 4)),
        (lambda x: np.take(x, [[1, 1], [0, -1]], axis=1), (3, 4)),
        (lambda x: np.take(x, 2, axis=-2), (3, 4)),
        (lambda x: np.take(x, [-5, 7], axis=1, mode="wrap"), (3, 4)),
        (lambda x: np.take(x, [-5, 7], axis=1, mode="clip"), (3, 4)),
    ],
    "take_along_axis": [
        (lambda x: np.take_along_axis(x, np.array([[0], [2], [2]]), 1), (3, 4)),
        (lambda x: np.take_along_axis(x, np.array([[0, 1, 1, 2]] * 2), axis=0), (3, 4)),
        (lambda x: np.take_along_axis(x, np.array([[2, 2]]), axis=-1), (3, 4)),
        (lambda x: np.take_along_axis(x, np.array([3, 3, 1]), axis=None), (2, 2)),
    ],
    "sort": [
        (np.sort, (3, 4)),
        (lambda x: np.sort(x, axis=0), (3, 4)),
        (lambda x: np.sort(x, axis=None), (3, 4)),
        (lambda x: np.sort(x, kind="mergesort"), (3, 4)),
    ],
    "partition": [
        (lambda x: np.partition(x, 2), (3, 4)),
        (lambda x: np.partition(x, (0, 2), axis=0), (3, 4)),
        (lambda x: np.partition(x, 3, axis=None), (3, 4)),
    ],
    "delete": [
        (lambda x: np.delete(x, 1), (2, 3)),
        (lambda x: np.delete(x, [0, -1], axis=1), (2, 3)),
        (lambda x: np.delete(x, slice(1), axis=0), (2, 3)),
        (lambda x: np.compress([True, False, True], x, axis=1), (2, 3)),
        (lambda x: np.extract(np.array([[True, False], [True, True]]), x), (2, 2)),
    ],
    "split": [
        (lambda x: np.split(x, 3), (6, 2)),
        (lambda x: np.split(x, [1, 3], axis=-1), (2, 5)),
        (lambda x: np.split(x, (2, 1, -1)), (5,)),
        (lambda x: np.array_split(x, 3), (7, 2)),
        (lambda x: np.array_split(x, 5, axis=1), (2, 3)),
        (lambda x: np.vsplit(x, 2), (4, 2)),
        (lambda x: np.hsplit(x, 2), (4, 2)),
        (lambda x: np.hsplit(x, 2), (4,)),
        (lambda x: np.dsplit(x, [1]), (2, 2, 3)),
    ],
}


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        pytest.param(f, shape, id=f"{name}-{i}")
        for name, cases in ONE_INPUT.items()
        for i, (f, shape) in enumerate(cases)
    ],
)
def test_a_function_of_one_array_is_numpys_and_has_its_derivatives(f, shape):
    check(f, *normal(shape))


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (lambda x, y: np.concatenate([x, y]), [(2, 3), (1, 3)]),
        (lambda x, y: np.concatenate((x, y), 1), [(2, 3), (2, 0)]),
        (lambda x, y: np.concatenate([x, y], axis=-1), [(2, 3), (2, 1)]),
        (lambda x, y: np.concatenate([x, y], axis=None), [(2, 3), (2,)]),
        (lambda x, y: np.concatenate([x, np.ones(2), y]), [(2,), (3,)]),
        (lambda x: np.concatenate([x, x, x]), [(2,)]),
        (lambda x, y: np.stack([x, y]), [(2, 3), (2, 3)]),
        (lambda x, y: np.stack([x, y], axis=-1), [(2, 3), (2, 3)]),
        (lambda x, y: np.stack((x, y), -2), [(2, 3), (2, 3)]),
        (lambda x, y: np.stack([x, y]), [(), ()]),
        (lambda x, y: np.vstack([x, y]), [(3,), (2, 3)]),
        (lambda x, y: np.hstack([x, y]), [(3,), (2,)]),
        (lambda x, y: np.hstack([x, y]), [(2, 3), (2, 1)]),
        (lambda x, y: np.hstack([x, y]), [(), (2,)]),
        (lambda x, y: np.dstack([x, y]), [(3,), (3,)]),
        (lambda x, y: np.dstack([x, y]), [(2, 3), (2, 3)]),
        (lambda x, y: np.column_stack([x, y]), [(3,), (3, 2)]),
        (lambda x, y: np.append(x, y), [(2, 3), ()]),
        (lambda x, y: np.append(x, y, axis=0), [(2, 3), (1, 3)]),
        (lambda x, y: np.broadcast_arrays(x, y), [(2, 1), (3,)]),
        (lambda x, y: np.meshgrid(x, y), [(2,), (3,)]),
        (lambda x, y: np.meshgrid(x, y, indexing="ij"), [(2,), (3,)]),
        (lambda x, y: np.meshgrid(x, y, sparse=True), [(2,), (3,)]),
        (lambda x: np.meshgrid(x), [(2,)]),
        (lambda x, y, z: np.meshgrid(x, y, z), [(2,), (3,), (2,)]),
        (lambda x, y: np.atleast_2d(x, y), [(), (3,)]),
        (lambda x, y: np.linspace(x, y, 4), [(), ()]),
        (lambda x, y: np.linspace(x, y, 3, endpoint=False), [(2,), (2,)]),
    ],
)
def test_a_function_of_several_arrays_is_numpys_and_has_its_derivatives(f, shapes):
    inputs = normal(*shapes)

    if "linspace" in f.__code__.co_names:
        np.testing.assert_allclose(f(*map(bp.tensor, inputs)).data, f(*inputs))
        bp.check_grads(f, inputs)
    else:
        check(f, *inputs)


def test_the_check_tells_a_wrong_transpose():
    wrong = bp.linear(lambda g, _x, *, axis: g)(np.flip)

    with pytest.raises(AssertionError):
        check(wrong, *normal((4,)))


def test_places_read_twice_get_both_gradients():
    x = np.zeros(3)

    assert gradient(lambda x: x[[0, 2, 2]], x).tolist() == [1, 0, 5]
    assert gradient(lambda x: np.take(x, [1, 1]), x).tolist() == [0, 3, 0]
    assert gradient(lambda x: np.repeat(x, 2), x).tolist() == [3, 7, 11]
    assert gradient(lambda x: np.tile(x, 2), x).tolist() == [5, 7, 9]
    assert gradient(lambda x: np.pad(x, (0, 2), "edge"), x).tolist() == [1, 2, 12]


def test_sort_sends_each_gradient_where_its_number_came_from():
    assert gradient(np.sort, np.array([3.0, 1.0, 2.0])).tolist() == [3, 1, 2]


def test_sort_keeps_the_order_of_equal_numbers():
    assert gradient(np.sort, np.array([1.0, 0.0, 1.0, 0.0])).tolist() == [3, 1, 4, 2]


def test_scatter_add_adds_up_what_meets_at_one_place():
    index, source = np.array([[0, 1, 0], [0, 0, 0]]), np.arange(1.0, 7.0).reshape(2, 3)

    got = scatter_add(np.zeros((2, 3)), index, source, axis=0)

    assert got.tolist() == [[5, 5, 9], [0, 2, 0]]


@pytest.mark.parametrize("rows", [1, 2])
def test_scatter_add_reads_the_corner_of_source_that_index_covers(rows):
    x, source = normal((3, 2), (2, 4))
    index = np.array([[0, 3], [1, 1]])[:rows]
    expected = np.pad(x, ((0, 0), (0, 2)))
    for i, j in np.ndindex(index.shape):
        expected[i, index[i, j]] += source[i, j]

    def f(x, source):
        return scatter_add(np.pad(x, ((0, 0), (0, 2))), 1, index, source)

    np.testing.assert_array_equal(f(x, source), expected)
    bp.check_grads(f, (x, source))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_joining_keeps_each_format_on_the_way_back(dtype):
    x = bp.tensor(np.ones(2, dtype), requires_grad=True)
    y = bp.tensor(np.ones(2), requires_grad=True)

    z = np.concatenate([x, y])
    z.sum().backward()

    assert (z.dtype, x.grad.dtype, y.grad.dtype) == (np.float64, dtype, np.float64)


def test_indices_may_be_tensors():
    x, i = bp.tensor(np.arange(4.0), requires_grad=True), bp.tensor([2, 2, 0])

    for y in (x[i], np.take(x, i), np.take_along_axis(x, i)):
        x.zero_grad()
        y.sum().backward()

        assert x.grad.tolist() == [1, 0, 2, 0]


def test_arguments_may_stand_in_place_or_by_name():
    (x,) = normal((2, 3))
    t = bp.tensor(x)

    assert bp.ops.reshape(t, (3, 2)).shape == bp.ops.reshape(t, shape=(3, 2)).shape
    assert bp.ops.roll(t, 1, 0).tolist() == bp.ops.roll(t, 1, axis=0).tolist()
    assert bp.ops.concatenate([t, t], 1).shape == (2, 6)
    assert bp.ops.swapaxes(t, 0, 1).shape == (3, 2)


def test_out_of_bounds_is_numpys_index_error():
    t = bp.tensor([1.0, 2.0])

    with pytest.raises(IndexError, match="index 2 is out of bounds"):
        t[2]


MESSAGES = {
    "reshape-count": (
        lambda x: np.reshape(x, (4, 2)),
        (2, 3),
        ShapeError,
        "reshape: x is (2, 3); the new shape must hold as many numbers.",
    ),
    "reshape-order": (
        lambda x: np.reshape(x, 6, order="A"),
        (2, 3),
        RangeError,
        "reshape: order is 'A'; it must be 'C' or 'F'.\n"
        "  help: leave it out: rows first.",
    ),
    "reshape-missing": (
        lambda x: bp.ops.reshape(x),
        (2, 3),
        RuleError,
        "reshape: missing a required argument: 'shape'; "
        "its signature is reshape(x, shape, order='C').",
    ),
    "ravel-order": (
        lambda x: np.ravel(x, "K"),
        (2, 3),
        RangeError,
        "ravel: order is 'K'; it must be 'C' or 'F'.\n"
        "  help: leave it out: rows first.",
    ),
    "concatenate": (
        lambda x: np.concatenate([x, x.T]),
        (2, 3),
        ShapeError,
        "concatenate: x0 is (2, 3) and x1 is (3, 2); "
        "all sizes but that of the joined axis must be equal.",
    ),
    "stack": (
        lambda x: np.stack([x, x.T]),
        (2, 3),
        ShapeError,
        "stack: x0 is (2, 3) and x1 is (3, 2); all shapes must be equal.",
    ),
    "concatenate-keyword": (
        lambda x: np.concatenate([x], dtype=np.float32),
        (2,),
        RuleError,
        "concatenate: got the keyword dtype; "
        "its signature is concatenate(*arrays, axis=0).\n  help: known: arrays, axis.",
    ),
    "split": (
        lambda x: np.split(x, 4),
        (6, 2),
        ShapeError,
        "split: axis 0 has size 6, which does not divide into 4 equal parts.\n"
        "  help: array_split allows unequal parts.",
    ),
    "array_split": (
        lambda x: np.array_split(x, 0),
        (6,),
        ShapeError,
        "array_split: 0 sections; at least 1 is required.",
    ),
    "pad": (
        lambda x: np.pad(x, 1, mode="mean"),
        (3,),
        RangeError,
        "pad: mode is 'mean'; a derivative is known for "
        "constant, edge, reflect, symmetric, wrap.",
    ),
    "scatter_add": (
        lambda x: scatter_add(x, np.zeros((1, 4), int), x),
        (2, 3),
        ShapeError,
        "scatter_add: x is (2, 3), index is (1, 4) and source is (2, 3); "
        "index must fit into source, and into x but along axis 0.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_an_error_says_what_was_seen_and_what_is_required(case):
    f, shape, error, message = MESSAGES[case]
    x = bp.tensor(np.zeros(shape), requires_grad=True)

    with pytest.raises(error) as caught:
        f(x)

    assert str(caught.value) == message
