"""Layers, losses, optimisers and schedules beside PyTorch's, in float64.

Each layer takes over PyTorch's state dict, so the names of parameters are tested too.
"""

from typing import Any

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim

pytestmark = pytest.mark.oracle

F64 = {"rng": np.random.default_rng(0), "dtype": np.float64}
PLAIN = {"dtype": np.float64}


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def assert_close(got: Any, want: Any) -> None:
    """Compare shapes, then values at the array's scale and the dtype's precision."""
    got = got.data if isinstance(got, bp.Tensor) else np.asarray(got)
    want = np.asarray(want.detach() if "detach" in dir(want) else want)
    assert got.shape == want.shape
    if got.size:
        eps = np.finfo(got.dtype).eps if got.dtype.kind == "f" else 0
        scale = max(1.0, float(abs(want).max()))
        assert abs(got - want).max() <= 1000 * eps * scale


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


def integers(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, high, shape)


LAYERS = {
    "Linear": (lambda: nn.Linear(5, 3, **F64), (5, 3), {}, normal(4, 5)),
    "Linear without bias": (
        lambda: nn.Linear(5, 3, bias=False, **F64),
        (5, 3),
        {"bias": False},
        normal(2, 4, 5),
    ),
    "Identity": (nn.Identity, (), {}, normal(4, 5)),
    "ReLU": (nn.ReLU, (), {}, normal(4, 5)),
    "Tanh": (nn.Tanh, (), {}, normal(4, 5)),
    "Sigmoid": (nn.Sigmoid, (), {}, normal(4, 5)),
    "GELU": (nn.GELU, (), {}, normal(4, 5)),
    "GELU tanh": (lambda: nn.GELU("tanh"), ("tanh",), {}, normal(4, 5)),
    "SiLU": (nn.SiLU, (), {}, normal(4, 5)),
    "ELU": (lambda: nn.ELU(0.7), (0.7,), {}, normal(4, 5)),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), (0.2,), {}, normal(4, 5)),
    "Softplus": (lambda: nn.Softplus(2.0, 1.0), (2.0, 1.0), {}, normal(4, 5)),
    "Softmax": (lambda: nn.Softmax(dim=1), (), {"dim": 1}, normal(4, 5, 3)),
    "LogSoftmax": (lambda: nn.LogSoftmax(dim=-1), (), {"dim": -1}, normal(4, 5, 3)),
    "Flatten": (lambda: nn.Flatten(1, 2), (1, 2), {}, normal(4, 5, 3, 2)),
    "Embedding": (
        lambda: nn.Embedding(7, 3, **F64),
        (7, 3),
        {},
        integers(7, 4, 5),
    ),
    "Embedding with padding": (
        lambda: nn.Embedding(7, 3, padding_idx=2, **F64),
        (7, 3),
        {"padding_idx": 2},
        integers(7, 4, 5),
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5, **PLAIN), (5,), {}, normal(6, 5)),
    "BatchNorm1d over a length": (
        lambda: nn.BatchNorm1d(5, eps=1e-3, momentum=0.3, **PLAIN),
        (5,),
        {"eps": 1e-3, "momentum": 0.3},
        normal(6, 5, 3),
    ),
    "BatchNorm1d of all batches": (
        lambda: nn.BatchNorm1d(5, momentum=None, affine=False, **PLAIN),
        (5,),
        {"momentum": None, "affine": False},
        normal(6, 5),
    ),
    "BatchNorm1d without running statistics": (
        lambda: nn.BatchNorm1d(5, track_running_stats=False, **PLAIN),
        (5,),
        {"track_running_stats": False},
        normal(6, 5),
    ),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, **PLAIN), (3,), {}, normal(2, 3, 4, 5)),
    "LayerNorm": (
        lambda: nn.LayerNorm((3, 4), eps=1e-3, **PLAIN),
        ((3, 4),),
        {"eps": 1e-3},
        normal(2, 3, 4),
    ),
    "LayerNorm without bias": (
        lambda: nn.LayerNorm(4, bias=False, **PLAIN),
        (4,),
        {"bias": False},
        normal(2, 3, 4),
    ),
    "LayerNorm without weights": (
        lambda: nn.LayerNorm(4, elementwise_affine=False, **PLAIN),
        (4,),
        {"elementwise_affine": False},
        normal(2, 3, 4),
    ),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6, **PLAIN), (2, 6), {}, normal(2, 6, 3)),
    "RMSNorm": (lambda: nn.RMSNorm(4, **PLAIN), (4,), {}, normal(2, 3, 4)),
    "RMSNorm with eps": (
        lambda: nn.RMSNorm((3, 4), eps=0.1, **PLAIN),
        ((3, 4),),
        {"eps": 0.1},
        normal(2, 3, 4),
    ),
    "Conv1d": (
        lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2, **F64),
        (4, 6, 3),
        {"stride": 2, "padding": 1, "groups": 2},
        normal(2, 4, 9),
    ),
    "Conv2d": (
        lambda: nn.Conv2d(3, 4, (2, 3), stride=(1, 2), padding=(2, 1), **F64),
        (3, 4, (2, 3)),
        {"stride": (1, 2), "padding": (2, 1)},
        normal(2, 3, 6, 7),
    ),
    **{
        f"Conv1d {mode}": (
            lambda mode=mode: nn.Conv1d(
                2, 3, 4, padding="same", padding_mode=mode, **F64
            ),
            (2, 3, 4),
            {"padding": "same", "padding_mode": mode},
            normal(2, 2, 7),
        )
        for mode in ("reflect", "replicate", "circular")
    },
    "Conv2d circular": (
        lambda: nn.Conv2d(2, 4, 3, 2, (1, 2), padding_mode="circular", **F64),
        (2, 4, 3, 2, (1, 2)),
        {"padding_mode": "circular"},
        normal(2, 2, 6, 7),
    ),
    "Conv2d same": (
        lambda: nn.Conv2d(2, 4, 3, padding="same", dilation=2, bias=False, **F64),
        (2, 4, 3),
        {"padding": "same", "dilation": 2, "bias": False},
        normal(2, 6, 7),
    ),
    "MaxPool2d": (
        lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        (3,),
        {"stride": 2, "padding": 1, "ceil_mode": True},
        normal(2, 3, 6, 7),
    ),
    "AvgPool2d": (
        lambda: nn.AvgPool2d((2, 3), padding=1, count_include_pad=False),
        ((2, 3),),
        {"padding": 1, "count_include_pad": False},
        normal(2, 3, 6, 7),
    ),
}


