"""Exercises on normalisation: statistics are made of the very values they act on."""

from typing import Any

import numpy as np

from .. import ops
from .problem import Problem, Slip


def _batch_norm(x: Any, gamma: Any, beta: Any) -> Any:
    mu = np.mean(x, axis=0)
    centred = x - mu
    var = np.mean(centred**2, axis=0)
    scale = 1 / np.sqrt(var + 1e-5)
    xhat = centred * scale
    y = gamma * xhat + beta
    return y


def _affine(xhat: Any, gamma: Any, beta: Any) -> Any:
    y = gamma * xhat + beta
    return y


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


def _forward(x: Any, gamma: Any, beta: Any) -> dict[str, Any]:
    one, zero = np.ones_like(gamma), np.zeros_like(beta)
    return {
        "mu": np.mean(x, axis=0),
        "var": np.var(x, axis=0),
        "xhat": ops.batch_norm(x, one, zero),
        "y": ops.batch_norm(x, gamma, beta),
    }


def _batch(rng: np.random.Generator) -> dict[str, Any]:
    n, d = rng.permutation((3, 4, 5, 6))[:2]
    return {
        "x": rng.normal(0.5, 2, size=(n, d)),
        "gamma": rng.uniform(0.5, 2, size=d) * rng.choice((-1, 1), size=d),
        "beta": rng.normal(size=d),
    }


def _normalised(rng: np.random.Generator) -> dict[str, Any]:
    drawn = _batch(rng)
    x = drawn.pop("x")
    return {"xhat": (x - x.mean(axis=0)) / x.std(axis=0), **drawn}


def _rows(rng: np.random.Generator) -> dict[str, Any]:
    drawn = _batch(rng)
    return {"x": drawn["x"], "gamma": drawn["gamma"]}


