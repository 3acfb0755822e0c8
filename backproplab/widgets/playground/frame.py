"""What one picture of the playground shows, in numbers, and as the bytes of a frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ...sockets import no_grad
from ...trace import record
from .data import REACH, features, grid
from .net import Controls, Training, load, loss_of, responses
from .places import places

MIDDLE = 128  # the byte of 0; 127 steps either way


@dataclass(frozen=True, slots=True, eq=False)
class Backward:
    """One backward pass over a batch, as the tape recorded it.

    Attributes:
        loss: mean over the batch.
        weights: dL/dW of each layer, (units, inputs), the first layer first.
        units: dL/dh of each hidden layer and dL/dz of the output, (n, units).
    """

    loss: float
    weights: tuple[np.ndarray, ...]
    units: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Everything that changes from one picture to the next.

    Attributes:
        step: which step of the training this is.
        losses: (training, held out).
        weights: W of each layer, (units, inputs).
        maps: (neurons, GRID²) bytes, features first, the output last: 128 is 0, above
            is positive. Hidden units of tanh and sigmoid by their own scale, others by
            their largest magnitude; the output is 2p - 1, p the chance of class 1.
        batch: which examples the backward pass is over.
        backward: None where only values are shown.
    """

    step: int
    losses: tuple[float, float]
    weights: tuple[np.ndarray, ...]
    maps: np.ndarray
    batch: np.ndarray
    backward: Backward | None


def compute(
    training: Training,
    net: nn.Sequential,
    row: np.ndarray,
    step: int,
    *,
    backward: bool = False,
) -> Frame:
    """Compute a picture from weights.

    Args:
        training: what the weights are from.
        net: a net to load them into; its gradients are overwritten.
        row: the weights.
        step: whose they are.
        backward: whether to run a recorded backward pass over the last batch.

    >>> training = Training(Controls())
    >>> frame = compute(training, training.net, training.latest, 0)
    >>> frame.maps.shape, [w.shape for w in frame.weights]
    ((9, 1600), [(4, 2), (2, 4), (1, 2)])
    """
    load(net, row)
    c = training.controls
    seen = features(grid(), c.features)
    with no_grad(), np.errstate(all="ignore"):
        *hidden, logits = responses(net, seen)
    shown = [_scaled(a) for a in seen.T]
    bounded = c.activation in ("tanh", "sigmoid")
    for h in hidden:
        shown += list(h.T) if bounded else [_scaled(a) for a in h.T]
    shown.append(np.tanh(logits[:, 0] / 2))
    matrices = tuple(m.weight.data.copy() for m in net if isinstance(m, nn.Linear))
    batch = training.batch
    return Frame(
        step, training.measured(row), matrices, _bytes(shown), batch,
        run_backward(net, training, batch) if backward else None,
    )  # fmt: skip


def run_backward(net: nn.Sequential, training: Training, batch: np.ndarray) -> Backward:
    """Record a backward pass over some of the training points, and read it."""
    net.zero_grad()
    last = len(training.controls.hidden) + 1
    with np.errstate(all="ignore"), record() as run:
        loss = loss_of(net, training.x[batch], training.points.y[batch])
        loss.backward()
    weights = [run[f"fc{k}.weight"].grad for k in range(1, last)]
    units = [run[_unit(training.controls, k)].grad for k in range(1, last)]
    return Backward(
        loss.item(),
        tuple(map(np.asarray, [*weights, run["out.weight"].grad])),
        tuple(map(np.asarray, [*units, run["out"].grad])),
    )


def pack(frame: Frame, version: int, training: Training) -> bytes:
    """Write a frame for the browser: float32 numbers, then the maps' bytes.

    The numbers: version, step, two losses, whether backward is there, n of the batch,
    how many losses follow; the weights; the batch; dL/dW; dL/dh by layer and unit; the
    steps and the two losses of the snapshots.
    """
    back = frame.backward
    n = len(frame.batch) if back is not None else 0
    parts: list[Any] = [
        [version, frame.step, *frame.losses, back is not None, n, len(training.steps)],
        *(w.ravel() for w in frame.weights),
    ]
    if back is not None:
        parts += [frame.batch, *(w.ravel() for w in back.weights)]
        parts += [u.T.ravel() for u in back.units]
    curves = np.array(training.losses).T
    parts += [training.steps, curves.ravel()]
    with np.errstate(over="ignore"):
        numbers = np.concatenate([np.asarray(p, np.float32).ravel() for p in parts])
    return numbers.tobytes() + frame.maps.tobytes()


def nearest(training: Training, x: float, y: float) -> int:
    """Find the training point closest to a place."""
    off = training.points.x - [x, y]
    return int(np.argmin((off * off).sum(axis=1)))


def scene(training: Training, version: int) -> dict[str, Any]:
    """What stays the same from frame to frame: names, places, points."""
    c, p = training.controls, training.points
    return {
        "version": version,
        "features": list(c.features),
        "widths": list(c.widths),
        "places": places(c),
        "reach": REACH,
        "points": np.round(p.x, 3).tolist(),
        "classes": p.y.astype(int).tolist(),
    }


def _unit(c: Controls, k: int) -> str:
    """The module whose output are the units of a layer; an identity makes none."""
    return f"fc{k}" if c.activation == "linear" else f"act{k}"


def _scaled(a: np.ndarray) -> np.ndarray:
    return a / (np.max(np.abs(a), initial=0.0) or 1.0)


def _bytes(shown: Any) -> np.ndarray:
    a = np.nan_to_num(np.asarray(shown), posinf=1, neginf=-1)
    return (MIDDLE + 0.5 + 127 * np.clip(a, -1, 1)).astype(np.uint8)
