"""Optimisers: what they refuse, what they leave alone, and that they find minima."""

import math

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim
from backproplab.errors import GradError, NameLookupError, RangeError, ShapeError

RULES = [
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: optim.RMSprop(p, lr=0.05),
    lambda p: optim.Adam(p, lr=0.2),
    lambda p: optim.AdamW(p, lr=0.2, weight_decay=0.0),
]
NAMES = ["SGD", "Nesterov", "RMSprop", "Adam", "AdamW"]


def leaf(values, dtype=float):
    return bp.tensor(np.array(values, dtype), requires_grad=True)


@pytest.mark.parametrize("make", RULES, ids=NAMES)
def test_every_rule_goes_down_a_bowl(make):
    p = leaf([3.0, -2.0])
    optimizer = make([p])

    for _ in range(200):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()

    assert abs(p.data).max() < 0.1


@pytest.mark.parametrize("kind", [optim.SGD, optim.RMSprop, optim.Adam, optim.AdamW])
def test_every_rule_can_go_up(kind):
    p = leaf([3.0, -2.0])
    p.grad = grad = np.array([1.0, 2.0])

    kind([p], lr=0.1, weight_decay=0.0, maximize=True).step()

    assert np.all(p.data > [3.0, -2.0])
    assert grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("make", RULES, ids=NAMES)
def test_parameters_move_in_place_and_keep_their_dtype(make, dtype):
    p = leaf([3.0, -2.0], dtype)
    data, optimizer = p.data, make([p])

    for _ in range(3):
        p.grad = np.ones(2, dtype)
        optimizer.step()

    assert p.data is data
    assert data.dtype == dtype
    assert np.all(data < [3.0, -2.0])
    memory = [a for a in optimizer.state[p].values() if isinstance(a, np.ndarray)]
    assert {a.dtype for a in memory} <= {np.dtype(dtype)}


@pytest.mark.parametrize("make", RULES, ids=NAMES)
def test_a_gradient_is_never_written_into(make):
    p = leaf([3.0, -2.0])
    optimizer, grad = make([p]), np.array([1.0, 2.0])
    grad.flags.writeable = False

    for _ in range(3):
        p.grad = grad
        optimizer.step()

    assert p.grad is grad


@pytest.mark.parametrize("make", RULES, ids=NAMES)
def test_memory_is_not_allocated_again(make):
    p = leaf([3.0, -2.0])
    optimizer = make([p])
    p.grad = np.ones(2)
    optimizer.step()
    before = [id(a) for a in optimizer.state[p].values() if isinstance(a, np.ndarray)]

    optimizer.step()

    after = [id(a) for a in optimizer.state[p].values() if isinstance(a, np.ndarray)]
    assert after == before


def test_a_parameter_without_a_gradient_is_left_alone():
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = optim.AdamW([p, q])
    p.grad = np.ones(1)

    optimizer.step()

    assert q.data.tolist() == [1.0]
    assert q not in optimizer.state


def test_a_graph_from_before_the_step_does_not_fit_any_more():
    p = leaf(2.0)
    loss = p * p
    p.grad = np.array(1.0)

    optim.SGD([p], lr=0.1).step()

    with pytest.raises(GradError, match="its data was changed since"):
        loss.backward()


def test_a_scalar_parameter_moves():
    p = leaf(2.0)

    for _ in range(2):
        (p * p).backward()
    optim.SGD([p], lr=0.25).step()

    assert float(p.data) == 0.0


def test_groups_have_options_of_their_own():
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.1)
    p.grad = q.grad = np.ones(1)

    optimizer.step()

    assert (p.data.tolist(), q.data.tolist()) == ([0.9], [0.5])
    assert optimizer.lr == 0.1
    optimizer.lr = 0.3
    assert [g["lr"] for g in optimizer.param_groups] == [0.3, 0.3]


def test_zero_grad_forgets():
    p = leaf([1.0])
    p.grad = np.ones(1)

    optim.SGD([p]).zero_grad()

    assert p.grad is None


