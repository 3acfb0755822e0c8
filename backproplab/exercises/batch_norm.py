"""Exercises on batch norm: statistics over the batch, made of what they act on."""

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
)