PROBLEMS = (
    Problem(
        id="bn.forward",
        prompt="""
Batch norm, forward. Each column of $x$ is a feature, each row a sample. Take the mean
$\\mu$ and the variance of each feature over the batch, then

$$\\hat x = \\frac{x - \\mu}{\\sqrt{\\mathrm{var} + 10^{-5}}}, \\qquad
y = \\gamma\\,\\hat x + \\beta.$$
""",
        inputs=_batch,
        forward=_forward,
        asks=("mu", "var", "xhat", "y"),
        hints=(
            "Over the batch means down a column: one mean for each feature.",
            "The variance is the mean of the squared distances, divided by n and not "
            "by n - 1. The small number stands inside the root.",
            "`mu = mean(x, axis=...)`, `var = mean((...)**2, axis=...)`, "
            "`xhat = (...) / sqrt(... + 1e-5)`, `y = gamma * ... + ...`",
        ),
        solution="Column means, column variances (biased), then the two formulas.",
        answer_code="""
mu = np.mean(x, axis=0)
var = np.mean((x - mu)**2, axis=0)
xhat = (x - mu) / np.sqrt(var + 1e-5)
y = gamma * xhat + beta
""",
        slips=(
            Slip(
                "shape",
                "mu = np.mean(x, axis=1, keepdims=True)",
                says="This is a mean for each sample. Batch norm takes one for each "
                "feature, over the batch: axis 0.",
            ),
            Slip(
                "constant-factor",
                "var = np.sum((x - mu)**2, axis=0) / (len(x) - 1)",
                says="You divide by n - 1. Batch norm divides by n.",
            ),
            Slip(
                "sum-not-mean",
                "var = np.sum((x - mu)**2, axis=0)",
                says="These are sums of squared distances; the variance is their mean.",
            ),
            Slip(
                "factor-substituted",
                "xhat = (x - mu) / (var + 1e-5)",
                says="You divide by the variance. The standard deviation is its root.",
            ),
            Slip(
                "path-missing",
                "xhat = x / np.sqrt(var + 1e-5)",
                says="The mean is not taken away.",
            ),
            Slip(
                "wrong-operand",
                "y = gamma * x + beta",
                says="The scale belongs to the normalised value, not to x.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="bn.affine",
        prompt="""
The end of batch norm: a scale and a shift for each feature, the same for every sample.
""",
        inputs=_normalised,
        forward=_affine,
        asks=("gamma", "beta", "xhat"),
        hints=(
            "How often is each number of `gamma` used?",
            "Once a row. What comes back from all rows adds. `gamma` meets `xhat` in a "
            "product, `beta` stands alone.",
            "`dgamma = sum(dy * ..., axis=...)`, `dbeta = sum(..., axis=...)`, "
            "`dxhat = dy * ...`",
        ),
        solution="$d\\gamma_j = \\sum_i dy_{ij}\\,\\hat x_{ij}$, "
        "$d\\beta_j = \\sum_i dy_{ij}$, $d\\hat x = dy\\,\\gamma$.",
        answer_code="""
dgamma = np.sum(dy * xhat, axis=0)
dbeta = np.sum(dy, axis=0)
dxhat = dy * gamma
""",
        slips=(
            Slip("no-batch-sum", "dgamma = dy * xhat"),
            Slip("local-factor-missing", "dgamma = np.sum(dy, axis=0)"),
            Slip("mean-not-sum", "dbeta = np.mean(dy, axis=0)"),
            Slip("keepdims", "dbeta = np.sum(dy, axis=0, keepdims=True)"),
            Slip("wrong-operand", "dxhat = dy * xhat"),
        ),
    ),
    Problem(
        id="bn.steps",
        prompt="""
Batch norm, backward, one node at a time. Two of the nodes are used twice.
""",
        inputs=_batch,
        forward=_batch_norm,
        asks=("xhat", "scale", "var", "centred", "mu", "x", "gamma", "beta"),
        hints=(
            "Go back from `y`. `centred` is used in `xhat` and in `var`; `x` is used "
            "in `centred` and in `mu`.",
            "What is one number a feature, but was used in every row, gets a sum over "
            "the rows. A mean hands 1/n to each row. The slope of $(v + \\epsilon)"
            "^{-1/2}$ is $-\\frac12 (v + \\epsilon)^{-3/2}$.",
            "`dxhat = dy * ...`, `dscale = sum(dxhat * ..., axis=0)`, "
            "`dvar = dscale * ... * scale**3`, "
            "`dcentred = dxhat * ... + dvar * 2 * ... / len(x)`, "
            "`dmu = -sum(..., axis=0)`, `dx = dcentred + ... / len(x)`",
        ),
        solution="From $\\hat x = c\\,s$: $dc \\mathrel{+}= d\\hat x\\,s$ and "
        "$ds = \\sum_i d\\hat x\\,c$. From $s = (v+\\epsilon)^{-1/2}$: "
        "$dv = -\\frac12 s^3 ds$. From $v = \\frac1n\\sum c^2$: "
        "$dc \\mathrel{+}= 2c\\,dv/n$. From $c = x - \\mu$: $d\\mu = -\\sum_i dc$ and "
        "$dx = dc + d\\mu/n$.",
        answer_code="""
dxhat = dy * gamma
dscale = np.sum(dxhat * centred, axis=0)
dvar = dscale * -0.5 * scale**3
dcentred = dxhat * scale + dvar * 2 * centred / len(x)
dmu = -np.sum(dcentred, axis=0)
dx = dcentred + dmu / len(x)
dgamma = np.sum(dy * xhat, axis=0)
dbeta = np.sum(dy, axis=0)
""",
        slips=(
            Slip("local-factor-missing", "dxhat = dy"),
            Slip("no-batch-sum", "dscale = dxhat * centred"),
            Slip("sign", "dvar = dscale * 0.5 * scale**3"),
            Slip("statistics-constant", "dcentred = dxhat * scale"),
            Slip("path-missing", "dcentred = dvar * 2 * centred / len(x)"),
            Slip("sum-not-mean", "dcentred = dxhat * scale + dvar * 2 * centred"),
            Slip("sign", "dmu = np.sum(dcentred, axis=0)"),
            Slip("statistics-constant", "dx = dcentred"),
            Slip("sum-not-mean", "dx = dcentred + dmu"),
            Slip("no-batch-sum", "dgamma = dy * xhat"),
            Slip("mean-not-sum", "dbeta = np.mean(dy, axis=0)"),
        ),
    ),
    Problem(
        id="bn.dx",
        prompt="""
Batch norm, backward, in one line. All steps of `bn.steps` together give a short formula
in `gamma`, `scale`, `xhat` and `dy`. Find it.
""",
        inputs=_batch,
        forward=_batch_norm,
        asks=("x",),
        hints=(
            "Start from the steps and put each into the next. Two means remain.",
            "Moving all of a column together changes nothing, nor does stretching it. "
            "So the part of `dy` along 1, and the part along `xhat`, is taken away.",
            "`dx = gamma * scale * (dy - mean(..., axis=0) - xhat * ...)`",
        ),
        solution="$dx = \\gamma s\\,\\big(dy - \\overline{dy} - "
        "\\hat x\\;\\overline{dy\\,\\hat x}\\big)$; the bars are means over the batch.",
        answer_code="dx = gamma * scale * (dy - np.mean(dy, axis=0) "
        "- xhat * np.mean(dy * xhat, axis=0))",
        slips=(
            Slip("statistics-constant", "dx = gamma * scale * dy"),
            Slip(
                "statistics-constant",
                "dx = gamma * scale * (dy - np.mean(dy, axis=0))",
            ),
            Slip(
                "statistics-constant",
                "dx = gamma * scale * (dy - xhat * np.mean(dy * xhat, axis=0))",
            ),
            Slip(
                "local-factor-missing",
                "dx = scale * (dy - np.mean(dy, axis=0) "
                "- xhat * np.mean(dy * xhat, axis=0))",
            ),
            Slip(
                "sign",
                "dx = gamma * scale * (np.mean(dy, axis=0) "
                "+ xhat * np.mean(dy * xhat, axis=0) - dy)",
            ),
        ),
    ),
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
