"""Scaled dot-product attention in one op: scores, softmax and weighted mean."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from ..errors import RangeError, ShapeError
from ..primitive import primitive
from ._rows import row_dot, row_max, row_sum, wide
from .activation import softmax
from .lookup import _keep_mask
from .rearranging import repeat


def _turned(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _masked(mask: Any, causal: bool, q: Any, k: Any) -> tuple[Any, Any, Any]:
    """What is added to the scores, what is blocked, and which queries see nothing.

    A query that sees nothing is let through, and its weights are set to 0 afterwards.
    """
    blocked = None
    if causal:
        sees = np.tri(np.shape(q)[-2], np.shape(k)[-2], dtype=bool)
        return np.where(sees, 0, -np.inf).astype(q.dtype), None, None
    elif mask is not None and mask.dtype == bool:
        blocked, mask = ~np.asarray(mask), None
    elif mask is not None:
        shut = np.isinf(mask) & (mask < 0)
        blind = np.all(shut, axis=-1, keepdims=True)
        if np.any(blind):
            return np.where(blind, np.zeros_like(mask), mask), None, blind
    blind = None
    if blocked is not None:
        blind = np.all(blocked, axis=-1, keepdims=True)
        blocked = blocked & ~blind
    return mask, blocked, blind


def _softmax(s: Any) -> Any:
    """The op on tensors; in place on an array of our own."""
    if not isinstance(s, np.ndarray):
        return softmax(s, axis=-1)
    s -= row_max(s)
    np.exp(s, out=s)
    s *= 1 / row_sum(s)
    return s


def _added(s: Any, bias: Any) -> Any:
    """In place on an array of our own that is wide enough."""
    plain = isinstance(s, np.ndarray) and isinstance(bias, np.ndarray)
    if not plain or np.result_type(s, bias) != s.dtype:
        return s + bias
    s += bias
    return s


def _weights(q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    """How much each query attends to each key, (..., l, s)."""
    bias, blocked, blind = _masked(mask, causal, q, k)
    s = (q * scale) @ _turned(k)
    if bias is not None:
        s = _added(s, bias)
    if blocked is not None:
        s = np.where(blocked, -np.inf, s)
    p = _softmax(s)
    return p if blind is None else p * ~blind


def _centred(t: Any, p: Any) -> Any:
    """Multiply by the softmax's Jacobian, which is symmetric."""
    if not (isinstance(t, np.ndarray) and isinstance(p, np.ndarray)):
        return p * (t - np.sum(t * p, -1, keepdims=True))
    out = t - row_dot(t, p)
    out *= p
    return out


def _attention_vjp(g, _y, q, k, v, mask, *, wrt, is_causal, scale, keep, saved):
    p = _weights(q, k, mask, is_causal, scale) if saved is None else saved
    a = p if keep is None else p * keep
    dq = dk = dv = ds = None
    if 2 in wrt:
        dv = _turned(a) @ g
    if {0, 1, 3} & set(wrt):
        da = g @ _turned(v)
        ds = _centred(da if keep is None else da * keep, p)
    if 0 in wrt:
        dq = (ds @ k) * scale
    if 1 in wrt:
        dk = (_turned(ds) @ q) * scale
    return dq, dk, dv, ds


def _attention_jvp(t, _y, q, k, v, mask, *, is_causal, scale, keep, saved=None):
    p = _weights(q, k, mask, is_causal, scale) if saved is None else saved
    terms, scores = [], []
    if t[0] is not None:
        scores.append((t[0] * scale) @ _turned(k))
    if t[1] is not None:
        scores.append((q * scale) @ _turned(t[1]))
    if t[3] is not None:
        scores.append(t[3])
    if scores:
        da = _centred(np.broadcast_to(sum(scores[1:], scores[0]), np.shape(p)), p)
        terms.append((da if keep is None else da * keep) @ v)
    if t[2] is not None:
        terms.append((p if keep is None else p * keep) @ t[2])
    return sum(terms[1:], terms[0])


