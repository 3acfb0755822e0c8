"""The tape: backward, semantics, hooks, safety of saved values, threads and memory."""

import contextlib
import gc
import importlib.util
import inspect
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import backproplab as bp
from backproplab import sockets
from backproplab.errors import DTypeError, GradError, RuleError, ShapeError
from backproplab.tape import ancestors

EPS = np.finfo(float).eps


def leaf(data, **options):
    return bp.tensor(data, requires_grad=True, **options)


def square_rule(log):
    """An op that says what backward does with it: y = x^2."""

    @bp.elementwise(lambda y, x: log.append("rule") or 2 * x)
    def square(x):
        return x * x

    return square


# The walk.


def test_a_chain_of_a_hundred_thousand_ops_runs_both_ways():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0

    y.backward()

    assert y.item() == 100_001
    assert x.grad == 1


@pytest.mark.parametrize("diamonds", [18, 60])
def test_stacked_diamonds_are_walked_once_each_though_paths_double(diamonds):
    log = []
    x = leaf(1.0)
    y = square_rule(log)(x)
    for _ in range(diamonds):
        y = 0.5 * y + 0.5 * y + y

    y.backward()

    assert x.grad == 2 * 2.0**diamonds
    assert log == ["rule"]


def test_fan_out_adds_gradients():
    x = leaf(3.0)

    (x * x + x + x).backward()

    assert x.grad == 8


def test_two_identical_blocks_in_a_loop_give_both_gradients():
    x, w = leaf([1.0, 2.0]), leaf(3.0)
    h = x
    for _ in range(2):
        h = h * w

    h.sum().backward()

    assert w.grad == 2 * 3 * (1 + 2)
    assert np.array_equal(x.grad, [9, 9])


def test_a_leaf_is_its_own_root():
    x = leaf(2.0)

    x.backward()

    assert x.grad == 1


def test_a_node_that_is_a_root_twice_adds():
    from backproplab.tape import backward

    x = leaf(2.0)
    y = x * x
    found = {}
    backward(
        [(y, np.ones(())), (y, np.ones(()))], lambda x, g, _ours: found.update({x: g})
    )

    assert found[x] == 8


def test_an_input_without_a_rule_gets_nothing():
    condition, x = leaf([1.0, 0.0]), leaf([5.0, 7.0])

    np.where(condition, x, 0 * x).sum().backward()

    assert condition.grad is None
    assert np.array_equal(x.grad, [1, 0])


def test_a_rule_whose_array_does_not_fit_is_refused():
    wrong = bp.linear(lambda g, x: np.swapaxes(g, 0, 1))(lambda x: 2 * x)

    with pytest.raises(ShapeError) as caught:
        wrong(leaf(np.ones((3, 4)))).sum().backward()

    assert str(caught.value) == (
        "a rule gave an array of shape (4, 3) to an input of shape (3, 4); "
        "it must have that shape, or one that the input broadcasts to."
    )


def test_ancestors_are_listed_oldest_first_and_only_where_wanted():
    x, c = leaf(1.0), bp.tensor(2.0)
    y = x * c
    z = y + x

    assert ancestors([z]) == [x, y, z]
    assert ancestors([c]) == []


# A second backward.


def test_a_second_backward_raises_and_says_how_to_keep_the_graph():
    x = leaf(2.0)
    loss = np.square(x).named("loss")
    loss.backward()

    with pytest.raises(GradError) as caught:
        loss.backward()

    assert str(caught.value) == (
        "backward() came to loss, whose saved values are gone: an earlier backward() "
        "used and freed them.\n  help: compute the loss again, or keep the graph with "
        "`loss.backward(retain_graph=True)` the first time."
    )
    assert x.grad == 4


def test_retain_graph_lets_backward_run_again_and_gradients_add():
    x = leaf(2.0)
    loss = x * x
    loss.backward(retain_graph=True)

    loss.backward()

    assert x.grad == 8


