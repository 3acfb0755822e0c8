"""Transforms: values known by hand, nesting, structures, kinds of results, errors."""

import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import DTypeError, GradError, ShapeError

RTOL = np.finfo(float).eps ** 0.75


def near(got, expected):
    np.testing.assert_allclose(got, expected, rtol=RTOL, atol=RTOL)


def cube(x):
    return x * x * x


# Values and nesting.


def test_grad_of_grad_of_grad():
    x = 2.0

    derivatives = [
        cube(x),
        bp.grad(cube)(x),
        bp.grad(bp.grad(cube))(x),
        bp.grad(bp.grad(bp.grad(cube)))(x),
        bp.grad(bp.grad(bp.grad(bp.grad(cube))))(x),
    ]

    assert derivatives == [8, 12, 12, 6, 0]


def test_a_tenth_derivative():
    f = np.sin
    for _ in range(10):
        f = bp.grad(f)

    near(f(0.5), -np.sin(0.5))


def test_every_mixture_of_forward_and_reverse_gives_the_same_hessian():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=3), rng.normal(size=(3, 3))

    def f(x):
        return (np.tanh(w @ x) * np.sin(x)).sum()

    expected = bp.hessian(f)(x)
    mixtures = [
        bp.jacfwd(bp.jacfwd(f)),
        bp.jacrev(bp.jacfwd(f)),
        bp.jacrev(bp.jacrev(f)),
        bp.jacobian(bp.grad(f)),
    ]

    near(expected, expected.T)
    for mixture in mixtures:
        near(mixture(x), expected)
    v = rng.normal(size=3)
    near(bp.hvp(f, (x,), (v,)), expected @ v)
    near(bp.jvp(bp.grad(f), (x,), (v,))[1], expected @ v)
    near(bp.vjp(bp.grad(f), x)[1](v)[0], expected @ v)
    near(bp.grad(lambda x: bp.jvp(f, (x,), (v,))[1])(x), expected @ v)
    near(bp.grad(lambda x: (bp.vjp(f, x)[1](1.0)[0] * v).sum())(x), expected @ v)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        # Siskind & Pearlmutter 2005: d/dx (x d/dy (x + y)) is 1; a confused tape says 2
        (lambda x: x * bp.grad(lambda y: x + y)(1.0), 1.0, 1.0),
        (lambda x: x * bp.grad(lambda y: x * y)(1.0), 3.0, 6.0),
        (lambda x: x * bp.jvp(lambda y: x + y, (1.0,), (1.0,))[1], 1.0, 1.0),
        (lambda x: x * bp.grad(lambda y: y * y)(x), 3.0, 12.0),
        (
            lambda x: bp.grad(lambda y: bp.grad(lambda z: x * y * z)(y) * y)(x),
            3.0,
            12.0,
        ),
    ],
)
def test_nested_perturbations_are_not_confused(f, x, expected):
    assert bp.grad(f)(x) == expected
    assert bp.jvp(f, (x,), (1.0,))[1] == expected


def test_value_and_grad_has_both():
    value, g = bp.value_and_grad(cube)(2.0)

    assert (value, g) == (8, 12)


def test_argnums_chooses_and_a_tuple_gives_a_tuple():
    def f(x, y):
        return x * y * y

    assert bp.grad(f)(2.0, 3.0) == 9
    assert bp.grad(f, 1)(2.0, 3.0) == 12
    assert bp.grad(f, -1)(2.0, 3.0) == 12
    assert bp.grad(f, (1, 0))(2.0, 3.0) == (12, 9)


def test_has_aux_hands_on_plain_values():
    def f(x):
        return x * x, {"twice": 2 * x, "note": "kept"}

    assert bp.grad(f, has_aux=True)(3.0) == (6, {"twice": 6, "note": "kept"})
    (value, aux), g = bp.value_and_grad(f, has_aux=True)(3.0)
    assert (value, aux["twice"], g) == (9, 6, 6)
    assert bp.jvp(f, (3.0,), (1.0,), has_aux=True)[2]["twice"] == 6
    assert bp.vjp(f, 3.0, has_aux=True)[2]["twice"] == 6
    assert bp.jacrev(f, has_aux=True)(3.0)[1]["note"] == "kept"
    assert bp.jacfwd(f, has_aux=True)(3.0)[1]["note"] == "kept"


def test_keyword_arguments_are_passed_and_not_differentiated():
    assert bp.grad(lambda x, *, n: x * n)(2.0, n=5) == 5


