"""check_grads: right rules pass; wrong ones are caught and their cause is named."""

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import CheckError, RangeError

RNG = np.random.default_rng(3)
A, B, S, R = (RNG.normal(size=s) for s in [(3, 4), (4,), (3, 3), (3, 3)])


def fault(f, args, **options):
    """The message, in two lines: what is wrong, and the likely cause."""
    with pytest.raises(CheckError) as caught:
        bp.check_grads(f, args, **options)
    return str(caught.value).split("\n  help: ")


def cause(f, args, **options):
    return fault(f, args, **options)[1].removeprefix("likely cause: ")


# Right rules pass.


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (bp.ops.tanh, (A,)),
        (np.abs, (A,)),
        (bp.ops.matmul, (A, B)),
        (lambda x, w: np.tanh(w @ x).sum(), (S, R)),
        (lambda p, x: {"y": p["w"] * x, "n": 3}, ({"w": A, "n": 3, "none": None}, B)),
        (lambda x: np.where(x > 0, x, 0.1 * x), A),
        (bp.checkpoint(lambda x: np.sin(x * x)), (A,)),
        (lambda x: bp.grad(lambda x: (x**3).sum())(x), (B,)),
        (bp.ops.log, (np.array([1e-3, 1e3]),)),
        (lambda x: 0.0 * x, (np.zeros(0),)),
    ],
)
def test_right_rules_pass_to_third_order(f, args):
    bp.check_grads(f, args, order=3)


@pytest.mark.parametrize(
    "op",
    [op for op in bp.ops.registry.values() if op.differentiable],
    ids=lambda op: op.name,
)
def test_every_op_passes_to_second_order(op):
    inputs, static = op.example(np.random.default_rng(0))

    def f(*xs):
        return op.call(list(xs), **static) if op.listed else op.call(*xs, **static)

    bp.check_grads(f, inputs)


def test_one_mode_can_be_chosen_by_name():
    bp.check_grads(bp.ops.tanh, (A,), modes="fwd")
    bp.check_grads(bp.ops.tanh, (A,), modes=["rev"], rng=np.random.default_rng(8))


def test_it_is_an_assertion_error():
    assert issubclass(CheckError, AssertionError)


def test_of_a_large_input_some_entries_are_looked_at():
    calls = []

    def f(x):
        calls.append(1)
        return np.abs(x)

    bp.check_grads(f, (RNG.normal(size=2000),), order=1, modes="rev")

    assert 512 * 6 <= len(calls) < 512 * 6 + 50


def test_float32_arguments_are_checked_in_float64():
    bp.check_grads(bp.ops.tanh, (A.astype(np.float32),))


# Wrong rules are caught, and the cause is named.


def test_a_constant_factor_is_named_in_full():
    @bp.elementwise(lambda y, x: 2.001)
    def double(x):
        return 2 * x

    assert fault(double, (np.array([[1.0, 2.0]]),)) == [
        "check_grads: the gradient of x in double is wrong at [0, 1]: expected "
        "-0.26421, got -0.264342 (2 of 2 entries are wrong).",
        "likely cause: a constant factor: every entry is 1.0005 times what it should "
        "be.",
    ]


def test_a_missing_transpose_is_named_in_full():
    @bp.linear(lambda g, x, w: g @ w, lambda g, x, w: np.swapaxes(x, -1, -2) @ g)
    def product(x, w):
        return x @ w

    x, w = np.eye(2), np.array([[1.0, 2.0], [3.0, 5.0]])

    assert fault(product, (x, w), rng=np.random.default_rng(1)) == [
        "check_grads: the gradient of x in product is wrong at [1, 0]: expected "
        "-2.27588, got -3.57903 (4 of 4 entries are wrong).",
        "likely cause: a missing transpose: with w^T the rule is right.",
    ]


def test_a_transposed_answer_is_named():
    @bp.primitive(lambda g, y, x: np.swapaxes(2 * x * g, 0, 1))
    def square(x):
        return x * x

    assert cause(square, (S,)) == (
        "the gradient is transposed: a transpose is missing, or one too many."
    )


def test_a_shape_that_does_not_fit_is_named():
    @bp.linear(lambda g, x, w: g @ w, lambda g, x, w: np.swapaxes(x, -1, -2) @ g)
    def product(x, w):
        return x @ w

    @bp.linear(lambda g, x: np.swapaxes(g, 0, 1))
    def double(x):
        return 2 * x

    numpys, ours = (
        fault(product, (A, RNG.normal(size=(4, 2)))),
        fault(double, (A,)),
    )

    assert numpys[0].startswith(
        "check_grads: the vjp rule in product raised ValueError: matmul: "
    )
    assert ours[0] == (
        "check_grads: the vjp rule in double raised ShapeError: a rule gave an array "
        "of shape (4, 3) to an input of shape (3, 4); it must have that shape, or one "
        "that the input broadcasts to."
    )
    assert (
        numpys[1]
        == ours[1]
        == ("likely cause: shapes do not fit: a missing transpose or axis.")
    )


