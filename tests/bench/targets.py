"""What is aimed at, in one table; and how a measured figure is judged by it."""

from dataclasses import dataclass

from backproplab import formats

from .peers import AUTOGRAD, HAND, MICROGRAD, MYGRAD, OURS, TORCH

NOISE = 0.02  # by how much an A/A pair may miss 1
LONGEST_ROUNDING = 0.006  # CPU seconds for a million float32 numbers

# (row, against): our cost over theirs, at most
AT_MOST: dict[tuple[str, str], float] = {
    ("1000 adds, size 1", TORCH): 0.35,
    ("1000 adds, size 1", HAND): 2.6,
    ("1000 adds, size 10", TORCH): 0.35,
    ("1000 adds, size 10", HAND): 2.6,
    ("MLP, batch 1", TORCH): 0.30,
    ("MLP, batch 128", TORCH): 0.76,
    ("MLP, batch 128", HAND): 1.12,
    ("MLP, batch 1024", TORCH): 0.90,
    ("MLP, batch 1024", HAND): 1.06,
    ("100 tanh layers", TORCH): 0.32,
    ("100 tanh layers", HAND): 2.1,
    ("1000 tanh layers", TORCH): 0.42,
    ("1000 tanh layers", HAND): 2.4,
    ("batch-norm MLP", TORCH): 0.80,
    ("batch-norm MLP", HAND): 1.12,
    ("LeNet", TORCH): 0.80,
    ("LeNet", HAND): 1.5,
    ("transformer, recorded", TORCH): 0.95,
    ("transformer, recorded", HAND): 1.15,
    ("50 elementwise ops", TORCH): 0.60,
    ("50 elementwise ops", HAND): 1.9,
    # in a process where no other library has warmed the allocator
    ("50 elementwise ops, alone", TORCH): 0.60,
    ("50 elementwise ops, alone", HAND): 1.9,
    ("micrograd's demo, by neuron", MICROGRAD): 0.05,
    ("MLP, batch 128, recorded", OURS): 1.08,
    ("MLP, batch 128, recorded in copies", OURS): 1.20,
    ("transformer, recorded", OURS): 1.08,
    ("transformer, recorded in copies", OURS): 1.20,
    ("depth 10000, a layer", "depth 100"): 1.7,
    ("import backproplab", "import numpy"): 1.25,
    ("digits MLP, 300 steps, monitored", OURS): 1.25,
    ("digits MLP, 3000 steps, monitored", OURS): 1.25,
    ("PlaygroundLab, 3x8 units, a frame", "1/25 s"): 1.0,
    ("1M float32 to bfloat16", "a cast and back"): 1.0,
    **{(f"1M float32 to {name}", "6 ms"): 1.0 for name in formats.names()},
    **{(f"1M float32 to {name}, subnormal", "normal"): 1.2 for name in formats.names()},
    ("autocast, 512 x 512 matmul", "float32"): 4.0,
}
SLOWER_THAN_US = (MYGRAD, AUTOGRAD)  # on every row


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio and what is aimed at.

    >>> print(Figure("LeNet", TORCH, 0.71))
    0.71 ≤ 0.80 met
    >>> print(Figure("LeNet", TORCH, 0.95), Figure("LeNet", "JAX jit", 0.4), sep=", ")
    **0.95 > 0.80 missed**, 0.40
    """

    row: str
    against: str
    measured: float

    @property
    def at_most(self) -> float | None:
        """The target, None where nothing is promised."""
        default = 1.0 if self.against in SLOWER_THAN_US else None
        return AT_MOST.get((self.row, self.against), default)

    @property
    def missed(self) -> bool:
        """Whether it is above its target."""
        return self.at_most is not None and self.measured > self.at_most

    def __str__(self) -> str:
        digits = 2 if self.measured >= 0.1 else 4
        seen = f"{self.measured:.{digits}f}"
        if self.at_most is None:
            return seen
        if self.missed:
            return f"**{seen} > {self.at_most:.2f} missed**"
        return f"{seen} ≤ {self.at_most:.2f} met"
