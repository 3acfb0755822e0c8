"""Side by side with PyTorch and JAX in float64; layers there and back; sources run."""

import numpy as np
import pytest

from backproplab import interop, nn

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("default")]

RNG = np.random.default_rng(6)
F64 = {"rng": np.random.default_rng(0), "dtype": np.float64}
PLAIN = {"dtype": np.float64}
THREE = ("backproplab", "torch", "jax")
LABELS = np.array([0, 2, 1, 1, 0, 2])


def normal(*shape):
    return RNG.normal(size=shape)


INPUT = normal(6, 4)


def mlp(xp, w, b, v, c):
    h = xp.relu(xp.asarray(INPUT) @ w + b)
    h = xp.tanh(xp.linear(h, v, c))
    return xp.cross_entropy(h, LABELS)


def batch_norm(xp, x, gamma, beta):
    return xp.mean(xp.batch_norm(x, gamma, beta) ** 3)


def attention(xp, x, wq, wk, wv):
    y = xp.scaled_dot_product_attention(x @ wq, x @ wk, x @ wv, is_causal=True)
    return xp.mean(xp.layer_norm(y, (4,)) ** 3)


def conv_net(xp, x, w, b, v):
    h = xp.max_pool2d(xp.relu(xp.conv2d(x, w, b, stride=1, padding=1)), 2)
    return xp.mean(xp.silu(xp.avg_pool2d(h, 3).reshape(2, -1) @ v) ** 2)


def many(xp, x):
    parts = [
        xp.max(x * x), xp.gelu(x).sum(), xp.logsumexp(x), xp.var(x, axis=0).sum(),
        xp.maximum(x, 0.5).sum(), xp.minimum(x, -0.1).mean(), xp.min(x, axis=1).sum(),
        xp.transpose(xp.stack([x, x * x], axis=1))[0, 1].sum(),
        xp.concatenate([x, x], axis=1)[:, 1:3].sum(), xp.cumsum(x, axis=0)[1].sum(),
        xp.where(x > 0, x, 0.0).sum(), xp.softplus(x).mean(axis=0).sum(),
        xp.einsum("ij,ij->", x, x), xp.log_softmax(x)[0, 0], xp.sigmoid(x).sum(),
        xp.mse_loss(x, xp.ones((6, 4))), xp.softmax(x, axis=0)[0].sum(),
        xp.tril(x).sum() + xp.triu(x).mean(), xp.swapaxes(x, 0, 1)[0].sum(),
        xp.abs(x).sum() * xp.pi + xp.expm1(x).sum() + xp.log1p(x * x).sum(),
        xp.arctan(x).sum() + xp.sinh(x).sum() + xp.cosh(x).sum() + xp.sign(x).sum(),
    ]  # fmt: skip
    return sum(parts[1:], parts[0])


