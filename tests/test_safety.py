"""detect_anomaly: where NaN and infinity are born, what was overwritten in place."""

import linecache

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import AnomalyError

LOG = (
    "log needs positive numbers: add a small eps inside, or use log1p, log_softmax or "
    "a loss that takes logits."
)


def leaf(data, **options):
    return bp.tensor(data, requires_grad=True, **options)


def caught(run):
    with pytest.raises(AnomalyError) as error, bp.detect_anomaly():
        run()
    return str(error.value)


def line(marker):
    """Where the line that holds a marker is, as a message gives it."""
    for number in range(1, 1000):
        text = linecache.getline(__file__, number).strip()
        if text.endswith(f"# {marker}"):
            return f"test_safety.py:{number}: `{text}`"
    raise LookupError(marker)


def layers(x, act):
    """Three layers down, like a module in a module in a module."""
    with bp.scope("net"), bp.scope("fc3"), bp.scope("act"):
        return act(x)


# Forward.


def test_log_of_zero_three_layers_down_is_reported_forward():
    x = leaf([[1.0, 0.0], [2.0, 3.0]])

    message = caught(lambda: layers(np.tanh(x), lambda h: np.log(h)))  # forward

    assert message == (
        "log made -inf at [0, 1] (1 of 4 values), where x = 0, in net.fc3.act, at "
        f"{line('forward')}.\n  help: {LOG}"
    )


def test_the_line_is_the_users_and_not_the_packages():
    def run():
        return np.sum(1.0 / leaf([2.0, 0.0]))  # division

    assert caught(run) == (
        "divide made inf at [1] (1 of 2 values), where x = 1 and y = 0, at "
        f"{line('division')}.\n  help: add a small eps to the denominator."
    )


def test_a_line_in_a_notebook_cell_is_named_by_its_number():
    source = "x = bp.tensor(0.0)\ny = np.log(x)\n"
    name = "/tmp/ipykernel_1/123.py"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    code = compile(source, name, "exec")

    message = caught(lambda: exec(code, {"bp": bp, "np": np}))

    assert message == (
        f"log made -inf, where x = 0, at cell line 2: `y = np.log(x)`.\n  help: {LOG}"
    )


def test_a_line_whose_source_is_not_known_is_still_named():
    code = compile("y = np.log(bp.tensor(0.0))", "<typed>", "exec")

    message = caught(lambda: exec(code, {"bp": bp, "np": np}))

    assert message.startswith("log made -inf, where x = 0, at <typed>:1.\n")


def test_a_nan_that_comes_in_is_named_and_not_blamed_on_the_op():
    x, data = leaf([1.0, np.nan], name="x"), np.array([np.nan, np.nan])

    messages = [
        caught(lambda: np.tanh(x)),  # incoming
        caught(lambda: leaf([1.0, 2.0]) * data),  # constant
    ]

    help = "help: clean the data, or put what computes it into the block."
    assert messages == [
        "nan came in with x: 1 nan in 2 values. tanh is the first op that sees it, at "
        f"{line('incoming')}.\n  {help}",
        "nan came in with y of multiply: 2 nan in 2 values. multiply is the first op "
        f"that sees it, at {line('constant')}.\n  {help}",
    ]


def test_a_reduction_reports_without_the_operands_there():
    x = leaf(np.full(2, 1e308))

    assert caught(lambda: x.sum()) == (  # overflow
        f"sum made inf, at {line('overflow')}.\n  help: look at its inputs there."
    )


def test_a_mask_of_minus_infinity_is_let_through():
    x, mask = leaf([1.0, 2.0, 3.0]), np.array([0.0, -np.inf, 0.0])

    with bp.detect_anomaly():
        e = np.exp(x + mask)
        (e / e.sum()).sum().backward()
        np.where(np.isinf(mask), mask, x).sum().backward()

    assert np.isfinite(x.grad).all()


def test_a_nan_made_from_a_mask_is_reported():
    x, mask = leaf([1.0, 2.0]), np.array([0.0, -np.inf])

    assert caught(lambda: x * 0 * mask) == (  # masked
        "multiply made nan at [1] (1 of 2 values), where x = 0 and y = -inf, at "
        f"{line('masked')}.\n  help: look at its inputs there."
    )


def test_integers_and_constants_are_fine():
    x = leaf([1.0, 2.0])

    with bp.detect_anomaly():
        y = (x[np.array([0, 0, 1])] * np.array([1, 2, 3])).sum()
        y.backward()

    assert np.array_equal(x.grad, [3, 3])


# Backward.


def test_a_slope_of_infinity_three_layers_down_is_reported_backward():
    x = leaf([4.0, 0.0])

    def run():
        y = layers(np.square(x), lambda h: np.sqrt(h))  # backward
        y.sum().backward()

    assert caught(run) == (
        "backward of sqrt made inf at [1] (1 of 2 values), where x = 0, in the "
        "gradient of x of sqrt (the output of square); the gradient that came in is "
        f"finite, in net.fc3.act, at {line('backward')}.\n"
        "  help: the slope of sqrt at 0 is infinite: add a small eps inside."
    )


def test_log_of_zero_is_reported_backward_when_only_backward_is_watched():
    x = leaf([1.0, 0.0])
    with np.errstate(divide="ignore"):
        loss = layers(x, np.log).sum()

    assert caught(loss.backward) == (
        f"log made -inf at [1] (1 of 2 values), where x = 0.\n  help: {LOG}"
    )