def test_a_shared_trunk_that_was_freed_is_named():
    x = leaf(2.0)
    trunk = np.exp(x).named("trunk")
    (trunk * 2).backward()

    with pytest.raises(GradError, match=r"came to trunk, whose saved values are gone"):
        (trunk * 3).backward()
    with pytest.raises(GradError, match=r"came to trunk, whose saved values are gone"):
        ancestors([trunk])


def test_grad_accumulates_over_fresh_graphs_until_it_is_forgotten():
    x = leaf(2.0)
    (x * x).backward()
    (x * x).backward()
    twice = x.grad

    x.zero_grad()

    assert twice == 8
    assert x.grad is None


# The root.


def test_a_non_scalar_needs_an_incoming_gradient():
    loss = (leaf([1.0, 2.0]) * 2).named("loss")

    with pytest.raises(GradError) as caught:
        loss.backward()

    assert str(caught.value) == (
        "backward() starts from a scalar, but loss has shape (2,).\n"
        "  help: reduce it (`loss.mean().backward()`) or pass the incoming gradient: "
        "`loss.backward(g)` with g of shape (2,)."
    )


def test_the_incoming_gradient_has_the_shape_of_the_root():
    with pytest.raises(ShapeError) as caught:
        (leaf([1.0, 2.0]) * 2).backward(np.ones(3))

    assert str(caught.value) == (
        "backward: g has shape (3,) and loss has shape (2,); they must be equal."
    )


def test_the_incoming_gradient_is_multiplied_in():
    x = leaf([1.0, 2.0])

    (x * x).backward([10.0, 100.0])

    assert np.array_equal(x.grad, [20, 400])


def test_backward_where_no_gradient_is_wanted_says_so():
    with pytest.raises(GradError) as caught:
        (bp.tensor(1.0) * 2).backward()

    assert str(caught.value) == (
        "backward() was called on the output of multiply of shape (), which needs no "
        "gradient.\n  help: make an input with `bp.tensor(..., requires_grad=True)`, "
        "and compute outside `bp.no_grad()`."
    )


def test_integers_cannot_require_a_gradient():
    with pytest.raises(DTypeError) as caught:
        leaf([1, 2])

    assert str(caught.value) == (
        "requires_grad: the data has dtype int64; only floating-point numbers have "
        "gradients.\n  help: write 3.0 for 3, or convert: "
        "`np.asarray(data, dtype=float)`."
    )


# Recording or not.


def test_no_grad_leaves_no_record_and_enable_grad_does_again():
    x = leaf(2.0)

    with bp.no_grad():
        off = x * x
        with bp.enable_grad():
            on = x * x

    assert (off.requires_grad, on.requires_grad) == (False, True)
    assert bp.is_grad_enabled()


def test_no_grad_and_enable_grad_decorate_functions():
    @bp.no_grad()
    def quiet(x):
        return (x * x).requires_grad, loud(x)

    @bp.enable_grad()
    def loud(x):
        return (x * x).requires_grad

    assert quiet(leaf(1.0)) == (False, True)
    assert quiet(leaf(1.0)) == (False, True)


def test_no_grad_ends_with_the_block_even_on_an_error():
    with pytest.raises(ZeroDivisionError), bp.no_grad():
        1 / 0  # noqa: B018

    assert bp.is_grad_enabled()


def test_detach_shares_data_and_has_no_history():
    x = leaf([1.0, 2.0])
    y = (x * x).detach()

    z = (x * y).sum()
    z.backward()

    assert y.is_leaf
    assert not y.requires_grad
    assert np.array_equal(x.grad, [1, 4])


def test_requires_grad_can_be_switched_on_leaves_only():
    x = bp.tensor(1.0)
    x.requires_grad = True
    y = x * 2

    with pytest.raises(GradError) as caught:
        y.requires_grad = False
    x.requires_grad = False

    assert not x.requires_grad
    assert str(caught.value) == (
        "requires_grad: the output of multiply of shape () was computed from tensors "
        "that want a gradient; only leaves can be switched.\n"
        "  help: use `.detach()` for a copy without a history."
    )