def test_swapped_inputs_are_named_in_full():
    @bp.elementwise(lambda z, x, y: x, lambda z, x, y: y)
    def times(x, y):
        return x * y

    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])

    assert fault(times, (x, y), rng=np.random.default_rng(1)) == [
        "check_grads: the gradient of x in times is wrong at [1]: expected 4.10809, "
        "got 1.64324 (2 of 2 entries are wrong).",
        "likely cause: swapped inputs: it got the gradient of y; the rules of x and y "
        "are exchanged.",
    ]
    assert cause(times, (A, B)) == (
        "swapped inputs: with x and y exchanged in the rule it is right."
    )


def test_an_overwritten_fan_out_is_named_in_full():
    @bp.elementwise(lambda y, x: np.cos(x))
    def both(x):
        return np.sin(x) + np.exp(x)

    assert fault(both, (0.5,), rng=np.random.default_rng(1)) == [
        "check_grads: the gradient of x in both is wrong: expected 0.873051, got "
        "0.303279.",
        "likely cause: overwritten: x is used 2 times, but only the contribution "
        "through sin is kept; contributions add.",
    ]


def test_a_missing_path_is_named():
    @bp.elementwise(lambda y, x: np.cos(x) + np.exp(x))
    def three(x):
        return np.sin(x) + np.exp(x) + np.tanh(x)

    assert cause(three, (B,)) == (
        "a path is missing: the contribution through tanh is left out."
    )


def test_entries_picked_twice_and_overwritten_are_named():
    def put(g, x, *, index):
        out = np.zeros(np.shape(x))
        out[index] = g
        return out

    @bp.linear(put)
    def pick(x, index):
        return x[index]

    index = np.array([0, 1, 1, 3, 3])

    assert cause(pick, (B, index), order=1, modes="rev") == (
        "overwritten: where an entry is used several times only one contribution is "
        "kept; they must add (`np.add.at`, `+=`)."
    )


def test_half_of_a_square_is_named():
    @bp.elementwise(lambda y, x: x)
    def square(x):
        return x * x

    assert cause(square, (B,)) == (
        "every entry is half of what it should be: a constant factor, or one of two "
        "equal contributions is lost (an input used twice gets both)."
    )


def test_a_sign_is_named():
    wrong = bp.elementwise(lambda y, x: np.sin(x))(lambda x: np.cos(x))

    assert cause(wrong, (B,)) == "the sign is turned."


def test_a_mean_for_a_sum_and_a_sum_for_a_mean_are_named():
    @bp.primitive(lambda g, y, x: np.broadcast_to(g, np.shape(x)) / 3)
    def total(x):
        return np.sum(x, axis=0)

    @bp.primitive(lambda g, y, x: np.broadcast_to(g, np.shape(x)))
    def average(x):
        return np.mean(x, axis=0)

    assert cause(total, (A,)) == (
        "a mean where the rule sums: every entry is divided by 3, a size here."
    )
    assert cause(average, (A,)) == (
        "a sum where the rule takes a mean: every entry is 3 times too large."
    )


def test_a_sum_missing_over_a_broadcast_axis_is_named():
    @bp.primitive(lambda g, y, x, *, n: g[0])
    def rows(x, n):
        return np.broadcast_to(x, (n, 4))

    assert cause(rows, (B, 5)) == (
        "a sum over axis 0 of the output is missing: only index 0 of 5 is used."
    )


def test_the_output_read_for_the_input_is_named():
    wrong = bp.elementwise(lambda y, x: 1 - x * x)(lambda x: np.tanh(x))

    assert cause(wrong, (B,)) == (
        "wrong operand: with y and x exchanged in the rule it is right."
    )


def test_an_unused_incoming_gradient_is_named():
    wrong = bp.primitive(lambda g, y, x: 2 * x)(lambda x: x * x)

    assert cause(wrong, (B,)) == (
        "the incoming gradient g is not used: the local derivative must be multiplied "
        "by it."
    )


def test_a_missing_local_derivative_is_named():
    wrong = bp.primitive(lambda g, y, x: g)(lambda x: x**3)

    assert cause(wrong, (B,)) == (
        "the local derivative is missing: the incoming gradient g passes unchanged."
    )


