"""Our ops give PyTorch's values and derivatives on PyTorch's own float64 samples."""

import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import backproplab as bp

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's sample inputs need it")

from conventions import ALONE, CONTROL, NO_SECOND_ORDER, Differs  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402
from torch_cases import CASES, Case  # noqa: E402

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@cache
def opinfo() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {
        info.name + f".{info.variant_test_name}" * bool(info.variant_test_name): info
        for info in op_db
    }


class Sample:
    """One sample input: its float tensors are the leaves, the rest stays as it is."""

    def __init__(self, info: Any, sample: Any) -> None:
        self.info = info
        self.tree = (sample.input, tuple(sample.args), dict(sample.kwargs))
        self.leaves: list[Any] = []
        self._walk(self.tree, self._collect)

    def _collect(self, x: Any) -> Any:
        if x.dtype == torch.float64 and x.requires_grad:
            self.leaves.append(x.detach().clone().requires_grad_())
        return x

    def _walk(self, x: Any, at: Callable[[Any], Any]) -> Any:
        if isinstance(x, torch.Tensor):
            return at(x)
        if isinstance(x, (tuple, list)):
            return type(x)(self._walk(v, at) for v in x)
        if isinstance(x, dict):
            return {k: self._walk(v, at) for k, v in x.items()}
        return x

    def _arguments(self, leaves: Any, plain: Callable[[Any], Any]) -> Any:
        given = iter(leaves)
        first, args, options = self._walk(
            self.tree,
            lambda x: (
                next(given)
                if x.dtype == torch.float64 and x.requires_grad
                else plain(x)
            ),
        )
        return (first, *args), options

    def theirs(self, case: Case, *leaves: Any) -> list[Any]:
        """PyTorch's outputs that are floating point."""
        args, options = self._arguments(leaves, lambda x: x)
        if case.reference:
            return flat(case.reference(self.info.op, *args, **options))
        return flat(self.info.op(*args, **options))

    def ours(self, case: Case, library: Any, *leaves: Any) -> list[Any]:
        """Our outputs, or those of the control."""
        args, options = self._arguments(leaves, lambda x: x.detach().numpy().copy())
        return flat(case.call(library, *args, **options))


def flat(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (tuple, list)) else [y]


def samples(name: str) -> list[Sample]:
    info = opinfo()[name]
    torch.manual_seed(0)
    given = info.sample_inputs("cpu", torch.float64, requires_grad=True)
    return [Sample(info, s) for s in given]


def assert_close(what: str, got: Any, expected: Any) -> None:
    got, expected = np.asarray(got), expected.detach().numpy(force=True)
    assert got.shape == expected.shape, what
    if expected.size:
        finite = expected[np.isfinite(expected)]
        scale = max(1.0, float(np.abs(finite).max(initial=0)))
        atol = scale * np.finfo(np.float64).eps ** 0.75
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=what)


def array(x: Any) -> np.ndarray:
    return x.detach().numpy().copy()


def compare(case: Case, sample: Sample, counts: Counter) -> None:
    """Values, vjp, jvp and second order of one sample."""
    leaves = sample.leaves
    plain = [array(x) for x in leaves]
    ours = sample.ours(case, bp.ops, *plain)
    theirs = sample.theirs(case, *leaves)
    assert len(ours) == len(theirs)
    for y, z in zip(ours, theirs, strict=True):
        assert_close("value", y, z)
    counts["values"] += 1
    moving = [i for i, z in enumerate(theirs) if z.requires_grad]
    if not leaves or not moving:
        return

    def f(*xs: Any) -> Any:
        ys = sample.ours(case, bp.ops, *xs)
        return tuple(ys[i] for i in moving)

    rng = np.random.default_rng(0)
    gs = tuple(rng.normal(size=tuple(theirs[i].shape)) for i in moving)
    ts = tuple(rng.normal(size=x.shape) for x in plain)
    tgs, tts = ([torch.from_numpy(np.array(a)) for a in s] for s in (gs, ts))

    _, pull = bp.vjp(f, *plain)
    grads = torch.autograd.grad(
        [theirs[i] for i in moving],
        leaves,
        tgs,
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    for k, (c, d) in enumerate(zip(pull(gs), grads, strict=True)):
        assert_close(f"vjp of input {k}", c, d)
    counts["vjps"] += 1

    if sample.info.supports_forward_ad:
        _, moved = bp.jvp(f, tuple(plain), ts)
        with forward_ad.dual_level():
            duals = [
                forward_ad.make_dual(x.detach(), t)
                for x, t in zip(leaves, tts, strict=True)
            ]
            outs = sample.theirs(case, *duals)
            for i, t in zip(moving, moved, strict=True):
                expected = forward_ad.unpack_dual(outs[i]).tangent
                zero = torch.zeros_like(theirs[i])
                assert_close(
                    f"jvp of output {i}", t, zero if expected is None else expected
                )
        counts["jvps"] += 1

    if sample.info.supports_gradgrad and case.theirs not in NO_SECOND_ORDER:

        def along(*xs: Any) -> Any:
            _, pull = bp.vjp(f, *xs)
            return sum(np.sum(c * t) for c, t in zip(pull(gs), ts, strict=True))

        total = sum((c * t).sum() for c, t in zip(grads, tts, strict=True))
        if total.requires_grad:
            second = torch.autograd.grad(
                total, leaves, allow_unused=True, materialize_grads=True
            )
            got = bp.grad(along, argnums=tuple(range(len(plain))))(*plain)
            for k, (c, d) in enumerate(zip(got, second, strict=True)):
                assert_close(f"second order of input {k}", c, d)
            counts["second orders"] += 1


@pytest.mark.parametrize("case", CASES, ids=[f"{c.ours}-{c.theirs}" for c in CASES])
def test_values_and_derivatives_are_those_of_pytorch(case, compared):
    tried = 0
    for sample in samples(case.theirs):
        try:
            compare(case, sample, compared)
            tried += 1
        except Differs:
            compared["left out by convention"] += 1

    assert tried


def test_every_op_has_a_case_or_a_reason_to_have_none():
    compared = {case.ours for case in CASES}

    assert bp.ops.registry.keys() - compared - ALONE.keys() == set()
    assert ALONE.keys() & compared == set()


@pytest.mark.parametrize("ours", CONTROL)
def test_the_same_samples_find_the_known_errors_of_another_engine(ours):
    autograd = pytest.importorskip("autograd")
    pytest.importorskip("autograd.numpy")
    case = next(c for c in CASES if c.ours == ours)
    agree = [agrees(case, sample, autograd) for sample in samples(case.theirs)]

    assert True in agree
    assert False in agree


def agrees(case: Case, sample: Sample, autograd: Any) -> bool:
    """Whether HIPS autograd has PyTorch's vjp; what it cannot do, it gets wrong."""
    try:
        sample.ours(case, bp.ops, *map(array, sample.leaves))
    except Differs:
        return True
    y = sample.theirs(case, *sample.leaves)[0]
    g = np.random.default_rng(0).normal(size=tuple(y.shape))
    expected = torch.autograd.grad(y, sample.leaves, torch.from_numpy(np.array(g)))

    def f(*xs: Any) -> Any:
        return sample.ours(case, autograd.numpy, *xs)[0]

    try:
        for k, d in enumerate(expected):
            pull, _ = autograd.make_vjp(f, k)(*map(array, sample.leaves))
            assert_close(case.ours, pull(g), d)
    except (
        AssertionError,
        ArithmeticError,
        ValueError,
        TypeError,
        NotImplementedError,
    ):
        return False
    return True