@pytest.mark.parametrize("make", RULES, ids=NAMES)
def test_a_run_goes_on_from_its_state(make):
    g = np.random.default_rng(0).normal(size=(6, 2))
    p = leaf([3.0, -2.0])
    first = make([p])
    for k in range(3):
        p.grad = g[k]
        first.step()
    q = leaf(p.data)
    second = make([q])
    second.load_state_dict(first.state_dict())

    for k in range(3, 6):
        p.grad = q.grad = g[k]
        first.step()
        second.step()

    assert np.array_equal(p.data, q.data)


def test_a_state_of_other_groups_or_shapes_is_refused():
    one, two = optim.Adam([leaf([1.0])]), optim.Adam([leaf([1.0]), leaf([1.0, 2.0])])
    swapped = optim.Adam([leaf([1.0, 2.0]), leaf([1.0])])
    for group in swapped.param_groups:
        for p in group["params"]:
            p.grad = np.ones(p.shape)
    swapped.step()

    with pytest.raises(ShapeError) as error:
        one.load_state_dict(two.state_dict())
    assert str(error.value) == (
        "Adam: the state has groups of [2] parameters, this has [1]; they must be "
        "equal.\n  help: build the optimiser over the same model and groups."
    )

    with pytest.raises(ShapeError) as error:
        two.load_state_dict(swapped.state_dict())
    assert str(error.value) == (
        "Adam: exp_avg is (2,) in the state for a parameter of shape (1,); "
        "they must be equal.\n"
        "  help: build the optimiser over the same model and groups."
    )


def test_the_repr_shows_the_options():
    assert repr(optim.SGD([leaf([1.0])], lr=0.5)) == (
        "SGD(1 parameters, lr=0.5, momentum=0, dampening=0, weight_decay=0, "
        "nesterov=False, maximize=False)"
    )


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: optim.SGD([]),
            GradError,
            "SGD: there are no parameters to update.\n  help: pass "
            "`model.parameters()`; a parameter is a Tensor attribute of a Module.",
        ),
        (
            lambda: optim.SGD(nn.ReLU().parameters()),
            GradError,
            "SGD: there are no parameters to update.\n  help: pass "
            "`model.parameters()`; a parameter is a Tensor attribute of a Module.",
        ),
        (
            lambda: optim.SGD(leaf([1.0])),
            GradError,
            "SGD: params is a single Tensor; several are required.\n"
            "  help: put it in a list.",
        ),
        (
            lambda: optim.Adam([leaf([1.0]) * 2]),
            GradError,
            "Adam: the output of multiply of shape (1,) was computed from other "
            "tensors; only leaves can be updated.\n  help: make it with "
            "`bp.tensor(..., requires_grad=True)` from its final values.",
        ),
        (
            lambda: optim.Adam([np.ones(2)]),
            TypeError,
            "Adam: a parameter is a ndarray; a Tensor is required.\n"
            "  help: pass `model.parameters()` or a list of tensors.",
        ),
        (
            lambda: optim.Adam([bp.Tensor(1.0, True, name="w")] * 2),
            GradError,
            "Adam: w is there twice; it would be updated twice.\n"
            "  help: list each parameter in one group, once.",
        ),
        (
            lambda: optim.SGD([leaf([1.0])], lr=-0.1),
            RangeError,
            "SGD: lr is -0.1; a number of at least 0 is required.",
        ),
        (
            lambda: optim.SGD([leaf([1.0])], lr=math.nan),
            RangeError,
            "SGD: lr is nan; a number of at least 0 is required.",
        ),
        (
            lambda: optim.SGD([leaf([1.0])], lr="0.1"),
            RangeError,
            "SGD: lr is '0.1'; a number of at least 0 is required.",
        ),
        (
            lambda: optim.Adam([leaf([1.0])], betas=(0.9,)),
            RangeError,
            "Adam: betas is (0.9,); two numbers are required.",
        ),
        (
            lambda: optim.SGD(None),
            GradError,
            "SGD: params is a NoneType; parameters are required.\n"
            "  help: pass `model.parameters()` or a list of tensors.",
        ),
        (
            lambda: optim.Adam([leaf([1.0])], betas=(0.9, 1.0)),
            RangeError,
            "Adam: betas is (0.9, 1.0); a number from 0 up to but not including 1 is "
            "required.",
        ),
        (
            lambda: optim.SGD([leaf([1.0])], nesterov=True),
            RangeError,
            "SGD: nesterov with momentum=0 and dampening=0; a momentum above 0 and no "
            "dampening are required.",
        ),
        (
            lambda: optim.SGD([{"params": [leaf([1.0])], "rl": 0.1}]),
            NameLookupError,
            "SGD: a group has the option 'rl', which is unknown.\n"
            "  help: did you mean lr?",
        ),
    ],
)
def test_an_optimiser_says_what_it_needs(make, kind, message):
    with pytest.raises(kind) as error:
        make()

    assert str(error.value) == message


