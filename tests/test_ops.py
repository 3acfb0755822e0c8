"""Every op of the registry keeps the promises of its declaration.

An op's tests are made from its declaration: its example is a point inside its domain,
and central differences of its value know its derivatives. A new op needs no line here.
"""

import ast
import re
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import backproplab as bp
from backproplab.primitive import Primitive, numpy_rules
from backproplab.tape import backward

OPS = list(bp.ops.registry.values())
SMOOTH = [op for op in OPS if op.differentiable]
ELEMENTWISE = [op for op in SMOOTH if op.kind == "elementwise"]
SEVERAL = [op for op in ELEMENTWISE if len(op.inputs) > 1]
WIDER = (
    "changes the number format: np.log(2), np.float64(3) or np.where(x, 1.0, 0.0) "
    "widen float32; math.log(2), 3.0 or (x > 0) do not"
)
FLOATS = [np.float16, np.float32, np.float64]


def each(ops: list[Primitive]) -> Any:
    return pytest.mark.parametrize("op", ops, ids=[op.name for op in ops])


class Point(NamedTuple):
    """An op's example, and what the tests ask about: which inputs move, and how."""

    op: Primitive
    inputs: tuple[Any, ...]
    static: dict[str, Any]
    moving: list[int]
    g: np.ndarray
    tangents: list[Any]


@cache
def point(op: Primitive) -> Point:
    """The first of a few examples where differences do not meet a kink."""
    for seed in range(7, 12):
        if smooth(p := sample(op, seed)):
            return p
    raise AssertionError(
        f"{op.name}: its examples lie on a kink, or too near to the edge of its "
        f"domain: {p.inputs}; declare it with example=, rng -> (inputs, static)."
    )


def smooth(p: Point) -> bool:
    """Whether half the step gives the same derivatives."""
    return all(
        np.allclose(whole, half, rtol=0, atol=1e-8 * max(1.0, np.abs(whole).max()))
        for whole, half in zip(jacobians(p), jacobians(p, 0.5), strict=True)
        if whole is not None and whole.size
    )


def sample(op: Primitive, seed: int) -> Point:
    rng = np.random.default_rng(seed)
    example = op.example(rng)
    assert is_example(example), (
        f"{op.name}: its example gives {example!r}; "
        "(inputs, static) is required: a tuple of arrays, and a dict of options"
    )
    inputs, static = example
    moving = movable(op, inputs)
    y = value(op, inputs, static)
    tangents = [
        rng.normal(size=np.shape(x)) if k in moving else None
        for k, x in enumerate(inputs)
    ]
    return Point(op, inputs, static, moving, rng.normal(size=np.shape(y)), tangents)


def is_example(example: Any) -> bool:
    kinds = [type(part) for part in example] if type(example) is tuple else []
    return kinds == [tuple, dict]


def movable(op: Primitive, inputs: tuple[Any, ...]) -> list[int]:
    """Positions of the inputs that have a gradient."""
    return [
        k
        for k, x in enumerate(inputs)
        if np.asarray(x).dtype.kind == "f"
        and (op.vjp or op.variadic or op.rules[k] is not None)
    ]


def static_of(op: Primitive, static: dict[str, Any]) -> dict[str, Any]:
    return {**op.defaults, **static}


