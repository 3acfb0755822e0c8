"""The models that PyTorch and backproplab share, word for word: same names, same text.

``nn`` and ``F`` are ``torch.nn`` and ``torch.nn.functional``, or ``bp.nn`` and
``bp.ops``; ``linear(i, o)`` makes a layer. Each model maps the batch to class scores.
"""

from typing import Any


def mlp(nn: Any, F: Any, linear: Any) -> Any:
    """784-128-10 with ReLU."""
    return nn.Sequential(linear(784, 128), nn.ReLU(), linear(128, 10))


def tanh_layers(depth: int) -> Any:
    """``depth`` tanh layers of width 32, then a linear one."""

    def build(nn: Any, F: Any, linear: Any) -> Any:
        layers = [m for _ in range(depth) for m in (linear(32, 32), nn.Tanh())]
        return nn.Sequential(*layers, linear(32, 32))

    return build


def batch_norm_mlp(nn: Any, F: Any, linear: Any) -> Any:
    """784-256-256-256-10, each hidden layer normalised before its ReLU."""
    layers = [
        m
        for i in (784, 256, 256)
        for m in (linear(i, 256), nn.BatchNorm1d(256), nn.ReLU())
    ]
    return nn.Sequential(*layers, linear(256, 10))


def lenet(nn: Any, F: Any, linear: Any, conv: Any) -> Any:
    """28 x 28: convolve 5 x 5 to 6, pool, convolve 5 x 5 to 16, pool, linear."""
    return nn.Sequential(
        conv(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        conv(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), linear(256, 10),
    )  # fmt: skip


def transformer(nn: Any, F: Any, linear: Any, embedding: Any, positions: Any) -> Any:
    """Characters, in GPT-2's order: 2 layers, d 64, 4 heads, T 64, V 65."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(64)
            self.query, self.key = linear(64, 64), linear(64, 64)
            self.value, self.out = linear(64, 64), linear(64, 64)
            self.norm2 = nn.LayerNorm(64)
            self.up, self.down = linear(64, 256), linear(256, 64)

        def forward(self, x: Any) -> Any:
            n, t, d = x.shape
            h = self.norm1(x)
            q, k, v = (
                f(h).reshape(n, t, 4, d // 4).swapaxes(1, 2)
                for f in (self.query, self.key, self.value)
            )
            h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(h.swapaxes(1, 2).reshape(n, t, d))
            h = F.gelu(self.up(self.norm2(x)), approximate="tanh")
            return x + self.down(h)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = embedding(65, 64), embedding(64, 64)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(64), linear(64, 65)

        def forward(self, x: Any) -> Any:
            h = self.tokens(x) + self.positions(positions)
            return self.head(self.norm(self.blocks(h))).reshape(-1, 65)

    return Model()