CASES = {
    "mlp": (mlp, (normal(4, 5), normal(5), normal(3, 5), normal(3))),
    "batch norm": (batch_norm, (normal(8, 3), normal(3), normal(3))),
    "batch norm of pictures": (
        batch_norm,
        (normal(2, 3, 4, 4), normal(3), normal(3)),
    ),
    "attention": (
        attention,
        (normal(2, 5, 4), normal(4, 4), normal(4, 4), normal(4, 4)),
    ),
    "conv net": (
        conv_net,
        (normal(2, 2, 6, 6), normal(3, 2, 3, 3), normal(3), normal(3, 2)),
    ),
    "every name": (many, (INPUT,)),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_agree_to_ten_digits(name):
    fn, args = CASES[name]

    rows = interop.side_by_side(fn, *args, engines=THREE)

    assert ["", "", ""] == [row.says for row in rows]
    ours = rows["backproplab"]
    for row in rows:
        assert abs(row.value - ours.value) <= 1e-10
        for got, want in zip(row.grads, ours.grads, strict=True):
            assert got.dtype == want.dtype == np.float64
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
        assert row.saved_bytes > 0
        assert row.saved_arrays > 0
        assert row.seconds > 0
        assert row.ulps < 1e4


def test_jax_in_double_precision_leaves_no_setting_behind():
    before = jax.config.jax_enable_x64

    interop.side_by_side(*flat(CASES["batch norm"]), engines=["jax"])
    interop.tapes(*flat(CASES["batch norm"]), engines=["jax"])

    assert before == jax.config.jax_enable_x64
    assert jax.numpy.ones(1).dtype == ("float64" if before else "float32")


def flat(case):
    fn, args = case
    return fn, *args


def test_float32_arguments_run_in_float32():
    fn, args = CASES["batch norm"]
    rows = interop.side_by_side(fn, *(a.astype("f4") for a in args), engines=THREE)

    assert {"float32"} == {g.dtype.name for row in rows for g in row.grads}
    assert max(row.ulps for row in rows) < 1000


def test_a_value_that_is_no_single_number_is_told_of_each_engine():
    for name in THREE:
        with pytest.raises(interop.engines.OneNumberError):
            interop.side_by_side(lambda xp, x: x * 2, INPUT, engines=[name])


def test_pytorch_and_jax_report_an_unused_argument_as_zero():
    rows = interop.side_by_side(
        lambda xp, x, w: xp.sum(x * x), INPUT, normal(2), engines=THREE
    )

    assert [0.0] * 3 == [float(abs(row.grads[1]).max()) for row in rows]


def test_pytorch_keeps_each_array_once():
    row = interop.side_by_side(
        lambda xp, x: xp.sum(xp.tanh(x) * xp.tanh(x)), INPUT, engines=["torch"]
    )[0]

    assert (2, 2 * INPUT.nbytes) == (row.saved_arrays, row.saved_bytes)


def test_each_engine_shows_what_it_recorded():
    texts = interop.tapes(lambda xp, x: xp.mean(xp.tanh(x)), INPUT)

    assert "%0 = argument 0  (6, 4)" == texts["backproplab"].splitlines()[-1]
    assert [
        "%2 MeanBackward1 → %1",
        "%1 TanhBackward0 → %0",
        "%0 AccumulateGrad of argument 0",
    ] == texts["torch"].splitlines()
    assert "tanh a" in texts["jax"]
    assert "f64[6,4]" in texts["jax"]
    assert "\x1b" not in str(texts)
    assert "<b>torch</b>" in texts._repr_html_()


# Layers.

MODELS = {
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(4, 5, **F64), nn.ReLU(), nn.Linear(5, 3, bias=False, **F64)
        ),
        normal(6, 4),
    ),
    "named and nested": (
        lambda: nn.Sequential(
            fc=nn.Linear(4, 6, **F64),
            norm=nn.BatchNorm1d(6, eps=1e-3, momentum=0.3, **PLAIN),
            body=nn.Sequential(nn.GELU("tanh"), nn.LayerNorm(6, **PLAIN)),
            last=nn.RMSNorm(6, **PLAIN),
        ),
        normal(6, 4),
    ),
    "conv net": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2, **F64),
            nn.BatchNorm2d(4, **PLAIN),
            nn.SiLU(),
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(4, 2, (2, 3), stride=(1, 2), padding="valid", **F64),
            nn.AvgPool2d(2, stride=1, padding=1),
            nn.Flatten(),
            nn.Softplus(2.0, 1.0),
        ),
        normal(3, 2, 6, 7),
    ),
    "activations": (
        lambda: nn.Sequential(
            nn.Tanh(), nn.Sigmoid(), nn.ELU(0.7), nn.LeakyReLU(0.2), nn.Identity(),
            nn.Softmax(-1), nn.LogSoftmax(-1), nn.Dropout(0.0, **{"rng": RNG}),
        ),
        normal(3, 4),
    ),
    "embedding": (
        lambda: nn.Sequential(
            nn.Embedding(7, 4, **F64), nn.LayerNorm(4, bias=False, **PLAIN)
        ),
        np.array([[1, 2], [6, 0]]),
    ),
}  # fmt: skip