def value(op: Primitive, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
    """The op's plain function of arrays."""
    y = op.value(*inputs, **static_of(op, static))
    return np.asarray(y[0] if op.saves else y)


def called(op: Primitive, inputs: Any, static: dict[str, Any]) -> Any:
    """The op as a user calls it."""
    return op.call(*([inputs] if op.listed else inputs), **static)


def tensors(inputs: tuple[Any, ...], moving: list[int]) -> list[Any]:
    return [
        bp.tensor(x, requires_grad=True) if k in moving else x
        for k, x in enumerate(inputs)
    ]


def pulled(
    y: Any, g: Any, leaves: list[Any], moving: list[int], higher: bool = False
) -> list[Any]:
    """What one backward pass brings to the leaves; zeros where nothing arrives."""
    found: dict[int, Any] = {}
    backward(
        [(y, g)],
        lambda leaf, c, _ours: found.__setitem__(leaf._id, c),
        retain=higher,
        higher=higher,
    )
    return [
        found.get(leaves[k]._id, np.zeros(np.shape(leaves[k]))) if k in moving else None
        for k in range(len(leaves))
    ]


def vjp(op: Primitive, inputs: tuple[Any, ...], static: Any, g: Any) -> list[Any]:
    moving = movable(op, inputs)
    leaves = tensors(inputs, moving)
    return pulled(called(op, leaves, static), g, leaves, moving)


def differences(f: Any, x: np.ndarray, step: float = 1.0) -> np.ndarray:
    """Jacobian of f at x by the five-point rule, of shape y.shape + x.shape."""
    h = step * np.finfo(x.dtype).eps ** (1 / 5)
    columns = []
    for i in np.ndindex(x.shape):
        samples = {}
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[i] += k * h
            samples[k] = np.asarray(f(moved))
        near, far = samples[1] - samples[-1], samples[2] - samples[-2]
        columns.append((8 * near - far) / (12 * h))
    shape = np.shape(f(x)) + x.shape
    return np.stack(columns, -1).reshape(shape) if columns else np.zeros(shape)


def jacobians(p: Point, step: float = 1.0) -> list[Any]:
    op, inputs, static, moving, *_ = p
    return [
        differences(
            lambda x, k=k: value(op, (*inputs[:k], x, *inputs[k + 1 :]), static),
            inputs[k],
            step,
        )
        if k in moving
        else None
        for k in range(len(inputs))
    ]


@cache
def jacobians_at(op: Primitive) -> list[Any]:
    return jacobians(point(op))


def assert_close(got: Any, expected: Any, power: float = 1 / 2, what: str = "") -> None:
    """Equal up to eps**power of the dtype, at the scale of the array."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    if expected.size:
        eps = float(np.finfo(got.dtype).eps)
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(got, expected, 0, scale * eps**power, err_msg=what)


@each(OPS)
def test_tensors_see_the_same_value_as_arrays(op):
    _, inputs, static, moving, _, _ = point(op)

    y = called(op, tensors(inputs, moving), static)

    np.testing.assert_array_equal(y.data, value(op, inputs, static))


@each(OPS)
def test_the_body_says_what_the_op_computes(op):
    _, inputs, static, *_ = point(op)

    y = op.call.__wrapped__(*inputs, **static_of(op, static))

    y = y[0] if op.saves else y
    np.testing.assert_array_equal(y, value(op, inputs, static))


@each(OPS)
def test_arrays_give_arrays(op):
    _, inputs, static, *_ = point(op)

    assert not isinstance(called(op, inputs, static), bp.Tensor)


@each(SMOOTH)
def test_vjp_is_what_central_differences_say(op):
    _, inputs, static, moving, g, _ = point(op)

    got = vjp(op, inputs, static, g)

    for k in moving:
        expected = np.tensordot(g, jacobians_at(op)[k], np.ndim(g))
        assert_close(got[k], expected, what=wrong_rule(op, k))


def wrong_rule(op: Primitive, k: int) -> str:
    names = op.inputs if not op.variadic else [f"x{i}" for i in range(k + 1)]
    name = "dy/dx of the input" if not names else names[k]
    return (
        f"the rule of {op.name} for {name} is not the derivative of its value; "
        f"`bp.check_grads(bp.ops.{op.name}, inputs)` looks for the cause"
    )


@each(SMOOTH)
def test_jvp_is_what_central_differences_say(op):
    _, inputs, static, moving, _, t = point(op)
    expected = sum(np.tensordot(jacobians_at(op)[k], t[k], t[k].ndim) for k in moving)

    _, got = bp.jvp(
        lambda *xs: called(op, filled(inputs, moving, xs), static),
        tuple(inputs[k] for k in moving),
        tuple(t[k] for k in moving),
    )

    assert_close(got, expected)


def filled(inputs: tuple[Any, ...], moving: list[int], xs: Any) -> list[Any]:
    given = iter(xs)
    return [next(given) if k in moving else x for k, x in enumerate(inputs)]


@each(SMOOTH)
def test_jvp_and_vjp_are_adjoint(op):
    _, inputs, static, moving, g, t = point(op)

    _, moved = bp.jvp(
        lambda *xs: called(op, filled(inputs, moving, xs), static),
        tuple(inputs[k] for k in moving),
        tuple(t[k] for k in moving),
    )
    back = vjp(op, inputs, static, g)

    forward = np.sum(g * moved)
    assert_close(sum(np.sum(back[k] * t[k]) for k in moving), forward, power=0.8)


@each(SMOOTH)
def test_each_input_moved_alone_has_its_own_jvp(op):
    _, inputs, static, moving, _, t = point(op)

    for k in moving:
        _, got = bp.jvp(
            lambda x, k=k: called(op, (*inputs[:k], x, *inputs[k + 1 :]), static),
            (inputs[k],),
            (t[k],),
        )

        assert_close(got, np.tensordot(jacobians_at(op)[k], t[k], t[k].ndim))


@each(SMOOTH)
def test_second_order_is_what_central_differences_of_the_vjp_say(op):
    _, inputs, static, moving, g, t = point(op)
    leaves = tensors(inputs, moving)
    y = called(op, leaves, static)
    first = pulled(y, bp.tensor(g), leaves, moving, higher=True)
    total = sum(np.sum(first[k] * t[k]) for k in moving)

    second = pulled(total, np.ones(()), leaves, moving) if wants(total) else None

    for k in moving:

        def along(x: np.ndarray, k: int = k) -> Any:
            c = vjp(op, (*inputs[:k], x, *inputs[k + 1 :]), static, g)
            return sum(np.sum(c[j] * t[j]) for j in moving)

        expected = differences(along, inputs[k])
        assert_close(second[k] if second else np.zeros_like(inputs[k]), expected)


@each(SMOOTH)
def test_the_vjp_is_differentiable_in_the_incoming_gradient(op):
    _, inputs, static, moving, g, t = point(op)
    leaves = tensors(inputs, moving)
    seed = bp.tensor(g, requires_grad=True)
    first = pulled(called(op, leaves, static), seed, leaves, moving, higher=True)
    expected = sum(np.tensordot(jacobians_at(op)[k], t[k], t[k].ndim) for k in moving)

    total = sum(np.sum(first[k] * t[k]) for k in moving)

    got = (
        pulled(total, np.ones(()), [seed], [0]) if wants(total) else [np.zeros_like(g)]
    )
    assert_close(got[0], expected)


def wants(x: Any) -> bool:
    return isinstance(x, bp.Tensor) and x.requires_grad


@each(SMOOTH)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_number_format_is_kept_forward_and_backward(op, dtype):
    inputs, static = in_format(*point(op)[1:3], dtype)

    y = value(op, inputs, static)
    got = vjp(op, inputs, static, np.ones(y.shape, y.dtype))

    assert "dtype" in op.defaults or y.dtype == dtype, f"the value of {op.name} {WIDER}"
    for k in movable(op, inputs):
        assert got[k].dtype == dtype, f"a rule of {op.name} {WIDER}"
        assert np.isfinite(got[k]).all()


@each([op for op in SMOOTH if op.name != "cast"])
def test_no_rule_widens_the_number_format(op):
    dtype = np.float32
    inputs, static = in_format(*point(op)[1:3], dtype)
    static = static_of(op, static)
    y = op.value(*inputs, **static)
    if op.saves:
        y, static["saved"] = y
    g = np.ones(np.shape(y), dtype)
    moving = movable(op, inputs)
    if op.vjp:
        contributions = op.vjp(g, y, *inputs, wrt=moving, **static)
    else:
        contributions = [
            op.pullbacks[k](g, y, *inputs, **static) if k in moving else None
            for k in range(len(inputs))
        ]

    assert [contributions[k].dtype for k in moving] == [dtype] * len(moving)


def in_format(inputs: Any, static: Any, dtype: Any) -> Any:
    def cast(x: Any) -> Any:
        floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
        return x.astype(dtype) if floating else x

    return tuple(map(cast, inputs)), {k: cast(v) for k, v in static.items()}


@each(SMOOTH)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_narrow_format_gives_the_wide_result_rounded(op, dtype):
    inputs, static = in_format(*point(op)[1:3], dtype)
    wide, wide_static = in_format(inputs, static, np.float64)
    y = value(op, wide, wide_static)

    got = value(op, inputs, static)

    if "dtype" not in static:
        assert got.dtype == dtype, f"the value of {op.name} {WIDER}"
        assert_close(got, y, power=0.6)


@each(SEVERAL)
def test_gradients_have_the_shapes_of_inputs_that_broadcast(op):
    _, inputs, static, moving, *_ = point(op)
    shapes = [(3, 1), (4,), (2, 1, 4), ()][: len(inputs)]
    small = tuple(np.resize(x, shape) for x, shape in zip(inputs, shapes, strict=True))
    full = np.broadcast_arrays(*small)
    g = np.random.default_rng(1).normal(size=full[0].shape)

    got = vjp(op, small, static, g)

    expected = vjp(op, tuple(np.array(x) for x in full), static, g)
    for k in moving:
        lead = g.ndim - small[k].ndim
        axes = tuple(range(lead)) + tuple(
            lead + i for i, n in enumerate(small[k].shape) if n == 1
        )
        summed = expected[k].sum(axis=axes).reshape(small[k].shape)
        assert_close(got[k], summed, power=0.8)


@each(ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_elementwise_ops_take_0d_and_empty_arrays(op, shape):
    _, inputs, static, moving, *_ = point(op)
    inputs = tuple(np.resize(x, shape) if np.size(x) else x for x in inputs)

    got = vjp(op, inputs, static, np.ones(shape))

    assert all(np.shape(got[k]) == shape for k in moving)


def numpy_names() -> list[Any]:
    return [(op, f) for op in OPS for f in op.numpy]


@pytest.mark.parametrize(
    ("op", "function"),
    numpy_names(),
    ids=[f"{f.__name__}-{op.name}" for op, f in numpy_names()],
)
def test_the_numpy_function_on_tensors_is_the_op(op, function):
    _, inputs, static, moving, *_ = point(op)
    leaves = tensors(inputs, moving)
    leaves = [leaves] if op.listed else leaves
    first = [v for name, v in static.items() if positional(function, name)]
    rest = {name: v for name, v in static.items() if not positional(function, name)}

    y = function(*leaves, *first, **rest)

    assert isinstance(y, bp.Tensor)
    expected = function(*untensored(leaves), *first, **rest)
    np.testing.assert_array_equal(y.data, expected)


def positional(function: Any, name: str) -> bool:
    kind = signature(function).parameters[name].kind
    return kind is Parameter.POSITIONAL_ONLY


def untensored(values: Any) -> Any:
    return [
        untensored(v)
        if isinstance(v, list)
        else v.data
        if isinstance(v, bp.Tensor)
        else v
        for v in values
    ]


def test_every_numpy_function_with_a_rule_has_a_public_name_in_ops():
    nameless = {
        rule.__name__
        for rule in numpy_rules.values()
        if getattr(bp.ops, rule.__name__, None) is None
    }

    assert nameless == set()


@each(OPS)
def test_the_docstring_begins_with_a_claim(op):
    first = op.body.__doc__.strip().split("\n")[0]

    assert first, f"{op.name} has no docstring; its first line is its row in the list"
    assert first.endswith(".")
    assert len(first) <= 88


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_of_a_large_array_is_that_of_its_parts(dtype):
    x = np.random.default_rng(0).normal(size=5000).astype(dtype)
    x[:4] = np.nan, np.inf, -np.inf, -0.0

    y = bp.ops.relu(x)

    assert y.dtype == dtype
    np.testing.assert_array_equal(
        y, np.concatenate([*map(bp.ops.relu, (x[:9], x[9:]))])
    )
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(bp.ops.relu(np.arange(-9, 3000))[:10], [0] * 10)


STACKS = [((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (4, 1)), ((0, 3, 4), (4, 5)),
          ((2, 3, 4), (4, 0)), ((2, 3, 0), (0, 5))]  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("a", "b"), STACKS)
def test_a_stack_of_matrices_times_a_matrix_is_numpys(a, b, turned):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=a), rng.normal(size=b).astype(np.float32)
    if turned:
        x = np.swapaxes(np.ascontiguousarray(np.swapaxes(x, 0, 1)), 0, 1)

    for left in (x, x.astype(np.float32)):
        want = np.matmul(left, y)
        got = bp.ops.matmul(left, y)
        assert (want.dtype, want.shape) == (got.dtype, got.shape)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", [bp.ops.dot, bp.ops.inner])
def test_the_product_of_two_vectors_gives_each_the_other(op):
    x, y = (bp.tensor(np.arange(3.0) + k, requires_grad=True) for k in (1, 5))

    (2 * op(x, y)).backward()

    assert (2 * y.data).tolist() == x.grad.tolist()
    assert (2 * x.data).tolist() == y.grad.tolist()


@each(SMOOTH)
def test_a_rule_does_not_look_at_what_it_marks_as_not_needed(op):
    _, inputs, static, moving, g, _ = point(op)
    static = static_of(op, static)
    y = op.value(*inputs, **static)
    if op.saves:
        y, static["saved"] = y
    values = (np.asarray(y), *inputs)

    for k in moving:
        if op.vjp is None and (needed := op.needs[k]) is not None:
            left = [x if i in needed else hidden(x) for i, x in enumerate(values)]
            got = op.pullbacks[k](g, *left, **static)
            expected = op.pullbacks[k](g, *values, **static)
            np.testing.assert_array_equal(
                got, expected, f"{op.name}: the rule for {op.inputs[k]} reads a value "
                "whose name begins with an underscore"
            )  # fmt: skip


def hidden(x: Any) -> Any:
    """Of the same shape and dtype, without the numbers."""
    floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return np.full_like(x, np.nan) if floating else x


def declared(folder: Path) -> list[str]:
    """Names of the ops that stand under a declarator, in the files of a folder."""
    found = []
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            for decorator in getattr(node, "decorator_list", ()):
                if DECLARATOR.match(text := ast.unparse(decorator)):
                    named = re.search("name='(\\w+)'", text)
                    found.append(named[1] if named else node.name)
    return found


DECLARATOR = re.compile("(elementwise|linear|primitive|reduction)\\b")
FOLDER = Path(bp.ops.__file__).parent


def test_every_declared_op_is_in_the_registry_under_a_name_of_its_own():
    names = declared(FOLDER)

    assert [] == [f"{n} is declared twice" for n in {*names} if names.count(n) > 1]
    assert [] == [
        f"{n} is not found: has its decorator rules, is its file in ops._FIELDS?"
        for n in names
        if n not in bp.ops.registry
    ]


def test_an_op_declared_twice_or_without_its_rules_is_seen(tmp_path):
    one, two = "@elementwise(1)\ndef f(x): ...\n", "@elementwise\ndef g(x): ...\n"
    (tmp_path / "a.py").write_text(one + two + "@cache\ndef h(): ...\n")
    (tmp_path / "b.py").write_text(one)

    assert ["f", "g", "f"] == declared(tmp_path)


@pytest.mark.parametrize(
    ("example", "complaint"),
    [
        (lambda rng: rng.normal(size=3), "odd: its example gives array"),
        (lambda rng: ((np.zeros(2),), {}), "odd: its examples lie on a kink, or"),
    ],
)
def test_an_example_that_cannot_be_used_is_told(example, complaint):
    @bp.elementwise(lambda _y, x: 1 / (1 + np.abs(x)) ** 2, example=example)
    def odd(x):
        return x / (1 + np.abs(x))

    with pytest.raises(AssertionError) as caught:
        point(odd.primitive)

    assert str(caught.value).startswith(complaint)


def test_a_rule_that_reads_more_than_it_says_is_caught():
    @bp.elementwise(lambda _y, _x: 2 * _x)
    def square(x):
        return x * x

    with pytest.raises(AssertionError, match="square: the rule for x reads a value"):
        test_a_rule_does_not_look_at_what_it_marks_as_not_needed(square.primitive)


def test_central_differences_catch_a_wrong_rule():
    @bp.elementwise(lambda _y, x: 2.001 * x)
    def nearly_square(x):
        """x times x, with a wrong slope."""
        return x * x

    with pytest.raises(AssertionError):
        test_vjp_is_what_central_differences_say(nearly_square.primitive)
