"""What the playground says under the net; plain sentences."""

import numpy as np

from ..numerals import norm, number
from .frame import Frame
from .net import Training


def said(training: Training, frame: Frame, stage: int, playing: bool) -> str:
    """Say what is to be seen.

    >>> from .frame import compute
    >>> from .net import Controls
    >>> t = Training(Controls())
    >>> said(t, compute(t, t.net, t.latest, 0), 0, True)
    'It trains. Pause to look closer.'
    """
    if not all(np.isfinite(w).all() for w in frame.weights):
        return (
            "The weights are no numbers any more: the training has diverged. "
            "Lower the learning rate, then take new weights or scrub back."
        )
    if frame.backward is not None:
        return _backward(training, frame, stage)
    if playing:
        return "It trains. Pause to look closer."
    return (
        f"Step {frame.step}: mean loss {number(frame.losses[0])}, on held out points "
        f"{number(frame.losses[1])}. Choose a weight to read its gradient below."
    )


def _backward(training: Training, frame: Frame, stage: int) -> str:
    back = frame.backward
    assert back is not None
    depth = len(training.controls.hidden)
    n = len(frame.batch)
    if stage == 0:
        return (
            f"The loss of this batch of {n} is {number(back.loss)}. Press Next: the "
            "error signal starts at the output and comes back layer by layer."
        )
    if stage == 1:
        return (
            f"At the output dL/dz = (σ(z) − y)/{n} for each example: ● says lower z, ○ "
            "says raise it. Times what came in, it is the gradient of the weights "
            "that lead here."
        )
    layer = depth + 2 - stage
    here, after = (norm(back.units[k]) for k in (layer - 1, layer))
    share = (
        f", {number(here / after)} of what stood at the layer after it" if after else ""
    )
    return (
        f"dL/dh of hidden layer {layer} is the signal of the layer after it, times "
        f"its slopes, back through the weights: its size is {number(here)}{share}."
        + (" The signal has come through the whole net." if layer == 1 else "")
    )