def pair(torch: Any, name: str) -> tuple[nn.Module, Any, np.ndarray]:
    """Build a layer and PyTorch's, with the same random state, and an input."""
    make, args, options, x = LAYERS[name]
    mine = make()
    theirs = vars(torch.nn)[name.split()[0]](*args, **options).double()
    share(torch, mine, theirs)
    return mine, theirs, x


def share(torch: Any, mine: nn.Module, theirs: Any) -> None:
    """Give both the same random parameters."""
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in theirs.parameters():
            p += torch.from_numpy(0.3 * rng.normal(size=tuple(p.shape)))
    mine.load_state_dict({n: v.numpy() for n, v in theirs.state_dict().items()})


def leaves(torch: Any, x: np.ndarray) -> tuple[Any, Any]:
    real = x.dtype.kind == "f"
    mine = bp.tensor(x, requires_grad=True) if real else x
    return mine, torch.tensor(x, requires_grad=real)


def assert_same_grads(mine: nn.Module, theirs: Any) -> None:
    grads = {n: p.grad for n, p in mine.named_parameters()}
    wanted = {n: p.grad for n, p in theirs.named_parameters()}
    assert list(grads) == list(wanted)
    for name, want in wanted.items():
        assert_close(grads[name], want)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_agrees_in_training_and_after(torch, name):
    mine, theirs, x = pair(torch, name)

    for shift in (0, 1, 2):  # running statistics move with the batches
        shifted = x + shift if x.dtype.kind == "f" else x
        a, b = leaves(torch, shifted)
        y, z = mine(a), theirs(b)
        g = normal(*y.shape)
        y.backward(g)
        z.backward(torch.from_numpy(g))
        assert_close(y, z)
        if b.requires_grad:
            assert_close(a.grad, b.grad)
    assert_same_grads(mine, theirs)
    for key, want in theirs.state_dict().items():
        assert_close(mine.state_dict()[key], want)
    assert_close(mine.eval()(x), theirs.eval()(torch.from_numpy(x)))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_starts_with_the_same_spread_and_shows_its_sizes(torch, name):
    make, args, options, _ = LAYERS[name]
    mine = make()
    theirs = vars(torch.nn)[name.split()[0]](*args, **options)

    want = {n: tuple(v.shape) for n, v in theirs.state_dict().items()}
    assert {n: v.shape for n, v in mine.state_dict().items()} == want
    if name.startswith(("Linear", "Conv")):
        bound = float(np.prod(theirs.weight.shape[1:])) ** -0.5
        drawn = np.concatenate([np.ravel(p.data) for p in mine.parameters()])
        assert 0.7 * bound < abs(drawn).max() <= bound


