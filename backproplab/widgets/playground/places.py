"""Where each neuron of the playground stands, in the live picture and the still."""

from typing import Any

from .net import Controls

WIDTH, TOP, PITCH, SIZE = 828.0, 46.0, 47.0, 38.0  # of the stage; of a neuron
OUTPUT, LEFT, RIGHT = 250.0, 58.0, 574.0  # side of the output map; first and last x
LOWEST = 372.0  # where the loss curve ends, at least


def places(c: Controls) -> dict[str, Any]:
    """Find the upper left corner of each neuron, layer by layer, and the sizes."""
    rows = max(c.widths)
    height = max(LOWEST + 36, TOP + rows * PITCH + 14)
    middle = TOP + (height - TOP - 14) / 2
    columns = len(c.hidden) + 1
    layers = []
    for k, n in enumerate(c.widths[:-1]):
        x = LEFT + k * (RIGHT - 20 - LEFT) / columns
        y = middle - n * PITCH / 2
        layers.append([[round(x, 1), round(y + j * PITCH, 1)] for j in range(n)])
    layers.append([[RIGHT, TOP]])
    return {
        "layers": layers, "size": SIZE, "output": OUTPUT, "width": WIDTH,
        "height": height, "curve": [RIGHT, TOP + OUTPUT + 34, OUTPUT, 54],
    }  # fmt: skip
