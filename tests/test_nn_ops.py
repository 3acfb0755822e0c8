"""Losses, norms, convolution, pooling and attention against formulas and loops.

The same options are compared with PyTorch in ``oracle/test_torch_nn.py``.
"""

from math import log, sqrt

import numpy as np
import pytest

import backproplab as bp
from backproplab import ops
from backproplab.errors import DTypeError, RangeError, ShapeError


def normal(*shapes, dtype=float):
    rng = np.random.default_rng(5)
    return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)


def assert_close(got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=scale * np.finfo(got.dtype).eps ** 0.75
    )


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# Losses of class scores.


def test_cross_entropy_of_a_uniform_guess_is_log_k():
    assert ops.cross_entropy(np.zeros((3, 5)), np.array([0, 4, 2])) == log(5)


@pytest.mark.parametrize("n", [4, 40])
def test_cross_entropy_slopes_the_same_whatever_the_order_of_its_scores(n):
    x = np.random.default_rng(0).normal(size=(n, 5))
    labels = np.arange(n) % 5
    want = bp.grad(lambda x: ops.cross_entropy(x, labels))(x)

    columns_first = bp.grad(lambda x: ops.cross_entropy(x, labels))(
        np.asfortranarray(x)
    )
    turned = bp.grad(lambda x: ops.cross_entropy(x.T, labels))(x.T.copy())

    assert_close(want, columns_first)
    assert_close(want, turned.T)


def test_cross_entropy_slopes_by_softmax_minus_onehot_over_n():
    (x,), labels = normal((4, 3)), np.array([0, 2, 1, 1])

    got = bp.grad(lambda x: ops.cross_entropy(x, labels))(x)

    assert_close(got, (softmax(x, 1) - np.eye(3)[labels]) / 4)


def test_labels_and_their_onehot_probabilities_give_the_same_loss():
    (x,), labels = normal((4, 3)), np.array([0, 2, 1, 1])

    for options in ({}, {"label_smoothing": 0.3}, {"reduction": "none"}):
        assert_close(
            ops.cross_entropy(x, labels, **options),
            ops.cross_entropy(x, np.eye(3)[labels], **options),
        )


def test_a_weighted_mean_divides_by_the_weights_of_the_rows():
    (x,), labels, weight = normal((3, 2)), np.array([0, 1, 1]), np.array([1.0, 3.0])
    each = ops.cross_entropy(x, labels, reduction="none")

    got = ops.cross_entropy(x, labels, weight)

    assert_close(got, (each * weight[labels]).sum() / 7)


def test_ignored_rows_count_nothing_and_learn_nothing():
    (x,), labels = normal((3, 4)), np.array([1, -100, 2])

    loss, dx = bp.value_and_grad(lambda x: ops.cross_entropy(x, labels))(x)

    assert_close(loss, ops.cross_entropy(x[[0, 2]], labels[[0, 2]]))
    assert not dx[1].any()


def test_a_class_may_be_the_ignored_one():
    (x,) = normal((3, 4))

    got = ops.cross_entropy(x, np.array([1, 0, 2]), ignore_index=0)

    assert_close(got, ops.cross_entropy(x[[0, 2]], np.array([1, 2])))


def test_a_mean_over_no_rows_is_nan_without_a_gradient():
    (x,), labels = normal((2, 3)), np.array([-100, -100])

    loss, dx = bp.value_and_grad(lambda x: ops.cross_entropy(x, labels))(x)

    assert np.isnan(loss)
    assert not dx.any()


def test_scores_of_minus_infinity_rule_a_class_out():
    x = np.array([[0.0, -np.inf, 0.0]])

    for options in ({}, {"weight": np.array([1.0, 2.0, 1.0])}):
        loss, dx = bp.value_and_grad(
            lambda x, options=options: ops.cross_entropy(x, np.array([0]), **options)
        )(x)

        assert_close(loss, log(2))
        assert_close(dx, [[-0.5, 0, 0.5]])


def test_large_scores_do_not_overflow():
    x = np.array([[1000.0, 0.0], [-1000.0, 0.0]])

    assert ops.cross_entropy(x, np.array([0, 0])) == 500


@pytest.mark.parametrize("rows", [1, 5, 40])  # few rows are summed another way
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.uint64])
def test_cross_entropy_takes_class_numbers_of_any_integer_type(kind, rows):
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(rows, 4)), rng.integers(0, 4, rows)

    loss = bp.ops.cross_entropy(x, labels.astype(kind))

    logs = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    want = -logs[np.arange(rows), labels].mean()
    np.testing.assert_allclose(loss, want, rtol=1e-12)


