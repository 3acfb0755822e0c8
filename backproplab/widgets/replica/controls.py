"""What can be set in ReplicaLab, and how a batch is dealt; nothing is computed here."""

from dataclasses import dataclass

import numpy as np

from ...errors import RangeError, near

SHOWS = ("one step", "training", "batch norm", "linear scaling")
ROWS = (4, 8, 16, 32, 64)
REPLICAS = (2, 8)
RATES = (1e-3, 2.0)  # ends of the learning-rate slider
FAULTS = {
    "nothing": "Nothing is broken.",
    "forget to average": "Each replica steps along the gradient of its own rows.",
    "sum in place of mean": "The sum is not divided by the number of replicas.",
    "unequal shards unweighted": "Shards of different sizes count the same.",
    "unequal shards weighted": "Mended: a shard counts by its share of the rows.",
    "different seeds": "Each replica draws its own first weights; none are sent.",
    "local batch statistics": "Batch norm takes mean and variance of its own rows.",
    "synchronised statistics": "Mended: batch norm takes them of all rows together.",
    "fp16 sums": "Gradients travel and add up in float16.",
    "one stale replica": "The last replica applies each update one step late.",
}
NORMED = {"local batch statistics": "local", "synchronised statistics": "synchronised"}


@dataclass(frozen=True, slots=True)
class Controls:
    """What is set.

    Attributes:
        replicas: N, 2 to 8.
        rows: rows of a replica, one of ``ROWS``; a batch has N times as many.
        fault: of ``FAULTS``, what is broken on purpose.
        lr: learning rate.
        warmup: whether the rate rises over the first steps (linear scaling).

    Raises:
        RangeError: if something cannot be set so.
    """

    replicas: int = 4
    rows: int = 16
    fault: str = "nothing"
    lr: float = 0.1
    warmup: bool = True

    def __post_init__(self) -> None:
        choose("rows", self.rows, ROWS)
        choose("fault", self.fault, tuple(FAULTS))
        for name, (low, high), kind in (
            ("replicas", REPLICAS, int),
            ("lr", RATES, (int, float)),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) or not low <= value <= high:
                what = "a whole number from " if kind is int else ""
                raise RangeError(
                    f"ReplicaLab: {name} is {value!r}; {what}{low:g} to {high:g} is "
                    "required."
                )

    @property
    def norm(self) -> str:
        """Which batch norm the model has: "", "local" or "synchronised"."""
        return NORMED.get(self.fault, "")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each shard.

        >>> Controls(rows=16).sizes
        (16, 16, 16, 16)
        >>> Controls(fault="unequal shards unweighted").sizes
        (6, 13, 19, 26)
        """
        n = self.replicas
        shares = np.arange(1, n + 1) if "unequal" in self.fault else np.ones(n)
        ends = np.round(np.cumsum(shares) * (n * self.rows / shares.sum()))
        return tuple(np.diff(ends, prepend=0).astype(int).tolist())

    @property
    def weights(self) -> tuple[float, ...] | None:
        """What each shard counts; None if all count the same."""
        if self.fault != "unequal shards weighted":
            return None
        return tuple(size / sum(self.sizes) for size in self.sizes)


def choose(name: str, value: object, known: tuple[object, ...]) -> None:
    """Accept one of several.

    Raises:
        RangeError: if it is none of them; the message lists them.
    """
    if value not in known:
        listed = ", ".join(map(str, known))
        raise RangeError(
            f"ReplicaLab: {name} is {value!r}; one of {listed} is required.",
            help=near(str(value), map(str, known)),
        )
