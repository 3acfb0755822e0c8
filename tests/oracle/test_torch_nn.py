"""The neural-network ops with all options against PyTorch, to second order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from backproplab import ops  # noqa: E402
from backproplab.transforms import grad, jvp, vjp  # noqa: E402

pytestmark = pytest.mark.oracle

TOLERANCE = np.finfo(float).eps ** 0.6  # sums of products, in another order


def _close(got, expected):
    assert np.shape(got) == tuple(expected.shape)
    expected = expected.detach().numpy(force=True)
    scale = max(np.max(np.abs(expected), initial=0), 1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * scale)


def agree(ours, theirs, *arrays, seed=0):
    """Compare value, vjp, jvp and the gradient of the vjp, with random directions."""
    rng = np.random.default_rng(seed)
    torch_arrays = [torch.tensor(x, requires_grad=True) for x in arrays]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        y = theirs(*torch_arrays)
    got, pull = vjp(ours, *arrays)
    _close(got, y)

    g = rng.normal(size=y.shape)
    torch_g = torch.tensor(g, requires_grad=True)
    pulled = torch.autograd.grad(y, torch_arrays, torch_g, create_graph=True)
    for c, expected in zip(pull(g), pulled, strict=True):
        _close(c, expected)

    ts = [rng.normal(size=x.shape) for x in arrays]
    _, tangent = jvp(ours, tuple(arrays), tuple(ts))
    paired = sum(
        np.vdot(c.detach().numpy(), t) for c, t in zip(pulled, ts, strict=True)
    )
    assert np.vdot(g, tangent) == pytest.approx(paired, rel=1e-9, abs=1e-11)

    def directed(g, *xs):
        return sum(
            ops.sum(c * t) for c, t in zip(vjp(ours, *xs)[1](g), ts, strict=True)
        )

    second = grad(directed, argnums=tuple(range(len(arrays) + 1)))(g, *arrays)
    torch_directed = sum(
        (c * torch.tensor(t)).sum() for c, t in zip(pulled, ts, strict=True)
    )
    expected = torch.autograd.grad(
        torch_directed, [torch_g, *torch_arrays], allow_unused=True
    )
    for c, e, x in zip(second, expected, [g, *arrays], strict=True):
        _close(c, torch.zeros(x.shape) if e is None else e)


def _normal(*shapes, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def test_the_comparison_tells_a_sum_from_a_mean():
    with pytest.raises(AssertionError):
        agree(ops.sum, torch.mean, *_normal((3, 4)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((5, 4), [0, 3, 1, 1, 2]),
        ((5, 4), [0, 3, -100, 1, 2]),
        ((4,), 2),
        ((2, 3, 2, 2), [[[0, 1], [2, -100]], [[1, 1], [0, 2]]]),
    ],
)
def test_cross_entropy_of_labels(shape, labels, smoothing, weighted, reduction):
    labels, (x,) = np.array(labels), _normal(shape)
    k = shape[1] if len(shape) > 1 else shape[0]
    weight = 0.5 + np.arange(k) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}

    agree(
        lambda x: ops.cross_entropy(x, labels, weight, **options),
        lambda x: F.cross_entropy(
            x,
            torch.tensor(labels),
            torch.tensor(weight) if weighted else None,
            **options,
        ),
        x,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 3, 4)])
def test_cross_entropy_of_probabilities(shape, smoothing, weighted, reduction):
    x, q = _normal(shape, shape)
    k = shape[1] if len(shape) > 1 else shape[0]
    weight = 0.5 + np.arange(k) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}

    agree(
        lambda x, q: ops.cross_entropy(x, q, weight, **options),
        lambda x, q: F.cross_entropy(
            x, q, torch.tensor(weight) if weighted else None, **options
        ),
        x,
        np.abs(q),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignored", [-100, 1])
def test_nll_loss(reduction, ignored):
    (x,), labels = _normal((5, 4)), np.array([0, 3, 1, 1, 2])
    weight = 0.5 + np.arange(4)
    options = {"ignore_index": ignored, "reduction": reduction}

    agree(
        lambda x: ops.nll_loss(x, labels, weight, **options),
        lambda x: F.nll_loss(x, torch.tensor(labels), torch.tensor(weight), **options),
        x,
    )


def test_cross_entropy_of_no_rows_is_nan_in_both():
    x, labels = np.zeros((2, 3)), np.array([-100, -100])

    ours, theirs = (
        ops.cross_entropy(x, labels),
        F.cross_entropy(torch.tensor(x), torch.tensor(labels)),
    )

    assert np.isnan(ours)
    assert theirs.isnan()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_losses_of_a_difference(name, weighted, reduction):
    x, y, w = _normal((3, 4), (3, 4), (3, 4))
    weight = np.abs(w) if weighted else None

    agree(
        lambda x, y: getattr(ops, name)(x, y, reduction=reduction, weight=weight),
        lambda x, y: getattr(F, name)(
            x,
            y,
            reduction=reduction,
            weight=torch.tensor(weight) if weighted else None,
        ),
        x,
        y,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("width", [0.3, 1.0, 2.5])
def test_huber_and_smooth_l1_widths(width, reduction):
    x, y = _normal((3, 4), (3, 4))

    agree(
        lambda x, y: ops.huber_loss(x, y, reduction, width),
        lambda x, y: F.huber_loss(x, y, reduction, width),
        x,
        y,
    )
    agree(
        lambda x, y: ops.smooth_l1_loss(x, y, reduction, width),
        lambda x, y: F.smooth_l1_loss(x, y, reduction=reduction, beta=width),
        x,
        y,
    )


def test_losses_at_their_kinks():
    x, y = np.array([1.0, 2.0, 0.0, -1.0]), np.array([1.0, 1.0, 1.0, -1.5])

    for name in ("l1_loss", "huber_loss", "smooth_l1_loss"):
        _, pull = vjp(lambda x, name=name: getattr(ops, name)(x, y), x)
        t = torch.tensor(x, requires_grad=True)
        getattr(F, name)(t, torch.tensor(y)).backward()

        assert pull(1.0)[0].tolist() == t.grad.tolist()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("positive", [False, True])
def test_binary_cross_entropy_with_logits(weighted, positive, reduction):
    x, y, w, p = _normal((3, 4), (3, 4), (4,), (4,))
    weight, pos_weight = (
        np.abs(a) if use else None for a, use in ((w, weighted), (p, positive))
    )

    agree(
        lambda x, y: ops.binary_cross_entropy_with_logits(
            x, y, weight, reduction, pos_weight
        ),
        lambda x, y: F.binary_cross_entropy_with_logits(
            x,
            y,
            torch.tensor(weight) if weighted else None,
            reduction=reduction,
            pos_weight=torch.tensor(pos_weight) if positive else None,
        ),
        x,
        np.abs(y),
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum", "none"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div(log_target, reduction):
    x, y = _normal((3, 4), (3, 4))

    agree(
        lambda x, y: ops.kl_div(x, y, reduction, log_target),
        lambda x, y: F.kl_div(x, y, reduction=reduction, log_target=log_target),
        x,
        y if log_target else np.abs(y),
    )


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 2, 2)])
def test_batch_norm(shape):
    agree(
        lambda x, w, b: ops.batch_norm(x, w, b, eps=0.01),
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=0.01),
        *_normal(shape, (3,), (3,)),
    )


@pytest.mark.parametrize(
    ("shape", "tail"), [((4, 3), (3,)), ((2, 3, 4), (3, 4)), ((5,), (5,))]
)
def test_layer_norm_and_rms_norm(shape, tail):
    x, w, b = _normal(shape, tail, tail)

    agree(
        lambda x, w, b: ops.layer_norm(x, tail, w, b, 0.01),
        lambda x, w, b: F.layer_norm(x, tail, w, b, 0.01),
        x,
        w,
        b,
    )
    agree(lambda x: ops.layer_norm(x, tail), lambda x: F.layer_norm(x, tail), x)
    agree(
        lambda x, w: ops.rms_norm(x, tail, w),
        lambda x, w: F.rms_norm(x, tail, w),
        x,
        w,
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 4, 2, 3)])
def test_group_norm(shape, groups):
    agree(
        lambda x, w, b: ops.group_norm(x, groups, w, b, 0.01),
        lambda x, w, b: F.group_norm(x, groups, w, b, 0.01),
        *_normal(shape, (4,), (4,)),
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"padding": 1},
        {"padding": (2, 1), "stride": (1, 2)},
        {"dilation": 2, "padding": 2},
        {"dilation": (1, 2), "stride": (2, 1)},
        {"padding": "valid"},
        {"padding": "same"},
        {"padding": "same", "dilation": (2, 3)},
        {"groups": 2},
        {"groups": 4, "stride": 2, "padding": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("kernel", [(3, 2), (1, 1)])
def test_conv2d(options, batch, kernel):
    groups = options.get("groups", 1)

    agree(
        lambda x, w, b: ops.conv2d(x, w, b, **options),
        lambda x, w, b: F.conv2d(x, w, b, **options),
        *_normal((*batch, 4, 6, 7), (8, 4 // groups, *kernel), (8,)),
    )


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2},
        {"padding": "same", "dilation": 3},
        {"groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_conv1d(options, batch):
    groups = options.get("groups", 1)

    agree(
        lambda x, w: ops.conv1d(x, w, **options),
        lambda x, w: F.conv1d(x, w, **options),
        *_normal((*batch, 4, 9), (6, 4 // groups, 4)),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2), "stride": (1, 2)},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 2, "dilation": (2, 1), "stride": 1},
        {"kernel_size": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("tied", [False, True])
def test_max_pool2d(options, batch, tied):
    (x,) = _normal((*batch, 3, 7, 6))

    agree(
        lambda x: ops.max_pool2d(x, **options),
        lambda x: F.max_pool2d(x, **options),
        np.round(x) if tied else x,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2), "stride": (1, 2)},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
        {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "divisor_override": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("with_padding", [False, True])
def test_avg_pool2d(options, batch, with_padding):
    options = {**options, "count_include_pad": with_padding}

    agree(
        lambda x: ops.avg_pool2d(x, **options),
        lambda x: F.avg_pool2d(x, **options),
        *_normal((*batch, 3, 7, 6)),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (0, 1)},
        {"kernel_size": 2, "dilation": 2, "padding": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_unfold_and_fold(options, batch):
    (x,) = _normal((*batch, 3, 5, 6))
    columns = F.unfold(torch.tensor(x), **options).shape

    agree(lambda x: ops.unfold(x, **options), lambda x: F.unfold(x, **options), x)
    agree(
        lambda y: ops.fold(y, (5, 6), **options),
        lambda y: F.fold(y, (5, 6), **options),
        *_normal(tuple(columns)),
    )


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx):
    ids = np.array([[0, 2, 2], [4, 1, 2]])

    agree(
        lambda w: ops.embedding(ids, w, padding_idx),
        lambda w: F.embedding(torch.tensor(ids), w, padding_idx),
        *_normal((5, 3)),
    )


_MASKS = {
    "booleans": np.tri(4, 5, 1, dtype=bool),
    "blind query": np.array([[1, 1, 0, 0, 1], [0] * 5, [1] * 5, [0, 0, 1, 0, 0]]) > 0,
    "each head": np.arange(40).reshape(2, 1, 4, 5) % 3 > 0,
}


@pytest.mark.parametrize("mask", _MASKS)
def test_attention_with_a_mask_of_booleans(mask):
    mask = _MASKS[mask]

    agree(
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, mask),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.tensor(mask)),
        *_normal((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 2)),
    )


@pytest.mark.parametrize("shape", [(4, 5), (3, 1, 5), (2, 3, 4, 5)])
def test_attention_with_a_mask_of_numbers_learns_the_mask(shape):
    agree(
        ops.scaled_dot_product_attention,
        F.scaled_dot_product_attention,
        *_normal((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 2), shape),
    )


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_attention(scale, causal, lead):
    agree(
        lambda q, k, v: ops.scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=scale
        ),
        lambda q, k, v: F.scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=scale
        ),
        *_normal((*lead, 4, 6), (*lead, 5, 6), (*lead, 5, 2)),
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("rows", [2, 4])
def test_scatter_add(axis, rows):
    rng = np.random.default_rng(2)
    index = rng.integers(4, size=(rows, 3))

    agree(
        lambda x, source: ops.scatter_add(x, axis, index, source),
        lambda x, source: torch.scatter_add(x, axis, torch.tensor(index), source),
        *_normal((4, 4), (rows, 3)),
    )
