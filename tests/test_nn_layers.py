"""Layers: what they compute where PyTorch is no judge, and what they refuse."""

import ast
from pathlib import Path

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim
from backproplab.errors import RangeError, ShapeError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def written(folder):
    """Names of the public classes in the files of a folder that have a forward."""
    return {
        part.name
        for path in folder.glob("*.py")
        for part in ast.parse(path.read_text("utf-8")).body
        if isinstance(part, ast.ClassDef) and not part.name.startswith("_")
        if "forward" in {getattr(line, "name", "") for line in part.body}
    }


def test_every_layer_that_is_written_has_its_name_in_nn():
    assert set() == written(Path(nn.__file__).parent) - {*nn.__all__}


def test_a_layer_without_a_name_in_nn_is_seen(tmp_path):
    (tmp_path / "new.py").write_text("class New:\n    def forward(self, x): ...\n")

    assert {"New"} == written(tmp_path)


def test_layers_are_single_precision_unless_told(rng):
    assert nn.Linear(2, 2, rng=rng).weight.dtype == np.float32
    assert nn.Linear(2, 2, rng=rng, dtype=np.float64).weight.dtype == np.float64


def test_single_precision_stays_through_a_network(rng):
    net = nn.Sequential(
        nn.Linear(4, 4, rng=rng), nn.BatchNorm1d(4), nn.GELU(), nn.LayerNorm(4),
        nn.Residual(nn.Linear(4, 4, rng=rng), 0.5), nn.Softplus(), nn.RMSNorm(4),
    )  # fmt: skip
    x = bp.tensor(rng.normal(size=(8, 4)).astype(np.float32), requires_grad=True)

    y = net(x)
    y.sum().backward()

    assert y.dtype == x.grad.dtype == np.float32
    assert {b.dtype for b in net.buffers()} == {np.dtype("f4"), np.dtype("i8")}
    assert {net.eval()(x.data).dtype} == {np.dtype("f4")}


def test_a_small_network_learns_xor(rng):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    net = nn.Sequential(nn.Linear(2, 8, rng=rng), nn.Tanh(), nn.Linear(8, 2, rng=rng))
    adam, loss_of = optim.Adam(net.parameters(), lr=0.05), nn.CrossEntropyLoss()

    for _ in range(150):
        adam.zero_grad()
        loss = loss_of(net(x), np.array([0, 1, 1, 0]))
        loss.backward()
        adam.step()

    assert loss.item() < 0.01


# Batch norm.


@pytest.mark.parametrize(
    ("convention", "share", "ddof"),
    [("pytorch", 0.1, 1), ("flax", 0.01, 0), ("keras", 0.01, 0)],
)
def test_each_convention_moves_the_running_statistics_its_way(
    rng, convention, share, ddof
):
    norm = nn.BatchNorm1d(3, convention=convention, dtype=np.float64)
    x = rng.normal(size=(5, 3))

    norm(x)

    assert np.allclose(norm.running_mean, share * x.mean(axis=0))
    assert np.allclose(norm.running_var, 1 - share + share * x.var(axis=0, ddof=ddof))
    assert norm.eps == (1e-3 if convention == "keras" else 1e-5)
    assert int(norm.num_batches_tracked) == 1


def test_running_statistics_become_new_arrays():
    norm = nn.BatchNorm1d(1)
    before = norm.running_mean

    norm(np.array([[1.0], [2.0]]))

    assert before.tolist() == [0.0]
    assert norm.running_mean is not before


