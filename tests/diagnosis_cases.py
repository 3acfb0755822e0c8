"""Wrong derivations as students write them, each with the label a teacher would give.

The formulas are NumPy over the values ``v.h`` and true gradients ``v.dh`` of a recorded
run; nothing here knows how the diagnoser searches. ``unseen_cases.py`` holds the graphs
that were kept apart while it was written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import backproplab as bp


@dataclass(frozen=True)
class Case:
    """One wrong answer: what was asked, what was written, what is to be said of it."""

    graph: str
    asked: str
    answer: Callable[[Any], Any]
    slips: tuple[tuple[set[str], set[Any]], ...]  # (labels, places) for each slip
    dtype: str = "float64"

    def __str__(self):
        labels = "+".join("/".join(sorted(labels)) for labels, _ in self.slips)
        return f"{self.graph}.{self.asked}:{labels}"


class Values:
    """``v.h`` is a value of the run, ``v.dh`` its gradient."""

    def __init__(self, run):
        self._run = run

    def __getattr__(self, name):
        if name in self._run:
            return np.asarray(self._run[name].value)
        return np.asarray(self._run[name.removeprefix("d")].grad)


GRAPHS: dict[str, Callable[..., Any]] = {}
CASES: list[Case] = []


def graph(build):
    """Keep a graph: ``build(leaf)`` returns the last tensor, ``leaf(*shape)`` draws."""
    GRAPHS[build.__name__] = build
    return build


def recorded(name, dtype="float64", seed=0, graphs=GRAPHS):
    """Run a graph forward and backward, with random numbers coming in at the end."""
    rng = np.random.default_rng([seed, len(name)])

    def leaf(*shape, scale=1.0, positive=False):
        data = scale * rng.normal(size=shape)
        data = np.abs(data) + 0.3 if positive else data
        return bp.tensor(np.asarray(data, dtype), requires_grad=True)

    leaf.rng = rng
    with bp.record() as run:
        end = graphs[name](leaf)
        end.backward(np.asarray(rng.normal(size=end.shape), dtype))
    return run


def single(graph, asked, labels, places, answer, dtype="float64", cases=CASES):
    """One slip. Labels and places are alternatives that the design leaves open."""
    slips = ((_set(labels), _places(places)),)
    cases.append(Case(graph, asked, answer, slips, dtype))


def double(graph, asked, one, two, answer, dtype="float64", cases=CASES):
    """Two slips, each ``(labels, places)``."""
    slips = tuple((_set(labels), _places(places)) for labels, places in (one, two))
    cases.append(Case(graph, asked, answer, slips, dtype))


def _set(labels):
    return set(labels.split("/"))


def _places(places):
    """``"h<-z p<-q b"``: the edges (h, z) and (p, q), or the node b."""
    return {tuple(p.split("<-")) if "<-" in p else p for p in places.split()}


# A chain of scalars, ending in a product of a value with itself.


@graph
def chain(leaf):
    x, w, b = leaf(), leaf(), leaf()
    z = x * w
    a = z + b
    y = bp.tanh(a)
    s = bp.sin(y)
    p = y * w
    e = s * p
    return e


c = "chain"
single(c, "w", "local-factor-missing", "y<-a", lambda v: v.dy * v.x + v.dp * v.y)
single(c, "w", "wrong-operand", "z<-w", lambda v: v.dz * v.w + v.dp * v.y)
single(c, "w", "local-factor-missing", "z<-w", lambda v: v.dz + v.dp * v.y)
single(c, "x", "upstream-missing", "z<-x", lambda v: v.w)
single(c, "a", "upstream-missing", "y<-a", lambda v: 1 - v.y**2)
single(c, "a", "factor-substituted", "y<-a", lambda v: v.dy * (1 + v.y**2))
single(c, "a", "factor-substituted", "y<-a", lambda v: v.dy * (1 - v.y))
single(c, "a", "factor-substituted", "y<-a", lambda v: v.dy * v.y * (1 - v.y))
single(c, "y", "path-missing/overwritten", "s<-y e<-s p<-y", lambda v: v.dp * v.w)
single(c, "y", "local-factor-missing", "s<-y", lambda v: v.dp * v.w + v.ds)
single(c, "y", "sign", "s<-y", lambda v: v.dp * v.w - v.ds * np.cos(v.y))
single(c, "b", "sign", "a<-b", lambda v: -v.db)
double(
    c,
    "w",
    ("local-factor-missing", "y<-a"),
    ("wrong-operand", "z<-w"),
    lambda v: v.dy * v.w + v.dp * v.y,
)
double(
    c,
    "a",
    ("path-missing/overwritten", "p<-y s<-y"),
    ("factor-substituted", "y<-a"),
    lambda v: v.ds * np.cos(v.y) * (1 - v.y),
)
double(
    c,
    "x",
    ("local-factor-missing", "s<-y"),
    ("local-factor-missing", "y<-a"),
    lambda v: (v.dp * v.w + v.ds) * v.w,
)


# Products, fan-out, broadcasting.


@graph
def fan_out(leaf):
    a, b, k = leaf(4, 3), leaf(4, 3), leaf(3)
    p = a * b
    q = p + k
    r = q * p
    s = bp.sin(p)
    t = r - s
    return t


c = "fan_out"
single(c, "p", "path-missing", "q<-p", lambda v: v.dr * v.q - v.dt * np.cos(v.p))
single(c, "p", "path-missing", "s<-p", lambda v: v.dr * v.q + v.dq)
single(c, "p", "overwritten", "r<-p", lambda v: v.dr * v.q)
single(c, "p", "overwritten", "q<-p", lambda v: v.dq)
single(c, "p", "sign", "t<-s s<-p", lambda v: v.dr * v.q + v.dq + v.dt * np.cos(v.p))
single(
    c,
    "p",
    "factor-substituted",
    "s<-p",
    lambda v: v.dr * v.q + v.dq + v.ds * np.sin(v.p),
)
single(c, "a", "wrong-operand", "p<-a", lambda v: v.dp * v.a)
single(c, "a", "wrong-operand", "p<-a", lambda v: v.dp * v.q)
single(c, "b", "wrong-node/wrong-operand", "a p<-b", lambda v: v.dp * v.b)
single(c, "q", "wrong-node", "p", lambda v: v.dp)
single(c, "r", "wrong-node", "t", lambda v: v.t)
single(c, "k", "no-batch-sum", "k q<-k", lambda v: v.dq)
single(c, "k", "mean-not-sum", "q<-k k", lambda v: v.dq.mean(0))
single(c, "k", "keepdims", "k", lambda v: v.dq.sum(0, keepdims=True))
single(c, "a", "constant-factor", "p<-a", lambda v: 2 * v.dp * v.b)
single(c, "a", "upstream-missing", "p<-a", lambda v: v.b, "float32")
single(
    c,
    "a",
    "path-missing",
    "q<-p",
    lambda v: (v.dr * v.q - v.dt * np.cos(v.p)) * v.b,
    "float32",
)
double(
    c,
    "a",
    ("path-missing", "q<-p"),
    ("wrong-operand", "p<-a"),
    lambda v: (v.dr * v.q - v.dt * np.cos(v.p)) * v.a,
)
double(
    c,
    "a",
    ("sign", "t<-s s<-p"),
    ("local-factor-missing", "p<-a"),
    lambda v: v.dr * v.q + v.dq + v.dt * np.cos(v.p),
)
double(
    c,
    "k",
    ("wrong-operand", "r<-q"),
    ("mean-not-sum", "q<-k k"),
    lambda v: (v.dr * v.q).mean(0),
)
double(
    c,
    "p",
    ("path-missing", "q<-p"),
    ("factor-substituted", "s<-p"),
    lambda v: v.dr * v.q + v.ds * np.sin(v.p),
)


# A tanh net with a mean squared error, every step named.


@graph
def tanh_net(leaf):
    x, w1, b1 = leaf(5, 4), leaf(4, 3), leaf(3)
    w2, b2, t = leaf(3, 3), leaf(3), leaf(5, 3)
    m1 = x @ w1
    z1 = m1 + b1
    h = np.tanh(z1)
    m2 = h @ w2
    y = m2 + b2
    d = y - t
    e = d * d
    loss = e.mean()
    return loss


c = "tanh_net"
single(c, "e", "sum-not-mean", "loss<-e", lambda v: v.dloss * np.ones_like(v.e))
single(c, "d", "path-missing/overwritten/constant-factor", "e<-d", lambda v: v.de * v.d)
single(c, "w2", "sum-not-mean", "loss<-e", lambda v: v.h.T @ (v.dloss * 2 * v.d))
single(c, "y", "sum-not-mean", "loss<-e", lambda v: v.dloss * 2 * v.d)
single(c, "y", "sign", "d<-y e<-d", lambda v: 2 * v.dloss * (v.t - v.y) / v.y.size)
single(c, "t", "sign/wrong-node", "d<-t y d", lambda v: v.dd)
single(c, "b2", "no-batch-sum", "b2 y<-b2", lambda v: v.dy)
single(c, "b2", "mean-not-sum", "y<-b2 b2", lambda v: v.dy.mean(0))
single(c, "b1", "keepdims", "b1", lambda v: v.dz1.sum(0, keepdims=True))
single(c, "w1", "mean-not-sum", "m1<-w1", lambda v: v.x.T @ v.dm1 / 5)
single(c, "w1", "transposed", "w1", lambda v: v.dm1.T @ v.x)
single(c, "w2", "transposed", "w2 m2<-w2", lambda v: v.dm2.T @ v.h)
single(c, "h", "transposed", "m2<-h", lambda v: v.dm2 @ v.w2)
single(
    c, "w1", "transposed", "m2<-h", lambda v: v.x.T @ ((v.dm2 @ v.w2) * (1 - v.h**2))
)
single(c, "w1", "local-factor-missing", "h<-z1", lambda v: v.x.T @ v.dh)
single(c, "w1", "factor-substituted", "h<-z1", lambda v: v.x.T @ (v.dh * (1 - v.z1**2)))
single(
    c,
    "w1",
    "factor-substituted",
    "h<-z1",
    lambda v: v.x.T @ (v.dh * (1 - np.tanh(v.h) ** 2)),
)
single(c, "z1", "factor-substituted", "h<-z1", lambda v: v.dh * v.h * (1 - v.h))
single(c, "z1", "upstream-missing", "h<-z1", lambda v: 1 - v.h**2)
single(c, "w2", "wrong-operand", "m2<-w2", lambda v: v.z1.T @ v.dm2)
single(c, "w2", "wrong-operand", "m2<-w2", lambda v: v.z1.T @ v.dm2, "float32")
single(
    c, "w1", "constant-factor", "e<-d loss<-e h<-z1 m1<-w1 d<-y", lambda v: v.dw1 * 1.5
)
single(c, "b1", "local-factor-missing", "h<-z1", lambda v: v.dh.sum(0), "float32")
single(c, "w1", "sign", "m1<-w1 h<-z1 d<-y", lambda v: -v.dw1, "float32")
single(c, "b2", "upstream-missing", "y<-b2", lambda v: np.ones(3) * 5)
double(
    c,
    "w1",
    ("local-factor-missing", "h<-z1"),
    ("sum-not-mean", "loss<-e"),
    lambda v: v.x.T @ (2 * v.dloss * v.d @ v.w2.T),
)
double(
    c,
    "w1",
    ("transposed", "m2<-h"),
    ("local-factor-missing", "h<-z1"),
    lambda v: v.x.T @ (v.dm2 @ v.w2),
)
double(
    c,
    "b1",
    ("factor-substituted", "h<-z1"),
    ("mean-not-sum", "z1<-b1 b1"),
    lambda v: (v.dh * (1 - v.h)).mean(0),
)
double(
    c,
    "w2",
    ("wrong-operand", "m2<-w2"),
    ("sum-not-mean", "loss<-e"),
    lambda v: v.z1.T @ (2 * v.dloss * v.d),
)
double(
    c,
    "b1",
    ("transposed", "m2<-h"),
    ("factor-substituted", "h<-z1"),
    lambda v: ((v.dm2 @ v.w2) * (1 - v.z1**2)).sum(0),
    "float32",
)


# Softmax and cross-entropy from primitives, as in a by-hand lecture.


@graph
def softmax_by_hand(leaf):
    n, k = 6, 4
    h, w = leaf(n, 5), leaf(5, k)
    labels = leaf.rng.integers(0, k, n)
    logits = h @ w
    logit_max = logits.max(axis=1, keepdims=True)
    norm_logits = logits - logit_max
    counts = np.exp(norm_logits)
    counts_sum = counts.sum(axis=1, keepdims=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = np.log(probs)
    picked = logprobs[np.arange(n), labels]
    loss = -picked.mean()
    loss.named("loss")
    return loss


def onehot(v):
    """The labels, found again where a gradient stands."""
    return (v.dlogprobs != 0).astype(float)


c = "softmax_by_hand"
single(
    c,
    "logprobs",
    "sum-not-mean",
    "mean_1<-picked loss<-picked",
    lambda v: -v.dloss * onehot(v),
)
single(
    c,
    "logprobs",
    "sign",
    "loss<-picked loss<-mean_1 logprobs picked<-logprobs mean_1<-picked",
    lambda v: -v.dlogprobs,
)
single(c, "probs", "local-factor-missing", "logprobs<-probs", lambda v: v.dlogprobs)
single(
    c, "probs", "factor-substituted", "logprobs<-probs", lambda v: v.dlogprobs * v.probs
)
single(
    c,
    "counts_sum_inv",
    "no-batch-sum",
    "counts_sum_inv probs<-counts_sum_inv",
    lambda v: v.dprobs * v.counts,
)
single(
    c,
    "counts_sum_inv",
    "keepdims",
    "counts_sum_inv",
    lambda v: (v.dprobs * v.counts).sum(1),
)
single(
    c,
    "counts_sum_inv",
    "mean-not-sum",
    "probs<-counts_sum_inv",
    lambda v: (v.dprobs * v.counts).mean(1, keepdims=True),
)
single(
    c,
    "counts_sum",
    "sign",
    "counts_sum_inv<-counts_sum",
    lambda v: v.dcounts_sum_inv * v.counts_sum**-2.0,
)
single(
    c,
    "counts_sum",
    "factor-substituted",
    "counts_sum_inv<-counts_sum",
    lambda v: -v.dcounts_sum_inv * v.counts_sum**-1.0,
)
single(
    c,
    "counts",
    "statistics-constant/path-missing",
    "counts_sum<-counts probs<-counts_sum_inv",
    lambda v: v.dprobs * v.counts_sum_inv,
)
single(
    c,
    "logits",
    "statistics-constant/path-missing",
    "counts_sum<-counts probs<-counts_sum_inv counts_sum_inv<-counts_sum "
    "logit_max<-logits",
    lambda v: v.dprobs * v.counts_sum_inv * v.counts,
)
single(
    c, "norm_logits", "local-factor-missing", "counts<-norm_logits", lambda v: v.dcounts
)
single(
    c,
    "norm_logits",
    "wrong-operand/factor-substituted",
    "counts<-norm_logits",
    lambda v: v.dcounts * v.norm_logits,
)
single(c, "w", "transposed", "w logits<-w", lambda v: v.dlogits.T @ v.h)
single(
    c,
    "w",
    "local-factor-missing",
    "logprobs<-probs",
    lambda v: _from_probs(v, v.dlogprobs),
)
double(
    c,
    "w",
    ("local-factor-missing", "logprobs<-probs"),
    (
        "statistics-constant/path-missing",
        "counts_sum<-counts probs<-counts_sum_inv counts_sum_inv<-counts_sum",
    ),
    lambda v: _from_probs(v, v.dlogprobs, through_sum=False),
)
double(
    c,
    "counts",
    ("sign", "counts_sum_inv<-counts_sum counts_sum<-counts"),
    ("local-factor-missing", "logprobs<-probs"),
    lambda v: (
        v.dlogprobs * v.counts_sum_inv
        + (v.dlogprobs * v.counts).sum(1, keepdims=True) * v.counts_sum**-2.0
    ),
)
double(
    c,
    "counts_sum",
    ("mean-not-sum", "probs<-counts_sum_inv"),
    ("sign", "counts_sum_inv<-counts_sum"),
    lambda v: (v.dprobs * v.counts).mean(1, keepdims=True) * v.counts_sum**-2.0,
)


def _from_probs(v, dprobs, through_sum=True):
    dcounts = dprobs * v.counts_sum_inv
    if through_sum:
        dsum = -(dprobs * v.counts).sum(1, keepdims=True) * v.counts_sum**-2.0
        dcounts = dcounts + dsum
    dnorm = dcounts * v.counts
    dlogits = dnorm - (v.logits == v.logit_max) * dnorm.sum(1, keepdims=True)
    return v.h.T @ dlogits


# Batch norm, step by step.


@graph
def batch_norm_by_hand(leaf):
    n = 6
    x, gamma, beta = leaf(n, 3), leaf(3), leaf(3)
    mean = x.sum(axis=0, keepdims=True) / n
    diff = x - mean
    diff2 = diff**2
    var = diff2.sum(axis=0, keepdims=True) / (n - 1)
    var_inv = (var + 1e-5) ** -0.5
    raw = diff * var_inv
    scaled = raw * gamma
    y = scaled + beta
    out = np.tanh(y)
    return out


def _bn(
    v,
    dout=None,
    *,
    dy=None,
    with_var=True,
    with_mean=True,
    power=-1.5,
    half=0.5,
    n=5,
    two=2.0,
):
    dy = v.dy if dy is None else dy
    draw = dy * v.gamma
    ddiff = draw * v.var_inv
    dvar_inv = (draw * v.diff).sum(0, keepdims=True)
    dvar = -half * (v.var + 1e-5) ** power * dvar_inv
    ddiff2 = np.ones_like(v.diff2) * dvar / n
    if with_var:
        ddiff = ddiff + two * v.diff * ddiff2
    dmean = -ddiff.sum(0, keepdims=True)
    return ddiff + (np.ones_like(v.x) * dmean / 6 if with_mean else 0)


c = "batch_norm_by_hand"
single(c, "gamma", "local-factor-missing", "scaled<-gamma", lambda v: v.dscaled.sum(0))
single(
    c, "gamma", "wrong-operand", "scaled<-gamma", lambda v: (v.dscaled * v.diff).sum(0)
)
single(c, "gamma", "wrong-operand", "scaled<-gamma", lambda v: (v.dscaled * v.x).sum(0))
single(c, "gamma", "no-batch-sum", "gamma scaled<-gamma", lambda v: v.dscaled * v.raw)
single(
    c,
    "gamma",
    "mean-not-sum",
    "gamma scaled<-gamma",
    lambda v: (v.dscaled * v.raw).mean(0),
)
single(c, "var_inv", "no-batch-sum", "var_inv raw<-var_inv", lambda v: v.draw * v.diff)
single(
    c,
    "x",
    "statistics-constant",
    "var<-diff2 raw<-var_inv diff2<-diff divide_2<-sum_2 sum_2<-diff2 var_inv<-add_1",
    lambda v: _bn(v, with_var=False),
)
single(
    c,
    "x",
    "statistics-constant",
    "mean<-x mean<-sum_1 sum_1<-x diff<-mean",
    lambda v: _bn(v, with_mean=False),
)
single(
    c,
    "x",
    "statistics-constant",
    "mean<-x mean<-sum_1 sum_1<-x diff<-mean var<-diff2 sum_2<-diff2 "
    "raw<-var_inv diff2<-diff var_inv<-var",
    lambda v: _bn(v, with_mean=False, with_var=False),
)
single(
    c,
    "diff",
    "statistics-constant/path-missing/overwritten",
    "diff2<-diff raw<-diff raw<-var_inv sum_2<-diff2 var<-sum_2",
    lambda v: v.draw * v.var_inv,
)
single(
    c,
    "diff",
    "constant-factor",
    "diff2<-diff",
    lambda v: v.draw * v.var_inv + v.diff * v.ddiff2,
)
single(
    c,
    "diff2",
    "sum-not-mean/constant-factor/local-factor-missing",
    "var<-sum_2",
    lambda v: np.ones_like(v.diff2) * v.dvar,
)
single(
    c,
    "x",
    "factor-substituted/constant-factor",
    "var_inv<-add_1 add_1<-var var<-sum_2 sum_2<-diff2 diff2<-diff",
    lambda v: _bn(v, half=1.0),
)
single(
    c,
    "diff2",
    "constant-factor",
    "var<-sum_2 sum_2<-diff2",
    lambda v: np.ones_like(v.diff2) * v.dvar / 6,
)
single(c, "y", "local-factor-missing", "out<-y", lambda v: v.dout)
single(c, "beta", "local-factor-missing", "out<-y", lambda v: v.dout.sum(0))
double(
    c,
    "x",
    ("local-factor-missing", "out<-y"),
    ("statistics-constant", "mean<-x mean<-sum_1 sum_1<-x diff<-mean"),
    lambda v: _bn(v, dy=v.dout, with_mean=False),
)
double(
    c,
    "gamma",
    ("local-factor-missing", "out<-y"),
    ("wrong-operand", "scaled<-gamma"),
    lambda v: (v.dout * v.diff).sum(0),
)
double(
    c,
    "gamma",
    ("factor-substituted", "out<-y"),
    ("mean-not-sum", "scaled<-gamma gamma"),
    lambda v: (v.dout * (1 - v.y**2) * v.raw).mean(0),
)


# Layer norm, fused, after a linear layer.


@graph
def layer_norm_fused(leaf):
    x, w = leaf(5, 4), leaf(4, 6)
    gamma, beta = leaf(6), leaf(6)
    z = x @ w
    y = bp.layer_norm(z, (6,), gamma, beta)
    a = bp.relu(y)
    return a


def _norm_parts(z, axis):
    mu = z.mean(axis, keepdims=True)
    s = 1 / np.sqrt(z.var(axis, keepdims=True) + 1e-5)
    return (z - mu) * s, s


def _ln(v, dy, mean=True, var=True, axis=1, gamma=True):
    xhat, s = _norm_parts(v.z, axis)
    dx = dy * v.gamma if gamma else dy
    out = dx
    if mean:
        out = out - dx.mean(axis, keepdims=True)
    if var:
        out = out - xhat * (dx * xhat).mean(axis, keepdims=True)
    return s * out


c = "layer_norm_fused"
single(c, "z", "statistics-constant", "y<-z", lambda v: _ln(v, v.dy, mean=False))
single(c, "z", "statistics-constant", "y<-z", lambda v: _ln(v, v.dy, var=False))
single(
    c, "z", "statistics-constant", "y<-z", lambda v: _ln(v, v.dy, mean=False, var=False)
)
single(
    c,
    "w",
    "statistics-constant",
    "y<-z",
    lambda v: v.x.T @ _ln(v, v.dy, mean=False, var=False),
)
single(
    c,
    "z",
    "factor-substituted/wrong-operand/path-missing",
    "y<-z",
    lambda v: _ln(v, v.dy, gamma=False),
)
single(c, "gamma", "local-factor-missing", "y<-gamma", lambda v: v.dy.sum(0))
single(
    c,
    "gamma",
    "wrong-operand/factor-substituted",
    "y<-gamma",
    lambda v: (v.dy * v.z).sum(0),
)
single(
    c,
    "gamma",
    "mean-not-sum",
    "y<-gamma gamma",
    lambda v: (v.dy * _norm_parts(v.z, 1)[0]).mean(0),
)
single(c, "beta", "local-factor-missing", "a<-y", lambda v: v.da.sum(0))
single(c, "beta", "no-batch-sum", "beta y<-beta", lambda v: v.dy)
single(c, "y", "factor-substituted", "a<-y", lambda v: v.da * (v.y < 0))
single(c, "y", "upstream-missing", "a<-y", lambda v: (v.y > 0).astype(float))
single(c, "w", "local-factor-missing", "a<-y", lambda v: v.x.T @ _ln(v, v.da))
double(
    c,
    "w",
    ("local-factor-missing", "a<-y"),
    ("statistics-constant", "y<-z"),
    lambda v: v.x.T @ _ln(v, v.da, mean=False, var=False),
)
double(
    c,
    "gamma",
    ("local-factor-missing", "a<-y"),
    ("mean-not-sum", "y<-gamma gamma"),
    lambda v: (v.da * _norm_parts(v.z, 1)[0]).mean(0),
)


# One head of attention by hand, with a fused softmax.


@graph
def attention_by_hand(leaf):
    x = leaf(4, 3)
    wq, wk, wv = leaf(3, 3), leaf(3, 3), leaf(3, 3)
    q = x @ wq
    k = x @ wk
    u = x @ wv
    raw = q @ k.T
    s = raw / np.sqrt(3.0)
    p = bp.softmax(s, axis=1)
    o = p @ u
    return o


def _soft(p, dp, centred=True, axis=1):
    return p * (dp - (dp * p).sum(axis, keepdims=True)) if centred else p * dp


c = "attention_by_hand"
single(c, "s", "statistics-constant/factor-substituted", "p<-s", lambda v: v.p * v.dp)
single(c, "s", "factor-substituted", "p<-s", lambda v: v.dp * v.p * (1 - v.p))
single(c, "s", "local-factor-missing", "p<-s", lambda v: v.dp)
single(
    c,
    "s",
    "factor-substituted",
    "p<-s",
    lambda v: v.p * (v.dp - (v.dp * v.p).sum(0, keepdims=True)),
)
single(c, "raw", "local-factor-missing", "s<-raw", lambda v: v.ds)
single(
    c,
    "raw",
    "factor-substituted/constant-factor",
    "s<-raw",
    lambda v: v.ds * np.sqrt(3.0),
)
single(c, "q", "wrong-operand", "raw<-q", lambda v: v.draw @ v.u)
single(c, "k", "wrong-operand", "raw<-k raw<-transpose_1", lambda v: v.draw.T @ v.k)
single(
    c,
    "k",
    "transposed",
    "raw<-transpose_1 raw<-k transpose_1<-k",
    lambda v: v.draw @ v.q,
)
single(c, "x", "path-missing", "k<-x", lambda v: v.dq @ v.wq.T + v.du @ v.wv.T)
single(c, "x", "overwritten", "q<-x", lambda v: v.dq @ v.wq.T)
single(
    c, "x", "transposed", "u<-x", lambda v: v.dq @ v.wq.T + v.dk @ v.wk.T + v.du @ v.wv
)
single(c, "wq", "transposed", "wq q<-wq", lambda v: v.dq.T @ v.x)
single(c, "wq", "local-factor-missing", "s<-raw", lambda v: v.x.T @ (v.ds @ v.k))
single(
    c,
    "wq",
    "statistics-constant/factor-substituted",
    "p<-s",
    lambda v: v.x.T @ ((v.p * v.dp) / np.sqrt(3) @ v.k),
)
single(c, "u", "transposed", "o<-u", lambda v: v.p @ v.do)
double(
    c,
    "wq",
    ("local-factor-missing", "s<-raw"),
    ("statistics-constant/factor-substituted", "p<-s"),
    lambda v: v.x.T @ ((v.p * v.dp) @ v.k),
)
double(
    c,
    "wk",
    ("local-factor-missing", "p<-s"),
    ("transposed", "raw<-transpose_1 raw<-k transpose_1<-k"),
    lambda v: v.x.T @ ((v.dp / np.sqrt(3)) @ v.q),
)
double(
    c,
    "x",
    ("path-missing", "k<-x"),
    ("transposed", "u<-x"),
    lambda v: v.dq @ v.wq.T + v.du @ v.wv,
)


# A recurrent net: one weight in every step.


@graph
def rnn(leaf):
    x1, x2, x3, h0 = leaf(2, 3), leaf(2, 3), leaf(2, 3), leaf(2, 3)
    wx, wh, b = leaf(3, 3), leaf(3, 3), leaf(3)
    z1 = x1 @ wx + h0 @ wh + b
    h1 = np.tanh(z1)
    z2 = x2 @ wx + h1 @ wh + b
    h2 = np.tanh(z2)
    z3 = x3 @ wx + h2 @ wh + b
    h3 = np.tanh(z3)
    return h3


def _dh(v, dz):
    return dz @ v.wh.T


c = "rnn"
single(c, "wh", "overwritten", "matmul_6<-wh", lambda v: v.h2.T @ v.dz3)
single(c, "wh", "overwritten", "matmul_2<-wh", lambda v: v.h0.T @ v.dz1)
single(
    c, "wh", "path-missing", "matmul_4<-wh", lambda v: v.h2.T @ v.dz3 + v.h0.T @ v.dz1
)
single(
    c, "wx", "path-missing", "matmul_1<-wx", lambda v: v.x3.T @ v.dz3 + v.x2.T @ v.dz2
)
single(c, "b", "path-missing", "z2<-b", lambda v: (v.dz3 + v.dz1).sum(0))
single(c, "b", "overwritten", "z3<-b", lambda v: v.dz3.sum(0))
single(
    c,
    "wh",
    "wrong-operand",
    "matmul_6<-wh",
    lambda v: v.h3.T @ v.dz3 + v.h1.T @ v.dz2 + v.h0.T @ v.dz1,
)
single(
    c,
    "wx",
    "local-factor-missing",
    "h2<-z2",
    lambda v: (
        v.x3.T @ v.dz3 + v.x2.T @ v.dh2 + v.x1.T @ (_dh(v, v.dh2) * (1 - v.h1**2))
    ),
)
single(c, "h0", "transposed", "matmul_2<-h0", lambda v: v.dz1 @ v.wh)
single(c, "h1", "factor-substituted", "h2<-z2", lambda v: _dh(v, v.dh2 * (1 - v.z2**2)))
double(
    c,
    "wh",
    ("path-missing", "matmul_4<-wh"),
    ("wrong-operand", "matmul_6<-wh"),
    lambda v: v.h3.T @ v.dz3 + v.h0.T @ v.dz1,
)
double(
    c,
    "h0",
    ("local-factor-missing", "h1<-z1"),
    ("local-factor-missing", "h2<-z2"),
    lambda v: _dh(v, _dh(v, v.dh2)),
)
double(
    c,
    "h0",
    ("transposed", "matmul_2<-h0"),
    ("factor-substituted", "h1<-z1"),
    lambda v: (v.dh1 * (1 - v.h1)) @ v.wh,
)


# Convolution, ReLU, pooling and a linear layer.


@graph
def conv_net(leaf):
    x, f, c = leaf(2, 2, 6, 6), leaf(3, 2, 3, 3), leaf(3)
    z = bp.conv2d(x, f, c)
    a = bp.relu(z)
    m = bp.avg_pool2d(a, 2)
    flat = m.reshape(2, 12)
    w = leaf(12, 3)
    y = flat @ w
    return y


def _dfilter(x, dz):
    windows = np.lib.stride_tricks.sliding_window_view(x, dz.shape[2:], (2, 3))
    return np.einsum("nopq,nihwpq->oihw", dz, windows)


c = "conv_net"
single(c, "c", "local-factor-missing", "a<-z", lambda v: v.da.sum((0, 2, 3)))
single(c, "c", "no-batch-sum", "c z<-c", lambda v: v.dz.sum((2, 3)))
single(c, "c", "mean-not-sum", "z<-c c", lambda v: v.dz.mean((0, 2, 3)))
single(c, "f", "local-factor-missing", "a<-z", lambda v: _dfilter(v.x, v.da))
single(c, "f", "mean-not-sum", "z<-f f", lambda v: _dfilter(v.x, v.dz) / 2)
single(
    c, "f", "factor-substituted/transposed", "z<-f", lambda v: v.df[:, :, ::-1, ::-1]
)
single(c, "z", "factor-substituted", "a<-z", lambda v: v.da * (v.da > 0))
single(c, "a", "sum-not-mean", "m<-a", lambda v: v.dm.repeat(2, 2).repeat(2, 3))
single(
    c,
    "f",
    "sum-not-mean",
    "m<-a",
    lambda v: _dfilter(v.x, v.dm.repeat(2, 2).repeat(2, 3) * (v.z > 0)),
)
single(c, "w", "transposed", "w", lambda v: v.dy.T @ v.flat)
double(
    c,
    "f",
    ("local-factor-missing", "a<-z"),
    ("sum-not-mean", "m<-a"),
    lambda v: _dfilter(v.x, v.dm.repeat(2, 2).repeat(2, 3)),
)
double(
    c,
    "c",
    ("mean-not-sum", "z<-c c"),
    ("local-factor-missing", "a<-z"),
    lambda v: v.da.mean((0, 2, 3)),
)


# A mean that is subtracted, with whole numbers all around.


@graph
def small_integers(leaf):
    draw = leaf.rng.integers
    x = bp.tensor(draw(-3, 4, (4, 3)).astype(float), requires_grad=True)
    w = bp.tensor(draw(-3, 4, (3, 2)).astype(float), requires_grad=True)
    c = bp.tensor(draw(1, 4, (4, 2)).astype(float), requires_grad=True)
    z = x @ w
    r = bp.relu(z)
    y = r * c
    m = y.mean(axis=0)
    return m


c = "small_integers"
single(c, "x", "local-factor-missing", "r<-z", lambda v: v.dr @ v.w.T)
single(
    c,
    "w",
    "wrong-operand/local-factor-missing",
    "y<-r",
    lambda v: v.x.T @ (v.dy * (v.z > 0)),
)
single(c, "c", "wrong-operand", "y<-c", lambda v: v.dy * v.z)
single(c, "y", "sum-not-mean", "m<-y", lambda v: np.ones((4, 1)) * v.dm)
single(c, "w", "sum-not-mean", "m<-y", lambda v: v.x.T @ (v.dm * v.c * (v.z > 0)))
double(
    c,
    "w",
    ("sum-not-mean", "m<-y"),
    ("local-factor-missing", "r<-z"),
    lambda v: v.x.T @ (v.dm * v.c),
)
