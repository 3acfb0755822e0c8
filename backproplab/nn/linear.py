"""Layers that are one table of weights: the affine map, and the look-up of rows."""

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..tensor import Tensor
from . import init
from .module import Module


class Linear(Module):
    """y = x w^T + b: every output sees every input.

    As in PyTorch, weights and bias start in U(-1/sqrt(in), 1/sqrt(in)), as float32.

    Args:
        in_features: size of the last axis of x.
        out_features: size of the last axis of y.
        bias: whether b is there.
        rng: where the first weights come from.
        dtype: of the parameters.

    Shapes: x (..., in_features), weight (out_features, in_features), bias
    (out_features,), y (..., out_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        rng = init.require_rng("Linear", rng)
        self.in_features, self.out_features = in_features, out_features
        self.weight, self.bias = uniform_weights(
            (out_features, in_features), bias, rng, dtype
        )

    def forward(self, x: Any) -> Any:
        """Apply the affine map to the last axis."""
        try:
            return ops.linear(x, self.weight, self.bias)
        except ShapeError as error:
            columns = np.shape(x)[-1:]
            if columns == (self.in_features,):
                raise
            raise ShapeError(
                str(error).partition("\n")[0],
                help=f"the layer was built with in_features={self.in_features}, the "
                f"batch has {columns[0]} columns."
                if columns
                else "the layer takes rows, this is a single number.",
            ) from None

    def extra_repr(self) -> str:
        """Show the sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """Row i of a table for each integer i, as ``torch.nn.Embedding``.

    The table starts from N(0, 1); row ``padding_idx`` starts at 0 and gets no gradient.

    Args:
        num_embeddings: rows.
        embedding_dim: columns.
        padding_idx: the row that means "nothing here".
        rng: where the first weights come from.
        dtype: of the table.

    Shapes: integers (...), weight (num_embeddings, embedding_dim), output
    (..., embedding_dim).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        rng = init.require_rng("Embedding", rng)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        table = rng.standard_normal((num_embeddings, embedding_dim)).astype(dtype)
        if padding_idx is not None:
            table[padding_idx] = 0
        self.weight = Tensor(table, requires_grad=True)

    def forward(self, x: Any) -> Any:
        """Look the rows up."""
        return ops.embedding(x, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """Show the sizes."""
        padding = (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        )
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


def uniform_weights(
    shape: tuple[int, ...], bias: bool, rng: np.random.Generator, dtype: Any
) -> tuple[Tensor, Tensor | None]:
    """Draw weight and bias from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default.

    Args:
        shape: (out, in, *kernel) of the weight.
        bias: whether a bias (out,) is wanted.
        rng: where the numbers come from.
        dtype: of both.
    """
    weight = init.kaiming_uniform(shape, rng, a=math.sqrt(5), dtype=dtype)
    if not bias:
        return Tensor(weight, requires_grad=True), None
    bound = 1 / math.sqrt(math.prod(shape[1:])) if math.prod(shape[1:]) else 0
    b = rng.uniform(-bound, bound, shape[0]).astype(dtype)
    return Tensor(weight, requires_grad=True), Tensor(b, requires_grad=True)
