"""Exercises on layer norm and RMS norm: each row is normalised by itself."""

from typing import Any

import numpy as np

from .problem import Problem, Slip


def _layer_norm(x: Any, gamma: Any) -> Any:
    mu = np.mean(x, axis=1, keepdims=True)
    centred = x - mu
    var = np.mean(centred**2, axis=1, keepdims=True)
    scale = 1 / np.sqrt(var + 1e-5)
    xhat = centred * scale
    y = gamma * xhat
    return y


def _rms_norm(x: Any, gamma: Any) -> Any:
    power = np.mean(x**2, axis=1, keepdims=True)
    scale = 1 / np.sqrt(power + 1e-5)
    xhat = x * scale
    y = gamma * xhat
    return y


def _rows(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5, 6))[:2]
    gamma = rng.uniform(0.5, 2, size=d) * rng.choice((-1, 1), size=d)
    return {"x": rng.normal(0.5, 2, size=(n, d)), "gamma": gamma}


PROBLEMS = (
    Problem(
        id="layer_norm.dx",
        prompt="""
Layer norm: each row is normalised by its own mean and variance. No other row matters.
""",
        inputs=_rows,
        forward=_layer_norm,
        asks=("xhat", "gamma", "x"),
        hints=(
            "The formula of batch norm serves again. Which way do its means run now?",
            "Mean and variance belong to a row: the means run along axis 1. `gamma` is "
            "inside them, since it differs from column to column.",
            "`dxhat = dy * ...`, `dgamma = sum(dy * ..., axis=...)`, "
            "`dx = scale * (dxhat - mean(dxhat, axis=..., keepdims=True) - ...)`",
        ),
        solution="$d\\hat x = dy\\,\\gamma$; "
        "$dx = s\\,\\big(d\\hat x - \\overline{d\\hat x} - "
        "\\hat x\\;\\overline{d\\hat x\\,\\hat x}\\big)$; the bars are means of a row.",
        answer_code="""
dxhat = dy * gamma
dgamma = np.sum(dy * xhat, axis=0)
dx = scale * (dxhat - np.mean(dxhat, axis=1, keepdims=True) - xhat * np.mean(dxhat * xhat, axis=1, keepdims=True))
""",  # noqa: E501
        slips=(
            Slip("local-factor-missing", "dxhat = dy"),
            Slip("no-batch-sum", "dgamma = dy * xhat"),
            Slip("statistics-constant", "dx = scale * dxhat"),
            Slip(
                "statistics-constant",
                "dx = scale * (dxhat - np.mean(dxhat, axis=1, keepdims=True))",
            ),
        ),
    ),
    Problem(
        id="rms_norm.dx",
        prompt="""
RMS norm: each row is divided by the root of its mean square. No mean is taken away.
""",
        inputs=_rows,
        forward=_rms_norm,
        asks=("xhat", "gamma", "x"),
        hints=(
            "It is layer norm without its mean. What falls away in the formula?",
            "Stretching a row changes nothing, so the part of `dxhat` along `xhat` is "
            "taken away. Moving the row does change something, so one mean is left.",
            "`dxhat = dy * ...`, `dgamma = sum(dy * ..., axis=...)`, "
            "`dx = scale * (dxhat - xhat * mean(..., axis=1, keepdims=True))`",
        ),
        solution="$d\\hat x = dy\\,\\gamma$; $dx = s\\,\\big(d\\hat x - "
        "\\hat x\\;\\overline{d\\hat x\\,\\hat x}\\big)$, the bar a mean of the row.",
        answer_code="""
dxhat = dy * gamma
dgamma = np.sum(dy * xhat, axis=0)
dx = scale * (dxhat - xhat * np.mean(dxhat * xhat, axis=1, keepdims=True))
""",
        slips=(
            Slip("wrong-operand", "dxhat = dy * xhat"),
            Slip("mean-not-sum", "dgamma = np.mean(dy * xhat, axis=0)"),
            Slip("statistics-constant", "dx = scale * dxhat"),
            Slip(
                "sum-not-mean",
                "dx = scale * (dxhat "
                "- xhat * np.sum(dxhat * xhat, axis=1, keepdims=True))",
            ),
        ),
    ),
)