# Hooks.


def test_hooks_run_in_order_and_each_sees_what_the_last_returned():
    x, seen = leaf(1.0), []
    x.register_hook(lambda g: seen.append(float(g)) or 10 * g)
    x.register_hook(lambda g: seen.append(float(g)))
    x.register_hook(lambda g: g + 1)

    (3 * x).backward()

    assert seen == [3, 30]
    assert x.grad == 31


def test_a_hook_runs_once_a_backward_with_all_contributions_added():
    x, seen = leaf(2.0), []
    h = x * 1.0
    h.register_hook(lambda g: seen.append(float(g)))
    loss = h * h + h

    loss.backward(retain_graph=True)
    loss.backward()

    assert seen == [5, 5]


def test_a_hook_is_removed_by_hand_twice_without_harm_or_by_a_with_block():
    x, seen = leaf(1.0), []
    handle = x.register_hook(lambda g: seen.append("by hand"))
    handle.remove()
    handle.remove()
    with x.register_hook(lambda g: seen.append("block")):
        (x * 1).backward()

    (x * 1).backward()

    assert seen == ["block"]


def test_a_hook_cannot_write_into_the_gradient_that_others_share():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])

    def scale(g):
        g *= 2

    x.register_hook(scale)

    with pytest.raises(ValueError, match="read-only"):
        (x + y).sum().backward()


def test_a_hook_that_raises_leaves_the_engine_usable():
    x = leaf(2.0)

    def fail(g):
        raise KeyError("mine")

    with x.register_hook(fail), pytest.raises(KeyError, match="mine"):
        (x * x).backward()
    (x * x).backward()

    assert x.grad == 4


def test_a_hook_keeps_the_shape_and_gets_the_dtype():
    x = leaf(np.ones(2, np.float32), name="x")
    with x.register_hook(lambda g: [1.0, 2.0]):
        x.sum().backward()
    x.register_hook(lambda g: g[:1])

    with pytest.raises(ShapeError) as caught:
        x.sum().backward()

    assert x.grad.dtype == np.float32
    assert str(caught.value) == (
        "hook on x: it returned shape (1,); the gradient has shape (2,).\n"
        "  help: return None to leave the gradient as it is."
    )


def test_a_hook_where_no_gradient_comes_is_refused():
    with pytest.raises(GradError) as caught:
        bp.tensor(1.0).register_hook(print)

    assert str(caught.value) == (
        "register_hook: a leaf of shape () needs no gradient, so the hook cannot run.\n"
        "  help: make it with `bp.tensor(..., requires_grad=True)`."
    )


def test_retain_grad_keeps_the_gradient_of_an_intermediate_value():
    x = leaf(3.0)
    h, other = x * x, x * 2
    h.retain_grad()

    (5 * h + other).backward(retain_graph=True)
    (5 * h).backward()

    assert h.grad == 10
    assert other.grad is None


def test_retain_grad_without_a_gradient_is_refused():
    with pytest.raises(GradError) as caught:
        bp.tensor(1.0).retain_grad()

    assert str(caught.value) == (
        "retain_grad: a leaf of shape () needs no gradient, so none will come.\n"
        "  help: make an input with `bp.tensor(..., requires_grad=True)`."
    )


# Saved values.


def replace(t):
    t.data = np.zeros(2)


def scale(t):
    t.data *= 2


def write(t):
    t[0] = 7.0


@pytest.mark.parametrize("change", [replace, scale, write])
def test_changing_a_saved_operand_raises_and_names_op_and_tensor(change):
    x, w = leaf([1.0, 2.0]), bp.tensor([3.0, 4.0], name="w")
    y = (x * w).sum()

    change(w)

    with pytest.raises(GradError) as caught:
        y.backward()
    assert str(caught.value) == (
        "multiply needs the value that w had when it ran, but its data was changed "
        "since.\n  help: call backward() before changing data, or compute the loss "
        "again after the change."
    )


