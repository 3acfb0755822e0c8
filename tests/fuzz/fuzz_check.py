"""Fuzz ``grade.check``, ``grade.diagnose`` and exercises: no answer raises."""

import os
import random
import sys
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
from loop import main

import backproplab as bp

os.environ["BACKPROPLAB_DIR"] = tempfile.mkdtemp()
PROBLEMS = [bp.exercises.get(id) for id in bp.exercises.names()]


def made(draw: random.Random, like: np.ndarray, depth: int = 0) -> object:
    """Draw something that a learner, or a broken cell, might hand in."""
    rng = np.random.default_rng(draw.randrange(2**32))
    truth = np.asarray(like)
    shapes = [truth.shape, truth.shape[::-1], (1, *truth.shape), (0,), (), (2, 0, 3)]
    dtypes = ["f2", "f4", "f8", "i8", "u1", "?", "c8", "O", "U3", "M8[s]", ">f8"]
    things = [
        lambda: None, lambda: ..., lambda: NotImplemented, lambda: True,
        lambda: 10**400, lambda: float("nan"), lambda: Fraction(1, 3),
        lambda: Decimal("1e999"), lambda: 1j, lambda: b"\xff", lambda: object(),
        lambda: type, lambda: draw.choice(["", "x", "dy * 2", "1/0", "x" * 600, "("]),
        lambda: lambda: 1, lambda: lambda **_: 1 / 0, lambda: lambda *a: a,
        lambda: lambda x=1, **k: k, lambda: rng, lambda: bp, lambda: iter([1]),
        lambda: bp.tensor(rng.normal(size=truth.shape), requires_grad=True),
        lambda: np.ma.masked_array(truth, mask=True),
        lambda: np.matrix([[1.0, 2.0]]),
        lambda: rng.normal(size=draw.choice(shapes)).astype("f4"),
        lambda: np.full(truth.shape, draw.choice([np.nan, np.inf, -np.inf, 1e308])),
        lambda: _cast(rng.normal(size=draw.choice(shapes)), draw.choice(dtypes)),
        lambda: truth * draw.choice([-1, 2, 0.5, 1e-300, 1e300]),
        lambda: truth + rng.normal(size=truth.shape) * 1e-9,
        lambda: truth.tolist(), lambda: [[1], [2, 3]], lambda: set(), lambda: {1: 2},
        lambda: np.broadcast_to(1.0, truth.shape), lambda: truth.T,
        lambda: np.lib.stride_tricks.as_strided(np.zeros(1), (4, 4), (0, 0)),
    ]  # fmt: skip
    if depth < 2:
        things += [
            lambda: [made(draw, like, depth + 1) for _ in range(draw.randrange(3))],
            lambda: {"x": made(draw, like, depth + 1), "": 1},
        ]
    return draw.choice(things)()


def _cast(a: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return a.astype("i8").astype(dtype) if "M8" in dtype else a.astype(dtype)


def one(data: bytes) -> None:
    """Hand in answers drawn from a seed that the bytes give."""
    draw = random.Random(data)
    q = draw.choice(PROBLEMS)
    instance = q.problem.instance(draw.randrange(3))
    answers = {name: made(draw, instance.truth[name]) for name in q.asks}
    whole = draw.choice([answers, made(draw, instance.truth[q.asks[0]])])
    verdict = q.check(whole)
    if q.problem.quantity == "value":
        texts = [str(verdict), verdict._repr_html_()]
    else:
        name = draw.choice(q.asks)
        report = bp.grade.check(instance.run, answers)
        found = bp.grade.diagnose(instance.run, name, answers[name])
        texts = [str(verdict), str(report), str(found), report._repr_html_()]
        if not found.says:
            raise AssertionError("a diagnosis says something")
    for text in texts:
        text.encode()


SEEDS = [bytes([k]) for k in range(16)]

if __name__ == "__main__":
    sys.exit(main("check", one, SEEDS, documented=()))