def test_a_missing_rule_is_named():
    @bp.elementwise(lambda z, x, y: y, None)
    def times(x, y):
        return x * y

    assert cause(times, (B, B)) == (
        "no gradient flows: the rule gives zeros, or there is none (None)."
    )


def test_a_rule_that_no_simple_slip_explains_is_not_guessed_at():
    wrong = bp.elementwise(lambda y, x: np.log(x * x + 2))(lambda x: np.cos(x))

    assert cause(wrong, (B,)) == (
        "no simple slip explains it: derive the local derivative again."
    )


def test_a_gradient_where_there_is_none_is_not_explained_away():
    wrong = bp.elementwise(lambda y, x: x)(lambda x: np.sign(x))

    assert cause(wrong, (B,)) == (
        "no simple slip explains it: derive the local derivative again."
    )


@pytest.mark.parametrize(
    "value",
    [
        lambda x: np.interp(x, [-9, 9], [-9, 9]),  # does not run on tensors
        lambda x: np.sin(x) + np.exp(x),  # two paths, neither of them alone
        lambda x, n=None: x**3,  # one path
    ],
)
def test_trying_to_explain_a_rule_by_the_ops_own_code_does_no_harm(value):
    wrong = bp.elementwise(lambda y, x, **_: x)(value)

    assert cause(wrong, (B,)) == (
        "no simple slip explains it: derive the local derivative again."
    )


def test_a_large_input_is_not_explained_by_its_shape():
    wrong = bp.elementwise(lambda y, x: x)(lambda x: np.exp(x))

    assert cause(wrong, (np.linspace(1, 2, 600),), order=1, modes="rev") == (
        "no simple slip explains it: derive the local derivative again."
    )


def test_a_fan_out_inside_an_op_that_saves_is_taken_apart():
    @bp.primitive(lambda g, y, x, *, saved: g * np.cos(x), saves=True)
    def both(x):
        return np.sin(x) + np.exp(x), None

    assert cause(both, (B,)).startswith("overwritten: x is used 2 times")


def test_a_callable_without_a_signature_has_numbered_inputs():
    class Square:
        __signature__ = "none"

        def __call__(self, x):
            return x.data * x

    assert "the gradient of x0 in Square is wrong" in fault(Square(), (B,))[0]


def test_a_kink_is_named():
    assert fault(bp.ops.relu, (np.array([0.0, 1.0]),))[1] == (
        "likely cause: the function has a kink there, where a numerical derivative "
        "means nothing; check at a point away from it."
    )


def test_a_joint_vjp_is_judged_too():
    @bp.primitive(vjp=lambda g, z, x, y, *, wrt: (g * y, -g * x), inputs=2)
    def times(x, y):
        return x * y

    message = fault(times, (A, B), modes="rev")

    assert "the gradient of y in times is wrong" in message[0]
    assert message[1] == "likely cause: the sign is turned."


def test_the_broken_op_inside_a_function_is_found():
    @bp.elementwise(lambda y, x: -np.cos(x))
    def sine(x):
        return np.sin(x)

    def f(x):
        return np.exp(sine(x) * x).sum()

    assert fault(f, (np.array([1.0, 2.0]),)) == [
        "check_grads: the gradient of x in sine, called by f is wrong at [1]: expected "
        "-0.542655, got 0.542655 (2 of 2 entries are wrong).",
        "likely cause: the sign is turned.",
    ]


def test_a_value_that_leaves_the_tape_between_right_ops_is_named():
    assert cause(lambda x: x * x.data, (B,)) == (
        "every op in it is right alone, so something between them leaves the tape "
        "(`.data`, `.detach()`, plain arrays)."
    )
    assert cause(lambda x: x.data * 2, (B,)).startswith("every op in it is right")


# Second order, forward mode, and the adjoint identity.


def test_a_rule_that_hides_something_from_the_tape_fails_at_second_order():
    @bp.elementwise(lambda y, x: y.data if isinstance(y, bp.Tensor) else y)
    def exponential(x):
        return np.exp(x)

    message = fault(exponential, (B,))

    bp.check_grads(exponential, (B,), order=1)
    assert "the gradient of x in the vjp of exponential is wrong" in message[0]
    assert message[1] == (
        "likely cause: the rule itself is right, but it hides something from the tape: "
        "`.data`, or numbers computed in plain NumPy."
    )