ATTENTION = {
    "self": {"shapes": [(5, 2, 6)], "call": {}},
    "batch first": {"shapes": [(2, 5, 6)], "batch_first": True, "call": {}},
    "across": {"shapes": [(5, 2, 6), (3, 2, 6), (3, 2, 6)], "call": {}},
    "other sizes": {
        "shapes": [(5, 2, 6), (3, 2, 4), (3, 2, 7)],
        "kdim": 4,
        "vdim": 7,
        "call": {},
    },
    "one": {"shapes": [(5, 6)], "call": {"average_attn_weights": False}},
    "without bias": {"shapes": [(5, 2, 6)], "bias": False, "call": {}},
    "without weights": {"shapes": [(5, 2, 6)], "call": {"need_weights": False}},
    "masked": {
        "shapes": [(5, 2, 6)],
        "call": {
            "attn_mask": np.triu(np.ones((5, 5), bool), 1),
            "key_padding_mask": np.arange(10).reshape(2, 5) % 5 == 4,
        },
    },
    "biased": {"shapes": [(5, 2, 6)], "call": {"attn_mask": normal(6, 5, 5)}},
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_agrees(torch, name):
    case = dict(ATTENTION[name])
    shapes, call = case.pop("shapes"), case.pop("call")
    mine = nn.MultiheadAttention(6, 3, **case, **F64)
    theirs = torch.nn.MultiheadAttention(6, 3, **case).double()
    share(torch, mine, theirs)
    a, b = zip(*(leaves(torch, normal(*s)) for s in shapes), strict=True)

    y, weights = mine(*(a if len(a) == 3 else a * 3), **call)
    z, wanted = theirs(
        *(b if len(b) == 3 else b * 3),
        **{k: torch.from_numpy(v) if "mask" in k else v for k, v in call.items()},
    )
    g = normal(*y.shape)
    y.backward(g)
    z.backward(torch.from_numpy(g))

    assert_close(y, z)
    assert (weights is None) == (wanted is None)
    if weights is not None:
        assert_close(weights, wanted)
    for p, q in zip(a, b, strict=True):
        assert_close(p.grad, q.grad)
    assert_same_grads(mine, theirs)


def test_causal_attention_is_attention_under_a_triangular_mask(torch):
    mine, x = nn.MultiheadAttention(6, 3, **F64), normal(5, 2, 6)

    y, _ = mine(x, x, x, is_causal=True)
    z, _ = mine(x, x, x, attn_mask=np.triu(np.ones((5, 5), bool), 1))

    assert_close(y, z.data)


WEIGHTS = np.array([0.5, 2.0, 1.0])
LOSSES = {
    "CrossEntropyLoss": ({}, normal(6, 3), integers(3, 6)),
    "CrossEntropyLoss with all": (
        {"weight": WEIGHTS, "ignore_index": 1, "label_smoothing": 0.1},
        normal(6, 3, 2),
        integers(3, 6, 2),
    ),
    "CrossEntropyLoss of probabilities": (
        {"reduction": "sum"},
        normal(6, 3),
        np.full((6, 3), 1 / 3),
    ),
    "NLLLoss": ({"weight": WEIGHTS, "ignore_index": 0}, normal(6, 3), integers(3, 6)),
    "MSELoss": ({}, normal(6, 3), normal(3, 6).T),
    "L1Loss": ({"reduction": "none"}, normal(6, 3), normal(3, 6).T),
    "HuberLoss": ({"delta": 0.3}, normal(6, 3), normal(3, 6).T),
    "SmoothL1Loss": ({"beta": 0.3}, normal(6, 3), normal(3, 6).T),
    "BCEWithLogitsLoss": (
        {"weight": WEIGHTS, "pos_weight": 2 * WEIGHTS},
        normal(6, 3),
        np.random.default_rng(0).random((6, 3)),
    ),
    "KLDivLoss": (
        {"reduction": "batchmean"},
        normal(6, 3),
        np.random.default_rng(0).random((6, 3)),
    ),
    "KLDivLoss of logarithms": (
        {"log_target": True, "reduction": "sum"},
        normal(6, 3),
        normal(3, 6).T,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_agrees(torch, name):
    options, x, y = LOSSES[name]
    kind = name.split()[0]
    a, b = leaves(torch, x)
    mine = vars(nn)[kind](**options)
    theirs = vars(torch.nn)[kind](
        **{k: torch.from_numpy(v) if "weight" in k else v for k, v in options.items()}
    )

    got, want = mine(a, y), theirs(b, torch.from_numpy(np.array(y)))
    got.backward(np.ones(got.shape))
    want.backward(torch.ones_like(want))

    assert_close(got, want)
    assert_close(a.grad, b.grad)


def networks(torch: Any) -> tuple[nn.Module, Any]:
    mine = nn.Sequential(
        nn.Linear(4, 8, **F64), nn.Tanh(), nn.BatchNorm1d(8, **PLAIN),
        nn.Linear(8, 3, **F64),
    )  # fmt: skip
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.BatchNorm1d(8),
        torch.nn.Linear(8, 3),
    ).double()  # fmt: skip
    share(torch, mine, theirs)
    return mine, theirs


OPTIMISERS = {
    "SGD": {"lr": 0.1},
    "SGD with decay": {"lr": 0.1, "weight_decay": 0.1},
    "SGD with momentum": {"lr": 0.1, "momentum": 0.9, "dampening": 0.2},
    "SGD of Nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"lr": 0.01},
    "RMSprop with all": {
        "lr": 0.01, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "momentum": 0.5,
        "centered": True,
    },
    "Adam": {"lr": 0.01},
    "Adam with all": {
        "lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1,
        "amsgrad": True,
    },
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
    "AdamW with AMSGrad": {"lr": 0.01, "amsgrad": True},
    **{f"{kind} going up": {"lr": 0.01, "weight_decay": 0.1, "maximize": True}
       for kind in ("SGD", "RMSprop", "Adam", "AdamW")},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_trajectory_of_twenty_steps_agrees(torch, name):
    mine, theirs = networks(torch)
    kind, options = name.split()[0], OPTIMISERS[name]
    step = vars(optim)[kind](mine.parameters(), **options)
    their_step = vars(torch.optim)[kind](theirs.parameters(), **options)
    rng = np.random.default_rng(2)

    for _ in range(20):
        x, labels = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)
        step.zero_grad()
        their_step.zero_grad()
        bp.ops.cross_entropy(mine(x), labels).backward()
        torch.nn.functional.cross_entropy(
            theirs(torch.from_numpy(x)), torch.from_numpy(labels)
        ).backward()
        step.step()
        their_step.step()
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert_close(p.data, q)

    saved = step.state_dict()["state"]
    for k, memory in their_step.state_dict()["state"].items():
        known = {n: v for n, v in memory.items() if v is not None}
        assert set(saved[k]) == set(known)
        for key, value in known.items():
            assert_close(saved[k][key], value)


SCHEDULES = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 7, "eta_min": 0.01},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
    "MultiStepLR": {"milestones": [3, 8], "gamma": 0.5},
    "ConstantLR": {"factor": 0.5, "total_iters": 4},
    "PolynomialLR": {"total_iters": 12, "power": 2.0},
    "LambdaLR": {"lr_lambda": lambda t: 1 / (1 + t)},
}