def test_an_optimiser_step_between_forward_and_backward_is_caught():
    w = leaf([1.0, 2.0], name="w")
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    w.data = w.data - 0.1 * w.grad

    with pytest.raises(GradError, match="multiply needs the value that w had"):
        loss.backward()


def test_changing_a_saved_output_raises_too():
    y = np.exp(leaf([1.0, 2.0]))
    y.data = np.zeros(2)

    with pytest.raises(GradError, match="exp needs the value that the output of exp"):
        y.sum().backward()


def test_a_change_through_detach_is_seen_both_ways_until_the_data_part():
    x = leaf([1.0, 2.0])
    shared = x.detach()
    square, product = (x * x).sum(), (shared * leaf([3.0, 4.0])).sum()

    shared[0] = 5.0

    for loss in (square, product):
        with pytest.raises(GradError, match="multiply needs the value"):
            loss.backward()
    product = (shared * leaf([3.0, 4.0])).sum()
    x.data = np.zeros(2)
    product.backward()


def test_changing_what_no_rule_needs_does_not_raise():
    x, b, unrelated = leaf([1.0, 2.0]), bp.tensor([3.0, 4.0]), bp.tensor(0.0)
    y = (x + b).sum()

    b.data = np.zeros(2)
    unrelated.data = np.ones(())
    y.backward()

    assert np.array_equal(x.grad, [1, 1])


def test_a_change_before_the_op_runs_does_not_raise():
    x, w = leaf([1.0, 2.0]), bp.tensor([3.0, 4.0])
    w.data = np.array([5.0, 6.0])

    (x * w).sum().backward()

    assert np.array_equal(x.grad, [5, 6])


def test_new_data_must_have_the_old_shape():
    with pytest.raises(ShapeError) as caught:
        bp.tensor([1.0, 2.0]).data = np.ones(3)

    assert str(caught.value) == (
        "data: the new value has shape (3,), the tensor (2,); they must be equal."
    )


def test_assignment_into_a_tensor_that_wants_a_gradient_is_refused():
    x = leaf([1.0, 2.0], name="x")

    with pytest.raises(GradError) as caught:
        x[0] = 3.0

    assert str(caught.value) == (
        "assignment into x would make its gradient wrong.\n"
        "  help: build a new tensor, with bp.where for instance; "
        "or write to `t.data[...]` before it is used."
    )


# Threads and memory.


def test_no_grad_in_one_thread_does_not_disturb_another():
    inside, done, seen = threading.Event(), threading.Event(), []

    def quiet():
        with bp.no_grad(), bp.scope("quiet"):
            inside.set()
            done.wait(10)
            seen.append((leaf(1.0) * 2).requires_grad)

    thread = threading.Thread(target=quiet)
    thread.start()
    inside.wait(10)
    loud = (leaf(1.0) * 2).requires_grad
    done.set()
    thread.join()

    assert (loud, seen) == (True, [False])


def test_threads_compute_their_own_gradients():
    found = {}

    def work(n):
        x = leaf(float(n))
        y = x
        for _ in range(300):
            y = y + x * x
        y.backward()
        found[n] = float(x.grad)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {n: 1 + 600 * n for n in range(4)}


def test_a_graph_holds_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        h = np.tanh(x * x)
        loss = h.sum()
        dead = [weakref.ref(t) for t in (h, loss)]
        unused = weakref.ref(np.exp(x))
        loss.backward()
        del h, loss

        assert unused() is None
        assert [ref() for ref in dead] == [None, None]
    finally:
        gc.enable()


def test_backward_frees_the_values_that_rules_needed():
    x = leaf(np.ones(5))
    h = x * 2
    hidden = weakref.ref(h)
    loss = (h * h).sum()
    del h

    loss.backward()

    assert hidden() is None


# Gradients are arrays of their own.


def test_a_gradient_has_its_tensors_dtype():
    x, w = leaf(np.ones(3, np.float32)), leaf(np.ones(3))

    (x * w).sum().backward()

    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)