def test_vjp_may_be_called_many_times_and_is_linear():
    y, pull = bp.vjp(lambda x, w: x * w, np.array([1.0, 2.0]), 3.0)

    near(y, [3, 6])
    for scale in (1.0, 2.0):
        gx, gw = pull(scale * np.array([1.0, 10.0]))
        near(gx, scale * np.array([3, 30]))
        near(gw, scale * 21)


def test_vjp_is_itself_differentiable_in_the_incoming_gradient():
    _, pull = bp.vjp(lambda x: x**3, np.array([1.0, 2.0]))

    g = bp.grad(lambda g: pull(g)[0].sum())(np.ones(2))

    assert type(g) is np.ndarray
    near(g, [3, 12])


def test_jvp_is_differentiable_in_the_tangent():
    x = np.array([1.0, 2.0])

    g = bp.grad(lambda t: bp.jvp(lambda x: x**3, (x,), (t,))[1].sum())(np.ones(2))

    near(g, [3, 12])


def test_an_op_with_only_a_vjp_gets_its_jvp_by_transposing_twice():
    square = bp.primitive(lambda g, y, x: 2 * x * g)(lambda x: x * x)

    @bp.primitive(
        vjp=lambda g, y, x, *, wrt, saved: (2 * g * (x if saved is None else saved),),
        inputs=1,
        saves=True,
    )
    def saving(x):
        return x * x, x

    for f in (square, saving):
        assert bp.jvp(f, (3.0,), (5.0,)) == (9, 30)
        assert bp.grad(lambda x, f=f: bp.jvp(f, (x,), (5.0,))[1])(3.0) == 10


def test_a_jvp_may_say_that_nothing_moves():
    @bp.primitive(lambda g, y, x: 0 * g, jvp=lambda t, y, x: None)
    def still(x):
        return np.ones_like(x)

    assert bp.jvp(still, (3.0,), (5.0,)) == (1, 0)


def test_a_tangent_grows_where_the_op_broadcasts():
    y, t = bp.jvp(lambda x: x + np.zeros(3, np.float32), (np.float32(1),), (1.0,))

    assert t.shape == y.shape == (3,)
    assert t.dtype == np.float32


# Structures.


def test_arguments_and_results_may_be_nested():
    from collections import namedtuple

    Layer = namedtuple("Layer", "w b")

    def f(p, x):
        return {"y": p["layer"].w * x + p["layer"].b, "z": [p["scale"] * x]}

    p = {"layer": Layer(2.0, 1.0), "scale": 3.0, "nothing": None}
    y, pull = bp.vjp(f, p, 5.0)
    gp, gx = pull({"y": 1.0, "z": [10.0]})
    t = bp.jvp(f, (p, 5.0), ({**p, "layer": Layer(1.0, 1.0)}, 1.0))[1]
    loss = bp.grad(lambda p: f(p, 5.0)["y"])(p)

    assert y == {"y": 11, "z": [15]}
    assert gp == {"layer": Layer(5, 1), "scale": 50, "nothing": None}
    assert gx == 32
    assert t == {"y": 8, "z": [18]}
    assert loss == {"layer": Layer(5, 1), "scale": 0, "nothing": None}


@pytest.mark.parametrize("jacobian", [bp.jacobian, bp.jacrev, bp.jacfwd])
def test_a_jacobian_has_the_outputs_structure_around_the_arguments(jacobian):
    def f(x, w):
        return {"a": x * w, "b": x.sum()}

    found = jacobian(f, (0, 1))(np.array([1.0, 2.0]), 3.0)

    near(found["a"][0], 3 * np.eye(2))
    near(found["a"][1], [1, 2])
    near(found["b"][0], [1, 1])
    near(found["b"][1], 0)


@pytest.mark.parametrize("jacobian", [bp.jacobian, bp.jacfwd])
def test_a_jacobian_of_nothing_is_empty(jacobian):
    assert jacobian(lambda x: x * 2)(np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: x.sum())(np.zeros((0, 2))).shape == (0, 2)


def test_hvp_of_several_arguments_is_over_the_whole_hessian():
    rng = np.random.default_rng(1)
    x, w, v, u = rng.normal(size=(4, 2))

    def f(x, w):
        return (np.sin(x) * w).sum()

    got = bp.hvp(f, (x, w), (v, u))

    near(got[0], -np.sin(x) * w * v + np.cos(x) * u)
    near(got[1], np.cos(x) * v)


def test_hvp_takes_a_single_argument_without_its_tuple():
    x, v = np.array([1.0, 2.0]), np.array([1.0, -1.0])

    near(bp.hvp(lambda x: (x**3).sum(), x, v), 6 * x * v)