def test_a_rule_that_cannot_take_tensors_is_named():
    @bp.elementwise(lambda y, x: np.interp(x, [0, 1], [0, 1]) * 0 + np.cos(x))
    def sine(x):
        return np.sin(x)

    assert fault(sine, (np.array([0.2, 0.3]),)) == [
        "check_grads: the vjp rule in the vjp of sine raised RuleError: np.interp has "
        "no derivative rule, so it does not take tensors.",
        "a rule is plain NumPy on its arguments, and takes tensors too where "
        "derivatives of derivatives are wanted.",
    ]


def test_a_wrong_jvp_is_named():
    def declare(jvp):
        return bp.primitive(
            lambda g, z, x, y: g * y, lambda g, z, x, y: g * x, jvp=jvp, name="times"
        )(lambda x, y: x * y)

    half = declare(lambda t, z, x, y: t[0] * y if t[0] is not None else None)
    turned = declare(lambda t, z, x, y: -(t[0] * y + t[1] * x))
    odd = declare(lambda t, z, x, y: t[0] * x)

    assert "the tangent (jvp) in times is wrong at [" in fault(half, (S, R))[0]
    assert cause(half, (S, R)) == "the term of y is missing from the jvp."
    assert cause(turned, (S, R), order=1) == "the sign is turned."
    assert cause(odd, (S, R), order=1) == (
        "no simple slip explains it; the vjp may be right: compare the two rules."
    )


def test_the_output_is_named_where_a_function_has_several():
    @bp.primitive(lambda g, y, x: 2 * g, jvp=lambda t, y, x: t[0])
    def double(x):
        return 2 * x

    message = fault(lambda x: (x * 3, double(x), double(x)), (B,), modes="fwd")

    assert "the tangent (jvp) in double, called by f is wrong" in message[0]
    with pytest.raises(CheckError, match="the tangent of output 1"):
        bp.check_grads(lambda x: (x, _detached(x)), (B,), modes="fwd")


def _detached(x):
    return 2 * x.detach()


def test_vjp_and_jvp_that_differ_by_less_than_differences_see_are_caught():
    @bp.primitive(
        lambda g, y, x: g * np.sign(x) * (1 + 1e-10),
        jvp=lambda t, y, x: t[0] * np.sign(x),
    )
    def size(x):
        return np.abs(x)

    message = fault(size, (B,), order=1)

    assert message[0].startswith(
        "check_grads: vjp and jvp of size disagree: <g, J t> = "
    )
    assert message[1] == (
        "the two rules differ by too little for numerical derivatives to see: look for "
        "a constant with too few digits, or a float32 on the way."
    )


def test_a_tiny_error_is_seen_by_complex_steps_and_written_with_more_digits():
    wrong = bp.elementwise(lambda y, x: np.exp(x) * (1 + 1e-9), name="exp9")(
        lambda x: np.exp(x)
    )

    assert fault(wrong, (1.0,), rng=np.random.default_rng(1))[0] == (
        "check_grads: the gradient of x in exp9 is wrong: expected 0.939395229492, "
        "got 0.939395230432."
    )


# What cannot be checked.


def test_randomness_inside_is_said_first():
    rng = np.random.default_rng(0)

    assert fault(lambda x: x * rng.normal(), (B,)) == [
        "check_grads: f gave two different values at one point.",
        "draw random numbers outside of it and pass them in.",
    ]


def test_nothing_to_differentiate():
    assert fault(np.exp, (3, "s", None)) == [
        "check_grads: no argument is floating point, so there is nothing to check.",
        "write 3.0 for 3, and pass the arguments as a tuple: `(x, w)`.",
    ]


def test_inputs_in_structures_are_named_by_their_path():
    message = fault(lambda p: p["w"] * p["l"][1].data, ({"w": A, "l": [B, B]},))

    assert "the gradient of p['l'][1] in f is wrong" in message[0]


def test_inputs_of_a_variadic_function_are_numbered():
    message = fault(lambda *xs: xs[0] * xs[1].data, (B, B))

    assert "the gradient of x1 in f is wrong" in message[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"order": 0}, "order is 0; 1 or more is required."),
        ({"order": 1.5}, "order is 1.5; 1 or more is required."),
        ({"modes": ()}, 'modes is (); "fwd", "rev" or both is required.'),
        ({"modes": "vjp"}, 'modes is (\'vjp\',); "fwd", "rev" or both is required.'),
    ],
)
def test_a_check_of_nothing_is_refused(asked, said):
    with pytest.raises(RangeError) as caught:
        bp.check_grads(np.tanh, (1.0,), **asked)

    assert f"check_grads: {said}" == str(caught.value)