def both_rates(torch: Any, build: Any) -> tuple[list[Any], list[Any]]:
    p = bp.tensor(1.0, requires_grad=True)
    q = torch.tensor(1.0, requires_grad=True)
    mine, theirs = optim.SGD([p], lr=0.3), torch.optim.SGD([q], lr=0.3)
    return tuple(  # type: ignore[return-value]
        rates(optimizer, build(module, optimizer))
        for optimizer, module in ((mine, optim), (theirs, torch.optim.lr_scheduler))
    )


def rates(optimizer: Any, schedule: Any) -> list[float]:
    found = []
    for _ in range(20):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_agrees_over_twenty_steps(torch, name):
    got, want = both_rates(torch, lambda m, o: vars(m)[name](o, **SCHEDULES[name]))

    assert_close(got, want)


def test_a_warm_up_followed_by_a_cosine_agrees(torch):
    def build(module: Any, optimizer: Any) -> Any:
        up = module.LinearLR(optimizer, 0.1, total_iters=4)
        down = module.CosineAnnealingLR(optimizer, 16)
        return module.SequentialLR(optimizer, [up, down], [4])

    got, want = both_rates(torch, build)

    assert_close(got, want)


@pytest.mark.parametrize("norm", [1.0, 2.0, float("inf")])
@pytest.mark.parametrize("bound", [0.1, 1e3])
def test_clipping_agrees(torch, norm, bound):
    grads = [normal(3, 4), normal(5)]
    mine, theirs = [], []
    for g in grads:
        a, b = leaves(torch, g)
        a.grad, b.grad = g, torch.tensor(g)
        mine.append(a)
        theirs.append(b)

    got = optim.clip_grad_norm_(mine, bound, norm)
    want = torch.nn.utils.clip_grad_norm_(theirs, bound, norm)

    assert_close(got, want)
    for a, b in zip(mine, theirs, strict=True):
        assert_close(a.grad, b.grad)


