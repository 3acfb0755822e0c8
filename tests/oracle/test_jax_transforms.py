"""Transforms agree with JAX: same names, same structures, same numbers."""

import numpy as np
import pytest

import backproplab as bp

jax = pytest.importorskip("jax")
jnp = jax.numpy
tree = jax.tree_util

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("default")]

RTOL = np.finfo(float).eps ** 0.7
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def mlp(np):
    """A small net with a structure for parameters, in either library."""

    def f(p, x):
        h = np.tanh(x @ p["first"]["w"] + p["first"]["b"])
        return h @ p["last"][0] + p["last"][1]

    return f


def loss(np):
    net = mlp(np)
    return lambda p, x: (np.sin(net(p, x)) ** 2).mean()


def rosenbrock(np):
    return lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def attention(np):
    def f(q, k, v):
        s = np.exp(q @ k.T / 2.0)
        return (s / s.sum(-1, keepdims=True)) @ v

    return f


def scalars(np):
    return lambda x, y: np.exp(np.sin(x * y)) / (1 + x * x)


P = {
    "first": {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)},
    "last": [RNG.normal(size=(4, 2)), RNG.normal(size=2)],
}
X = RNG.normal(size=(5, 3))
V = RNG.normal(size=6)
Q, K, W = RNG.normal(size=(3, 3, 4))
CASES = {
    "mlp": (mlp, (P, X)),
    "loss": (loss, (P, X)),
    "rosenbrock": (rosenbrock, (V,)),
    "attention": (attention, (Q, K, W)),
    "scalars": (scalars, (0.7, 1.3)),
}
SCALAR = ["loss", "rosenbrock", "scalars"]

each = pytest.mark.parametrize("name", list(CASES))
each_scalar = pytest.mark.parametrize("name", SCALAR)


def both(name):
    make, args = CASES[name]
    return make(np), make(jnp), args


def same(got, expected):
    """One structure, one shape, one set of numbers."""
    assert tree.tree_structure(got) == tree.tree_structure(expected)
    pairs = zip(tree.tree_leaves(got), tree.tree_leaves(expected), strict=True)
    for g, e in pairs:
        e = np.asarray(e)
        assert np.shape(g) == e.shape
        np.testing.assert_allclose(g, e, rtol=RTOL, atol=RTOL * np.abs(e).max())


def along(args, seed=0):
    rng = np.random.default_rng(seed)
    return tree.tree_map(lambda x: rng.normal(size=np.shape(x)), args)


def every(args):
    return tuple(range(len(args)))


@each_scalar
def test_grad_and_value_and_grad(name):
    ours, theirs, args = both(name)

    same(bp.grad(ours)(*args), jax.grad(theirs)(*args))
    same(
        bp.value_and_grad(ours, every(args))(*args),
        jax.value_and_grad(theirs, every(args))(*args),
    )


@each
def test_vjp(name):
    ours, theirs, args = both(name)
    y, pull = bp.vjp(ours, *args)
    expected, their_pull = jax.vjp(theirs, *args)
    g = along(expected)

    same(y, expected)
    same(pull(g), their_pull(g))


@each
def test_jvp(name):
    ours, theirs, args = both(name)

    same(bp.jvp(ours, args, along(args)), jax.jvp(theirs, args, along(args)))


@each
def test_jacobians(name):
    ours, theirs, args = both(name)
    expected = jax.jacrev(theirs, every(args))(*args)

    same(bp.jacrev(ours, every(args))(*args), expected)
    same(bp.jacfwd(ours, every(args))(*args), expected)
    same(bp.jacobian(ours)(*args), jax.jacobian(theirs)(*args))


@each_scalar
def test_hessian(name):
    ours, theirs, args = both(name)

    same(bp.hessian(ours, every(args))(*args), jax.hessian(theirs, every(args))(*args))


def test_hessian_of_what_is_no_scalar():
    ours, theirs, args = both("attention")

    same(bp.hessian(ours, 1)(*args), jax.hessian(theirs, 1)(*args))


@each_scalar
def test_hvp(name):
    ours, theirs, args = both(name)
    numbers = every(args) if len(args) > 1 else 0
    expected = jax.jvp(jax.grad(theirs, numbers), args, along(args))[1]

    same(bp.hvp(ours, args, along(args)), expected)


@each
def test_checkpoint(name):
    ours, theirs, args = both(name)
    expected, their_pull = jax.vjp(jax.checkpoint(theirs), *args)
    y, pull = bp.vjp(bp.checkpoint(ours), *args)
    g = along(expected)

    same(y, expected)
    same(pull(g), their_pull(g))
    same(
        bp.jvp(bp.checkpoint(ours), args, along(args))[1],
        jax.jvp(theirs, args, along(args))[1],
    )


MIXTURES = [
    lambda lib, f: lib.jacfwd(lib.jacrev(lib.grad(f))),
    lambda lib, f: lib.jacrev(lib.jacfwd(lib.grad(f))),
    lambda lib, f: lib.jacfwd(lib.jacfwd(lib.jacfwd(f))),
    lambda lib, f: lib.grad(lambda x: (lib.hessian(f)(x) ** 2).sum()),
    lambda lib, f: (
        lambda x: lib.jvp(lambda t: lib.jvp(lib.grad(f), (x,), (t,))[1], (x,), (x,))[1]
    ),
    lambda lib, f: lib.grad(lambda x: f(lib.grad(f)(x) * 0.01)),
    lambda lib, f: lib.grad(lambda x: lib.vjp(lib.grad(f), x)[1](x)[0].sum()),
]


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_third_derivatives_of_every_mixture(mixture, wrapped):
    ours, theirs, (x,) = both("rosenbrock")
    x = x[:3]
    if wrapped:
        ours, theirs = bp.checkpoint(ours), jax.checkpoint(theirs)

    same(mixture(bp, ours)(x), mixture(jax, theirs)(x))


def test_nested_closures_are_not_confused():
    def nest(lib, np):
        def f(x):
            def inner(y):
                return x * np.sin(y) * lib.grad(lambda z: z * x * y)(y * x)

            return lib.grad(inner)(x * x) * lib.jvp(inner, (x,), (x,))[1]

        return lib.grad(f), lib.grad(lib.grad(f))

    for ours, theirs in zip(nest(bp, np), nest(jax, jnp), strict=True):
        same(ours(0.7), theirs(0.7))


def test_results_have_jaxs_dtypes():
    x = np.array([1.0, 2.0], np.float32)

    def f(np):
        return lambda x: (np.tanh(x) * 2.0).sum()

    for transform in ("grad", "hessian", "jacobian"):
        ours = getattr(bp, transform)(f(np))(x)
        theirs = getattr(jax, transform)(f(jnp))(x)
        assert ours.dtype == theirs.dtype == np.float32


def test_the_comparison_finds_a_difference():
    ours, theirs, args = both("loss")

    with pytest.raises(AssertionError):
        same(
            bp.grad(lambda p, x: 1.000001 * ours(p, x))(*args), jax.grad(theirs)(*args)
        )
    with pytest.raises(AssertionError):
        same((1.0,), [1.0])