def test_an_ordered_dict_stays_one():
    got = bp.grad(lambda p: p["a"] * 2.0)(OrderedDict(a=1.0))

    assert got == OrderedDict(a=2.0)
    assert type(got) is OrderedDict


def test_what_does_not_depend_on_an_argument_has_zero_derivatives():
    x = np.array([1.0, 2.0])

    assert bp.grad(lambda x: 3.0)(2.0) == 0
    assert bp.grad(lambda x: bp.tensor(3.0))(2.0) == 0
    assert np.array_equal(bp.jvp(lambda x: np.ones(3), (x,), (x,))[1], np.zeros(3))
    assert np.array_equal(bp.jvp(lambda x: np.sign(x), (x,), (x,))[1], np.zeros(2))
    assert np.array_equal(bp.jacobian(lambda x: np.ones(3))(x), np.zeros((3, 2)))
    assert np.array_equal(bp.vjp(lambda x: np.ones(3), x)[1](np.ones(3))[0], [0, 0])
    assert bp.jvp(lambda x: np.where(x > 0, x, bp.tensor(1.0)), (-1.0,), (1.0,))[1] == 0


# What comes out: plain arrays outside, connected tensors inside.


def test_results_outside_any_differentiation_are_plain():
    x = np.array([1.0, 2.0])
    y, pull = bp.vjp(lambda x: x * x, x)

    results = [
        bp.grad(cube)(2.0),
        bp.grad(lambda x: x.sum())(x),
        y,
        *pull(np.ones(2)),
        *bp.jvp(lambda x: x * x, (x,), (x,)),
        bp.hessian(lambda x: cube(x).sum())(x),
    ]

    assert {type(r) for r in results} == {np.ndarray, np.float64}
    assert str(results[0]) == "12.0"


def test_a_float32_argument_has_a_float32_gradient():
    x = np.ones(2, np.float32)

    assert bp.grad(lambda x: cube(x).sum())(x).dtype == np.float32
    assert bp.jvp(cube, (x,), (x,))[1].dtype == np.float32
    assert bp.hessian(lambda x: cube(x).sum())(x).dtype == np.float32


def test_a_tensor_argument_has_a_tensor_for_a_gradient():
    g = bp.grad(cube)(bp.tensor(2.0, name="x"))

    assert isinstance(g, bp.Tensor)
    assert not g.requires_grad
    assert g.item() == 12


def test_a_stand_in_carries_the_arguments_name():
    seen = []

    bp.grad(lambda x: seen.append(x.name) or cube(x))(bp.tensor(2.0, name="width"))

    assert seen == ["width"]


def test_a_gradient_of_a_tensor_that_wants_one_is_connected_and_writes_no_grad():
    x, w = bp.tensor(2.0, requires_grad=True), bp.tensor(3.0, requires_grad=True)
    g = bp.grad(lambda x: w * cube(x))(x)
    before = (x.grad, w.grad)

    g.backward()

    assert before == (None, None)
    assert g.item() == 36
    assert (x.grad, w.grad) == (36, 12)


def test_a_gradient_penalty_reaches_captured_parameters():
    w = bp.tensor([1.0, 2.0], requires_grad=True)

    slope = bp.grad(lambda x: (w * x * x).sum())(np.array([3.0, 4.0]))
    (slope * slope).sum().backward()

    near(w.grad, 2 * 4 * np.array([9, 16]) * w.data)


def test_hooks_and_kept_gradients_outside_are_not_touched():
    w, seen = bp.tensor(3.0, requires_grad=True), []
    h = w * w
    h.register_hook(seen.append)
    h.retain_grad()

    bp.grad(lambda x: h * x)(2.0)

    assert (seen, h.grad) == ([], None)


def test_no_grad_around_a_transform_cuts_its_result_and_not_its_work():
    x = bp.tensor(2.0, requires_grad=True)

    with bp.no_grad():
        g = bp.grad(cube)(x)
        value, _ = bp.jvp(lambda y: x * y, (1.0,), (1.0,))

    assert (g.item(), g.requires_grad) == (12, False)
    assert type(value) is np.float64


def test_the_function_may_change_its_argument_array_later():
    x = np.array([1.0, 2.0])
    y, pull = bp.vjp(lambda x: x * x, x)

    x[:] = 7
    y[:] = 7

    near(pull(np.ones(2))[0], [2, 4])


def test_hooks_inside_the_function_run():
    seen = []

    def f(x):
        x.register_hook(lambda g: seen.append(float(g)))
        return cube(x)

    bp.grad(f)(2.0)

    assert seen == [12]


