"""Declaring ops: how they are called, what they refuse, and what is derived."""

import copy
from functools import partial

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import GradError, RuleError, ShapeError
from backproplab.primitive import numpy_rules


def leaf(data, **options):
    return bp.tensor(data, requires_grad=True, **options)


def said(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_an_op_says_what_it_is():
    @bp.elementwise(lambda y, x, *, n: n * x ** (n - 1))
    def root(x, n=2):
        """x to the n."""
        return x**n

    assert repr(root.primitive) == "<elementwise op root(x, n=2)>"
    assert (root.__name__, root.__doc__) == ("root", "x to the n.")


def test_options_are_passed_by_keyword_or_by_place():
    @bp.elementwise(lambda y, x, *, n: n * x ** (n - 1))
    def root(x, n=2):
        return x**n

    x = leaf(3.0)
    values = [root(x), root(x, n=3), root(x, 3), root(x=x, n=3)]
    values[-1].backward()

    assert [v.item() for v in values] == [9, 27, 27, 27]
    assert x.grad == 27


def test_unknown_keywords_and_missing_inputs_are_named():
    @bp.elementwise(lambda y, x, *, power: power)
    def scale(x, power=2):
        return x * power

    @bp.primitive(vjp=lambda g, y, *xs, wrt, axis: [g] * len(xs))
    def total(*xs, axis=0):
        return sum(xs)

    @bp.primitive(vjp=lambda g, y, *xs, wrt, axis: [g] * len(xs), listed=True)
    def listed(*xs, axis=0):
        return sum(xs)

    assert [
        said(RuleError, lambda: scale(1.0, powr=3)),
        said(RuleError, lambda: total(1.0, axes=3)),
        said(RuleError, lambda: listed([1.0], axes=3)),
        said(RuleError, lambda: scale(power=3)),
    ] == [
        "scale: got the keyword powr; its signature is scale(x, power=2).\n"
        "  help: did you mean power?",
        "total: got the keyword axes; its signature is total(*xs, axis=0).\n"
        "  help: did you mean axis or xs?",
        "listed: got the keyword axes; its signature is listed(*xs, axis=0).\n"
        "  help: did you mean axis or xs?",
        "scale: missing a required argument: 'x'; its signature is scale(x, power=2).",
    ]


def test_a_tensor_without_a_rule_of_its_own_is_named():
    @bp.elementwise(lambda _y, _x, *, w: w)
    def scaled(x, w):
        return x * w

    assert said(RuleError, lambda: scaled(leaf(1.0), leaf(2.0))) == (
        "scaled: w is a tensor that wants a gradient, and has no derivative rule; "
        "there is one for x.\n"
        "  help: pass `w.data` if no gradient is to flow through it, or declare a rule "
        "for each input."
    )


def test_ops_that_numpy_lacks_take_pytorchs_keywords_too():
    x, w, b = np.ones((2, 3)), np.ones((4, 3)), np.ones(4)

    got = bp.ops.linear(leaf(x), weight=w, bias=b)
    shares = bp.ops.softmax(input=leaf(x), dim=0)

    assert got.data.tolist() == np.full((2, 4), 4.0).tolist()
    assert shares.data.tolist() == np.full((2, 3), 0.5).tolist()
    assert bp.ops.logsumexp(x, dim=1, keepdim=True).shape == (2, 1)
    assert "sum: got the keyword dim" in said(
        RuleError, lambda: bp.ops.sum(leaf(x), dim=0)
    )


def test_numpys_other_names_are_the_same_ops():
    assert bp.ops.amax is bp.ops.max
    assert bp.ops.absolute is bp.ops.abs
    assert bp.ops.concat is bp.ops.concatenate
    assert bp.ops.permute_dims is bp.ops.transpose


def test_ops_of_several_inputs_take_them_apart_or_as_one_sequence():
    @bp.primitive(vjp=lambda g, y, *xs, wrt, axis: [g] * len(xs))
    def total(*xs, axis=0):
        return sum(xs)

    @bp.primitive(vjp=lambda g, y, *xs, wrt, axis: [g] * len(xs), listed=True)
    def listed(*xs, axis=0):
        return sum(xs)

    x, y = leaf(1.0), leaf(2.0)
    (total(x, y, 3.0) + listed([x, y], axis=1)).backward()

    assert (x.grad, y.grad) == (2, 2)


@pytest.mark.parametrize("mode", ["idle", "plugged"])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: leaf(np.ones(2)) + leaf(np.ones(3)),
            "add: x is (2,) and y is (3,); shapes must be equal or 1 from the right.",
        ),
        (
            lambda: leaf(np.ones((32, 10))) @ leaf(np.ones((12, 5))),
            "matmul: x is (32, 10) and w is (12, 5); x.shape[-1] must equal "
            "w.shape[-2] (w.shape[0] if w is 1-d).",
        ),
        (
            lambda: np.concatenate([leaf(np.ones((2, 2))), leaf(np.ones((3, 3)))]),
            "concatenate: x0 is (2, 2) and x1 is (3, 3);",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named_by_input(call, message, mode):
    if mode == "plugged":
        with bp.plugged(bp.Plug()):
            said_then = said(ShapeError, call)
    else:
        said_then = said(ShapeError, call)

    assert said_then.startswith(message)


def test_an_ops_own_error_passes_as_it_is():
    @bp.elementwise(lambda y, x: 1.0)
    def picky(x):
        raise ShapeError("picky: mine.")

    assert said(ShapeError, lambda: picky(leaf(1.0))) == "picky: mine."


def test_a_rule_may_take_any_inputs():
    product = bp.primitive(lambda g, y, *inputs: 2 * g * inputs[0])(lambda x: x * x)
    x = leaf(3.0)

    product(x).backward()

    assert x.grad == 6


def test_numbers_stand_for_constant_partials():
    ops = [
        bp.elementwise(slope)(lambda x, slope=slope: slope * x) for slope in (1, -1, 3)
    ]
    x = leaf(np.ones(2, np.float32))

    for op in ops:
        op(x).sum().backward()

    assert np.array_equal(x.grad, [3, 3])
    assert x.grad.dtype == np.float32


def test_a_function_of_ops_can_stand_for_a_numpy_function():
    @bp.implements(np.nanprod)
    def product(x):
        return x[0] * x[1]

    try:
        assert np.nanprod(leaf([3.0, 4.0])).item() == 12
    finally:
        del numpy_rules[np.nanprod]


def test_ops_without_tensors_give_plain_arrays():
    assert type(bp.ops.tanh(np.ones(2))) is np.ndarray
    assert bp.ops.add([1.0, 2.0], 1.0).tolist() == [2, 3]


def test_an_op_saves_for_its_rules_in_first_order_and_computes_again_in_second():
    seen = []

    @bp.primitive(
        lambda g, y, x, *, saved: (
            seen.append(saved is None) or g * (np.exp(x) if saved is None else saved)
        ),
        saves=True,
    )
    def exponential(x):
        y = np.exp(x)
        return y, y

    assert bp.grad(exponential)(0.0) == 1
    assert bp.grad(bp.grad(exponential))(0.0) == 1
    assert seen == [False, True]


# Tensor.


def test_a_tensor_shows_its_data_dtype_and_maker():
    x = leaf([1.0, 2.0])

    assert [repr(t) for t in (x, x * 2, bp.tensor(np.float32(1)), x.detach())] == [
        "tensor([1., 2.], requires_grad=True)",
        "tensor([2., 4.], op=multiply)",
        "tensor(1., dtype=float32)",
        "tensor([1., 2.])",
    ]


def test_a_tensor_can_be_made_in_another_dtype():
    x = bp.tensor([1, 2], requires_grad=True, dtype=np.float32)

    assert x.dtype == np.float32
    assert x.data.tolist() == [1.0, 2.0]


def test_a_tensor_of_a_tensor_copies_its_data():
    x = leaf([1.0, 2.0])

    y = bp.tensor(x)
    y.data[0] = 9

    assert x.tolist() == [1, 2]
    assert not y.requires_grad


def test_methods_follow_numpy():
    x = leaf([[1.0, 2.0], [3.0, 4.0]], name="x")

    assert x.T.tolist() == x.transpose().tolist() == x.transpose(1, 0).tolist()
    assert x.transpose((1, 0)).tolist() == [[1, 3], [2, 4]]
    assert x.reshape(4).tolist() == x.reshape((4,)).tolist() == [1, 2, 3, 4]
    assert x.numpy() is x.data
    assert x.astype(np.float32).dtype == np.float32
    assert (x.shape, x.ndim, x.size, x.name, bool(x[0, 0])) == ((2, 2), 2, 4, "x", True)


def test_a_number_is_formatted_as_one():
    assert f"{leaf(0.125):.2f} {leaf(2.0)}" == "0.12 2.0"
    assert f"{bp.tensor([2.0])}" == "tensor([2.])"


def test_a_leaf_is_copied_with_its_gradient_and_a_graph_is_not():
    x = leaf([1.0, 2.0], name="x")
    (x * x).sum().backward()

    y = copy.deepcopy(x)
    y.data[0] = 9

    assert (y.name, y.requires_grad, y.grad.tolist()) == ("x", True, [2, 4])
    assert x.tolist() == [1, 2]
    assert said(GradError, lambda: copy.deepcopy((x * x).named("y"))) == (
        "copy: y is part of a graph; only leaves can be copied.\n"
        "  help: use `.detach()` for its values alone."
    )


def test_arrays_handed_to_a_declarator_are_told_where_the_ops_are():
    x = bp.tensor([1.0], requires_grad=True)

    with pytest.raises(RuleError) as caught:
        bp.linear(x, x)
    assert str(caught.value) == (
        "bp.linear declares an op from its rules, but got Tensor.\n"
        "  help: the ops themselves, linear among them, are in bp.ops."
    )


def of_one(x):
    return x


def of_two(x, y):
    return x * y


def with_option(x, n=2):
    return x * n


NOT_NEEDED = "; a leading _ marks a value that backward does not need."
DECLARATIONS = {
    "a rule without the input": (
        lambda: bp.elementwise(lambda _y: 1)(of_one),
        "of_one: the rule for x takes (_y); it must take (y, x).\n"
        f"  help: write `lambda y, x: ...`{NOT_NEEDED}",
    ),
    "a rule of one input for an op of two": (
        lambda: bp.primitive(None, lambda g, z, y: g)(of_two),
        "of_two: the rule for y takes (g, z, y); it must take (g, z, x, y).\n"
        f"  help: write `lambda g, z, x, y: ...`{NOT_NEEDED}",
    ),
    "a rule without the option": (
        lambda: bp.linear(lambda g, x: g)(with_option),
        "with_option: the rule for x takes (g, x); it must take (g, x, *, n).\n"
        f"  help: write `lambda g, x, *, n: ...`{NOT_NEEDED}",
    ),
    "a rule with an option that the op has not": (
        lambda: bp.elementwise(lambda y, x, *, n: n)(of_one),
        "of_one: the rule for x takes (y, x, *, n); it must take (y, x).\n"
        f"  help: write `lambda y, x: ...`{NOT_NEEDED}",
    ),
    "a joint rule that is not told which": (
        lambda: bp.primitive(vjp=lambda g, z, x, y: (g, g), inputs=2)(of_two),
        "of_two: its vjp takes (g, z, x, y); it must take (g, z, x, y, *, wrt).\n"
        f"  help: write `lambda g, z, x, y, *, wrt: ...`{NOT_NEEDED}",
    ),
    "a jvp without the result": (
        lambda: bp.primitive(lambda g, y, x: g, jvp=lambda t, x: t)(of_one),
        "of_one: its jvp takes (t, x); it must take (tangents, y, x).\n"
        f"  help: write `lambda tangents, y, x: ...`{NOT_NEEDED}",
    ),
    "more rules than inputs": (
        lambda: bp.elementwise(1, 1)(of_one),
        "of_one(x) is declared with 2 rules; one for each input is required, in "
        "order.\n  help: write None for an input through which no gradient flows.",
    ),
    "no rules": (
        lambda: bp.elementwise(of_one)(np.ones(2)),  # @bp.elementwise, no brackets
        "bp.elementwise got ndarray where the function that computes the value is "
        "required; the decorator was written without its rules.\n"
        "  help: write `@bp.elementwise(lambda y, x: ...)` above `def`.",
    ),
    "an option that is none": (
        lambda: bp.elementwise(1, exmple=None)(of_one),
        "bp.elementwise has no option exmple.\n  help: did you mean example?",
    ),
    "a cast class that is none": (
        lambda: bp.elementwise(1, cast="half")(of_one),
        "of_one: cast is 'half'; it must be one of low, fp32, widest, keep.",
    ),
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_declaration_that_does_not_hold_together_is_told_at_once(name):
    declare, message = DECLARATIONS[name]

    assert message == said(RuleError, declare)


def test_a_rule_that_can_be_called_is_taken():
    def slope(_y, x, n=3, **_rest):
        return np.cos(x) * n

    accepted = [
        bp.elementwise(slope)(of_one),
        bp.elementwise(slope)(with_option),
        bp.elementwise(lambda *values, n: n)(with_option),
        bp.elementwise(partial(slope, n=2))(of_one),
        bp.linear(lambda g, _x: g)(np.flip),
    ]

    assert all(op.primitive.pullbacks for op in accepted)


def test_a_tensor_has_no_attribute_hook_which_would_slow_every_look_up():
    assert not any("__getattr__" in vars(kind) for kind in bp.Tensor.__mro__)
    with pytest.raises(AttributeError, match="reshap"):
        _ = bp.tensor(1.0).reshap
