"""Multi-head attention: each position reads from others, by several sets of weights."""

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import RangeError, ShapeError
from ..tensor import Tensor
from . import init
from .linear import Linear
from .module import Module


class MultiheadAttention(Module):
    r"""Weighted means of values, weighted by how well queries match keys.

    .. math:: \operatorname{softmax}(q k^T/\sqrt{d} + \text{mask})\, v

    in each of ``num_heads`` heads of size d = embed_dim/num_heads, then joined by an
    affine map: Vaswani et al. 2017. Parameter names, axes, masks and first values are
    those of ``torch.nn.MultiheadAttention`` (bias_k, bias_v and add_zero_attn are not
    there).

    Args:
        embed_dim: e, size of queries and of the output.
        num_heads: a divisor of e.
        dropout: probability of dropping a weight, in training.
        bias: whether the affine maps have biases.
        kdim: size of keys, e if None.
        vdim: size of values, e if None.
        batch_first: whether the batch axis comes before the positions'.
        rng: where the first weights and the dropped ones come from.
        dtype: of the parameters.

    Shapes: query (l, n, e), key (s, n, kdim), value (s, n, vdim); with ``batch_first``
    the first two axes are exchanged, without a batch there is no n.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        if embed_dim % num_heads:
            raise RangeError(
                f"MultiheadAttention: embed_dim is {embed_dim} and num_heads "
                f"{num_heads}; the first must be a multiple of the second."
            )
        self.rng = rng = init.require_rng("MultiheadAttention", rng)
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.batch_first = batch_first

        def drawn(rows: int, columns: int) -> Tensor:
            w = init.xavier_uniform((rows, columns), rng, dtype=dtype)
            return Tensor(w, requires_grad=True)

        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = drawn(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = drawn(embed_dim, embed_dim)
            self.k_proj_weight = drawn(embed_dim, self.kdim)
            self.v_proj_weight = drawn(embed_dim, self.vdim)
        self.in_proj_bias = None
        if bias:
            zeros = np.zeros(3 * embed_dim, dtype)
            self.in_proj_bias = Tensor(zeros, requires_grad=True)
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.data = np.zeros(embed_dim, dtype)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Let each query read from the values.

        Args:
            query: who reads.
            key: what the reader looks for.
            value: what is read.
            key_padding_mask: (n, s) or (s,), True where nobody may read.
            need_weights: whether the weights are returned, else None.
            attn_mask: (l, s) or (n heads, l, s), True where that reader may not read;
                numbers are added to the scores.
            average_attn_weights: whether the weights are averaged over heads.
            is_causal: lets nobody read later positions. (PyTorch takes it as a hint and
                wants the mask as well.)

        Returns:
            Output shaped as ``query``; weights (n, l, s) or (n, heads, l, s), or None.
        """
        single = np.ndim(query) == 2
        if np.ndim(query) not in (2, 3):
            raise ShapeError(
                f"MultiheadAttention: query is {np.shape(query)}; "
                "2 axes, or 3 with a batch, are required."
            )
        q, k, v = self._projected(query, key, value, single)
        n, _, length, size = np.shape(q)
        mask = self._mask(attn_mask, key_padding_mask, is_causal, q, np.shape(k)[2])
        p, weights = self.dropout if self.training else 0.0, None
        if need_weights:
            scores = q @ ops.swapaxes(k, -1, -2) * (1 / math.sqrt(size))
            if mask is not None:
                scores = scores + mask
            weights = ops.dropout(ops.softmax(scores, axis=-1), p, rng=self.rng)
            read = weights @ v
        else:
            read = ops.scaled_dot_product_attention(
                q, k, v, mask, dropout_p=p, rng=self.rng
            )
        joined = ops.transpose(read, (0, 2, 1, 3))
        y = self.out_proj(ops.reshape(joined, (n, length, self.embed_dim)))
        if single:
            y = y[0]
        elif not self.batch_first:
            y = ops.swapaxes(y, 0, 1)
        if weights is None:
            return y, None
        if average_attn_weights:
            weights = ops.mean(weights, axis=1)
        return y, weights[0] if single else weights

    def _projected(self, query: Any, key: Any, value: Any, single: bool) -> list[Any]:
        """Map query, key and value, each to (n, heads, positions, size of a head)."""
        e, heads, found = self.embed_dim, self.num_heads, []
        for i, (x, w) in enumerate(
            zip((query, key, value), self._weights(), strict=True)
        ):
            b = self.in_proj_bias
            x = ops.linear(x, w, None if b is None else b[i * e : (i + 1) * e])
            if single:
                x = ops.expand_dims(x, 0)
            elif not self.batch_first:
                x = ops.swapaxes(x, 0, 1)
            n, length, _ = np.shape(x)
            x = ops.reshape(x, (n, length, heads, e // heads))
            found.append(ops.transpose(x, (0, 2, 1, 3)))
        return found

    def _weights(self) -> list[Any]:
        if "in_proj_weight" in vars(self):
            e, w = self.embed_dim, self.in_proj_weight
            return [w[i * e : (i + 1) * e] for i in range(3)]
        return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]

    def _mask(
        self, attn_mask: Any, padding: Any, is_causal: bool, q: Any, s: int
    ) -> np.ndarray | None:
        """Add up what the masks say, to broadcast with (n, heads, l, s)."""
        n, heads, length, _ = np.shape(q)
        masks = []
        if attn_mask is not None:
            given = np.asarray(attn_mask)
            masks.append(
                given if given.ndim == 2 else given.reshape(n, heads, length, s)
            )
        if padding is not None:
            masks.append(np.asarray(padding).reshape(n, 1, 1, s))
        if is_causal:
            masks.append(np.triu(np.ones((length, s), bool), 1))
        dtype = q.dtype
        added = [
            np.where(m, -np.inf, 0).astype(dtype)
            if m.dtype == bool
            else m.astype(dtype)
            for m in masks
        ]
        return sum(added[1:], added[0]) if added else None

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, "
            f"dropout={self.dropout}, batch_first={self.batch_first}"
        )