def test_python_numbers_do_not_widen():
    x = leaf(np.ones(3, np.float16))

    y = 2.0 * x + 1 - x / 3

    assert y.dtype == np.float16


def test_a_gradient_never_aliases_the_incoming_one_or_another():
    x, y, g = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.ones(2)
    (x + y).backward(g)

    x.grad += 5
    g += 7

    assert np.array_equal(y.grad, [1, 1])
    assert np.array_equal(x.grad, [6, 6])


def test_a_gradient_that_was_kept_is_not_changed_by_the_next_backward():
    x = leaf([1.0, 2.0])
    (x * 1).sum().backward()
    kept = x.grad

    (x * 1).sum().backward()

    assert np.array_equal(kept, [1, 1])
    assert np.array_equal(x.grad, [2, 2])


def test_data_is_a_copy_of_what_was_given():
    given = np.ones(2)
    x = leaf(given)

    given[:] = 9

    assert np.array_equal(x.data, [1, 1])


# NumPy's protocols.


def test_numpy_functions_work_through_the_protocols():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])

    y = np.sum(np.exp(x), axis=0)
    y.sum().backward()

    assert isinstance(y, bp.Tensor)
    np.testing.assert_allclose(x.grad, np.exp(x.data), rtol=4 * EPS)


def test_out_and_where_are_refused_by_name():
    x = leaf([1.0, 2.0])
    said = []
    for call in (
        lambda: np.exp(x, out=np.zeros(2)),
        lambda: np.exp(x, where=np.array([True, False])),
        lambda: np.sum(x, out=np.zeros(())),
        lambda: np.sum(x, where=np.array([True, False])),
    ):
        with pytest.raises(RuleError) as caught:
            call()
        said.append(str(caught.value))

    rest = (
        "has no derivative rule on tensors.\n  help: leave it out; choose values with"
    )
    assert said == [
        f"np.exp: the keyword out {rest} bp.where.",
        f"np.exp: the keyword where {rest} bp.where.",
        f"np.sum: the keyword out {rest} bp.where.",
        f"np.sum: the keyword where {rest} bp.where.",
    ]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.gcd(x, x), "np.gcd"),
        (lambda x: np.fft.fft(x), "np.fft.fft"),
        (lambda x: np.linalg.matrix_power(x, 2), "np.linalg.matrix_power"),
        (lambda x: np.add.reduce(x), "np.add.reduce"),
        (lambda x: np.interp(x, x, x), "np.interp"),
    ],
)
def test_a_function_without_a_rule_is_refused_by_name(call, name):
    with pytest.raises(RuleError) as caught:
        call(leaf([1.0, 2.0]))

    assert str(caught.value) == (
        f"{name} has no derivative rule, so it does not take tensors.\n"
        "  help: use `t.data` if no gradient is to flow through it, or declare the op: "
        "see bp.elementwise, bp.linear, bp.primitive."
    )


def test_a_tensor_that_wants_a_gradient_is_not_silently_detached():
    x = leaf([1.0, 2.0], name="x")

    with pytest.raises(GradError) as caught:
        np.asarray(x)

    assert np.asarray(x.detach()).dtype == np.float64
    assert str(caught.value) == (
        "np.asarray on x would cut it off from its gradient.\n"
        "  help: say so: `t.detach()` or `t.data`."
    )


@pytest.mark.parametrize("other", [np.array([3.0, 4.0]), [3.0, 4.0]])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "matmul"])
def test_operators_take_arrays_and_lists_on_both_sides(name, other):
    x = leaf([1.0, 2.0])
    y = np.asarray(other)
    operate = getattr(np.ndarray, f"__{name}__")

    left = getattr(bp.Tensor, f"__{name}__")(x, other)
    right = getattr(bp.Tensor, f"__r{name}__")(x, other)

    assert isinstance(left, bp.Tensor)
    assert left.dtype == right.dtype == np.float64
    np.testing.assert_array_equal(left.data, operate(x.data, y))
    np.testing.assert_array_equal(right.data, operate(y, x.data))