@primitive(
    vjp=_attention_vjp,
    jvp=_attention_jvp,
    inputs=4,
    saves=True,
    cast="low",
    name="scaled_dot_product_attention",
    example=lambda rng: (
        tuple(rng.normal(size=s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 3), (3, 5))),
        {"scale": 0.5},
    ),
)
def _attention(q, k, v, mask, *, scale, is_causal=False, keep=None):
    """softmax(scale q k^T + mask) v; ``keep`` multiplies the weights (dropout)."""
    dtype = np.result_type(q, k, v)
    p = _weights(wide(q), wide(k), mask, is_causal, scale)
    a = p if keep is None else p * keep
    return (a @ wide(v)).astype(dtype, copy=False), p


def _for_all_heads(op: str, q: Any, x: Any) -> Any:
    """Each head of x as often as there are heads of q for it."""
    here, there = np.shape(x)[-3:-2], np.shape(q)[-3:-2]
    if not here or not there or there[0] % max(here[0], 1):
        raise ShapeError(
            f"{op}: q is {np.shape(q)} and k or v is {np.shape(x)}; with enable_gqa "
            "the heads (axis -3) of q must be a multiple of theirs."
        )
    return repeat(x, there[0] // here[0], axis=-3)


def scaled_dot_product_attention(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    enable_gqa: bool = False,
    rng: np.random.Generator | None = None,
) -> Any:
    r"""Mean of the values, weighted by how well each key answers the query.

    .. math:: y = \mathrm{softmax}(q k^T / \sqrt e + m)\, v

    Vaswani et al. 2017, equation 1; arguments as in PyTorch.

    Args:
        q: (..., l, e) queries.
        k: (..., s, e) keys.
        v: (..., s, d) values.
        attn_mask: broadcasts to (..., l, s); booleans say what a query may see, numbers
            are added to the scores. A query that may see nothing gets 0.
        dropout_p: share of the weights set to 0, the others growing by 1/(1 - p). It is
            applied whenever it is not 0: there is no training flag.
        is_causal: whether query i sees the keys 0..i only.
        scale: in place of 1/sqrt(e).
        enable_gqa: whether several query heads share a key and a value head, k and v
            having fewer heads (axis -3) than q.
        rng: where dropout takes its numbers from.

    Returns:
        (..., l, d).

    Raises:
        ShapeError: if the shapes do not fit.
        RangeError: if both ``attn_mask`` and ``is_causal`` are given, or dropout has no
            ``rng``.
    """
    op = "scaled_dot_product_attention"
    if enable_gqa:
        k, v = _for_all_heads(op, q, k), _for_all_heads(op, q, v)
    shapes = [np.shape(x) for x in (q, k, v)]
    l_e, s_e, s_d = (shape[-2:] for shape in shapes)
    if min(map(len, shapes)) < 2 or l_e[1] != s_e[1] or s_e[0] != s_d[0]:
        raise ShapeError(
            f"{op}: q is {shapes[0]}, k is {shapes[1]} and v is {shapes[2]}; "
            "(..., l, e), (..., s, e) and (..., s, d) are required."
        )
    if attn_mask is not None and is_causal:
        raise RangeError(
            f"{op}: attn_mask and is_causal are both given; one of them is allowed.",
            help="put the causal mask into it: `np.tri(l, s, dtype=bool) & attn_mask`.",
        )
    keep = None
    if dropout_p:
        lead = np.broadcast_shapes(*(shape[:-2] for shape in shapes[:2]))
        keep = _keep_mask(op, (*lead, l_e[0], s_e[0]), dropout_p, rng, q.dtype)
    return _attention(
        q,
        k,
        v,
        attn_mask,
        scale=1 / sqrt(l_e[1]) if scale is None else scale,
        is_causal=is_causal,
        keep=keep,
    )
