"""amp against PyTorch on the CPU: the scaler's rule, the order of calls, values.

PyTorch's CUDA lists cannot be asked without a GPU; its CPU lists differ for some ops.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import backproplab as bp  # noqa: E402
from backproplab import formats  # noqa: E402
from backproplab.amp import GradScaler, autocast  # noqa: E402

pytestmark = pytest.mark.oracle

OPTIONS = {"init_scale": 2.0**10, "growth_interval": 4}


def pair(options):
    """A parameter, its optimiser and a scaler: ours and PyTorch's."""
    p = bp.tensor(np.float32([1.0, 2.0]), requires_grad=True)
    q = torch.tensor([1.0, 2.0], requires_grad=True)
    return (
        (p, bp.optim.SGD([p], lr=0.1), GradScaler(**options)),
        (q, torch.optim.SGD([q], lr=0.1), torch.amp.GradScaler("cpu", **options)),
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "options",
    [OPTIONS, OPTIONS | {"growth_factor": 3.0, "backoff_factor": 0.3}],
    ids=["twos", "others"],
)
def test_scales_skips_and_parameters_are_pytorchs_to_the_step(seed, options):
    bad = np.random.default_rng(seed).random(60) < 0.15
    (p, ours, scaler), (q, theirs, torch_scaler) = pair(options)
    for broken in bad:
        g = np.float32([0.25, np.inf if broken else 0.5])
        p.grad = g * np.float32(scaler.get_scale())
        q.grad = torch.tensor(g * np.float32(torch_scaler.get_scale()))
        scaler.scale(p.sum()), torch_scaler.scale(q.sum())
        scaler.step(ours), torch_scaler.step(theirs)
        scaler.update(), torch_scaler.update()

        # PyTorch keeps its scale in float32.
        assert scaler.get_scale() == pytest.approx(torch_scaler.get_scale(), rel=1e-6)
    np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-6)
    state, expected = scaler.state_dict(), torch_scaler.state_dict()
    assert expected.keys() == state.keys()
    assert expected == pytest.approx(state, rel=1e-6)


ORDERS = [
    ("unscale_", "unscale_"),
    ("unscale_", "step", "update"),
    ("step", "unscale_"),
    ("step", "step"),
    ("update",),
    ("step", "update", "update"),
    ("step", "update", "unscale_", "step"),
]


@pytest.mark.parametrize("used", [True, False], ids=["scaled", "not scaled"])
@pytest.mark.parametrize("calls", ORDERS, ids=" ".join)
def test_what_pytorch_refuses_is_refused(calls, used):
    outcomes = []
    for p, optimizer, scaler in pair(OPTIONS):
        loss = p.sum()
        (scaler.scale(loss) if used else loss).backward()
        try:
            for name in calls:
                getattr(scaler, name)(*() if name == "update" else (optimizer,))
            outcomes.append("fine")
        except (RuntimeError, AssertionError):
            outcomes.append("refused")

    assert outcomes[0] == outcomes[1]


def test_float16_gradients_are_refused_by_both():
    p = bp.tensor(np.ones(2, np.float16), requires_grad=True)
    q = torch.ones(2, dtype=torch.float16, requires_grad=True)
    scaler, torch_scaler = GradScaler(8.0), torch.amp.GradScaler("cpu", 8.0)
    scaler.scale(p.sum()).backward()
    torch_scaler.scale(q.sum()).backward()

    with pytest.raises(TypeError, match="float16"):
        scaler.unscale_(bp.optim.SGD([p], lr=0.1))
    with pytest.raises(ValueError, match="FP16"):
        torch_scaler.unscale_(torch.optim.SGD([q], lr=0.1))


@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
def test_a_layer_and_its_gradients_agree_to_the_last_place(fmt):
    rng = np.random.default_rng(0)
    x, w, b, g = (
        rng.normal(size=s).astype("f") for s in ((16, 8), (4, 8), (4,), (16, 4))
    )
    inputs = [bp.tensor(a, requires_grad=True) for a in (x, w, b)]
    others = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    with autocast(fmt):
        y = bp.relu(bp.ops.linear(*inputs))
    with torch.autocast("cpu", getattr(torch, fmt)):
        z = torch.relu(torch.nn.functional.linear(*others))
    y.backward(g)
    z.backward(torch.tensor(g).to(z.dtype))

    got = [y.data, *(t.grad for t in inputs)]
    expected = [z.detach().float().numpy(), *(t.grad.numpy() for t in others)]
    for ours, theirs in zip(got, expected, strict=True):
        assert formats.on_grid(theirs, fmt)
        assert formats.on_grid(ours, fmt)
        # Sums differ in float32's last places, which may move the one rounding.
        scale = np.abs(theirs).max()
        assert np.abs(ours - theirs).max() <= 2 * scale * formats.get(fmt).unit_roundoff
        assert np.mean(ours == theirs) > 0.9


ELEMENTWISE = {
    "add": lambda h, k: h + k,
    "multiply": lambda h, k: h * k,
    "relu": lambda h, _k: (bp.relu if isinstance(h, bp.Tensor) else torch.relu)(h),
    "fan-out": lambda h, k: h * k + h,
}


@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_ops_on_narrow_values_equal_real_narrow_arithmetic(name, fmt):
    f = ELEMENTWISE[name]
    rng = np.random.default_rng(0)
    a, b, g = (formats.quantize(rng.normal(size=64).astype("f"), fmt) for _ in range(3))
    inputs = [bp.tensor(v[:, None], requires_grad=True) for v in (a, b)]
    others = [torch.tensor(v).to(getattr(torch, fmt)).requires_grad_() for v in (a, b)]
    with autocast(fmt):
        one = np.ones((1, 1), np.float32)
        y = f(*(t @ one for t in inputs))
    z = f(*others)
    y.backward(g[:, None])
    z.backward(torch.tensor(g).to(z.dtype))

    assert np.array_equal(y.data[:, 0], z.detach().float().numpy())
    for ours, theirs in zip(inputs, others, strict=True):
        if theirs.grad is not None:
            assert np.array_equal(ours.grad[:, 0], theirs.grad.float().numpy())