def test_a_safetensors_file_of_pytorch_gives_the_same_outputs(torch, tmp_path):
    library = pytest.importorskip("safetensors.torch")
    t, rng = torch.nn, np.random.default_rng(0)
    theirs = t.Sequential(
        t.Conv2d(1, 4, 3, padding=1), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2),
        t.Flatten(), t.Linear(64, 10), t.LayerNorm(10),
    )  # fmt: skip
    mine = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.BatchNorm2d(4), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10, rng=rng), nn.LayerNorm(10),
    )  # fmt: skip
    x = normal(3, 1, 8, 8).astype(np.float32)
    theirs(torch.from_numpy(x))
    library.save_file(theirs.state_dict(), tmp_path / "net.safetensors")

    mine.load_state_dict(bp.load(tmp_path / "net.safetensors"))

    assert_close(mine(x), theirs(torch.from_numpy(x)))
    assert_close(mine.eval()(x), theirs.eval()(torch.from_numpy(x)))
    bp.save(mine.state_dict(), tmp_path / "back.safetensors")
    theirs.load_state_dict(library.load_file(tmp_path / "back.safetensors"))


def test_module_hooks_fire_in_the_same_order_with_the_same_gradients(torch):
    mine, theirs = networks(torch)
    calls: dict[str, list[Any]] = {"mine": [], "theirs": []}

    def listen(key: str, net: Any) -> None:
        for name, module in net.named_modules():
            module.register_forward_pre_hook(
                lambda m, args, n=name: calls[key].append(("pre", n))
            )
            module.register_forward_hook(
                lambda m, args, y, n=name: calls[key].append(("forward", n))
            )
            module.register_full_backward_hook(
                lambda m, gi, go, n=name: calls[key].append((n, gi, go))
            )

    listen("mine", mine)
    listen("theirs", theirs)
    a, b = leaves(torch, normal(6, 4))
    mine(a).sum().backward()
    theirs(b).sum().backward()

    assert len(calls["mine"]) == len(calls["theirs"])
    for got, want in zip(calls["mine"], calls["theirs"], strict=True):
        if want[0] in ("pre", "forward"):
            assert got == want
            continue
        assert got[0] == want[0]
        for g, w in zip(got[1] + got[2], want[1] + want[2], strict=True):
            assert_close(g, w)


@pytest.mark.parametrize("convention", ["flax", "keras"])
def test_another_convention_is_told_apart(torch, convention):
    mine, theirs, x = pair(torch, "BatchNorm1d")
    mine.convention, mine.momentum = convention, 0.99

    mine(x)
    theirs(torch.from_numpy(x))

    with pytest.raises(AssertionError):
        assert_close(mine.running_mean, theirs.running_mean)


def test_a_rounding_of_single_precision_is_told_apart():
    x = normal(4, 5)

    with pytest.raises(AssertionError):
        assert_close(x.astype(np.float32).astype(float), x)
