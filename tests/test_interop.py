"""Side by side without other engines, and what is said where one is missing."""

import subprocess
import sys

import numpy as np
import pytest

import backproplab as bp
from backproplab import interop, nn
from backproplab.errors import DTypeError, GradError, NameLookupError, RangeError
from backproplab.interop.engines import MissingError
from backproplab.interop.layers import UnsupportedLayerError

RNG = np.random.default_rng(4)
X = RNG.normal(size=(4, 3))
OWN = ("backproplab", "numeric", "complex")
F64 = {"rng": np.random.default_rng(0), "dtype": np.float64}


@pytest.fixture
def alone(monkeypatch):
    """Neither PyTorch nor JAX can be imported."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "jax", None)


def loss(xp, x, w):
    return xp.mean(xp.tanh(x @ w) ** 2)


W = RNG.normal(size=(3, 2))

# Each layer of the namespace, on smooth functions where complex steps work.
SMOOTH = {
    "batch_norm": (lambda xp, x: xp.sum(xp.batch_norm(x, None, None) ** 3), (X,)),
    "batch_norm of pictures": (
        lambda xp, x, g, b: xp.sum(xp.batch_norm(x, g, b) ** 3),
        (RNG.normal(size=(2, 3, 2, 2)), RNG.normal(size=3), RNG.normal(size=3)),
    ),
    "layer_norm": (
        lambda xp, x, g, b: xp.sum(xp.layer_norm(x, (3,), g, b) ** 3),
        (X, RNG.normal(size=3), RNG.normal(size=3)),
    ),
    "attention": (
        lambda xp, q, k, v: xp.sum(xp.scaled_dot_product_attention(q, k, v) ** 2),
        tuple(RNG.normal(size=(3, 2, 4, 3))),
    ),
    "causal attention": (
        lambda xp, q, k, v: xp.sum(
            xp.scaled_dot_product_attention(q, k, v, is_causal=True) ** 2
        ),
        tuple(RNG.normal(size=(3, 4, 3))),
    ),
    "conv2d": (
        lambda xp, x, w, b: xp.sum(xp.conv2d(x, w, b, stride=2, padding=1) ** 2),
        (
            RNG.normal(size=(2, 2, 5, 5)),
            RNG.normal(size=(3, 2, 3, 3)),
            RNG.normal(size=3),
        ),
    ),
    "avg_pool2d": (
        lambda xp, x: xp.sum(xp.avg_pool2d(x, 2) ** 2),
        (RNG.normal(size=(1, 2, 5, 4)),),
    ),
    "cross_entropy": (lambda xp, x: xp.cross_entropy(x, [0, 2, 1, 1]), (X,)),
    "linear": (lambda xp, x, w: xp.sum(xp.linear(x, w.T) ** 2), (X, W)),
    "log_softmax": (lambda xp, x: xp.sum(xp.log_softmax(x)[:, 0]), (X,)),
    "logsumexp": (lambda xp, x: xp.sum(xp.logsumexp(x, axis=1)), (X,)),
    "mse_loss": (lambda xp, x: xp.mse_loss(x, xp.zeros((4, 3))), (X,)),
    "sigmoid": (lambda xp, x: xp.sum(xp.sigmoid(x) * x), (X,)),
    "silu": (lambda xp, x: xp.sum(xp.silu(x)), (X,)),
    "softmax": (lambda xp, x: xp.sum(xp.softmax(x, axis=0) ** 2), (X,)),
    "var": (lambda xp, x: xp.sum(xp.var(x, axis=0) ** 2), (X,)),
    "einsum": (lambda xp, x, w: xp.sum(xp.einsum("ij,jk->ik", x, w) ** 2), (X, W)),
    "stack": (lambda xp, x: xp.sum(xp.stack([x, x * x], axis=1) ** 2), (X,)),
    "concatenate": (
        lambda xp, x: xp.sum(xp.concatenate([x, x * x], axis=1) ** 2),
        (X,),
    ),
    "cumsum": (lambda xp, x: xp.sum(xp.cumsum(x, axis=0) ** 2), (X,)),
    "transpose": (lambda xp, x, w: xp.sum(xp.transpose(x @ w)[0] ** 3), (X, W)),
}
KINKED = {
    "abs": lambda xp, x: xp.sum(xp.abs(x)),
    "max": lambda xp, x: xp.max(x),
    "relu": lambda xp, x: xp.sum(xp.relu(x)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_tape_differences_and_complex_steps_agree(name):
    fn, args = SMOOTH[name]

    rows = interop.side_by_side(fn, *args, engines=OWN)

    assert ["", "", ""] == [row.says for row in rows]
    assert 0 == rows["backproplab"].ulps
    assert rows["complex"].ulps < 2000
    eps = np.finfo(float).eps
    assert rows["numeric"].ulps < eps ** (2 / 3) / eps * 100


@pytest.mark.parametrize("name", KINKED)
def test_complex_steps_say_so_where_a_function_is_not_analytic(name):
    rows = interop.side_by_side(KINKED[name], X, engines=OWN)

    assert not rows["complex"].ok
    assert f"not analytic: {name}" == rows["complex"].says
    assert rows["numeric"].ok


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (lambda xp, x: abs(x).sum(), "abs"),
        (lambda xp, x: x.max(), "max"),
        (lambda xp, x: (x * (x > 0)).sum(), ">"),
        (lambda xp, x: (x.real**2).sum(), "real"),
        (lambda xp, x: np.linalg.norm(x), "norm"),
        (
            lambda xp, x: (np.array(x.tolist()).real ** 2).sum(),
            "the imaginary part was dropped on the way",
        ),
    ],
)
def test_a_way_around_the_namespace_is_no_way_to_a_wrong_number(fn, name):
    row = interop.side_by_side(fn, X, engines=["complex"])[0]

    assert (None, f"not analytic: {name}") == (row.value, row.says)


def test_missing_engines_are_rows_and_say_how_to_add_them(alone):
    rows = interop.side_by_side(loss, X, W)

    assert list(interop.ENGINES) == [row.engine for row in rows]
    assert "missing: pip install torch" == rows["torch"].says
    assert "missing: pip install jax" == rows["jax"].says
    assert [True] * 3 + [False] * 2 == [row.ok for row in rows]
    assert "missing: pip install jax" in str(rows)
    assert "missing: pip install torch" in rows._repr_html_()
    texts = interop.tapes(loss, X, W)
    assert "missing: pip install torch" == texts["torch"]
    assert "%5 = mean(%4)  ()" == texts["backproplab"].splitlines()[0]


def test_conversion_without_the_engine_says_how_to_add_it(alone):
    with pytest.raises(MissingError) as error:
        interop.to_torch(nn.Tanh())

    assert "missing: pip install torch\n  help: then restart the kernel." == str(
        error.value
    )


def test_importing_and_running_here_imports_no_other_engine():
    code = (
        "import sys, numpy as np, backproplab as bp; "
        "bp.interop.side_by_side(lambda xp, x: xp.sum(x * x), np.ones(3), "
        "engines=('backproplab', 'numeric')); "
        "print([m for m in ('torch', 'jax') if m in sys.modules])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ("[]\n", "") == (said.stdout, said.stderr)


def test_an_error_in_one_engine_is_a_row():
    def fn(xp, x):
        if xp.engine == "numeric":
            raise ZeroDivisionError("only here")
        return xp.sum(x * x)

    rows = interop.side_by_side(fn, X, engines=OWN)

    assert "ZeroDivisionError: only here" == rows["numeric"].says
    assert [True, False, True] == [row.ok for row in rows]


def test_a_name_that_not_every_engine_has_is_told_with_near_ones():
    row = interop.side_by_side(lambda xp, x: xp.tanhh(x), X, engines=OWN)[0]

    assert (
        f"xp.tanhh: not every engine has it in one form; xp has {len(interop.NAMES)} "
        "names." == row.says
    )


def test_rows_hold_what_the_table_shows():
    rows = interop.side_by_side(loss, X, W, engines=OWN)
    ours = rows["backproplab"]

    value, grads = bp.value_and_grad(lambda x, w: loss(np, x, w), argnums=(0, 1))(X, W)

    assert float(value) == ours.value
    assert [g.tolist() for g in grads] == [g.tolist() for g in ours.grads]
    assert [1, 1 + 2 * 18, 18] == [row.calls for row in rows]
    assert all(row.seconds > 0 for row in rows)
    assert (0, 0) == (rows["numeric"].saved_arrays, rows["numeric"].saved_bytes)
    assert rows[0] is ours
    assert 3 == len(rows.table())


def test_what_the_tape_kept_is_what_its_records_say_each_array_once():
    x = bp.tensor(X, requires_grad=True)
    with bp.record() as run:
        y = np.sum(np.tanh(np.exp(x)))
    row = interop.side_by_side(
        lambda xp, x: xp.sum(xp.tanh(xp.exp(x))), X, engines=["backproplab"]
    )[0]

    assert y.item() == row.value
    twice = X.nbytes  # tanh's value is read by the rules of tanh and of sum
    assert sum(r.saved_bytes for r in run) - twice == row.saved_bytes


def test_an_unused_argument_has_zero_gradient_in_every_engine():
    rows = interop.side_by_side(lambda xp, x, w: xp.sum(x * x), X, W, engines=OWN)

    for row in rows:
        assert np.zeros_like(W).tolist() == row.grads[1].tolist()


def test_a_constant_function_has_zero_gradients():
    row = interop.side_by_side(lambda xp, x: 3.0, X, engines=["backproplab"])[0]

    assert (3.0, 0.0) == (row.value, np.abs(row.grads[0]).max())


def test_many_numbers_are_not_moved_one_by_one():
    rows = interop.side_by_side(
        lambda xp, x: xp.sum(x * x), np.ones(5001), engines=["numeric"]
    )

    assert (
        "left out: 5,001 numbers would be moved one by one; at most 5,000 are"
        == rows[0].says
    )


BAD = {
    "an array": (
        lambda: interop.side_by_side(lambda xp, x: x * 2, X),
        GradError,
        "side_by_side: fn returned an array of shape (4, 3); a single number, of shape "
        "(), is required.\n  help: reduce it: `return (...).mean()`.",
    ),
    "integers": (
        lambda: interop.side_by_side(lambda xp, x: xp.sum(x), np.arange(3)),
        DTypeError,
        "side_by_side: argument 0 is int64; float32 or float64 is required.\n"
        "  help: pass `x.astype(float)`; keep integers such as labels inside fn.",
    ),
    "nothing": (
        lambda: interop.side_by_side(lambda xp: 1.0),
        RangeError,
        "side_by_side: no argument to take a gradient for; one is required.\n"
        "  help: pass it after the function: `side_by_side(fn, x)`.",
    ),
    "an unknown engine": (
        lambda: interop.side_by_side(loss, X, W, engines=["torc"]),
        RangeError,
        "side_by_side: there is no engine 'torc'.\n  help: did you mean torch?",
    ),
    "an unknown row": (
        lambda: interop.side_by_side(loss, X, W, engines=OWN)["numerik"],
        RangeError,
        "side_by_side: there is no row 'numerik'.\n  help: did you mean numeric?",
    ),
    "an engine without a record": (
        lambda: interop.tapes(loss, X, W, engines=["numeric"]),
        RangeError,
        "tapes: 'numeric' keeps no record that can be shown.\n"
        "  help: known: backproplab, torch, jax.",
    ),
    "no module": (
        lambda: interop.from_torch(3),
        TypeError,
        "from_torch: source is int; a torch.nn.Module or a state dict is required.\n"
        "  help: pass `model` or `model.state_dict()`.",
    ),
    "Keras' norm": (
        lambda: interop.to_torch(nn.BatchNorm1d(3, convention="keras")),
        UnsupportedLayerError,
        "to_torch: the module is BatchNorm1d by the convention 'keras'; PyTorch has "
        'its own alone.\n  help: build it with convention="pytorch".',
    ),
    "two formats": (
        lambda: interop.show_torch(
            nn.Sequential(nn.Linear(2, 2, **F64), nn.LayerNorm(2))
        ),
        UnsupportedLayerError,
        "show_torch: the weights are float32 and float64; one format is required.",
    ),
    "a plain branch": (
        lambda: interop.show_jax(nn.Sequential(block=nn.Residual(np.tanh))),
        UnsupportedLayerError,
        "show_jax: block is Residual around a plain function, or with a tensor for its "
        "scale; nothing is written for it.\n  help: a Residual around a Module, scaled "
        "by a number, can be shown.",
    ),
    "random numbers": (
        lambda: interop.show_jax(nn.Sequential(drop=nn.Dropout(0.5, **RANDOM))),
        UnsupportedLayerError,
        "show_jax: drop is Dropout with dropout in training, whose random numbers "
        "differ; nothing is written for it.",
    ),
}
RANDOM = {"rng": np.random.default_rng(0)}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(name):
    call, kind, says = BAD[name]

    with pytest.raises(kind) as error:
        call()

    assert says == str(error.value)


class Own(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize("name", ["to_torch", "show_torch", "show_jax"])
def test_an_unsupported_layer_is_named_with_its_path(name):
    model = nn.Sequential(nn.Tanh(), head=nn.Sequential(own=Own()))

    with pytest.raises(UnsupportedLayerError) as error:
        getattr(interop, name)(model)

    first, help = str(error.value).split("\n  help: ")
    what = (
        "nothing is written for it."
        if name == "show_jax"
        else ("PyTorch has no such layer.")
    )
    assert f"{name}: head.own is Own; {what}" == first
    assert "Linear" in help


def test_a_residual_block_is_no_layer_of_pytorch():
    with pytest.raises(UnsupportedLayerError, match="block is Residual; PyTorch has"):
        interop.to_torch(nn.Sequential(block=nn.Residual(nn.Tanh())))


def test_a_state_dict_of_anything_becomes_arrays():
    state = interop.from_torch({"w": [1.0, 2.0], "n": np.int64(3)})

    assert {"w": [1.0, 2.0], "n": 3} == {k: a.tolist() for k, a in state.items()}


def test_source_that_is_shown_compiles_and_shows_as_code():
    model = nn.Sequential(
        conv=nn.Conv2d(1, 2, 3, **F64),
        norm=nn.BatchNorm2d(2, dtype=np.float64),
        flat=nn.Flatten(),
        more=nn.Sequential(nn.Linear(8, 2, **F64), nn.GELU()),
    ).eval()

    for source in (interop.show_torch(model), interop.show_jax(model)):
        compile(source, "shown", "exec")
        assert source._repr_markdown_().startswith("```python\n")
        assert str(source) == repr(source)


def test_an_unknown_name_of_the_package_is_told():
    with pytest.raises(AttributeError):
        _ = interop.no_such_name
    with pytest.raises(NameLookupError, match=r"xp\.foo: not every engine has it"):
        interop.namespace.ours().foo  # noqa: B018