def test_an_array_on_the_left_gives_a_tensor_not_an_object_array():
    x = leaf([1.0, 2.0])

    results = [
        np.ones(2) + x, np.ones(2) - x, np.ones(2) * x, np.ones(2) / x,
        np.ones(2) ** x, np.ones((2, 2)) @ x, np.float64(2) * x, 2 ** x,
    ]  # fmt: skip

    assert {type(r) for r in results} == {bp.Tensor}
    assert {r.dtype for r in results} == {np.dtype(float)}


def test_an_array_is_not_changed_in_place_by_a_tensor():
    a, x = np.ones(2), leaf([1.0, 2.0])

    with pytest.raises(RuleError, match="keyword out has no derivative rule"):
        a += x

    assert np.array_equal(a, [1, 1])


def test_comparisons_give_plain_booleans():
    x = leaf([1.0, 2.0])

    results = [x == 1.0, x != 1.0, x < x, x <= [1, 2], x > np.ones(2), np.ones(2) >= x]

    assert {type(r) for r in results} == {np.ndarray}
    assert {r.dtype for r in results} == {np.dtype(bool)}
    assert np.array_equal(results[0], [True, False])


def test_a_leaf_is_updated_in_place_only_with_the_tape_off():
    w = leaf([1.0, 2.0], name="w")
    kept, data = w, w.data
    used = (w * w).sum()
    w.grad = np.ones(2)

    with bp.no_grad():
        w -= 0.5 * w.grad
        w *= 2.0
        w[1] = 4.0
    h = w
    h += 1.0

    assert w is kept
    assert w.requires_grad
    assert w.data is data
    assert data.tolist() == [1.0, 4.0]
    assert h is not w
    assert not h.is_leaf
    with pytest.raises(GradError, match="multiply needs the value that w had"):
        used.backward()


def test_quotient_and_remainder_follow_numpy_and_only_the_remainder_has_a_slope():
    x = leaf([-5.0, 3.5])

    got = x // 2.0
    (+x % 2.0).sum().backward()

    assert type(got) is np.ndarray
    assert got.tolist() == [-3.0, 1.0]
    assert (x % 2.0).data.tolist() == [1.0, 1.5]
    assert x.grad.tolist() == [1.0, 1.0]


def test_tensors_are_hashed_by_identity():
    x, y = leaf(1.0), leaf(1.0)

    assert len({x, y, x}) == 2


def test_objects_and_ragged_lists_are_refused():
    with pytest.raises(DTypeError, match="dtype object; real numbers are required"):
        bp.tensor(np.array([None]))
    with pytest.raises((DTypeError, ValueError)):
        bp.tensor([[1.0], [1.0, 2.0]])


def test_python_protocols_follow_arrays():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    one = bp.tensor(3)

    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert (float(x[0, 1]), int(x[1, 0]), bool(x[0, 0] > 5)) == (2.0, 3, False)
    assert [10, 20, 30, 40][one] == 40
    with pytest.raises(TypeError) as caught:
        len(one)
    assert str(caught.value) == "a 0-d tensor has no len()."


# Scopes and plugs.


def test_scopes_nest_and_tell_plugs_when_they_begin_and_end():
    said = []

    class Listener(bp.Plug):
        def enter(self, path, owner):
            said.append(("enter", path, owner))

        def leave(self, path, output):
            said.append(("leave", path, output))

    with bp.plugged(Listener()), bp.scope("net"), bp.scope("fc", 5) as outputs:
        outputs.append(1)

    assert said == [
        ("enter", "net", None),
        ("enter", "net.fc", 5),
        ("leave", "net.fc", 1),
        ("leave", "net", None),
    ]


def test_a_plug_may_rewrite_inputs_outputs_and_contributions():
    class Doubler(bp.Plug):
        def before(self, op, inputs, static):
            return tuple(2 * x if isinstance(x, float) else x for x in inputs)

        def edge(self, node, k, c):
            return 10 * c

    x = leaf(3.0)
    with bp.plugged(Doubler()):
        y = x * 5.0
        y.backward()

    assert y.item() == 30
    assert x.grad == 100


