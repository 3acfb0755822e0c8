"""Modules: what they hold, how they are saved, where their scopes lie."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, sockets
from backproplab.errors import DTypeError, NameLookupError, RangeError, ShapeError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def net(rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        fc1=nn.Linear(3, 4, rng=rng), act=nn.Tanh(), fc2=nn.Linear(4, 2, rng=rng)
    )


class Tower(nn.Module):
    """Blocks in a plain list, one of them used twice, and a buffer."""

    def __init__(self, rng: np.random.Generator) -> None:
        block = nn.Linear(2, 2, rng=rng)
        self.blocks = [block, nn.Linear(2, 2, bias=False, rng=rng), block]
        self.heads = {"a": nn.Linear(2, 1, rng=rng)}
        self.gains = (bp.tensor(1.0, requires_grad=True),)
        self.seen = np.zeros(2)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        self.last = x
        return self.heads["a"](x) * self.gains[0]


class Steps(sockets.Plug):
    """Notes every scope that opens and closes."""

    def __init__(self) -> None:
        self.entered: list[tuple[str, Any]] = []
        self.left: list[tuple[str, Any]] = []

    def enter(self, path: str, owner: Any) -> None:
        self.entered.append((path, owner))

    def leave(self, path: str, output: Any) -> None:
        self.left.append((path, output))


# What a module holds.


def test_parameters_are_named_by_their_dotted_path(net):
    names = [name for name, _ in net.named_parameters()]

    assert names == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]


def test_lists_tuples_and_dicts_are_looked_into_and_shared_things_come_once(rng):
    tower = Tower(rng)

    names = [name for name, _ in tower.named_parameters()]

    assert names == [
        "gains.0",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.weight",
        "heads.a.weight",
        "heads.a.bias",
    ]


def test_children_are_those_directly_below_and_modules_are_all(net):
    outer = nn.Sequential(net, nn.ReLU())

    assert [n for n, _ in outer.named_children()] == ["0", "1"]
    assert [n for n, _ in outer.named_modules()] == [
        "", "0", "0.fc1", "0.act", "0.fc2", "1",
    ]  # fmt: skip
    assert list(outer.children()) == [net, outer[1]]


def test_arrays_are_buffers_and_activations_are_nothing(rng):
    tower = Tower(rng)

    tower(np.ones((3, 2)))

    assert tower.last.shape == (3, 2)
    assert [name for name, _ in tower.named_buffers()] == ["seen"]
    assert "last" not in dict(tower.named_parameters())


def test_tied_weights_are_one_parameter(rng):
    net = nn.Sequential(nn.Linear(2, 2, bias=False, rng=rng), nn.Linear(2, 2, rng=rng))
    net[1].weight = net[0].weight

    assert [n for n, _ in net.named_parameters()] == ["0.weight", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "1.weight", "1.bias"]


def test_a_frozen_parameter_stays_a_parameter(net):
    net.requires_grad_(False)

    assert len(list(net.parameters())) == 4
    assert not net(np.ones((1, 3))).requires_grad
    assert net.requires_grad_()(np.ones((1, 3))).requires_grad


def test_a_module_that_knows_its_parent_is_walked_once(rng):
    net = nn.Sequential(nn.Linear(1, 1, rng=rng))
    net[0].parent = net

    assert [n for n, _ in net.named_modules()] == ["", "0"]
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    assert repr(net) == (
        "Sequential(\n  (0): Linear(\n    in_features=1, out_features=1, bias=True\n"
        "    (parent): ...\n  )\n)"
    )


def test_train_and_eval_reach_all_modules(net):
    net.eval()
    assert [m.training for m in net.modules()] == [False] * 4

    assert net.train() is net
    assert [m.training for m in net.modules()] == [True] * 4


def test_zero_grad_forgets_all_gradients(net):
    net(np.ones((1, 3))).sum().backward()

    net.zero_grad()

    assert [p.grad for p in net.parameters()] == [None] * 4


def test_apply_calls_children_first(net):
    seen = []

    net.apply(seen.append)

    assert seen == [*net, net]


def test_an_unknown_attribute_raises_with_near_names(net):
    with pytest.raises(NameLookupError) as error:
        net.fc3  # noqa: B018

    assert str(error.value) == (
        "Sequential has no attribute fc3.\n  help: did you mean fc2 or fc1?"
    )


def test_a_module_without_forward_says_what_to_define():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError) as error:
        Empty()(1)

    assert str(error.value) == (
        "Empty has no forward.\n"
        "  help: define `def forward(self, x): ...` in the class."
    )


def test_the_repr_is_a_tree(net):
    net.append_here = nn.Sequential(nn.Residual(nn.ReLU(), scale=0.5))

    assert repr(net) == (
        "Sequential(\n"
        "  (fc1): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (act): Tanh()\n"
        "  (fc2): Linear(in_features=4, out_features=2, bias=True)\n"
        "  (append_here): Sequential(\n"
        "    (0): Residual(\n"
        "      scale=0.5\n"
        "      (fn): ReLU()\n"
        "    )\n"
        "  )\n"
        ")"
    )


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_has_parameters_of_its_own(net, copied):
    twin = copied(net)
    (net(np.ones((1, 3))) * twin(np.ones((1, 3)))).sum().backward()

    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p is not q
        assert p.data is not q.data
        assert np.array_equal(p.grad, q.grad)


# State.


def test_a_state_dict_round_trips_and_is_a_copy(net, rng):
    x, state = rng.normal(size=(5, 3)), net.state_dict()
    y = net(x).data
    other = nn.Sequential(
        fc1=nn.Linear(3, 4, rng=rng), act=nn.Tanh(), fc2=nn.Linear(4, 2, rng=rng)
    )

    assert other.load_state_dict(state) == ([], [])
    state["fc1.weight"][:] = np.nan

    assert np.array_equal(other(x).data, y)
    assert np.array_equal(net(x).data, y)
    assert {a.dtype for a in other.state_dict().values()} == {np.dtype(np.float32)}


def test_a_shared_parameter_is_saved_under_each_path_and_needs_one(rng):
    tower = Tower(rng)
    state = tower.state_dict()
    assert np.array_equal(state["blocks.0.weight"], state["blocks.2.weight"])

    del state["blocks.0.weight"], state["blocks.2.bias"]
    state["blocks.2.weight"][:] = 7
    tower.load_state_dict(state)

    assert np.all(tower.blocks[0].weight.data == 7)


def test_a_loaded_buffer_is_a_new_array(rng):
    tower, old = Tower(rng), None
    old, state = tower.seen, tower.state_dict()
    state["seen"] = [1, 2]

    tower.load_state_dict(state)

    assert tower.seen.tolist() == [1.0, 2.0]
    assert tower.seen.dtype == np.float64
    assert old.tolist() == [0.0, 0.0]


def test_a_misfit_state_names_each_kind_apart_and_loads_nothing(net):
    before, state = net.state_dict(), net.state_dict()
    state["fc1.weigth"] = state.pop("fc1.weight")
    state["fc2.bias"] = np.ones(3)
    state["fc1.bias"] = np.full(4, 1j)
    state["fc2.weight"] = np.zeros((2, 4))

    with pytest.raises(NameLookupError) as error:
        net.load_state_dict(state)

    assert str(error.value) == (
        "load_state_dict: the state does not fit Sequential; nothing was loaded.\n"
        "  missing: fc1.weight\n"
        "  unexpected: fc1.weigth\n"
        "  wrong dtype: fc1.bias is complex128 in the state, float32 here\n"
        "  wrong shape: fc2.bias is (3,) in the state, (2,) here\n"
        "  help: fc1.weigth: did you mean fc1.weight? "
        "Or pass strict=False to load what fits by name."
    )
    after = net.state_dict()
    assert all(np.array_equal(before[n], after[n]) for n in before)


def test_not_strict_loads_what_fits_and_says_what_did_not(net):
    state = {"fc2.bias": np.ones(2), "other": np.ones(1)}

    missing, unexpected = net.load_state_dict(state, strict=False)

    assert missing == ["fc1.weight", "fc1.bias", "fc2.weight"]
    assert unexpected == ["other"]
    assert net.fc2.bias.data.tolist() == [1.0, 1.0]


def test_a_wrong_shape_is_an_error_even_when_not_strict(net):
    with pytest.raises(ShapeError) as error:
        net.load_state_dict({"fc2.bias": np.ones(3)}, strict=False)

    assert str(error.value) == (
        "load_state_dict: the state does not fit Sequential; nothing was loaded.\n"
        "  wrong shape: fc2.bias is (3,) in the state, (2,) here\n"
        "  help: build the model as it was when the state was saved."
    )


def test_words_are_no_parameters(net):
    state = net.state_dict() | {"fc2.bias": np.array(["a", "b"])}

    with pytest.raises(DTypeError) as error:
        net.load_state_dict(state)

    assert str(error.value) == (
        "load_state_dict: the state does not fit Sequential; nothing was loaded.\n"
        "  wrong dtype: fc2.bias is <U1 in the state, float32 here\n"
        "  help: build the model as it was when the state was saved."
    )


def test_a_missing_name_alone_is_listed(net):
    state = net.state_dict()
    del state["fc1.bias"]

    with pytest.raises(NameLookupError) as error:
        net.load_state_dict(state)

    assert str(error.value) == (
        "load_state_dict: the state does not fit Sequential; nothing was loaded.\n"
        "  missing: fc1.bias\n"
        "  help: pass strict=False to load what fits by name."
    )


def test_a_path_is_not_a_state(net):
    with pytest.raises(TypeError) as error:
        net.load_state_dict("net.npz")

    assert str(error.value) == (
        "load_state_dict: state is a str; a dict from names to arrays is required.\n"
        "  help: pass `model.state_dict()` or `bp.load(path)`."
    )


def test_loading_between_forward_and_backward_is_noticed(net):
    loss = net(np.ones((1, 3))).sum()
    net.load_state_dict(net.state_dict())

    with pytest.raises(bp.errors.GradError, match="its data was changed since"):
        loss.backward()


# Scopes.


def test_scopes_have_the_whole_path_from_the_outermost_module(rng):
    tower, steps = Tower(rng), Steps()

    with sockets.plugged(steps):
        y = tower(np.ones((1, 2)))

    assert steps.entered == [
        ("", tower),
        ("blocks.0", tower.blocks[0]),
        ("blocks.1", tower.blocks[1]),
        ("blocks.0", tower.blocks[0]),
        ("heads.a", tower.heads["a"]),
    ]
    assert steps.left[-1] == ("", y)
    assert steps.left[2][1] is tower.last
    assert sockets.current_scope() == ""


def test_scopes_nest_in_the_learners_own(net):
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.net = net

        def forward(self, x: Any) -> Any:
            with bp.scope("first"):
                y = self.net(x)
            return y + self.net(x)

    steps = Steps()

    with sockets.plugged(steps), bp.scope("run"):
        Twice()(np.ones((1, 3)))

    assert [path for path, _ in steps.entered] == [
        "run", "run", "run.first",
        "run.first.net", "run.first.net.fc1", "run.first.net.act", "run.first.net.fc2",
        "run.net", "run.net.fc1", "run.net.act", "run.net.fc2",
    ]  # fmt: skip


def test_a_module_called_from_another_branch_keeps_its_path(rng):
    class Borrower(nn.Module):
        def __init__(self, lent: nn.Module) -> None:
            self.borrowed = lent

        def forward(self, x: Any) -> Any:
            return self.borrowed(x)

    first = nn.Linear(1, 1, rng=rng)
    net, steps = nn.Sequential(a=first, b=Borrower(first)), Steps()

    with sockets.plugged(steps):
        net(np.ones((1, 1)))

    assert [path for path, _ in steps.entered] == ["", "a", "b", "a"]


def test_an_error_closes_the_scopes(net):
    with sockets.plugged(Steps()) as steps, pytest.raises(ShapeError):
        net(np.ones((1, 5)))

    assert steps.left == [("fc1", None), ("", None)]
    assert sockets.current_scope() == ""


def test_no_scope_opens_when_nobody_listens(net, monkeypatch):
    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("backproplab.nn.module.in_scope", refuse)

    assert net(np.ones((1, 3))).shape == (1, 2)
    with sockets.plugged(Steps()), pytest.raises(AssertionError):
        net(np.ones((1, 3)))


# Containers.


def test_sequential_takes_places_a_dict_or_keywords(rng):
    a, b = nn.ReLU(), nn.Tanh()

    assert [n for n, _ in nn.Sequential(a, b).named_children()] == ["0", "1"]
    assert [n for n, _ in nn.Sequential({"x": a, "y": b}).named_children()] == [
        "x",
        "y",
    ]
    assert [n for n, _ in nn.Sequential(x=a, y=b).named_children()] == ["x", "y"]


def test_a_sequential_grows_at_its_end(rng):
    net = nn.Sequential(nn.Linear(2, 3, rng=rng))

    got = net.append(nn.ReLU()).append(nn.Linear(3, 1, rng=rng))

    assert got is net
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_sequential_is_a_sequence(net):
    assert len(net) == 3
    assert list(net) == [net.fc1, net.act, net.fc2]
    assert net[-1] is net.fc2
    assert [n for n, _ in net[1:].named_children()] == ["act", "fc2"]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            {"act": nn.ReLU},
            "Sequential: act is <class 'backproplab.nn.activation.ReLU'>; "
            "a module is required.\n  help: call it: `ReLU(...)`.",
        ),
        (
            {"act": 3},
            "Sequential: act is 3; a module is required.\n"
            "  help: write a Module around it.",
        ),
    ],
)
def test_sequential_refuses_what_is_no_module(modules, message):
    with pytest.raises(TypeError) as error:
        nn.Sequential(modules)

    assert str(error.value) == message


@pytest.mark.parametrize("name", ["train", "a.b"])
def test_sequential_refuses_a_name_that_cannot_be_an_attribute(name):
    with pytest.raises(NameLookupError) as error:
        nn.Sequential({name: nn.ReLU()})

    assert str(error.value) == (
        f"Sequential: {name!r} cannot name a module; "
        "a name has no dot and is not a method's.\n"
        f"  help: call it {name.replace('.', '_')}_ instead."
    )


def test_residual_adds_its_branch(rng):
    x = rng.normal(size=(2, 3))

    assert np.allclose(nn.Residual(np.square)(x), x + x * x)
    assert np.allclose(nn.Residual(np.square, scale=0)(x), x)


def test_a_residual_scale_that_is_a_tensor_is_learned(rng):
    x = bp.tensor(rng.normal(size=(2, 3)))
    block = nn.Residual(np.square, scale=bp.tensor(0.0, requires_grad=True))

    block(x).sum().backward()

    assert [n for n, _ in block.named_parameters()] == ["scale"]
    assert np.allclose(block.scale.grad, np.square(x.data).sum())


def test_a_residual_branch_of_another_shape_is_refused(rng):
    with pytest.raises(ShapeError) as error:
        nn.Residual(nn.Linear(3, 1, rng=rng))(np.ones((2, 3)))

    assert str(error.value) == (
        "Residual: x is (2, 3) and fn(x) is (2, 1); they must be equal.\n"
        "  help: let the branch end with as many features as it began with."
    )


# First values.


@pytest.mark.parametrize("shape", [(300, 200), (40, 30, 3, 3)])
def test_random_weights_have_the_variance_that_they_promise(shape, rng):
    kernel = np.prod(shape[2:])
    fan_in, fan_out = shape[1] * kernel, shape[0] * kernel

    for f, options, variance in [
        (nn.init.xavier_uniform, {}, 2 / (fan_in + fan_out)),
        (nn.init.xavier_normal, {"gain": 2}, 8 / (fan_in + fan_out)),
        (nn.init.kaiming_uniform, {"nonlinearity": "relu"}, 2 / fan_in),
        (nn.init.kaiming_normal, {"mode": "fan_out", "a": 1}, 1 / fan_out),
        (nn.init.kaiming_normal, {"gain": 3}, 9 / fan_in),
    ]:
        w = f(shape, rng, **options)
        # The sample variance of n draws strays by sqrt(2/n) at most, in shares of it.
        assert w.shape == shape
        assert abs(w.var() / variance - 1) < 5 * np.sqrt(2 / w.size)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal_weights_have_equal_singular_values(shape, rng):
    w = nn.init.orthogonal(shape, rng, gain=3)

    assert np.allclose(np.linalg.svd(w.reshape(shape[0], -1))[1], 3)


def test_one_seed_gives_the_same_weights_in_every_dtype():
    wide, narrow = (
        nn.init.xavier_normal((3, 4), np.random.default_rng(1), dtype=dtype)
        for dtype in (np.float64, np.float32)
    )

    assert narrow.dtype == np.float32
    assert np.array_equal(wide.astype(np.float32), narrow)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: nn.init.xavier_normal((3,), np.random.default_rng(0)),
            ShapeError,
            "nn.init: the shape is (3,); (out, in, ...) is required, because the "
            "spread is set by the fans.\n"
            "  help: a bias has no fans: start it at np.zeros(n).",
        ),
        (
            lambda: nn.Linear(-1, 4, rng=np.random.default_rng(0)),
            ShapeError,
            "nn.init: the shape is (4, -1); sizes of at least 0 are required.",
        ),
        (
            lambda: nn.init.kaiming_normal((3, 3), np.random.default_rng(0), mode="in"),
            RangeError,
            "nn.init: mode is 'in'; fan_in or fan_out is required.\n"
            "  help: did you mean fan_in?",
        ),
        (
            lambda: nn.init.calculate_gain("rely"),
            RangeError,
            "calculate_gain: nonlinearity is 'rely'; it has no gain here.\n"
            "  help: did you mean relu or selu?",
        ),
        (
            lambda: nn.init.orthogonal((3, 3), 0),
            TypeError,
            "nn.init: rng is 0; a numpy.random.Generator is required.\n"
            "  help: pass rng=np.random.default_rng(0).",
        ),
        (
            lambda: nn.Linear(3, 3),
            TypeError,
            "Linear: rng is None; a numpy.random.Generator is required.\n"
            "  help: pass rng=np.random.default_rng(0).",
        ),
    ],
)
def test_init_says_what_it_needs(call, kind, message):
    with pytest.raises(kind) as error:
        call()

    assert str(error.value) == message
