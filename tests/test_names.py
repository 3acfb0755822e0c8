"""Names: what the learner's lines, modules and tensors call a value."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn


def made(run: bp.trace.Trace) -> list[str]:
    """Names of what was computed, in tape order."""
    return [r.name for r in run if r.op not in ("leaf", "constant")]


def leaves(run: bp.trace.Trace) -> list[str]:
    return [r.name for r in run if r.op in ("leaf", "constant")]


@pytest.fixture
def x() -> bp.Tensor:
    return bp.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)


CELLS = {
    "h = np.tanh(x)": ["h"],
    "h = x @ x + 1.0": ["matmul_1", "h"],
    "h: object = x * 2": ["h"],
    "h = g = x * 2": ["h"],
    "a, b = x * 2, x * 3": ["a", "b"],
    "a, b, c = x * 2, np.exp(x), x * 3": ["a", "b", "c"],
    "a, b, c, d = x * 2, np.exp(x), x * 3, -x": ["a", "b", "c", "d"],
    "(h := x * 2)": ["h"],
    "h = (g := x * 2) + 1": ["g", "h"],
    "for i in range(3): h = x * i": ["h", "h_2", "h_3"],
    "h = x\nfor i in range(3): h = h * 2": ["h", "h_2", "h_3"],
    "h = sum([x, x])": ["add_1", "h"],
    "x += 1.0": ["x_2"],
    "h = x * 2 if x.ndim else x": ["h"],
    "h = x * 2 if not x.ndim else x * 3": ["h"],
    "box.h = x * 2": ["h"],
    "box.h = -(x * 2)": ["multiply_1", "h"],
    "d = {}; d['h'] = x * 2": ["h"],
    "d = {}; d[0] = x * 2": ["multiply_1"],
    "d = {'h': x * 2}": ["multiply_1"],
    "hs = [x * k for k in (1.0, 2.0)]": ["multiply_1", "multiply_2"],
    "h = [x * 2][0]": ["multiply_1"],
    "h, *rest = x * 2, x * 3": ["multiply_1", "multiply_2"],
    "x * 2": ["multiply_1"],
    "float((x * 2).sum())": ["multiply_1", "sum_1"],
    "f = lambda u: u * 2\nh = f(x)": ["h"],
    "def f(u):\n    v = u * 2\n    return v + 1\nh = f(x)": ["v", "h"],
    "def f(u): return u * 2\ndef g(u): return f(u)\nh = g(x)": ["h"],
    "def f():\n    h = x * 2\n    def g():\n        nonlocal h\n        h = h + 1\n"
    "    g()\nf()": ["h", "h_2"],
    "h = x.mean()": ["h"],
    "h = bp.ops.var(x)": ["h"],
    "a, b = np.split(x, 2)": ["a", "b"],
    "a, b = np.split(x, 2); c = a * b": ["a", "b", "c"],
    "a, *rest = np.split(x, 2)": ["a", "getitem_1"],
    "a, b = map(np.exp, (x, x))": ["a", "b"],
    "a, b = x * 2": ["multiply_1", "a", "b"],
    "a = b = None\nfor _ in '12': a, b = np.split(x, 2); c = a * b": [
        "a",
        "b",
        "c",
        "a_2",
        "b_2",
        "c_2",
    ],
    "h = bp.ops.split(x, 2)[0]": None,  # ops made of ops: only the last may be h
    "with bp.no_grad(): h = x * 2": ["h"],
    "with bp.scope('enc'): h = x * 2": ["enc.h"],
    "h = (x * 2).named('z')": ["z"],
    "h = x * 2\nh.named('z')": ["z"],
    "h = (x * 2).named('z')\nk = (x * 3).named('z')": ["z", "z_2"],
    "try: h = x * 2\nfinally: pass": ["h"],
    "h_2 = x * 1\nh = x * 2\nh = x * 3": ["h_2", "h", "h_3"],
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_value_is_called_what_its_line_assigns_it_to(cell: str, x: bp.Tensor) -> None:
    class Box:
        pass

    space = {"np": np, "bp": bp, "x": x, "box": Box()}

    with bp.record() as run:
        exec(compile(cell, "<cell>", "exec"), space)

    if CELLS[cell] is not None:
        assert CELLS[cell] == made(run)
    assert len({*made(run)}) == len(made(run))


def test_names_are_found_inside_functions_too(x: bp.Tensor) -> None:
    def step() -> bp.trace.Trace:
        with bp.record() as run:
            a, b = x * 2.0, x * 3.0
            h = a + b
            for _ in range(2):
                h = h * h
        return run

    assert ["a", "b", "h", "h_2", "h_3"] == made(step())


def test_leaves_are_called_what_the_recording_code_calls_them() -> None:
    w1, weights = np.ones(2), {"w2": bp.tensor(np.ones(2)), "rest": 0}
    pair = [bp.tensor(np.ones(2)), bp.tensor(np.ones(2), name="given")]

    def layer(x, w):
        return x * w

    with bp.record() as run:
        layer(bp.tensor(np.zeros(2)), w1)
        layer(weights["w2"], 2.5)
        layer(*pair)

    assert ["x", "w1", "weights.w2", "2.5", "pair.0", "given"] == leaves(run)


def test_a_leaf_that_no_variable_holds_is_called_leaf() -> None:
    with bp.record() as run:
        h = bp.tensor(1.0) * np.ones(3)  # noqa: F841

    assert ["leaf_1", "constant_1"] == leaves(run)


def mlp() -> nn.Module:
    rng = np.random.default_rng(0)

    class Net(nn.Module):
        def __init__(self):
            self.fc1 = nn.Linear(3, 4, rng=rng)
            self.act = nn.Tanh()
            self.fc2 = nn.Linear(4, 2, rng=rng)

        def forward(self, x):
            h = self.act(self.fc1(x))
            doubled = h * 2.0
            return self.fc2(doubled)

    return Net()


def test_parameters_are_named_by_module_path_and_outputs_by_module() -> None:
    model = mlp()

    with bp.record() as run:
        logits = model(np.ones((5, 3)))
        logits.sum().backward()

    assert {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"} <= {*leaves(run)}
    assert ["fc1", "act", "doubled", "logits", "sum_1"] == made(run)
    assert run["h"].id == run["act"].id
    assert run["fc2"].id == run["logits"].id
    np.testing.assert_array_equal(model.fc1.weight.grad, run["fc1.weight"].grad)


def test_a_variable_stands_for_the_output_of_the_call_and_of_no_layer_within() -> None:
    rng = np.random.default_rng(0)
    layers = nn.Sequential(
        nn.Linear(3, 3, rng=rng), nn.ReLU(), nn.Linear(3, 2, rng=rng)
    )

    class Net(nn.Module):
        def __init__(self):
            self.body = layers

        def forward(self, x):
            h = self.body(x)
            return h * 2.0

    with bp.record() as run:
        with bp.scope("teacher"):
            out = layers(np.ones((5, 3)))
        net = Net()
        y = net(np.ones((5, 3)))

    assert run["teacher.2"].id == run["teacher.out"].id == run["teacher"].id
    assert run["body.2"].id == run["h"].id == run["body"].id
    np.testing.assert_array_equal(out.data, run["teacher.out"].value)
    np.testing.assert_array_equal(y.data, run["y"].value)


def test_the_output_of_a_checkpoint_is_called_what_its_line_assigns_it_to(x) -> None:
    layer = nn.Linear(2, 2, rng=np.random.default_rng(0), dtype=np.float64)

    with bp.record() as run:
        h = bp.checkpoint(layer)(x)  # noqa: F841
        k = bp.checkpoint(lambda u: np.tanh(u) * 2.0)(x)  # noqa: F841

    assert ["checkpoint", "checkpoint"] == [run[name].op for name in "hk"]


def test_a_model_called_in_a_scope_keeps_its_parameter_paths() -> None:
    with bp.record() as run, bp.scope("teacher"):
        mlp()(np.ones((5, 3)))

    assert {"fc1.weight", "fc2.bias"} <= {*leaves(run)}
    assert "teacher.fc1" in run


def test_two_models_get_names_of_their_own() -> None:
    one, two = mlp(), mlp()

    with bp.record() as run:
        a = one(np.ones((5, 3)))
        b = two(np.ones((5, 3)))  # noqa: F841
        a.sum().backward()

    assert ["fc1.weight", "fc1.weight_2"] == [n for n in run.names if "1.weight" in n]
    assert {"a", "b"} <= {*run.names}
    assert run["fc1.weight"].grad is not None
    assert run["fc1.weight_2"].grad is None


def test_a_module_that_raised_leaves_no_open_scope() -> None:
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError

    with bp.record() as run:
        with pytest.raises(ValueError, match=r"^$"):
            Broken()(np.ones((5, 3)))
        mlp()(np.ones((5, 3)))

    assert "fc1.weight" in run


def test_a_name_stands_for_its_first_bearer_and_aliases_yield_to_names() -> None:
    x = bp.tensor(1.0)

    with bp.record() as run:
        h = x * 2.0
        h = h * 3.0

    assert 2.0 == run["h"].value
    assert run["h"] is run[run["h"].id]


def test_threads_name_their_values_apart() -> None:
    names: dict[int, list[str]] = {}

    def work(k: int) -> None:
        with bp.record() as run:
            a = bp.tensor(1.0) * k
            b = a + k  # noqa: F841
        names[k] = made(run)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    assert {k: ["a", "b"] for k in range(4)} == names


def test_context_managers_between_line_and_op_do_not_hide_the_name() -> None:
    x = bp.tensor(1.0)

    with bp.record() as run, nullcontext():
        h = bp.no_grad()(lambda: x * 2.0)()  # noqa: F841

    assert 1 == len(made(run))


def test_what_a_layer_returns_is_called_what_it_is_unpacked_into() -> None:
    rng = np.random.default_rng(0)
    attend = bp.nn.MultiheadAttention(4, 1, rng=rng, dtype=float)
    x = bp.tensor(rng.normal(size=(1, 3, 4)))

    with bp.record() as run:
        y, weights = attend(x, x, x)

    assert np.array_equal(y.data, run["y"].value)
    assert np.array_equal(weights.data, run["weights"].value)


def test_inside_a_function_unpacked_values_keep_their_names_too(x: bp.Tensor) -> None:
    def gates(z):
        i, f = np.split(z, 2)
        return i * f

    with bp.record() as run:
        h = gates(x)
        h.sum()

    assert ["i", "f", "h", "sum_1"] == made(run)
