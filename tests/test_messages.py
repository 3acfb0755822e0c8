"""Every message of the engine, read whole: seen, required, and what to do."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import BackpropError


def leaf(shape: tuple[int, ...] = (2,), name: str | None = "x") -> bp.Tensor:
    return bp.tensor(np.ones(shape), requires_grad=True, name=name)


def hook_of_another_shape() -> None:
    x = leaf()
    x.register_hook(lambda g: np.ones(3))
    (x * 1.0).sum().backward()


def backward_twice() -> None:
    loss = (leaf() * 2.0).sum().named("loss")
    loss.backward()
    loss.backward()


def backward_after_a_change() -> None:
    x = leaf()
    y = x * x
    x.data = np.zeros(2)
    y.sum().backward()


def rule_of_another_shape() -> None:
    @bp.linear(lambda g, x: np.ones(5))
    def odd(x: Any) -> Any:
        return x * 2

    odd(leaf()).sum().backward()


def wrong_number_of_arguments() -> None:
    bp.softmax()


def switched_off_inside() -> None:
    (leaf() * 2.0).requires_grad = False


def data_of_another_shape() -> None:
    leaf().data = np.ones(3)


def assignment() -> None:
    leaf()[0] = 1.0


def undeclared_op_in_a_loaded_run() -> None:
    @bp.elementwise(lambda y, x: 2 * x)
    def mine(x: Any) -> Any:
        return x * x

    x = leaf()
    with bp.record() as run:
        y = mine(x)
        y.sum().backward()
    run["y"]._entry.primitive = None  # as after loading in another session
    bp.trace.replay.contribution(run, run["y"].id, 0, np.ones(2))


Case = tuple[Callable[[], Any], str, str]
NEEDS = "make an input with `bp.tensor(..., requires_grad=True)`"

MESSAGES: dict[str, Case] = {
    "shapes that do not broadcast": (
        lambda: leaf((2,)) + leaf((3,)),
        "ShapeError",
        "add: x is (2,) and y is (3,); shapes must be equal or 1 from the right."
        "\n  help: `x[:, None]` would fit.",
    ),
    "a matrix product that does not fit": (
        lambda: leaf((32, 10)) @ leaf((12, 5)),
        "ShapeError",
        "matmul: x is (32, 10) and w is (12, 5); x.shape[-1] must equal w.shape[-2] "
        "(w.shape[0] if w is 1-d).\n"
        "  help: look at the shapes before this line: `print(x.shape, w.shape)`.",
    ),
    "a matrix product that fits when turned": (
        lambda: leaf((32, 10)) @ leaf((5, 10)),
        "ShapeError",
        "matmul: x is (32, 10) and w is (5, 10); x.shape[-1] must equal w.shape[-2] "
        "(w.shape[0] if w is 1-d).\n  help: `w.T` would fit.",
    ),
    "matrices that fit when turned": (
        lambda: leaf((2, 3, 4)) * leaf((2, 4, 3)),
        "ShapeError",
        "multiply: x is (2, 3, 4) and y is (2, 4, 3); shapes must be equal or 1 from "
        "the right.\n  help: `x.mT` would fit.",
    ),
    "a hook that changes the shape": (
        hook_of_another_shape,
        "ShapeError",
        "hook on x: it returned shape (3,); the gradient has shape (2,).\n"
        "  help: return None to leave the gradient as it is.",
    ),
    "a second backward": (
        backward_twice,
        "GradError",
        "backward() came to loss, whose saved values are gone: an earlier backward() "
        "used and freed them.\n"
        "  help: compute the loss again, or keep the graph with "
        "`loss.backward(retain_graph=True)` the first time.",
    ),
    "a changed operand": (
        backward_after_a_change,
        "GradError",
        "multiply needs the value that x had when it ran, but its data was changed "
        "since.\n"
        "  help: call backward() before changing data, or compute the loss again after "
        "the change.",
    ),
    "a rule that gives a wrong shape": (
        rule_of_another_shape,
        "ShapeError",
        "a rule gave an array of shape (5,) to an input of shape (2,); it must have "
        "that shape, or one that the input broadcasts to.",
    ),
    "a missing argument": (
        wrong_number_of_arguments,
        "RuleError",
        "softmax: missing a required argument: 'x'; its signature is "
        "softmax(x, axis=-1).",
    ),
    "an unknown keyword": (
        lambda: bp.softmax(leaf(), axs=0),
        "RuleError",
        "softmax: got the keyword axs; its signature is softmax(x, axis=-1).\n"
        "  help: did you mean axis or x?",
    ),
    "text as data": (
        lambda: bp.tensor("abc"),
        "DTypeError",
        "tensor: the data has dtype <U3; real numbers are required.",
    ),
    "objects as data": (
        lambda: bp.tensor([None, 1.0]),
        "DTypeError",
        "tensor: the data has dtype object; real numbers are required.\n"
        "  help: every row of a nested list must have the same length.",
    ),
    "integers that want a gradient": (
        lambda: bp.tensor([1, 2], requires_grad=True),
        "DTypeError",
        "requires_grad: the data has dtype int64; only floating-point numbers have "
        "gradients.\n"
        "  help: write 3.0 for 3, or convert: `np.asarray(data, dtype=float)`.",
    ),
    "new data of another shape": (
        data_of_another_shape,
        "ShapeError",
        "data: the new value has shape (3,), the tensor (2,); they must be equal.",
    ),
    "a computed value that is to want no gradient": (
        switched_off_inside,
        "GradError",
        "requires_grad: the output of multiply of shape (2,) was computed from tensors "
        "that want a gradient; only leaves can be switched.\n"
        "  help: use `.detach()` for a copy without a history.",
    ),
    "backward where nothing wants a gradient": (
        lambda: (bp.tensor(1.0) * 2.0).backward(),
        "GradError",
        "backward() was called on the output of multiply of shape (), which needs no "
        f"gradient.\n  help: {NEEDS}, and compute outside `bp.no_grad()`.",
    ),
    "backward from many numbers": (
        lambda: (leaf((32,)) * 1.0).named("loss").backward(),
        "GradError",
        "backward() starts from a scalar, but loss has shape (32,).\n"
        "  help: reduce it (`loss.mean().backward()`) or pass the incoming gradient: "
        "`loss.backward(g)` with g of shape (32,).",
    ),
    "an incoming gradient of another shape": (
        lambda: (leaf() * 1.0).backward(np.ones(3)),
        "ShapeError",
        "backward: g has shape (3,) and loss has shape (2,); they must be equal.",
    ),
    "retain_grad where none will come": (
        lambda: bp.tensor(1.0, name="c").retain_grad(),
        "GradError",
        f"retain_grad: c needs no gradient, so none will come.\n  help: {NEEDS}.",
    ),
    "a hook where none will run": (
        lambda: bp.tensor(1.0, name="c").register_hook(print),
        "GradError",
        "register_hook: c needs no gradient, so the hook cannot run.\n"
        "  help: make it with `bp.tensor(..., requires_grad=True)`.",
    ),
    "a copy of a computed value": (
        lambda: copy.deepcopy(leaf() * 2.0),
        "GradError",
        "copy: the output of multiply of shape (2,) is part of a graph; only leaves "
        "can be copied.\n  help: use `.detach()` for its values alone.",
    ),
    "a silent detach": (
        lambda: np.asarray(leaf()),
        "GradError",
        "np.asarray on x would cut it off from its gradient.\n"
        "  help: say so: `t.detach()` or `t.data`.",
    ),
    "an assignment into what wants a gradient": (
        assignment,
        "GradError",
        "assignment into x would make its gradient wrong.\n"
        "  help: build a new tensor, with bp.where for instance; or write to "
        "`t.data[...]` before it is used.",
    ),
    "a NumPy function without a rule": (
        lambda: np.gcd(leaf(), leaf()),
        "RuleError",
        "np.gcd has no derivative rule, so it does not take tensors.\n"
        "  help: use `t.data` if no gradient is to flow through it, or declare the op: "
        "see bp.elementwise, bp.linear, bp.primitive.",
    ),
    "a ufunc method without a rule": (
        lambda: np.add.reduce(leaf()),
        "RuleError",
        "np.add.reduce has no derivative rule, so it does not take tensors.\n"
        "  help: use `t.data` if no gradient is to flow through it, or declare the op: "
        "see bp.elementwise, bp.linear, bp.primitive.",
    ),
    "NumPy's out": (
        lambda: np.add(leaf(), 1.0, out=np.zeros(2)),
        "RuleError",
        "np.add: the keyword out has no derivative rule on tensors.\n"
        "  help: leave it out; choose values with bp.where.",
    ),
    "NumPy's where": (
        lambda: np.sum(leaf(), where=np.array([True, False])),
        "RuleError",
        "np.sum: the keyword where has no derivative rule on tensors.\n"
        "  help: leave it out; choose values with bp.where.",
    ),
    "a loaded op that is not declared here": (
        undeclared_op_in_a_loaded_run,
        "GradError",
        "y: the op mine was not declared at the time of loading.\n"
        "  help: declare it, then load the run again.",
    ),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_a_message_says_what_was_seen_and_what_to_do(what: str) -> None:
    cause, kind, text = MESSAGES[what]

    with pytest.raises(BackpropError) as caught:
        cause()

    assert (kind, text) == (type(caught.value).__name__, str(caught.value))


def test_a_0d_tensor_has_no_length() -> None:
    with pytest.raises(TypeError) as caught:
        len(bp.tensor(1.0))

    assert "a 0-d tensor has no len()." == str(caught.value)


def test_every_error_is_also_what_python_would_raise() -> None:
    parents = {
        "ShapeError": ValueError,
        "RangeError": ValueError,
        "DTypeError": TypeError,
        "GradError": RuntimeError,
        "RuleError": TypeError,
        "CheckError": AssertionError,
        "AnomalyError": FloatingPointError,
        "NameLookupError": KeyError,
    }

    for name, parent in parents.items():
        error = getattr(bp.errors, name)("Seen.", help="do this.")
        assert isinstance(error, parent)
        assert isinstance(error, BackpropError)
        assert "Seen.\n  help: do this." == str(error)


def test_near_names_are_suggested_or_all_known_ones_listed() -> None:
    near = bp.errors.near

    assert "did you mean sigmoid or sign?" == near("sigmo", ["sign", "sigmoid", "tan"])
    assert "known: a, b." == near("zzz", ["a", "b"])
    assert near("zzz", [f"n{k}" for k in range(20)]).endswith("n10, n11, ...")
    assert "there are none yet." == near("zzz", [])