def test_nll_loss_after_log_softmax_is_cross_entropy():
    x, labels = normal((2, 3, 4))[0], np.array([[0, 2, 1, 1], [-100, 0, 2, 0]])
    options = {"weight": np.array([1.0, 2.0, 0.5])}

    assert_close(
        ops.nll_loss(ops.log_softmax(x, 1), labels, **options),
        ops.cross_entropy(x, labels, **options),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((3, 4), [0, -100, 3]),
        ((3, 4), [0, 2, 3]),
        ((4,), 2),
        ((2, 3, 2), [[0, 1], [2, -100]]),
    ],
)
def test_cross_entropy_has_its_derivatives(shape, labels, smoothing, reduction):
    options = {"label_smoothing": smoothing, "reduction": reduction}
    x, q = normal(shape, shape)

    bp.check_grads(lambda x: ops.cross_entropy(x, np.array(labels), **options), (x,))
    bp.check_grads(lambda x, q: ops.cross_entropy(x, q, **options), (x, np.abs(q)))
    bp.check_grads(lambda q: ops.cross_entropy(x, q, **options), (np.abs(q),))


# Losses entry by entry.


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("loss", "entry"),
    [
        (ops.mse_loss, lambda x, y: (x - y) ** 2),
        (ops.l1_loss, lambda x, y: abs(x - y)),
        (
            lambda x, y, r: ops.huber_loss(x, y, r, 0.7),
            lambda x, y: (
                (x - y) ** 2 / 2 if abs(x - y) < 0.7 else 0.7 * (abs(x - y) - 0.35)
            ),
        ),
        (
            lambda x, y, r: ops.smooth_l1_loss(x, y, r, 0.7),
            lambda x, y: (
                (x - y) ** 2 / 1.4 if abs(x - y) < 0.7 else abs(x - y) - 0.35
            ),
        ),
        (
            lambda x, y, r: ops.smooth_l1_loss(x, y, r, 0),
            lambda x, y: abs(x - y),
        ),
        (
            lambda x, y, r: ops.binary_cross_entropy_with_logits(x, y, None, r),
            lambda x, y: y * log(1 + np.exp(-x)) + (1 - y) * log(1 + np.exp(x)),
        ),
        (
            lambda x, y, r: ops.kl_div(x, np.exp(y), r),
            lambda x, y: np.exp(y) * (y - x),
        ),
        (
            lambda x, y, r: ops.kl_div(x, y, r, True),
            lambda x, y: np.exp(y) * (y - x),
        ),
    ],
)  # fmt: skip
def test_a_loss_is_its_formula_reduced_and_has_its_derivatives(loss, entry, reduction):
    x, y = normal((3, 4), (3, 4))
    entries = np.vectorize(entry)(x, y)
    expected = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](entries)

    assert_close(loss(x, y, reduction), expected)
    bp.check_grads(lambda x, y: loss(x, y, reduction), (x, y))


def test_weights_of_entries():
    x, y, w = normal((3, 4), (3, 4), (4,))
    w = np.abs(w)
    total = (np.abs(x - y) * w).sum()

    assert_close(ops.l1_loss(x, y, weight=w), total / (3 * w.sum()))
    assert_close(ops.l1_loss(x, y, "sum", w), total)
    bp.check_grads(lambda x, y: ops.mse_loss(x, y, weight=w), (x, y))
    bp.check_grads(lambda x, y: ops.huber_loss(x, y, weight=w), (x, y))


def test_logits_far_out_do_not_overflow():
    x, y = np.array([1000.0, -1000.0]), np.array([1.0, 1.0])

    got = ops.binary_cross_entropy_with_logits(x, y, reduction="none")

    assert got.tolist() == [0, 1000]


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.5])])
@pytest.mark.parametrize("pos_weight", [None, np.array([2.0, 3.0])])
def test_a_missed_yes_costs_more_with_pos_weight(weight, pos_weight):
    x, y = normal((3, 2), (3, 2))
    y = 1 / (1 + np.exp(-y))
    p, w = (
        np.ones(2) if pos_weight is None else pos_weight,
        np.ones(2) if weight is None else weight,
    )
    yes, no = np.log(1 / (1 + np.exp(-x))), np.log(1 / (1 + np.exp(x)))

    def loss(x, y):
        return ops.binary_cross_entropy_with_logits(x, y, weight, "none", pos_weight)

    assert_close(loss(x, y), -w * (p * y * yes + (1 - y) * no))
    bp.check_grads(loss, (x, y))


def test_batchmean_divides_by_the_rows():
    x, y = np.log([[0.5, 0.5], [0.9, 0.1]]), np.array([[1.0, 0.0], [0.9, 0.1]])

    assert_close(ops.kl_div(x, y, "batchmean"), log(2) / 2)


def test_a_target_of_zero_has_divergence_zero_and_slope_zero():
    _, pull = bp.vjp(lambda y: ops.kl_div(np.array([-1.0]), y), np.array([0.0]))

    assert pull(1.0)[0].tolist() == [0]