def test_an_infinity_that_was_put_in_outside_the_block_passes_backward():
    x = leaf([1.0, 2.0])
    y = x + np.array([0.0, -np.inf])

    with bp.detect_anomaly():
        y.sum().backward()

    assert np.array_equal(x.grad, [1, 1])


def test_a_birth_inside_a_checkpoint_is_found_at_its_line_in_both_runs():
    x = leaf([4.0, 0.0])

    def f(x):
        return np.sqrt(x)  # checkpointed

    def run():
        with bp.scope("block"):
            y = bp.checkpoint(f)(x)
        y.sum().backward()

    assert caught(run).startswith(
        "backward of sqrt made inf at [1] (1 of 2 values), where x = 0, in the "
        "gradient of x of sqrt; the gradient that came in is finite, in block, at "
        f"{line('checkpointed')}.\n"
    )


def test_a_nan_loss_is_reported_at_its_birth():
    x = leaf([1.0, 0.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        h = np.log(x)
        loss = ((h - h) * 2).sum()

    assert np.isnan(loss.item())
    assert caught(loss.backward).startswith("log made -inf at [1]")


def test_a_nan_in_a_leaf_is_reported_when_only_backward_is_watched():
    loss = (leaf([1.0, np.nan], name="x") * 2).sum()

    assert caught(loss.backward) == (
        "nan came in with x: 1 nan in 2 values. multiply is the first op that sees it."
        "\n  help: clean the data, or put what computes it into the block."
    )


def test_an_incoming_gradient_that_is_not_finite_is_named():
    y = leaf([1.0, 2.0]).named("x") * 2

    message = caught(lambda: y.named("y").backward([np.nan, 1.0]))

    assert message == (
        "the gradient of y has 1 nan in 2 values; backward() was started with that, or "
        "contributions added up to it."
    )


def test_a_hook_that_returns_nan_is_named():
    x = leaf([1.0, 2.0], name="x")
    x.register_hook(lambda g: g * np.nan)

    assert caught(lambda: (x * 2).sum().backward()) == (
        "the gradient of x has 2 nan in 2 values; a hook on it returned that, or "
        "contributions added up to it."
    )


def test_contributions_that_overflow_together_are_named():
    x = leaf(np.float16(1.0), name="x")

    def run():
        y = x * 6e4
        (y + x * 6e4).backward()

    assert caught(run).startswith("add made inf, where x = 60000 and y = 60000, at ")
    h = x * np.float16(1.0)
    loss = h * np.float16(3e4) - h * np.float16(-4e4 + 1e4)

    assert caught(lambda: loss.backward(np.float16(2))).startswith(
        "the gradient of the output of multiply of shape () has 1 inf in 1 values; "
    )


def test_an_infinity_that_was_put_in_may_pass_backward_until_it_makes_nan():
    x, big = leaf([1.0, 2.0]), np.array([np.inf, 1.0])
    with bp.detect_anomaly():
        (x * big).sum().backward()

    def run():
        h = x * np.array([0.0, 1.0])
        (h + 1.0) * big
        ((h + 1.0) * big).sum().backward()

    assert np.isinf(x.grad[0])
    assert caught(run).startswith(
        "backward of multiply made nan at [0] (1 of 2 values), where x = "
    )


# Overwritten in place.


def test_a_raw_array_that_was_overwritten_is_named():
    x, mask = leaf([1.0, 2.0]), np.ones(2)

    def run():
        y = x * mask  # aliased
        mask[:] = 0
        y.sum().backward()

    assert caught(run) == (
        "y of multiply was overwritten in place after multiply saw it, at "
        f"{line('aliased')}; backward needs the old values.\n"
        "  help: write to a copy (`a.copy()`), or after backward()."
    )


def test_data_that_was_overwritten_behind_the_tensors_back_is_named():
    w = leaf([1.0, 2.0], name="w")

    def run():
        loss = (w * w).sum()  # leaf
        w.data[0] = 9
        loss.backward()

    assert caught(run).startswith(
        "w was overwritten in place after multiply saw it, at "
    )


def test_an_output_that_was_overwritten_is_named():
    x = leaf([1.0, 2.0])

    def run():
        with bp.scope("act"):
            y = np.exp(x)  # output
        y.data[0] = 9
        y.sum().backward()

    assert caught(run) == (
        "the output of exp was overwritten in place after exp saw it, in act, at "
        f"{line('output')}; backward needs the old values.\n"
        "  help: write to a copy (`a.copy()`), or after backward()."
    )


def test_overwriting_what_no_rule_needs_is_fine():
    x, b = leaf([1.0, 2.0]), np.ones(2)

    with bp.detect_anomaly():
        y = (x + b).sum()
        b[:] = 5
        y.backward()

    assert np.array_equal(x.grad, [1, 1])


def test_without_detect_anomaly_nothing_is_watched():
    x = leaf(0.0)
    with np.errstate(divide="ignore"):
        np.log(x).backward()

    assert np.isinf(x.grad)


def test_the_name_of_a_variadic_operand_is_its_position():
    x, late = leaf([1.0]), np.array([np.nan])

    assert caught(lambda: np.concatenate([x, late])).startswith(
        "nan came in with x1 of concatenate: 1 nan in 1 values."
    )
