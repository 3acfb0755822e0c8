"""Hooks on modules: when they run, how often, and what they may change."""

from typing import Any

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn
from backproplab.errors import GradError


@pytest.fixture
def layer() -> nn.Linear:
    return nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=float)


def test_hooks_run_around_forward_in_the_order_of_registration(layer):
    seen = []
    layer.register_forward_hook(
        lambda m, args, y: seen.append(("after", args, y.shape))
    )
    layer.register_forward_pre_hook(lambda m, args: seen.append((1, m, args)))
    layer.register_forward_pre_hook(lambda m, args: seen.append((2, m, args)))
    x = np.ones((4, 3))

    layer(x)

    assert seen == [(1, layer, (x,)), (2, layer, (x,)), ("after", (x,), (4, 2))]


def test_a_pre_hook_replaces_the_arguments_and_a_hook_the_output(layer):
    x = np.ones((1, 3))
    y = layer(2 * x).data

    layer.register_forward_pre_hook(lambda m, args: 2 * args[0])
    layer.register_forward_hook(lambda m, args, y: -y)

    assert np.array_equal(layer(x).data, -y)


def test_a_handle_removes_its_hook_alone(layer):
    seen = []
    first = layer.register_forward_hook(lambda *_: seen.append(1))
    with layer.register_forward_hook(lambda *_: seen.append(2)):
        layer(np.ones((1, 3)))
    first.remove()
    first.remove()

    layer(np.ones((1, 3)))

    assert seen == [1, 2]


def test_a_hook_may_remove_itself_while_it_runs(layer):
    seen = []
    handle = layer.register_forward_hook(
        lambda *_: (seen.append(1), handle.remove())[1]
    )

    layer(np.ones((1, 3)))
    layer(np.ones((1, 3)))

    assert seen == [1]


def test_a_backward_hook_sees_both_ends_once_per_call(layer, grads):
    layer.register_full_backward_hook(grads)
    x = bp.tensor(np.ones((4, 3)), requires_grad=True)
    y = layer(x)
    g = np.arange(8.0).reshape(4, 2)

    y.backward(g)

    ((module, grad_input, grad_output),) = grads.calls
    assert module is layer
    assert np.array_equal(grad_output[0], g)
    assert np.array_equal(grad_input[0], g @ layer.weight.data)
    assert np.array_equal(x.grad, grad_input[0])


def test_a_hook_leaves_gradients_as_they_were(layer, grads):
    x = bp.tensor(np.ones((4, 3)), requires_grad=True)
    layer(x).sum().backward()
    plain = [p.grad for p in (x, layer.weight, layer.bias)]
    x.zero_grad()
    layer.zero_grad()

    with layer.register_full_backward_hook(grads):
        layer(x).sum().backward()

    for p, g in zip((x, layer.weight, layer.bias), plain, strict=True):
        assert np.array_equal(p.grad, g)


def test_two_calls_are_told_apart_the_later_first(layer, grads):
    layer.register_full_backward_hook(grads)
    x = bp.tensor(np.ones((1, 3)), requires_grad=True)

    (layer(x) + 10 * layer(x)).sum().backward()

    assert [call[2][0].tolist() for call in grads.calls] == [[[10, 10]], [[1, 1]]]


def test_each_backward_of_a_kept_graph_calls_again(layer, grads):
    layer.register_full_backward_hook(grads)
    x = bp.tensor(np.ones((1, 3)), requires_grad=True)
    loss = layer(x).sum()

    loss.backward(retain_graph=True)
    loss.backward()

    assert len(grads.calls) == 2
    assert np.array_equal(x.grad, 2 * layer.weight.data.sum(axis=0, keepdims=True))


def test_a_backward_hook_replaces_what_flows_on(layer):
    layer.register_full_backward_hook(lambda m, gi, go: (2 * gi[0],))
    layer.register_full_backward_hook(lambda m, gi, go: gi[0] + 1)
    x = bp.tensor(np.ones((1, 3)), requires_grad=True)

    layer(x).sum().backward()

    assert np.array_equal(x.grad, 2 * layer.weight.data.sum(axis=0, keepdims=True) + 1)


class Mix(nn.Module):
    """Several inputs, one of them no tensor, and two outputs."""

    def forward(self, x: Any, n: int, y: Any) -> Any:
        return x * y, n * x