@pytest.mark.parametrize("rows", [2, 2000])  # small, and large enough to be reused
def test_a_gradient_that_two_inputs_share_is_not_written_into(rows):
    a = bp.tensor(np.ones((rows, 2)), requires_grad=True)
    b = bp.tensor(np.ones((rows, 2)), requires_grad=True)
    x, y = a * 1.0, b * 1.0

    ((x - y) * 3.0).sum().backward()

    assert (a.grad == 3).all()
    assert (b.grad == -3).all()


def test_a_plug_that_changes_nothing_leaves_all_as_it_is():
    x = leaf(3.0)

    with bp.plugged(bp.Plug()), bp.scope("s"):
        (x * x).backward()

    assert x.grad == 6


def test_a_test_that_leaves_something_on_the_tape_fails():
    file = Path(__file__).with_name("conftest.py")
    spec = importlib.util.spec_from_file_location("conftest_of_tests", file)
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    watch = inspect.unwrap(conftest.nothing_left_behind)

    for leave in (
        lambda: sockets.path_now.set("net"),
        lambda: sockets.mode.set(sockets.Mode(grad=False)),
        lambda: sockets.mode.set(sockets.Mode(plugs=(bp.Plug(),))),
    ):
        fixture = contextlib.contextmanager(watch)()
        with pytest.raises(AssertionError, match="behind on the tape"), fixture:
            leave()
        assert bp.is_grad_enabled()
        assert (sockets.current_scope(), sockets.current_plugs()) == ("", ())


def test_large_contributions_add_whatever_array_they_arrive_in():
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(40, 40)) for _ in range(3))
    x = bp.tensor(rng.normal(size=(40, 40)), requires_grad=True)

    (x * a + x * b + x * c + x).sum().backward()

    np.testing.assert_allclose(x.grad, a + b + c + 1, rtol=1e-12)


def test_a_gradient_that_passes_on_unchanged_is_not_overwritten_by_its_neighbour():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(40, 40)) for _ in range(2))
    x, y = (bp.tensor(rng.normal(size=(40, 40)), requires_grad=True) for _ in range(2))

    @bp.elementwise(1, lambda _z, _x, y: 2 * y)
    def plus_square(x, y):
        return x + y * y

    ((plus_square(x, y) * a).sum() + (plus_square(x, y) * b).sum()).backward()

    np.testing.assert_allclose(x.grad, a + b, rtol=1e-12)
    np.testing.assert_allclose(y.grad, 2 * y.data * (a + b), rtol=1e-12)


def test_after_a_step_too_a_gradient_is_handed_over_and_not_copied():
    made = []

    @bp.linear(lambda g, _x: made.append(2 * g) or made[-1])
    def double(x):
        return 2 * x

    x = leaf(np.ones((40, 40)))
    optimizer = bp.optim.SGD([x], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        double(x).sum().backward()
        optimizer.step()

    assert x.grad is made[-1]


CONSTANTS = (
    2.5, 3, np.float32(2.5), np.float64(2.5), np.arange(1, 4, dtype=np.float32),
    np.arange(1.0, 4.0), np.arange(1, 4), np.full((2, 1), 2.5, np.float32), True,
    [1.0, 2.0, 3.0], np.int8(3),
)  # fmt: skip


@pytest.mark.parametrize("constant", CONSTANTS, ids=repr)
@pytest.mark.parametrize("op", [bp.ops.subtract, bp.ops.multiply, bp.ops.divide])
def test_a_constant_on_either_side_is_the_same_whether_or_not_anybody_listens(
    op, constant
):
    def both_ways():
        x = leaf(np.array([[0.5, 1.5, 2.0]], np.float32))
        y, z = op(x, constant), op(constant, x)
        (y.sum() + (z * z).sum()).backward()
        return [y.data, z.data, x.grad]

    alone = both_ways()
    with bp.plugged(bp.Plug()):
        heard = both_ways()

    for a, b in zip(alone, heard, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_constant_is_no_path_for_a_gradient():
    x = bp.tensor(np.ones(3))

    assert not (x * 2.0).requires_grad
    assert not (np.ones(3) * x).requires_grad


def test_what_an_op_leaves_unchanged_goes_on_to_be_overwritten_only_by_its_owner():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 40))
    x = leaf(rng.normal(size=(40, 40)))
    kept = []

    h = x * a
    h.register_hook(kept.append)
    ((((h + 1.0) * b) - 2.0) * a).sum().backward()

    np.testing.assert_allclose(kept[0], a * b, rtol=1e-12)
    np.testing.assert_allclose(x.grad, a * b * a, rtol=1e-12)


