"""micrograd's own demo: 100 points, 2-16-16-1, hinge loss and weight decay, one step.

Micrograd runs as published. Ours computes the same at three grains: a tensor for each
number (node for node what micrograd does), for each neuron and point, for a batch.
"""

import random
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

import backproplab as bp

SIZES = (2, 16, 16, 1)
LR, DECAY = 0.1, 1e-4

_rng = np.random.default_rng(5)
POINTS = _rng.standard_normal((100, 2))
SIGNS = np.sign(POINTS[:, 0] * POINTS[:, 1])
WEIGHTS = [_rng.uniform(-1, 1, (o, i)) for i, o in pairwise(SIZES)]

Step = Callable[[], Any]


def micrograd() -> Step:
    """The library's own MLP and the demo's own loss."""
    random.seed(0)
    model = import_module("micrograd.nn").MLP(2, list(SIZES[1:]))
    value = import_module("micrograd.engine").Value
    for layer, w in zip(model.layers, WEIGHTS, strict=True):
        for neuron, row in zip(layer.neurons, w.tolist(), strict=True):
            for own, number in zip(neuron.w, row, strict=True):
                own.data = number
    points, signs = POINTS.tolist(), SIGNS.tolist()

    def step() -> Any:
        scores = [model(list(map(value, x))) for x in points]
        losses = [(1 + -y * s).relu() for y, s in zip(signs, scores, strict=True)]
        loss = sum(losses) * (1.0 / len(losses))
        loss = loss + DECAY * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= LR * p.grad
        return loss.data

    return step


def by_number() -> Step:
    """A 0-d tensor for each number, as in micrograd."""
    layers = [[([_own(v) for v in row], _own(0.0)) for row in w] for w in WEIGHTS]
    parameters = [p for layer in layers for w, b in layer for p in (*w, b)]

    def score(x: Any) -> Any:
        for layer in layers:
            x = [sum((w * v for w, v in zip(ws, x, strict=True)), b) for ws, b in layer]
            x = x if layer is layers[-1] else [bp.ops.relu(v) for v in x]
        return x[0]

    return _step(parameters, lambda: [score(list(map(bp.tensor, x))) for x in POINTS])


def by_neuron() -> Step:
    """A dot product for each neuron and point."""
    layers = [[(_own(row), _own(0.0)) for row in w] for w in WEIGHTS]
    parameters = [p for layer in layers for neuron in layer for p in neuron]

    def score(x: Any) -> Any:
        for layer in layers:
            x = [bp.ops.dot(w, x) + b for w, b in layer]
            if layer is layers[-1]:
                return x[0]
            x = bp.ops.relu(bp.ops.stack(x))

    return _step(parameters, lambda: [score(bp.tensor(x)) for x in POINTS])


def by_batch() -> Step:
    """One matrix product for each layer: how one would write it."""
    layers = [(_own(w), _own(np.zeros(len(w)))) for w in WEIGHTS]

    def scores() -> Any:
        x = POINTS
        for w, b in layers:
            x = bp.ops.linear(x, w, b)
            x = x.reshape(-1) if w is layers[-1][0] else bp.ops.relu(x)
        return x

    return _step([p for layer in layers for p in layer], scores)


def _own(value: Any) -> bp.Tensor:
    return bp.tensor(value, requires_grad=True)


def _step(parameters: list[Any], scores: Callable[[], Any]) -> Step:
    """Loss, backward and SGD; a list of scores is treated number by number."""
    relu = bp.ops.relu
    optimizer = bp.optim.SGD(parameters, lr=LR)

    def step() -> Any:
        optimizer.zero_grad()
        s = scores()
        if isinstance(s, list):
            losses = [relu(1 - y * v) for y, v in zip(SIGNS.tolist(), s, strict=True)]
            loss = sum(losses[1:], losses[0]) * (1.0 / len(losses))
        else:
            loss = relu(1 - SIGNS * s).mean()
        squares = [p * p if p.ndim == 0 else (p * p).sum() for p in parameters]
        loss = loss + DECAY * sum(squares[1:], squares[0])
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