def test_no_tensor_of_an_inner_call_wants_a_gradient_afterwards():
    leaked = []

    bp.grad(lambda x: leaked.append(x * x) or leaked[0] * x)(2.0)

    assert not leaked[0].requires_grad


# Errors, each read whole.


def said(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_grad_of_what_is_not_one_number():
    help = (
        "one number of shape () is required.\n  help: reduce it (`.sum()`, `.mean()`), "
        "return `(value, aux)` with has_aux=True, or take `bp.jacobian(f)`."
    )
    x = np.ones(3)

    got = [
        said(GradError, lambda: bp.grad(lambda x: x * x)(x)),
        said(GradError, lambda: bp.grad(lambda x: (x.sum(), 1))(x)),
        said(GradError, lambda: bp.grad(lambda x: None)(x)),
        said(GradError, lambda: bp.grad(lambda x: {"y": x.sum()})(x)),
    ]

    assert got == [
        f"grad: f returned shape (3,); {help}",
        f"grad: f returned a tuple of 2; {help}",
        f"grad: f returned None; {help}",
        f"grad: f returned a dict with keys 'y'; {help}",
    ]


def test_grad_of_an_integer():
    assert said(DTypeError, lambda: bp.grad(cube)(3)) == (
        "grad: an argument has dtype int64; only floating-point numbers have gradients."
        "\n  help: write 3.0 for 3, leave it out of argnums, or close over it: "
        "`lambda w: f(w, labels)`."
    )
    assert said(DTypeError, lambda: bp.grad(lambda x: 3)(1.0)) == (
        "grad: f returned a number of dtype int64; floating point is required."
    )


def test_argnums_beyond_the_arguments():
    assert said(GradError, lambda: bp.grad(cube, 1)(3.0)) == (
        "grad: argnums names argument 1, but f was called with 1 positional arguments."
        "\n  help: only positional arguments are differentiated."
    )


def test_has_aux_without_a_pair():
    assert said(GradError, lambda: bp.grad(cube, has_aux=True)(3.0)) == (
        "grad: has_aux=True, but f returned a number; a pair (value, aux) is required."
    )


def test_primals_and_tangents_that_are_no_tuples():
    x = np.ones(2)

    assert said(GradError, lambda: bp.jvp(cube, x, (x,))) == (
        "jvp: primals is an array of shape (2,); a tuple, one entry an argument, is "
        "required.\n  help: write `bp.jvp(f, (x,), (t,))`."
    )
    assert said(GradError, lambda: bp.jvp(cube, (x,), 1.0)) == (
        "jvp: tangents is a number; a tuple, one entry an argument, is required.\n"
        "  help: write `bp.jvp(f, (x,), (t,))`."
    )


def test_tangents_and_gradients_that_do_not_match():
    x = np.ones(2)

    assert said(ShapeError, lambda: bp.jvp(cube, (x,), (np.ones(3),))) == (
        "jvp: the tangent has shape (3,) and its primal (2,); they must be equal.\n"
        "  help: `np.ones((2,))` is the direction in which all entries grow."
    )
    assert said(DTypeError, lambda: bp.jvp(cube, (x,), (np.ones(2, np.float32),))) == (
        "jvp: the tangent has dtype float32 and its primal float64; they must be equal."
        "\n  help: convert it: `.astype(np.float64)`."
    )
    assert said(ShapeError, lambda: bp.vjp(cube, x)[1](1.0)) == (
        "vjp: g has shape () and its output (2,); they must be equal.\n"
        "  help: `np.ones((2,))` is the direction in which all entries grow."
    )


@pytest.mark.parametrize(
    ("primals", "tangents", "seen"),
    [
        ((1.0, 2.0), (1.0,), "a tuple of 2 cannot be matched with a tuple of 1"),
        (([1.0],), (1.0,), "a list of 1 cannot be matched with a number"),
        ((1.0,), ([1.0],), "a number cannot be matched with a list of 1"),
        (
            ({"a": 1.0},),
            ({"b": 1.0},),
            "a dict with keys 'a' cannot be matched with a dict with keys 'b'",
        ),
    ],
)
def test_structures_that_do_not_match(primals, tangents, seen):
    assert said(GradError, lambda: bp.jvp(lambda *a: 1.0, primals, tangents)) == (
        f"jvp: the tangents must have the structure of what they belong to: {seen}."
    )


# checkpoint.


def net(w):
    return lambda x: np.tanh(w @ np.sin(w @ x))


def test_a_checkpoint_changes_no_derivative_of_any_order():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=3), rng.normal(size=(3, 3))

    def plain(x):
        return net(w)(x).sum()

    lean = bp.checkpoint(plain)
    twice = bp.checkpoint(lambda x: bp.checkpoint(net(w))(x).sum())

    for f in (lean, twice):
        near(f(x), plain(x))
        near(bp.grad(f)(x), bp.grad(plain)(x))
        near(bp.jvp(f, (x,), (x,))[1], bp.jvp(plain, (x,), (x,))[1])
        near(bp.hessian(f)(x), bp.hessian(plain)(x))
        near(bp.jacfwd(bp.hessian(f))(x), bp.jacfwd(bp.hessian(plain))(x))