def moved(model, x):
    """Take one step of running statistics, so that buffers are not as at first."""
    model(x)
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_to_pytorch_and_back_nothing_is_lost(name, training):
    make, x = MODELS[name]
    model = moved(make(), x).train(training)

    theirs = interop.to_torch(model)
    again = interop.from_torch(theirs, rng=RNG)

    state = model.state_dict()
    for other in (interop.from_torch(theirs.state_dict()), again.state_dict()):
        assert list(state) == list(other)
        for key, a in state.items():
            assert (a.dtype, a.tolist()) == (other[key].dtype, other[key].tolist())
    once_more = interop.from_torch(interop.to_torch(again), rng=RNG)
    assert repr(again) == repr(once_more)
    y = model(x).data
    np.testing.assert_allclose(theirs(torch.tensor(x)).detach(), y, rtol=1e-10)
    assert y.tolist() == again(x).data.tolist()
    assert {training} == {m.training for m in theirs.modules()}
    assert {training} == {m.training for m in again.modules()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_shown_sources_run_and_give_the_same_numbers(name, training):
    make, x = MODELS[name]
    model = moved(make(), x).train(training)
    state = model.state_dict()

    in_torch, in_jax = {}, {}
    exec(interop.show_torch(model), in_torch)
    exec(interop.show_jax(model), in_jax)

    y = model(x).data
    got = in_torch["build"](state)(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(got, y, rtol=1e-10, atol=1e-12)
    with jax.enable_x64(True):
        got = np.asarray(in_jax["forward"](state, jax.numpy.asarray(x)))
    np.testing.assert_allclose(got, y, rtol=1e-10, atol=1e-12)


def test_residual_blocks_are_shown_and_run():
    def block(scale):
        return nn.Residual(nn.Sequential(nn.Linear(4, 4, **F64), nn.Tanh()), scale)

    model = nn.Sequential(
        first=block(1.0),
        second=nn.Residual(nn.Sequential(block(0.5), nn.Tanh())),
    )
    x, in_torch, in_jax = normal(3, 4), {}, {}
    exec(interop.show_torch(model), in_torch)
    exec(interop.show_jax(model), in_jax)

    y = model(x).data
    theirs = in_torch["build"](model.state_dict())(torch.tensor(x))
    np.testing.assert_allclose(theirs.detach(), y, rtol=1e-12)
    with jax.enable_x64(True):
        got = in_jax["forward"](model.state_dict(), jax.numpy.asarray(x))
    np.testing.assert_allclose(got, y, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"kdim": 3, "vdim": 5}])
def test_attention_goes_there_and_back(options):
    model = nn.MultiheadAttention(4, 2, **options, **F64)
    args = normal(5, 2, 4), normal(6, 2, model.kdim), normal(6, 2, model.vdim)

    theirs = interop.to_torch(model)
    again = interop.from_torch(theirs)

    y, weights = model(*args)
    got, got_weights = theirs(*map(torch.tensor, args))
    np.testing.assert_allclose(got.detach(), y.data, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(got_weights.detach(), weights.data, rtol=1e-10)
    assert y.data.tolist() == again(*args)[0].data.tolist()


def test_frozen_weights_stay_frozen():
    model = nn.Sequential(nn.Linear(2, 2, **F64), nn.Linear(2, 2, **F64))
    model[0].requires_grad_(False)

    theirs = interop.to_torch(model)
    again = interop.from_torch(theirs)

    wanted = [False, False, True, True]
    assert wanted == [p.requires_grad for p in theirs.parameters()]
    assert wanted == [p.requires_grad for p in again.parameters()]


def test_a_copy_shares_nothing_with_its_source():
    model = nn.Sequential(nn.Linear(2, 2, **F64), nn.BatchNorm1d(2, **PLAIN))
    before = {k: a.tolist() for k, a in model.state_dict().items()}
    theirs = interop.to_torch(model)
    again = interop.from_torch(theirs)

    with torch.no_grad():
        for a in (*theirs.parameters(), *theirs.buffers()):
            a.add_(1)

    for mine in (model, again):
        assert before == {k: a.tolist() for k, a in mine.state_dict().items()}


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (lambda: torch.nn.LSTM(2, 3), "0 is LSTM; backproplab has no such layer."),
        (
            lambda: torch.nn.Embedding(3, 2, max_norm=1.0),
            "0 is Embedding with max_norm=1.0; backproplab's has no max_norm.",
        ),
        (
            lambda: torch.nn.MultiheadAttention(4, 2, add_bias_kv=True),
            "0 is MultiheadAttention with bias_k or add_zero_attn; backproplab's has "
            "neither.",
        ),
    ],
)
def test_what_we_have_not_is_named(layer, says):
    with pytest.raises(interop.layers.UnsupportedLayerError) as error:
        interop.from_torch(torch.nn.Sequential(layer()))

    assert f"from_torch: {says}" == str(error.value).partition("\n")[0]