def test_a_mean_over_no_entries_is_nan():
    assert np.isnan(ops.mse_loss(np.zeros((0, 2)), np.zeros((0, 2))))


# Normalisations.


def test_batch_norm_is_its_formula():
    x, gamma, beta = normal((5, 3), (3,), (3,))
    z = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    assert_close(ops.batch_norm(x, gamma, beta), gamma * z + beta)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 2)])
def test_the_gradient_of_batch_norm_has_no_mean_and_no_share_of_z(shape):
    x, gamma, beta, g = normal(shape, (3,), (3,), shape)
    axes = (0, *range(2, len(shape)))
    z = ops.batch_norm(x, np.ones(3), np.zeros(3), eps=0)

    _, pull = bp.vjp(lambda x: ops.batch_norm(x, gamma, beta, eps=0), x)
    (dx,) = pull(g)

    assert_close(dx.sum(axes), np.zeros(3))
    assert_close((dx * z).sum(axes), np.zeros(3))


def test_batch_norm_of_two_rows_lets_no_gradient_through():
    x, g = normal((2, 3), (2, 3))

    _, pull = bp.vjp(lambda x: ops.batch_norm(x, np.ones(3), np.zeros(3), eps=0), x)

    assert_close(pull(g)[0], np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, float])
def test_known_moments_give_the_same_batch_norm(dtype):
    x, gamma, beta = normal((4, 3, 5), (3,), (3,), dtype=dtype)
    known = ops.moments(x)

    assert_close(known[0], x.astype(known[0].dtype).mean((0, 2)))
    assert_close(known[1], x.astype(known[1].dtype).var((0, 2)))
    np.testing.assert_array_equal(
        ops.batch_norm(x, gamma, beta, moments=known), ops.batch_norm(x, gamma, beta)
    )


def test_layer_norm_rms_norm_and_group_norm_are_their_formulas():
    x, w, b = normal((2, 4, 3), (4, 3), (4, 3))
    flat = x.reshape(2, 12)
    centred = flat - flat.mean(1, keepdims=True)
    z = (centred / np.sqrt(flat.var(1, keepdims=True) + 0.1)).reshape(x.shape)
    root = np.sqrt((flat**2).mean(1) + 0.1).reshape(2, 1, 1)

    assert_close(ops.layer_norm(x, (4, 3), w, b, 0.1), w * z + b)
    assert_close(ops.rms_norm(x, (4, 3), w, 0.1), w * x / root)
    assert_close(
        ops.group_norm(x, 1, w[:, 0], b[:, 0], 0.1),
        w[:, :1] * z + b[:, :1],
    )


def test_one_group_for_each_channel_is_batch_norm_of_single_examples():
    (x,) = normal((2, 4, 5))

    got = ops.group_norm(x, 4)

    for n in range(2):
        assert_close(got[n : n + 1], ops.batch_norm(x[n : n + 1], None, None))


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("norm", "shape", "of"),
    [
        (lambda x, w, b: ops.batch_norm(x, w, b), (5, 3), (3,)),
        (lambda x, w, b: ops.batch_norm(x, w, b), (3, 2, 4), (2,)),
        (lambda x, w, b: ops.layer_norm(x, 4, w, b), (3, 4), (4,)),
        (lambda x, w, b: ops.layer_norm(x, (2, 4), w, b), (3, 2, 4), (2, 4)),
        (lambda x, w, b: ops.group_norm(x, 2, w, b), (3, 4, 3), (4,)),
        (lambda x, w, b: ops.rms_norm(x, 4, w), (3, 4), (4,)),
    ],
)
def test_a_norm_has_its_derivatives_with_and_without_weights(
    norm, shape, of, weight, bias
):
    x, w, b = normal(shape, of, of)
    present = [x, *([w] if weight else []), *([b] if bias else [])]

    def f(x, *weights):
        rest = list(weights)
        return norm(x, rest.pop(0) if weight else None, rest.pop(0) if bias else None)

    bp.check_grads(f, tuple(present))


def test_a_weight_of_a_wider_format_widens_the_result():
    x, w = np.ones((2, 3), np.float32), np.full(3, 1 / 3)

    for y in (ops.layer_norm(x, 3, w, w), ops.batch_norm(x, w, w)):
        assert y.dtype == float
        assert y.tolist() == [[1 / 3] * 3] * 2


def test_float16_statistics_do_not_overflow():
    x = np.array([[300.0, -300.0]], np.float16)

    y = ops.layer_norm(x, 2)

    assert y.dtype == np.float16
    assert y.tolist() == [[1, -1]]


# Convolution and pooling, against loops.


