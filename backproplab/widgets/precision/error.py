"""Where rounding errors come from, layer by layer, forward and backward.

Pure: controls in, numbers out. ``bp.amp.shadow`` does the measuring.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ... import formats, nn, ops
from ...amp import shadow
from ...amp.divergence import NodeError, ShadowRun
from ...data import digits
from ...errors import RangeError, near
from ...tensor import Tensor
from .gradients import BATCH, network

FORMATS = ("float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")
GATES = ("ReLU", "ReLU, gates frozen", "tanh")
LAYERS = (2, 8)


@dataclass(frozen=True, slots=True)
class Controls:
    """What the learner sets.

    Attributes:
        fmt: the narrow format.
        gate: of ``GATES``; frozen ones open where they do in float64.
        layers: 2 to 8, the last one included.
        seed: draws the weights.

    Raises:
        RangeError: if something cannot be set so.
    """

    fmt: str = "float16"
    gate: str = "ReLU"
    layers: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("fmt", FORMATS), ("gate", GATES)):
            if (value := getattr(self, name)) not in known:
                raise RangeError(
                    f"PrecisionLab: {name} is {value!r}; one of "
                    f"{'; '.join(known)} is required.",
                    help=near(str(value), known),
                )
        if not LAYERS[0] <= self.layers <= LAYERS[1]:
            raise RangeError(
                f"PrecisionLab: layers is {self.layers}; {LAYERS[0]} to {LAYERS[1]} is "
                "required."
            )


@dataclass(frozen=True, slots=True)
class Side:
    """Errors of each layer in one direction, relative to the float64 shadow.

    Attributes:
        error: (L,) of the whole.
        born: (L,) what rounding this layer's own result adds.
        inherited: (L,) what came in with its inputs.
    """

    error: np.ndarray
    born: np.ndarray
    inherited: np.ndarray


@dataclass(frozen=True, slots=True)
class Errors:
    """A shadow run, sorted by layer.

    Attributes:
        forward: of each layer's output.
        backward: of the gradient of each layer's weights.
        flipped: (L - 1,) share of gates that stand otherwise in float64.
        underflows: gradients that were rounded to 0.
        overflows: gradients that became inf or NaN.
        scale: power of two by which the loss was multiplied.
        run: the shadow run itself.
    """

    forward: Side
    backward: Side
    flipped: np.ndarray
    underflows: int
    overflows: int
    scale: int
    run: ShadowRun


@lru_cache(maxsize=128)
def compute(controls: Controls) -> Errors:
    """Run a net on 128 digits in the format, with a float64 shadow.

    >>> found = compute(Controls(gate="tanh", layers=4))
    >>> bool(0.5 < found.backward.error[0] / 2**-11 < 4), found.flipped.any()
    (True, np.False_)
    """
    model = network(controls.seed, controls.layers)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    images, labels = (part[:BATCH] for part in digits(split="train"))
    gates, scale = _exact(controls, layers, images, labels)

    def loss() -> Any:
        logits = _forward(controls, layers, images, gates)
        return ops.cross_entropy(logits, labels) * np.float32(2.0**scale)

    run = shadow(loss, controls.fmt)
    back = [n for n in run.nodes if n.backward]
    activations = [n for n in run.nodes if n.op in ("relu", "where", "tanh")]
    flips = [n.flipped / n.size for n in activations if not n.backward]
    return Errors(
        _side([n for n in run.nodes if n.op == "linear" and not n.backward]),
        _side(_of_weights(back, layers)),
        np.array(flips),
        sum(n.underflows for n in back),
        sum(n.overflows for n in back),
        scale,
        run,
    )


def _of_weights(back: list[NodeError], layers: list[Any]) -> list[NodeError]:
    """The gradients that come out of the products, rounded, on their way to weights."""
    found = []
    casts = [n for n in back if n.op == "cast"][::-1]  # now in the order of the layers
    for layer in layers:
        size = layer.weight.size
        at = next(i for i, n in enumerate(casts) if n.size == size)
        found.append(casts[at])
        del casts[: at + 1]
    return found


def _forward(controls: Controls, layers: list[Any], x: Any, gates: Any) -> Any:
    h = x
    for k, layer in enumerate(layers):
        if k:
            if controls.gate == "tanh":
                h = ops.tanh(h)
            elif controls.gate == "ReLU":
                h = ops.relu(h)
            else:
                h = ops.where(gates[k - 1], h, 0.0)
        h = ops.linear(h, layer.weight, layer.bias)
    return h


def _exact(
    controls: Controls, layers: list[Any], images: np.ndarray, labels: np.ndarray
) -> tuple[list[np.ndarray], int]:
    """Which gates are open in float64; and how far the loss can be scaled up."""
    exact = [
        nn.Linear(*p.weight.shape[::-1], rng=np.random.default_rng(0), dtype=np.float64)
        for p in layers
    ]
    for wide, narrow in zip(exact, layers, strict=True):
        wide.load_state_dict(
            {k: np.asarray(v, np.float64) for k, v in narrow.state_dict().items()}
        )
    gates, h = [], Tensor(images.astype(np.float64))
    outputs = []
    for k, layer in enumerate(exact):
        if k:
            gates.append(h.data > 0)
            h = ops.tanh(h) if controls.gate == "tanh" else ops.relu(h)
        h = layer(h)
        h.retain_grad()
        outputs.append(h)
    ops.cross_entropy(h, labels).backward()
    largest = max(
        float(np.abs(t.grad).max())
        for t in (*outputs, *(p for layer in exact for p in layer.parameters()))
    )
    room = np.log2(formats.get(controls.fmt).max / largest) - 2
    return gates, int(min(np.floor(room), 24))


def _side(nodes: list[NodeError]) -> Side:
    return Side(
        *(np.array([getattr(n, name) for n in nodes])
          for name in ("error", "born", "inherited"))
    )  # fmt: skip