def test_a_misshapen_gradient_is_refused():
    p = bp.tensor([1.0, 2.0], requires_grad=True, name="w")
    p.grad = np.ones((1, 2))

    with pytest.raises(ShapeError) as error:
        optim.SGD([p]).step()

    assert str(error.value) == (
        "SGD: w has the shape (2,) and its grad (1, 2); they must be equal."
    )


# Schedules.


def rates(schedule, steps):
    found = []
    for _ in range(steps):
        found += schedule.get_last_lr()
        schedule.step()
    return found


def sgd(lr=1.0):
    return optim.SGD([leaf([1.0])], lr=lr)


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        (lambda o: optim.StepLR(o, 2, gamma=0.5), [1, 1, 0.5, 0.5, 0.25]),
        (lambda o: optim.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (
            lambda o: optim.CosineAnnealingLR(o, 4, eta_min=0.5),
            [1, 0.75 + 0.25 / 2**0.5, 0.75, 0.75 - 0.25 / 2**0.5, 0.5],
        ),
        (lambda o: optim.LinearLR(o, 0.25, total_iters=3), [0.25, 0.5, 0.75, 1, 1]),
        (lambda o: optim.LambdaLR(o, lambda t: t), [0, 1, 2, 3, 4]),
    ],
)
def test_a_schedule_is_a_formula_of_the_step(schedule, want):
    optimizer = sgd()

    assert np.allclose(rates(schedule(optimizer), 5), want)


def test_a_schedule_goes_on_from_its_state():
    first = optim.StepLR(sgd(), 2)
    for _ in range(3):
        first.step()
    second = optim.StepLR(sgd(), 2)

    second.load_state_dict(first.state_dict())

    assert second.get_last_lr() == first.get_last_lr()
    assert rates(second, 3) == rates(first, 3)


def test_a_rate_set_by_hand_is_the_base_of_the_next_schedule():
    optimizer = sgd()
    optim.ExponentialLR(optimizer, 0.5).step()

    optimizer.lr = 4.0

    assert rates(optim.ExponentialLR(optimizer, 0.5), 2) == [4.0, 2.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optim.LambdaLR(sgd(), [abs, abs]),
            "LambdaLR: there are 2 functions for 1 groups; "
            "one, or one for each group, is required.",
        ),
        (
            lambda: optim.SequentialLR(sgd(), [optim.StepLR(sgd(), 1)], [1]),
            "SequentialLR: there are 1 schedules and 1 milestones; "
            "one milestone fewer is required.",
        ),
        (
            lambda: optim.StepLR(sgd(), 0),
            "StepLR: step_size is 0; at least 1 is required.",
        ),
        (
            lambda: optim.CosineAnnealingLR(sgd(), 0),
            "CosineAnnealingLR: T_max is 0; at least 1 is required.",
        ),
        (
            lambda: optim.PolynomialLR(sgd(), 0),
            "PolynomialLR: total_iters is 0; at least 1 is required.",
        ),
        (
            lambda: optim.LinearLR(sgd(), total_iters=0),
            "LinearLR: total_iters is 0; at least 1 is required.",
        ),
        (
            lambda: optim.LinearLR(sgd(), start_factor=0),
            "LinearLR: start_factor is 0 and end_factor is 1.0; numbers up to 1 are "
            "required, the first above 0.",
        ),
        (
            lambda: optim.LambdaLR(sgd(), 3),
            "LambdaLR: lr_lambda is 3; a function of t is required.",
        ),
        (
            lambda: optim.ExponentialLR(3, 0.5),
            "ExponentialLR: optimizer is a int; an optimizer of bp.optim is required.",
        ),
    ],
)
def test_a_schedule_says_what_it_needs(make, message):
    with pytest.raises(RangeError) as error:
        make()

    assert str(error.value) == message