def test_mt_transposes_the_last_two_axes():
    x = bp.tensor(np.arange(6.0).reshape(1, 2, 3), requires_grad=True)

    (x.mT * np.ones((1, 3, 2))).sum().backward()

    assert (1, 3, 2) == x.mT.shape
    assert (1, 2, 3) == x.grad.shape


@pytest.mark.parametrize("seed", range(40))
def test_large_gradients_are_the_same_whether_or_not_anybody_listens(seed):
    def leaves_and_loss():
        rng = np.random.default_rng(seed)
        shapes = [(40, 40), (40, 40), (40, 40), (40,)]
        leaves = [bp.tensor(rng.normal(size=s), requires_grad=True) for s in shapes]
        values = list(leaves)
        for _ in range(14):
            a, b = (values[i] for i in rng.integers(0, len(values), 2))
            made = (
                lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b,
                lambda a, b: np.tanh(a), lambda a, b: -a, lambda a, b: a.T * 2.0,
                lambda a, b: a + 1.0, lambda a, b: 2.0 - b, lambda a, b: a * 0.5,
                lambda a, b: np.maximum(a, b), lambda a, b: a - a.mean(),
                lambda a, b: np.where(a.data > 0, a, b),
            )  # fmt: skip
            values.append(made[rng.integers(0, len(made))](a, b))
        return leaves, sum((0.01 * v).sum() for v in values[-5:])

    alone, loss = leaves_and_loss()
    loss.backward()
    watched, loss = leaves_and_loss()
    with bp.plugged(bp.Plug()):
        loss.backward()

    for x, y in zip(alone, watched, strict=True):
        assert (x.grad is None) == (y.grad is None)
        np.testing.assert_array_equal(y.grad, x.grad)


def test_an_op_of_ones_own_that_widens_hands_on_no_wider_gradient():
    @bp.elementwise(lambda y, _x: 2.0 * np.ones(y.shape))
    def doubled(x):
        """Twice x, in float64 whatever comes in."""
        return x.astype(np.float64) * 2

    x = bp.tensor(np.ones(3, np.float32), requires_grad=True)
    b = bp.tensor(np.ones(3, np.float32), requires_grad=True)

    (doubled(x + b) + x).sum().backward()

    assert (np.float32, np.float32) == (x.grad.dtype, b.grad.dtype)
    assert [3.0] * 3 == x.grad.tolist()


def test_one_no_grad_serves_several_blocks_also_nested():
    off, on = bp.no_grad(), bp.enable_grad()
    seen = []

    with off:
        seen.append(bp.is_grad_enabled())
        with on, off:
            seen.append(bp.is_grad_enabled())
        with on:
            seen.append(bp.is_grad_enabled())
    with off:
        seen.append(bp.is_grad_enabled())

    assert [False, False, True, False] == seen
    assert bp.is_grad_enabled()


def test_a_function_decorated_with_no_grad_calls_itself():
    @bp.no_grad()
    def depth(n):
        return [bp.is_grad_enabled(), *(depth(n - 1) if n else [])]

    assert [False] * 3 == depth(2)
    assert bp.is_grad_enabled()