def test_evaluation_leaves_the_running_statistics_alone():
    norm = nn.BatchNorm1d(1).eval()

    norm(np.array([[1.0], [2.0]]))

    assert norm.running_mean.tolist() == [0.0]
    assert int(norm.num_batches_tracked) == 0


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            lambda: nn.BatchNorm1d(4),
            (1, 4),
            "BatchNorm1d: x is (1, 4); in training each feature needs at least 2 "
            "values, because 1 has no variance.\n  help: pass a larger batch, or call "
            "`model.eval()` to use the running statistics.",
        ),
        (
            lambda: nn.BatchNorm1d(4),
            (3, 5),
            "BatchNorm1d: x is (3, 5); (n, d) or (n, d, length) is required, with "
            "d = 4.\n  help: the layer was built with num_features=4, "
            "the batch has 5.",
        ),
        (
            lambda: nn.BatchNorm2d(4),
            (3, 4),
            "BatchNorm2d: x is (3, 4); (n, d, height, width) is required, with d = 4.",
        ),
        (
            lambda: nn.Linear(12, 5, rng=np.random.default_rng(0)),
            (32, 10),
            "linear: x is (32, 10), w is (5, 12) and b is (5,); x.shape[-1] must equal "
            "w.shape[1], and b be (w.shape[0],).\n  help: the layer was built with "
            "in_features=12, the batch has 10 columns.",
        ),
        (
            lambda: nn.Linear(12, 5, bias=False, rng=np.random.default_rng(0)),
            (),
            "linear: x is a scalar and w is (5, 12); x.shape[-1] must equal "
            "w.shape[1], and b be (w.shape[0],).\n"
            "  help: the layer takes rows, this is a single number.",
        ),
        (
            lambda: (
                lambda x: nn.MultiheadAttention(4, 2, rng=np.random.default_rng(0))(
                    x, x, x
                )
            ),
            (4,),
            "MultiheadAttention: query is (4,); "
            "2 axes, or 3 with a batch, are required.",
        ),
    ],
)
def test_a_layer_says_which_shape_it_needs(layer, shape, message):
    with pytest.raises(ShapeError) as error:
        layer()(np.ones(shape))

    assert str(error.value) == message


def test_a_weight_of_another_shape_is_not_blamed_on_the_batch(rng):
    layer = nn.Linear(3, 2, rng=rng)
    layer.weight = bp.tensor(np.ones((2, 5)), requires_grad=True)

    with pytest.raises(ShapeError) as error:
        layer(np.ones((4, 3)))

    assert str(error.value) == (
        "linear: x is (4, 3), w is (2, 5) and b is (2,); x.shape[-1] must equal "
        "w.shape[1], and b be (w.shape[0],).\n"
        "  help: look at the shapes before this line: "
        "`print(x.shape, w.shape, b.shape)`."
    )


def test_a_batch_of_one_is_fine_where_each_feature_has_more_values():
    assert nn.BatchNorm2d(2)(np.ones((1, 2, 2, 2))).shape == (1, 2, 2, 2)
    assert nn.BatchNorm1d(2).eval()(np.ones((1, 2))).shape == (1, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda rng: nn.BatchNorm1d(3, convention="torch"),
            "BatchNorm1d: convention is 'torch'; one of pytorch, flax, keras is "
            "required.\n  help: did you mean pytorch?",
        ),
        (
            lambda rng: nn.GroupNorm(2, 5),
            "GroupNorm: num_channels is 5 and num_groups 2; "
            "the first must be a multiple of the second.",
        ),
        (
            lambda rng: nn.MultiheadAttention(5, 2, rng=rng),
            "MultiheadAttention: embed_dim is 5 and num_heads 2; "
            "the first must be a multiple of the second.",
        ),
        (
            lambda rng: nn.Conv2d(3, 4, 3, groups=2, rng=rng),
            "Conv2d: in_channels is 3, out_channels 4 and groups 2; "
            "both must be multiples of groups.",
        ),
        (
            lambda rng: nn.Dropout(1.5, rng=rng),
            "Dropout: p is 1.5; a probability is required.",
        ),
    ],
)
def test_a_layer_says_which_option_it_needs(make, message, rng):
    with pytest.raises(RangeError) as error:
        make(rng)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: nn.Linear(1, 1), "Linear"),
        (lambda: nn.Embedding(1, 1), "Embedding"),
        (lambda: nn.Conv1d(1, 1, 1), "Conv1d"),
        (lambda: nn.Conv2d(1, 1, 1), "Conv2d"),
        (lambda: nn.Dropout(), "Dropout"),
        (lambda: nn.MultiheadAttention(1, 1), "MultiheadAttention"),
    ],
)
def test_randomness_needs_a_generator(make, name):
    with pytest.raises(TypeError) as error:
        make()

    assert str(error.value) == (
        f"{name}: rng is None; a numpy.random.Generator is required.\n"
        "  help: pass rng=np.random.default_rng(0)."
    )