# Clipping.


def test_clipping_the_norm_keeps_the_direction_and_the_old_arrays():
    p, q = leaf([0.0, 0.0], np.float32), leaf(0.0)
    p.grad, q.grad = np.array([2.0, 3.0], np.float32), np.array(6.0)
    old = p.grad

    norm = optim.clip_grad_norm_([p, q, leaf(1.0)], 3.5)

    assert norm == 7.0
    assert np.allclose(p.grad, [1.0, 1.5], atol=1e-6)
    assert np.allclose(q.grad, 3.0, atol=1e-6)
    assert p.grad.dtype == np.float32
    assert old.tolist() == [2.0, 3.0]


def test_a_norm_below_the_bound_changes_nothing():
    p = leaf([0.0, 0.0])
    p.grad = grad = np.array([3.0, 4.0])

    assert optim.clip_grad_norm_(p, 6.0) == 5.0
    assert p.grad is grad


def test_the_greatest_entry_is_a_norm_too():
    p = leaf([0.0, 0.0])
    p.grad = np.array([3.0, -4.0])

    assert optim.clip_grad_norm_(p, 2.0, norm_type=math.inf) == 4.0
    assert np.allclose(p.grad, [1.5, -2.0], atol=1e-6)


def test_a_norm_that_is_not_finite_is_an_error_on_demand():
    p = leaf(0.0)
    p.grad = np.array(np.inf)

    with pytest.raises(GradError) as error:
        optim.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)

    assert str(error.value) == (
        "clip_grad_norm_: the norm of the gradients is inf.\n"
        "  help: look for its birth with `bp.detect_anomaly()`."
    )


@pytest.mark.parametrize("bound", [-1.0, math.nan])
def test_a_bound_is_not_negative(bound):
    p = leaf([1.0])

    with pytest.raises(RangeError) as norm:
        optim.clip_grad_norm_([p], bound)
    with pytest.raises(RangeError) as value:
        optim.clip_grad_value_([p], bound)

    said = f"is {bound}; a number of at least 0 is required."
    assert f"clip_grad_norm_: max_norm {said}" == str(norm.value)
    assert f"clip_grad_value_: clip_value {said}" == str(value.value)


def test_clipping_values_bounds_each_entry():
    p = leaf([0.0, 0.0])
    p.grad = grad = np.array([3.0, -0.5])

    optim.clip_grad_value_([p], 1.0)

    assert p.grad.tolist() == [1.0, -0.5]
    assert grad.tolist() == [3.0, -0.5]


@pytest.mark.parametrize(
    ("build", "rates"),
    [
        (lambda o: optim.MultiStepLR(o, [3, 1], 0.5), [1, 0.5, 0.5, 0.25, 0.25]),
        (lambda o: optim.ConstantLR(o, 0.25, 2), [0.25, 0.25, 1, 1, 1]),
        (lambda o: optim.PolynomialLR(o, 4, 2.0), [1, 0.5625, 0.25, 0.0625, 0]),
    ],
    ids=["MultiStepLR", "ConstantLR", "PolynomialLR"],
)
def test_a_schedule_is_the_formula_in_its_first_line(build, rates):
    schedule = build(optim.SGD([leaf(1.0)], lr=1.0))

    assert [schedule.lr_at(t, 1.0) for t in range(5)] == rates