def test_all_gradients_of_several_inputs_are_known_at_once():
    mix, calls = Mix(), []

    def swap(module: Any, grad_input: Any, grad_output: Any) -> Any:
        calls.append((grad_input, grad_output))
        return (grad_input[2], None, grad_input[0])

    mix.register_full_backward_hook(swap)
    x, y = (bp.tensor(v, requires_grad=True) for v in (3.0, 5.0))
    first, second = mix(x, 7, y)

    (first + second).backward()

    assert calls == [((12.0, None, 3.0), (1.0, 1.0))]
    assert (float(x.grad), float(y.grad)) == (3.0, 12.0)


def test_what_backward_did_not_reach_is_none():
    mix, calls = Mix(), []
    mix.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go)))
    x, y = (bp.tensor(v, requires_grad=True) for v in (3.0, 5.0))

    mix(x, 7, y)[1].backward()

    assert calls == [((7.0, None, None), (None, 1.0))]
    assert y.grad is None


def test_none_in_place_of_a_gradient_stops_it():
    mix = Mix()
    mix.register_full_backward_hook(lambda m, gi, go: (None, None, gi[2]))
    x, y = (bp.tensor(v, requires_grad=True) for v in (3.0, 5.0))

    mix(x, 7, y)[0].backward()

    assert (float(x.grad), float(y.grad)) == (0.0, 3.0)


def test_a_first_layer_without_input_gradient_is_told_once(layer, grads):
    layer.register_full_backward_hook(grads)

    layer(np.ones((4, 3))).sum().backward()

    ((_, grad_input, grad_output),) = grads.calls
    assert grad_input == (None,)
    assert np.array_equal(grad_output[0], np.ones((4, 2)))
    assert layer.weight.grad is not None


def test_a_removed_backward_hook_does_not_run_for_calls_before(layer, grads):
    handle = layer.register_full_backward_hook(grads)
    y = layer(bp.tensor(np.ones((1, 3)), requires_grad=True))

    handle.remove()
    y.sum().backward()

    assert grads.calls == []


def test_gradients_in_hooks_are_read_only(layer):
    def write(module: Any, grad_input: Any, grad_output: Any) -> None:
        grad_output[0][:] = 0

    layer.register_full_backward_hook(write)
    y = layer(np.ones((1, 3)))

    with pytest.raises(ValueError, match="read-only"):
        y.sum().backward()


def test_no_grad_runs_no_backward_machinery(layer, grads):
    layer.register_full_backward_hook(grads)

    with bp.no_grad():
        y = layer(np.ones((1, 3)))

    assert not y.requires_grad


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda gi: (gi[0], gi[0]),
            "full backward hook on Linear: it returned 2 gradients; the module was "
            "called with 1 positional arguments, each needs one or None.\n"
            "  help: return None to leave the gradients as they are.",
        ),
        (
            lambda gi: (1.0,),
            "full backward hook on Linear: it returned a gradient for argument 0, "
            "which got no gradient to replace.\n  help: return None in place 0.",
        ),
    ],
)
def test_a_misfit_answer_is_refused(layer, answer, message):
    layer.register_full_backward_hook(lambda m, gi, go: answer(gi))

    with pytest.raises(GradError) as error:
        layer(np.ones((1, 3))).sum().backward()

    assert str(error.value) == message


def test_an_output_that_is_no_tensor_cannot_be_watched():
    class Words(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"y": x}

    words = Words()
    words.register_full_backward_hook(lambda *_: None)

    with pytest.raises(GradError) as error:
        words(bp.tensor(1.0, requires_grad=True))

    assert str(error.value) == (
        "register_full_backward_hook: Words returned dict; "
        "a tensor or a tuple of tensors is required.\n"
        "  help: return the tensors themselves, or remove the hook."
    )


def test_second_derivatives_pass_through_a_watched_module(grads):
    square = nn.Sequential(nn.Tanh())
    square.register_full_backward_hook(grads)

    second = bp.grad(bp.grad(lambda x: square(x)))(0.5)

    t = np.tanh(0.5)
    assert np.allclose(second, -2 * t * (1 - t * t))


class Calls:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, *args: Any) -> None:
        self.calls.append(args)


@pytest.fixture
def grads() -> Calls:
    return Calls()


def test_two_outputs_of_a_first_layer_are_told_at_once():
    class Both(nn.Module):
        def __init__(self) -> None:
            self.w = bp.tensor(2.0, requires_grad=True)

        def forward(self, x: Any) -> Any:
            return self.w * x, self.w + x

    both, calls = Both(), []
    both.register_full_backward_hook(lambda m, gi, go: calls.append((gi, go)))
    y, z = both(3.0)

    (y + z).backward()

    assert calls == [((None,), (1.0, 1.0))]
    assert float(both.w.grad) == 4.0