def loops(x, w, b, stride, before, after, dilation, groups):
    """Convolution by its definition."""
    x = np.pad(x, ((0, 0), (0, 0), *zip(before, after, strict=True)))
    n, _, *size = x.shape
    o, c, *kernel = w.shape
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    out = [
        (s - span) // step + 1
        for s, span, step in zip(size, spans, stride, strict=True)
    ]
    y = np.zeros((n, o, *out)) + b[:, None, None]
    for i, k, h, v in np.ndindex(n, o, *out):
        first = k // (o // groups) * c
        window = x[
            i,
            first : first + c,
            h * stride[0] : h * stride[0] + spans[0] : dilation[0],
            v * stride[1] : v * stride[1] + spans[1] : dilation[1],
        ]
        y[i, k, h, v] += (window * w[k]).sum()
    return y


CONVOLUTIONS = {
    "plain": {},
    "stride": {"stride": (2, 1)},
    "padding": {"padding": (1, 2)},
    "dilation": {"dilation": (1, 2)},
    "all": {"stride": 2, "padding": 1, "dilation": (2, 1), "groups": 2},
    "depthwise": {"groups": 4},
    "valid": {"padding": "valid"},
    "same": {"padding": "same"},
    "same, dilated": {"padding": "same", "dilation": (2, 3)},
}


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def pads(padding, kernel, dilation):
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        extra = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(e // 2 for e in extra), tuple(e - e // 2 for e in extra)
    return pair(padding), pair(padding)


@pytest.mark.parametrize("kernel", [(2, 3), (1, 1)])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_is_its_definition(case, kernel):
    options = CONVOLUTIONS[case]
    groups, dilation = options.get("groups", 1), pair(options.get("dilation", 1))
    x, w, b = normal((2, 4, 5, 7), (4, 4 // groups, *kernel), (4,))
    before, after = pads(options.get("padding", 0), kernel, dilation)

    got = ops.conv2d(x, w, b, **options)

    stride = pair(options.get("stride", 1))
    assert_close(got, loops(x, w, b, stride, before, after, dilation, groups))


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv2d_has_its_derivatives(case):
    options = CONVOLUTIONS[case]
    features = 4 if options.get("groups") == 4 else 2
    channels = 4 // options.get("groups", 2)
    x, w, b = normal(
        (2, channels * options.get("groups", 1), 3, 5),
        (features, channels, 2, 3),
        (features,),
    )

    bp.check_grads(lambda x, w, b: ops.conv2d(x, w, b, **options), (x, w, b))


def test_the_loops_tell_a_flipped_kernel():
    x, w, b = normal((2, 4, 5, 7), (4, 4, 2, 3), (4,))
    plain = ((1, 1), (0, 0), (0, 0), (1, 1), 1)

    with pytest.raises(AssertionError):
        assert_close(ops.conv2d(x, np.flip(w, (2, 3)), b), loops(x, w, b, *plain))


def test_conv1d_is_conv2d_of_one_row():
    x, w = normal((2, 4, 9), (6, 2, 3))
    options = {"padding": 2, "dilation": 2, "groups": 2}

    assert_close(
        ops.conv1d(x, w, **options),
        ops.conv2d(
            x[:, :, None], w[:, :, None], padding=(0, 2), dilation=(1, 2), groups=2
        )[:, :, 0],
    )
    bp.check_grads(lambda x, w: ops.conv1d(x, w, stride=2, **options), (x, w))


def test_one_example_needs_no_batch():
    x, w, b = normal((3, 5, 6), (2, 3, 3, 3), (2,))

    assert_close(ops.conv2d(x, w, b), ops.conv2d(x[None], w, b)[0])
    assert_close(
        ops.conv1d(x[:, 0], w[:, :, 0], b), ops.conv1d(x[None, :, 0], w[:, :, 0], b)[0]
    )
    assert_close(ops.max_pool2d(x, 2), ops.max_pool2d(x[None], 2)[0])
    assert_close(ops.avg_pool2d(x, 2), ops.avg_pool2d(x[None], 2)[0])
    assert_close(ops.unfold(x, 2), ops.unfold(x[None], 2)[0])
    bp.check_grads(ops.conv2d, (x, w, b))


def test_a_convolution_of_an_empty_batch_is_empty():
    _, pull = bp.vjp(ops.conv2d, np.zeros((0, 2, 4, 4)), *normal((3, 2, 2, 2), (3,)))

    dx, dw, db = pull(np.zeros((0, 3, 3, 3)))

    assert dx.shape == (0, 2, 4, 4)
    assert not dw.any()
    assert not db.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_convolution_and_pooling_keep_the_format(dtype):
    x, w, b = (
        bp.tensor(a, requires_grad=True)
        for a in normal((2, 3, 4, 4), (4, 3, 3, 3), (4,), dtype=dtype)
    )

    y = ops.max_pool2d(ops.avg_pool2d(ops.conv2d(x, w, b, padding=1), 2), 2)
    y.sum().backward()

    assert {a.dtype for a in (y, x.grad, w.grad, b.grad)} == {np.dtype(dtype)}


POOLINGS = {
    "plain": {"kernel_size": 2},
    "overlapping": {"kernel_size": (3, 2), "stride": (1, 2)},
    "padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "ceil": {"kernel_size": 2, "stride": 2, "ceil_mode": True},
    "ceil, padded": {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
    "gaps": {"kernel_size": 2, "stride": 3, "ceil_mode": True},
}


def pooled(x, reduce, kernel_size, stride=None, padding=0, ceil_mode=False):
    """Each window's places inside the padded image, reduced by a function of them."""
    kernel, pad = pair(kernel_size), pair(padding)
    step = kernel if stride is None else pair(stride)
    h, w = x.shape[-2:]
    sizes = []
    for size, k, s, p in zip((h, w), kernel, step, pad, strict=True):
        steps = (size + 2 * p - k) / s
        count = int(np.ceil(steps) if ceil_mode else np.floor(steps)) + 1
        sizes.append(count - ((count - 1) * s >= size + p))
    y = np.zeros((*x.shape[:-2], *sizes))
    for i, j in np.ndindex(*sizes):
        top, left = i * step[0] - pad[0], j * step[1] - pad[1]
        bottom = min(top + kernel[0], h + pad[0])
        right = min(left + kernel[1], w + pad[1])
        area = (bottom - top) * (right - left)
        inside = x[..., max(top, 0) : min(bottom, h), max(left, 0) : min(right, w)]
        y[..., i, j] = reduce(inside, area)
    return y


@pytest.mark.parametrize("case", POOLINGS)
def test_pooling_is_its_definition_and_has_its_derivatives(case):
    (x,), options = normal((2, 1, 5, 4)), POOLINGS[case]

    for f, reduce in (
        (ops.max_pool2d, lambda a, _: a.max((-1, -2))),
        (ops.avg_pool2d, lambda a, area: a.sum((-1, -2)) / area),
        (
            lambda x, **o: ops.avg_pool2d(x, count_include_pad=False, **o),
            lambda a, _: a.mean((-1, -2)),
        ),
        (
            lambda x, **o: ops.avg_pool2d(x, divisor_override=5, **o),
            lambda a, _: a.sum((-1, -2)) / 5,
        ),
    ):
        assert_close(f(x, **options), pooled(x, reduce, **options))
        bp.check_grads(lambda x, f=f: f(x, **options), (x,))


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = np.array([[[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]]])

    got = bp.grad(lambda x: ops.max_pool2d(x, (2, 3)).sum())(x)

    assert got.tolist() == [[[0, 1, 0], [0, 0, 0]]]


def test_overlapping_windows_add_up_at_a_common_maximum():
    x = np.array([[[0.0, 2.0, 1.0]]])

    got = bp.grad(lambda x: ops.max_pool2d(x, (1, 2), 1).sum())(x)

    assert got.tolist() == [[[0, 2, 0]]]


def test_unfold_writes_out_the_windows_that_conv2d_reads():
    x, w = normal((2, 3, 5, 6), (4, 3, 2, 3))
    options = {"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)}

    columns = ops.unfold(x, (2, 3), **options)

    y = ops.conv2d(x, w, **options)
    assert_close(w.reshape(4, -1) @ columns, y.reshape(2, 4, -1))


def test_fold_counts_how_many_windows_see_a_place():
    ones = np.ones((1, 3, 4))

    got = ops.fold(ops.unfold(ones, 2), (3, 4), 2)

    assert got.tolist() == [[[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]]


# Attention, embedding, dropout.


def attended(q, k, v, mask=0.0, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (scale or 1 / sqrt(q.shape[-1]))
    return softmax(scores + mask, -1) @ v


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_attention_is_its_formula_and_has_its_derivatives(lead):
    q, k, v, m = normal((*lead, 3, 4), (*lead, 5, 4), (*lead, 5, 2), (3, 5))

    assert_close(ops.scaled_dot_product_attention(q, k, v), attended(q, k, v))
    assert_close(
        ops.scaled_dot_product_attention(q, k, v, m, scale=0.3),
        attended(q, k, v, m, 0.3),
    )
    bp.check_grads(ops.scaled_dot_product_attention, (q, k, v, m))


@pytest.mark.parametrize("k", range(4))
def test_one_input_alone_may_want_its_gradient(k):
    inputs = normal((2, 3, 4), (2, 5, 4), (2, 5, 2), (3, 5))

    bp.check_grads(
        lambda x: ops.scaled_dot_product_attention(*inputs[:k], x, *inputs[k + 1 :]),
        (inputs[k],),
    )


def test_batches_of_queries_and_keys_broadcast():
    q, k, v, m = normal((2, 1, 3, 4), (3, 5, 4), (2, 3, 5, 2), (5,))

    assert_close(ops.scaled_dot_product_attention(q, k, v, m), attended(q, k, v, m))
    bp.check_grads(ops.scaled_dot_product_attention, (q, k, v, m))


def test_a_causal_query_sees_only_what_came_before():
    q, k, v = normal((4, 3), (5, 3), (5, 2))
    mask = np.tri(4, 5, dtype=bool)

    got = ops.scaled_dot_product_attention(q, k, v, is_causal=True)

    assert_close(got, attended(q, k, v, np.where(mask, 0, -np.inf)))
    assert_close(got[0], v[0])
    assert_close(got, ops.scaled_dot_product_attention(q, k, v, mask))
    bp.check_grads(
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=True),
        (q, k, v),
    )


@pytest.mark.parametrize("numbers", [False, True])
def test_a_query_that_may_see_nothing_gets_zero(numbers):
    q, k, v = normal((2, 3), (4, 3), (4, 2))
    mask = np.array([[False] * 4, [True, False, True, True]])
    if numbers:
        mask = np.where(mask, 0, -np.inf)

    def f(q, k, v):
        return ops.scaled_dot_product_attention(q, k, v, mask)

    assert f(q, k, v)[0].tolist() == [0, 0]
    assert bp.vjp(f, q, k, v)[1](np.ones((2, 2)))[0][0].tolist() == [0, 0, 0]
    bp.check_grads(f, (q, k, v))


def test_attention_with_dropout_has_the_derivatives_of_its_draw():
    q, k, v = normal((2, 3, 4), (2, 5, 4), (2, 5, 2))

    def f(q, k, v):
        rng = np.random.default_rng(0)
        return ops.scaled_dot_product_attention(q, k, v, None, 0.5, rng=rng)

    assert np.any(f(q, k, v) != ops.scaled_dot_product_attention(q, k, v))
    bp.check_grads(f, (q, k, v))


def test_an_embedding_row_learns_from_every_use_but_padding():
    w, ids = np.zeros((3, 2)), np.array([[0, 2], [2, 1]])

    def gradient(padding_idx):
        return bp.grad(lambda w: ops.embedding(ids, w, padding_idx).sum())(w)

    assert gradient(None).tolist() == [[1, 1], [1, 1], [2, 2]]
    assert gradient(-1).tolist() == [[1, 1], [1, 1], [0, 0]]


def test_dropout_keeps_the_mean_and_sends_the_gradient_the_same_way():
    x = bp.tensor(np.ones(10_000), requires_grad=True)

    y = ops.dropout(x, 0.2, rng=np.random.default_rng(0))
    y.sum().backward()

    assert set(np.unique(y.data).tolist()) == {0, 1 / (1 - 0.2)}
    assert abs(np.mean(y.data == 0) - 0.2) < 3 * sqrt(0.2 * 0.8 / 10_000)
    np.testing.assert_array_equal(x.grad, y.data)


def test_dropout_draws_the_same_in_every_format():
    masks = [
        ops.dropout(np.ones(100, dtype), rng=np.random.default_rng(0)).tolist()
        for dtype in (np.float16, np.float32, float)
    ]

    assert masks[0] == masks[1] == masks[2]


def test_dropout_of_everything_is_zero_and_of_nothing_is_the_same():
    (x,) = normal((3,))

    assert ops.dropout(x, 1.0, rng=np.random.default_rng(0)).tolist() == [0, 0, 0]
    assert ops.dropout(x, 0.0) is x
    assert ops.dropout(x, 0.5, training=False) is x


# Messages.

X, LABELS = np.zeros((4, 3)), np.array([0, 1, 2, 0])
IMAGE = np.zeros((1, 2, 4, 4))
MESSAGES = {
    "cross_entropy-reduction": (
        lambda: ops.cross_entropy(X, LABELS, reduction="avrage"),
        RangeError,
        "cross_entropy: reduction is 'avrage'; it must be 'mean', 'sum' or 'none'.",
    ),
    "cross_entropy-shape": (
        lambda: ops.cross_entropy(X, np.zeros((4, 1), int)),
        ShapeError,
        "cross_entropy: x is (4, 3) and target is (4, 1); "
        "target must be (4,) class numbers, or (4, 3) probabilities.",
    ),
    "cross_entropy-scalar": (
        lambda: ops.cross_entropy(np.float64(1), 0),
        ShapeError,
        "cross_entropy: x is a scalar; (k,), (n, k) or (n, k, ...) is required.",
    ),
    "cross_entropy-range": (
        lambda: ops.cross_entropy(X, LABELS + 1),
        RangeError,
        "cross_entropy: the class numbers run from 1 to 3; "
        "with 3 classes they must lie in 0..2.\n"
        "  help: count classes from 0; ignore_index=-100 marks rows to leave out.",
    ),
    "cross_entropy-negative": (
        lambda: ops.cross_entropy(X, LABELS - 1),
        RangeError,
        "cross_entropy: the class numbers run from -1 to 1; "
        "with 3 classes they must lie in 0..2.\n"
        "  help: count classes from 0; ignore_index=-100 marks rows to leave out.",
    ),
    "cross_entropy-float": (
        lambda: ops.cross_entropy(X, LABELS / 1),
        DTypeError,
        "cross_entropy: target is (4,) of float64; "
        "it must be (4,) integers, or (4, 3) probabilities.\n"
        "  help: `target.astype(int)`.",
    ),
    "cross_entropy-onehot": (
        lambda: ops.cross_entropy(X, np.zeros((4, 3), int)),
        DTypeError,
        "cross_entropy: target is (4, 3) of int64; "
        "it must be (4,) integers, or (4, 3) probabilities.\n"
        "  help: `target.astype(float)`.",
    ),
    "cross_entropy-weight": (
        lambda: ops.cross_entropy(X, LABELS, np.ones(4)),
        ShapeError,
        "cross_entropy: weight is (4,); with 3 classes it must be (3,).",
    ),
    "cross_entropy-smoothing": (
        lambda: ops.cross_entropy(X, LABELS, label_smoothing=1.5),
        RangeError,
        "cross_entropy: label_smoothing is 1.5; it must lie between 0 and 1.",
    ),
    "nll_loss": (
        lambda: ops.nll_loss(X, X),
        ShapeError,
        "nll_loss: x is (4, 3) and target is (4, 3); "
        "target must be (4,) class numbers.",
    ),
    "mse_loss": (
        lambda: ops.mse_loss(np.zeros((4, 1)), np.zeros(4)),
        ShapeError,
        "mse_loss: x is (4, 1) and y is (4,); "
        "y must have, or broadcast to, x's shape.\n"
        "  help: `y.reshape((4, 1))`, if the numbers are in that order.",
    ),
    "huber_loss": (
        lambda: ops.huber_loss(X, X, delta=0),
        RangeError,
        "huber_loss: delta is 0; it must be positive.",
    ),
    "smooth_l1_loss": (
        lambda: ops.smooth_l1_loss(X, X, beta=-1),
        RangeError,
        "smooth_l1_loss: beta is -1; it must be positive.",
    ),
    "kl_div": (
        lambda: ops.kl_div(X, X, "batch"),
        RangeError,
        "kl_div: reduction is 'batch'; "
        "it must be 'mean', 'batchmean', 'sum' or 'none'.",
    ),
    "batch_norm-x": (
        lambda: ops.batch_norm(np.zeros(3), np.ones(3), np.zeros(3)),
        ShapeError,
        "batch_norm: x is (3,); (n, d) or (n, d, ...) is required.\n"
        "  help: a batch has one row for each example: `x[:, None]` for one feature.",
    ),
    "batch_norm-gamma": (
        lambda: ops.batch_norm(X, np.ones(4), np.zeros(3)),
        ShapeError,
        "batch_norm: x is (4, 3) and gamma is (4,); gamma must be (3,).",
    ),
    "layer_norm": (
        lambda: ops.layer_norm(X, 4),
        ShapeError,
        "layer_norm: x is (4, 3) and normalized_shape is (4,); x must end with it.",
    ),
    "group_norm-x": (
        lambda: ops.group_norm(np.zeros(4), 2),
        ShapeError,
        "group_norm: x is (4,); (n, c) or (n, c, ...) is required.",
    ),
    "group_norm-groups": (
        lambda: ops.group_norm(X, 2),
        RangeError,
        "group_norm: num_groups is 2; it must divide the 3 channels.",
    ),
    "conv2d-x": (
        lambda: ops.conv2d(X, np.zeros((1, 1, 2, 2))),
        ShapeError,
        "conv2d: x is (4, 3); (n, c, h, w), or (c, h, w) for one example, is required.",
    ),
    "conv2d-w": (
        lambda: ops.conv2d(IMAGE, np.zeros((1, 2, 2))),
        ShapeError,
        "conv2d: w is (1, 2, 2); (o, c, kh, kw) is required.",
    ),
    "conv1d-w": (
        lambda: ops.conv1d(X, np.zeros((1, 2))),
        ShapeError,
        "conv1d: w is (1, 2); (o, c, kw) is required.",
    ),
    "conv2d-b": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 2, 2)), np.zeros(2)),
        ShapeError,
        "conv2d: b is (2,); it must be (3,).",
    ),
    "conv2d-channels": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 1, 2, 2)), groups=1),
        ShapeError,
        "conv2d: x has 2 channels and w is (3, 1, 2, 2); with groups=1 "
        "w must be (o, 2/1, ...) and 1 divide o.",
    ),
    "conv2d-fit": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 5, 5))),
        ShapeError,
        "conv2d: the window reaches over (5, 5) places and the padded input has "
        "(4, 4); the window must fit.\n"
        "  help: take a smaller kernel or more padding.",
    ),
    "conv2d-padding": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 2, 2)), padding="full"),
        RangeError,
        "conv2d: padding is 'full'; 'valid', 'same' or numbers are required.",
    ),
    "conv2d-same": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 2, 2)), stride=2, padding="same"),
        RangeError,
        "conv2d: padding is 'same' and stride is (2, 2); "
        "the size can stay the same with stride 1 only.",
    ),
    "conv2d-stride": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 2, 2)), stride=0),
        RangeError,
        "conv2d: stride is 0; at least 1 is required.",
    ),
    "conv2d-pair": (
        lambda: ops.conv2d(IMAGE, np.zeros((3, 2, 2, 2)), dilation=(1, 1, 1)),
        ShapeError,
        "conv2d: dilation is (1, 1, 1); one number, or 2, is required.",
    ),
    "max_pool2d": (
        lambda: ops.max_pool2d(IMAGE, 2, padding=2),
        RangeError,
        "max_pool2d: padding is 2 and kernel_size is 2; "
        "at most half of the window may be padding.",
    ),
    "avg_pool2d-x": (
        lambda: ops.avg_pool2d(X, 2),
        ShapeError,
        "avg_pool2d: x is (4, 3); (n, c, h, w) or (c, h, w) is required.",
    ),
    "avg_pool2d-divisor": (
        lambda: ops.avg_pool2d(IMAGE, 2, divisor_override=0),
        RangeError,
        "avg_pool2d: divisor_override is 0; it must not be.",
    ),
    "fold": (
        lambda: ops.fold(np.zeros((1, 8, 5)), (3, 3), 2),
        ShapeError,
        "fold: y is (1, 8, 5); (n, c 4, 4) is required: "
        "the window has 4 places and 4 positions.",
    ),
    "embedding-dtype": (
        lambda: ops.embedding(np.zeros(2), X),
        DTypeError,
        "embedding: ids have dtype float64; integers are required.\n"
        "  help: `ids.astype(int)`.",
    ),
    "embedding-range": (
        lambda: ops.embedding(np.array([-1, 2]), X),
        RangeError,
        "embedding: ids run from -1 to 2; w has 4 rows, so they must lie in 0..3.",
    ),
    "embedding-padding": (
        lambda: ops.embedding(LABELS, X, 4),
        RangeError,
        "embedding: padding_idx is 4; w has 4 rows, so it must lie in -4..3.",
    ),
    "dropout-rng": (
        lambda: ops.dropout(X, 0.5),
        RangeError,
        "dropout: rng is None; a numpy.random.Generator is required.\n"
        "  help: pass rng=np.random.default_rng(0).",
    ),
    "dropout-p": (
        lambda: ops.dropout(X, 2, False),
        RangeError,
        "dropout: p is 2; a probability in 0..1 is required.",
    ),
    "attention-shapes": (
        lambda: ops.scaled_dot_product_attention(X, X, X.T),
        ShapeError,
        "scaled_dot_product_attention: q is (4, 3), k is (4, 3) and v is (3, 4); "
        "(..., l, e), (..., s, e) and (..., s, d) are required.",
    ),
    "attention-mask": (
        lambda: ops.scaled_dot_product_attention(
            X, X, X, np.eye(4) > 0, is_causal=True
        ),
        RangeError,
        "scaled_dot_product_attention: attn_mask and is_causal are both given; "
        "one of them is allowed.\n"
        "  help: put the causal mask into it: `np.tri(l, s, dtype=bool) & attn_mask`.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_an_error_says_what_was_seen_and_what_is_required(case):
    f, error, message = MESSAGES[case]

    with pytest.raises(error) as caught:
        f()

    assert str(caught.value) == message


def test_query_heads_may_share_a_key_and_a_value_head():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, h, 3, 2)) for h in (4, 2, 2))

    def shared(k, v):
        y = ops.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return (y * q).sum()

    def apart(k, v):
        heads = [np.repeat(x, 2, axis=1) for x in (k, v)]
        return (ops.scaled_dot_product_attention(q, *heads) * q).sum()

    assert_close(apart(k, v), shared(k, v))
    for want, got in zip(
        bp.grad(apart, argnums=(0, 1))(k, v),
        bp.grad(shared, argnums=(0, 1))(k, v),
        strict=True,
    ):
        assert_close(want, got)


def test_query_heads_that_share_none_evenly_are_refused():
    q, k = np.zeros((1, 4, 3, 2)), np.zeros((1, 3, 3, 2))

    with pytest.raises(ShapeError) as caught:
        ops.scaled_dot_product_attention(q, k, k, enable_gqa=True)

    assert (
        "scaled_dot_product_attention: q is (1, 4, 3, 2) and k or v is (1, 3, 3, 2); "
        "with enable_gqa the heads (axis -3) of q must be a multiple of theirs."
    ) == str(caught.value)
