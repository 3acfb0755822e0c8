"""The engine agrees with the path-summing oracle, and the oracle can disagree."""

import naive
import numpy as np
import pytest

import backproplab as bp

RTOL = np.finfo(float).eps ** 0.75

ENGINE = {
    "tanh": np.tanh,
    "sin": np.sin,
    "bell": lambda x: np.exp(-x * x),
    "ratio": lambda x: x**2 / (1 + x**2),
    "reverse": lambda x: x[::-1],
    "spread": lambda x: np.sum(x) + 0.0 * x,
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: np.sin(x) * y,
    "divide": lambda x, y: x / (2 + y**2),
}


def engine_gradients(leaves, steps, rules=ENGINE):
    known = [bp.tensor(x, requires_grad=True) for x in leaves]
    inputs = known[:]
    for step in steps:
        known.append(rules[step.kind](*(known[i] for i in step.inputs)))
    known[-1].sum().backward()
    return [np.zeros_like(x.data) if x.grad is None else x.grad for x in inputs]


@pytest.mark.parametrize("seed", range(200))
def test_random_graphs_have_the_gradients_of_the_oracle(seed):
    leaves, steps = naive.random_graph(np.random.default_rng(seed))
    expected, sizes = naive.gradients(leaves, steps)

    got = engine_gradients(leaves, steps)

    for e, g, size in zip(expected, got, sizes, strict=True):
        np.testing.assert_allclose(g, e, rtol=RTOL, atol=RTOL * size.max())


def test_the_oracle_finds_a_wrong_rule():
    leaves, steps = [np.array([0.3, 0.4])], [naive.Step("tanh", (0,))]
    wrong = bp.elementwise(lambda y, x: 1 - y)(lambda x: np.tanh(x))

    got = engine_gradients(leaves, steps, ENGINE | {"tanh": wrong})

    assert not np.allclose(got[0], naive.gradients(leaves, steps)[0][0])


def test_the_oracle_agrees_with_a_derivation_by_hand():
    x = np.array([0.5, -1.0])
    steps = [naive.Step("reverse", (0,)), naive.Step("add", (1, 0))]
    steps += [naive.Step("multiply", (2, 0))]

    by_hand = np.cos(x + x[::-1]) * x
    by_hand = by_hand + by_hand[::-1] + np.sin(x + x[::-1])

    np.testing.assert_allclose(naive.gradients([x], steps)[0][0], by_hand)


def test_random_graphs_reach_every_leaf_and_rule_somewhere():
    graphs = [naive.random_graph(np.random.default_rng(s)) for s in range(200)]

    kinds = {step.kind for _, steps in graphs for step in steps}
    reached = sum(any(g.any() for g in naive.gradients(*graph)[0]) for graph in graphs)

    assert kinds == set(naive.RULES)
    assert reached > 150