def test_a_checkpoint_gives_captured_parameters_their_gradients():
    rng = np.random.default_rng(3)
    x, data = rng.normal(size=3), rng.normal(size=(3, 3))
    w, v = (bp.tensor(data, requires_grad=True) for _ in range(2))
    seen = []
    w.register_hook(seen.append)

    bp.checkpoint(lambda x: bp.checkpoint(net(w))(net(w)(x)))(x).sum().backward()
    net(v)(net(v)(x)).sum().backward()

    near(w.grad, v.grad)
    assert len(seen) == 1


def test_a_checkpoint_may_return_a_structure_and_captured_tensors():
    w = bp.tensor([1.0, 2.0], requires_grad=True)
    half = np.ones(2, np.float32)

    @bp.checkpoint
    def f(x, k):
        return {"a": w * x, "w": w, "n": 5, "h": (w * 2).astype(np.float32)}

    out = f(bp.tensor(3.0, requires_grad=True), k=None)
    (out["a"].sum() + out["w"].sum() + (out["h"] * half).sum()).backward()

    assert out["n"] == 5
    assert out["h"].dtype == np.float32
    near(w.grad, [6, 6])


def test_a_checkpoint_may_return_a_single_captured_tensor():
    w = bp.tensor(2.0, requires_grad=True)

    (bp.checkpoint(lambda x: w)(1.0) * 3).backward()

    assert w.grad == 3


def test_a_checkpoint_around_a_transform():
    w = bp.tensor(3.0, requires_grad=True)
    slope = bp.checkpoint(lambda x: bp.grad(lambda x: w * cube(x))(x))

    g = slope(bp.tensor(2.0, requires_grad=True))
    g.backward()

    assert g.item() == 36
    assert w.grad == 12


def test_a_checkpoint_of_what_wants_no_gradient_is_the_function():
    x = bp.tensor(2.0, requires_grad=True)

    assert type(bp.checkpoint(np.sin)(2.0)) is np.float64
    with bp.no_grad():
        assert not bp.checkpoint(cube)(x).requires_grad


def test_a_checkpoint_replays_plugs_that_change_values_in_its_own_scope():
    class Halving(bp.Plug):
        replay = True

        def before(self, op, inputs, static):
            self.scopes = [*getattr(self, "scopes", []), bp.sockets.current_scope()]
            return tuple(x if isinstance(x, bp.Tensor) else x / 2 for x in inputs)

    x, plug = bp.tensor(3.0, requires_grad=True), Halving()
    with bp.plugged(plug), bp.scope("net"):
        y = bp.checkpoint(lambda x: x * 4.0)(x)
    y.backward()

    assert (y.item(), x.grad) == (6, 2)
    assert set(plug.scopes) == {"net"}
    with bp.plugged(plug):
        bp.checkpoint(lambda x: x * 4.0)(x).backward()
    assert x.grad == 4


def test_a_checkpoint_that_draws_random_numbers_inside_is_caught():
    rng = np.random.default_rng(0)
    y = bp.checkpoint(lambda x: x * rng.normal())(bp.tensor(1.0, requires_grad=True))

    assert said(GradError, y.backward) == (
        "checkpoint: the function gave other values when backward ran it again; both "
        "runs must be equal.\n  help: draw random numbers outside and pass them in; "
        "change no weight or array between forward and backward."
    )


def test_a_checkpoint_keeps_less():
    def stack(x, block):
        for _ in range(20):
            x = block(x)
        return x.sum()

    def block(x):
        for _ in range(10):
            x = np.tanh(x)
        return x

    def held(f):
        x = bp.tensor(np.ones(10_000), requires_grad=True)
        tracemalloc.start()
        y = stack(x, f)
        now = tracemalloc.get_traced_memory()[0]
        y.backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return now, peak

    plain, lean = held(block), held(bp.checkpoint(block))

    assert lean[0] < plain[0] / 5
    assert lean[1] < plain[1] / 3