def test_reprs_show_how_a_layer_was_built(rng):
    assert [
        repr(layer)
        for layer in (
            nn.Embedding(3, 2, padding_idx=0, rng=rng),
            nn.BatchNorm1d(3),
            nn.BatchNorm2d(3, convention="keras"),
            nn.LayerNorm(3),
            nn.GroupNorm(1, 3),
            nn.RMSNorm(3),
            nn.Conv1d(1, 2, 3, rng=rng),
            nn.Conv2d(2, 2, 3, padding="same", groups=2, rng=rng),
            nn.MaxPool2d(2),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.1, rng=rng),
            nn.GELU(),
            nn.ELU(),
            nn.LeakyReLU(),
            nn.Softplus(),
            nn.Softmax(),
            nn.LogSoftmax(),
        )
    ] == [
        "Embedding(3, 2, padding_idx=0)",
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, "
        "track_running_stats=True)",
        "BatchNorm2d(3, eps=0.001, momentum=0.99, affine=True, "
        "track_running_stats=True, convention='keras')",
        "LayerNorm((3,), eps=1e-05, elementwise_affine=True)",
        "GroupNorm(1, 3, eps=1e-05, affine=True)",
        "RMSNorm((3,), eps=None, elementwise_affine=True)",
        "Conv1d(1, 2, kernel_size=(3,), stride=1, bias=True)",
        "Conv2d(2, 2, kernel_size=(3, 3), stride=1, padding=same, groups=2, bias=True)",
        "MaxPool2d(kernel_size=2, stride=None, padding=0, dilation=1)",
        "AvgPool2d(kernel_size=2, stride=None, padding=0)",
        "Flatten(start_dim=1, end_dim=-1)",
        "Dropout(p=0.1)",
        "GELU(approximate='none')",
        "ELU(alpha=1.0)",
        "LeakyReLU(negative_slope=0.01)",
        "Softplus(beta=1.0, threshold=20.0)",
        "Softmax(dim=-1)",
        "LogSoftmax(dim=-1)",
    ]
    assert repr(nn.MultiheadAttention(4, 2, rng=rng)) == (
        "MultiheadAttention(\n"
        "  embed_dim=4, num_heads=2, dropout=0.0, batch_first=False\n"
        "  (out_proj): Linear(in_features=4, out_features=4, bias=True)\n"
        ")"
    )


# Dropout.


def test_dropout_drops_a_share_and_keeps_the_mean(rng):
    layer, x = nn.Dropout(0.25, rng=rng), np.ones(10_000)

    y = layer(x)

    # Binomial: five standard deviations of the share.
    assert abs((y == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / x.size)
    assert np.allclose(y[y != 0], 1 / 0.75)


def test_the_gradient_passes_where_the_value_did(rng):
    x = bp.tensor(np.ones(100), requires_grad=True)

    y = nn.Dropout(0.5, rng=rng)(x)
    y.sum().backward()

    assert np.array_equal(x.grad, y.data)


def test_dropout_is_off_after_eval(rng):
    x = np.ones(10)

    assert np.array_equal(nn.Dropout(0.5, rng=rng).eval()(x), x)


def test_dropout_repeats_itself_for_one_seed():
    first, second = (
        nn.Dropout(rng=np.random.default_rng(3))(np.ones(20)) for _ in range(2)
    )

    assert np.array_equal(first, second)


def test_attention_drops_weights_in_training_alone():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, rng=np.random.default_rng(0))
    x = np.ones((6, 1, 4))

    _, weights = layer(x, x, x, average_attn_weights=False)
    _, calm = layer.eval()(x, x, x, average_attn_weights=False)

    assert np.any(weights.data == 0)
    assert np.allclose(calm.data, 1 / 6)


@pytest.mark.parametrize(
    ("mode", "sides"),
    [
        ("zeros", [0, 0, 0, 0]),
        ("reflect", [3, 2, 3, 2]),
        ("replicate", [1, 1, 4, 4]),
        ("circular", [3, 4, 1, 2]),
    ],
)
def test_padding_holds_what_its_mode_says(mode, sides, rng):
    layer = nn.Conv1d(1, 1, 1, padding=2, bias=False, padding_mode=mode, rng=rng)
    layer.weight.data[...] = 1

    got = layer(np.array([[1.0, 2.0, 3.0, 4.0]])).data

    assert got.tolist() == [[*sides[:2], 1.0, 2.0, 3.0, 4.0, *sides[2:]]]


def test_smooth_l1_is_huber_over_beta(rng):
    x, y = rng.normal(size=(2, 3, 4))

    got = nn.SmoothL1Loss(beta=0.5)(x, y)

    assert got == pytest.approx(nn.HuberLoss(delta=0.5)(x, y) / 0.5)
