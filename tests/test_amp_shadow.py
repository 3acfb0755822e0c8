"""shadow: errors are blamed where they are born, and events are counted."""

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats
from backproplab.amp import autocast, shadow
from backproplab.errors import GradError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def parameter(a, name):
    return bp.tensor(np.asarray(a, np.float32), requires_grad=True, name=name)


def node(run, op, backward=False):
    return next(n for n in run.nodes if n.op == op and n.backward == backward)


def events(run):
    return [(e["event"], e["name"], e["pass"], e["count"]) for e in run.ledger()]


def net(rng):
    x = rng.normal(size=(16, 8)).astype("f")
    a, b = (
        parameter(rng.normal(size=(8, 8)), "a"),
        parameter(rng.normal(size=(8, 3)), "b"),
    )
    labels = rng.integers(3, size=16)

    def loss():
        h = bp.ops.layer_norm(bp.relu(x @ a), (8,))
        return bp.cross_entropy(np.tanh(h @ b) + h[:, :3], labels)

    return loss, a, b


def test_values_are_those_of_autocast_and_of_a_float64_run(rng):
    loss, a, b = net(rng)
    run = shadow(loss, "bfloat16")
    with autocast("bfloat16"):
        narrow = loss()
    narrow.backward()
    got = a.grad

    x = np.random.default_rng(0).normal(size=(16, 8)).astype("f").astype(float)
    wide = [bp.tensor(t.data.astype(float), requires_grad=True) for t in (a, b)]
    h = bp.ops.layer_norm(bp.relu(x @ wide[0]), (8,))
    logits = np.tanh(h @ wide[1]) + h[:, :3]
    rng = np.random.default_rng(0)
    [rng.normal(size=s) for s in ((16, 8), (8, 8), (8, 3))]
    exact = bp.cross_entropy(logits, rng.integers(3, size=16))
    exact.backward()
    found = next(n for n in run.nodes if n.backward and n.name == "a")
    error = np.linalg.norm(got - wide[0].grad) / np.linalg.norm(wide[0].grad)

    assert narrow.item() == run.output
    assert exact.item() == pytest.approx(run.exact.item(), rel=1e-12)
    assert error == pytest.approx(found.error, rel=1e-9)
    assert 0 < error < 0.1


def test_gradients_of_the_tensors_are_left_alone(rng):
    loss, a, _ = net(rng)
    a.grad = np.ones((8, 8), np.float32)
    shadow(loss)

    assert (a.grad == 1).all()


def test_a_cast_bears_the_error_that_a_product_of_exact_numbers_inherits():
    w = parameter([[0.1, 0.0], [0.0, 0.1]], "w")
    run = shadow(lambda: w @ np.eye(2, dtype=np.float32), "float16")
    cast, product = node(run, "cast"), node(run, "matmul")
    value = float(np.float32(0.1))
    expected = abs(float(np.float16(value)) - value) / value

    assert expected == pytest.approx(cast.born, rel=1e-9) == pytest.approx(cast.error)
    assert 0 == cast.inherited == product.born
    assert expected == pytest.approx(product.inherited, rel=1e-9)


def test_an_output_bears_what_its_own_rounding_loses():
    w = parameter([1.0, 2.0**-12], "w")
    run = shadow(lambda: w @ np.ones(2, np.float32), "float16")
    product = node(run, "matmul")

    assert 2.0**-12 / (1 + 2.0**-12) == pytest.approx(product.born, rel=1e-12)
    assert 0 == product.inherited


def test_nothing_is_lost_on_numbers_that_the_format_has():
    w = parameter([1.0, 2.0], "w")
    run = shadow(lambda: w @ np.ones(2, np.float32), "float16")

    assert all(n.error == n.born == n.inherited == 0 for n in run.nodes)
    assert [] == run.ledger()


def test_underflow_is_counted_forward_and_backward():
    w = parameter([2.0**-26, 1.0], "w")
    run = shadow(lambda: (w @ np.ones(2, np.float32)) * 1.0, "float16")
    back = shadow(lambda: (w @ np.float32([2.0**-24, 1.0])) * 2.0**-3, "float16")

    assert [("underflows", "cast_1", "forward", 1)] == events(run)
    assert ("underflows", "cast_1", "backward", 1) in events(back)


def test_overflow_is_counted_where_the_output_is_rounded():
    w = parameter([300.0], "w")
    run = shadow(lambda: w @ np.float32([300.0]), "float16")

    assert [("overflows", "matmul_1", "forward", 1)] == events(run)
    assert np.isinf(run.output)


@pytest.mark.parametrize(
    ("f", "big", "small", "count"),
    [
        (np.add, 2048.0, 1.0, 1),
        (np.add, 1.0, -2048.0, 0),
        (np.add, 1.0, 4096.0, 1),
        (np.subtract, 4096.0, 1.0, 1),
        (np.subtract, 1.0, 4096.0, 1),
        (np.add, 2048.0, 0.0, 0),
        (np.add, -2.0, 1.0, 0),
        (np.subtract, 2.0, 1.0, 0),
    ],
)
def test_an_addition_that_leaves_the_larger_term_is_swamped(f, big, small, count):
    w = parameter([[big], [small]], "w")

    def add():
        h = w @ np.ones((1, 1), np.float32)
        return f(h[0], h[1])

    found = [n.swamped for n in shadow(add).nodes if n.op in ("add", "subtract")]
    assert [count, 0] == found


def test_a_gate_that_stands_otherwise_in_float64_is_flipped():
    w = parameter([[1.0 + 2.0**-12, -1.0]], "w")
    run = shadow(lambda: bp.relu(w @ np.ones((2, 1), np.float32)), "float16")

    assert 1 == node(run, "relu").flipped
    assert ("flipped", "relu_1", "forward", 1) in events(run)


@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "float8_e4m3fn"])
def test_no_error_exceeds_what_is_born_and_inherited_together(rng, fmt):
    loss, *_ = net(rng)
    run = shadow(loss, fmt)

    assert any(n.backward for n in run.nodes)
    for n in run.nodes:
        assert n.error <= (n.born + n.inherited) * (1 + 1e-9)
    roundings = [n.born for n in run.nodes if n.op == "matmul" and not n.backward]
    assert all(0 < b <= formats.get(fmt).unit_roundoff * 1.5 for b in roundings)


def test_a_module_names_its_scopes_and_parameters(rng):
    model = bp.nn.Sequential(bp.nn.Linear(4, 2, rng=rng))
    x = rng.normal(size=(3, 4)).astype("f")
    run = shadow(lambda: model(x).sum())

    leaves = [n.name for n in run.nodes if n.op == "leaf"]
    assert "0" == node(run, "linear").scope
    assert ["0.weight", "0.bias"] == sorted(leaves, reverse=True)
    assert str(run).startswith("float16 against float64\nname ")


def test_a_function_that_returns_no_tensor_is_refused():
    with pytest.raises(GradError) as error:
        shadow(lambda: 3.0)

    assert str(error.value) == (
        "shadow: fn returned float; one Tensor is required.\n  help: return the loss."
    )


def test_a_checkpoint_inside_is_refused():
    w = parameter([1.0], "w")

    with pytest.raises(GradError) as error:
        shadow(lambda: bp.checkpoint(np.tanh)(w))

    assert str(error.value) == (
        "shadow: there is a checkpoint inside fn, whose values are not seen.\n"
        "  help: call the function itself instead of `bp.checkpoint` of it."
    )
