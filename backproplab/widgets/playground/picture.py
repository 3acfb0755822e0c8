"""The playground as a still picture: SVG for a page without a kernel."""

from base64 import b64encode
from html import escape
from struct import pack
from typing import Any
from zlib import compress, crc32

import numpy as np

from ..drawing import STATIC, opening
from ..numerals import number
from ..panels import css
from .data import GRID, REACH
from .frame import Frame
from .net import Training
from .places import OUTPUT, SIZE, places
from .spelt import called

POSITIVE, ZERO, NEGATIVE = (0, 114, 178), (247, 247, 247), (230, 159, 0)


def render(training: Training, frame: Frame, *, alone: bool = True) -> str:
    """Draw a frame: features, units with their responses, weights, the output.

    Solid and blue is positive, dashed and orange negative; thickness is magnitude. With
    a backward pass: lines are dL/dw, positive solid, negative dashed.

    Args:
        training: what the frame is from.
        frame: what to draw.
        alone: carry the style, for a page without the widget.
    """
    c, at = training.controls, places(training.controls)
    layers = at["layers"]
    back = frame.backward
    shown = frame.weights if back is None else back.weights
    label = (
        f"A net of {', '.join(map(str, c.widths))} units after {frame.step} steps: "
        f"loss {number(frame.losses[0])}, held out {number(frame.losses[1])}"
    )
    parts = [
        opening(at["width"], at["height"], "img", label, " bpl-playground"),
        f"<style>{looks()}</style>" if alone else "",
        '<rect class="bpl-paper" width="100%" height="100%"/>',
        *_lines(shown, layers, backward=back is not None),
    ]
    n = 0
    for k, layer in enumerate(layers):
        size = OUTPUT if k == len(layers) - 1 else SIZE
        for j, (x, y) in enumerate(layer):
            parts.append(_map(frame.maps[n], x, y, size, called(c, k, j)))
            if k == 0:
                parts.append(_text(x - 8, y + SIZE / 2 + 4, c.features[j], "end"))
            n += 1
    x, y = layers[-1][0]
    parts += _points(training, x, y)
    parts.append(_text(x, y - 10, "output: which class?"))
    words = f"step {frame.step} · loss {number(frame.losses[0])}"
    parts.append(_text(x, y + OUTPUT + 18, words))
    parts += _curves(training, at["curve"])
    return "".join([*parts, "</svg>"])


def looks() -> str:
    """The style of the playground, with the colours of the house."""
    return css() + STATIC.joinpath("playground.css").read_text("utf-8")


def png(values: np.ndarray, side: int) -> bytes:
    r"""Write bytes around 128 as a small coloured PNG, row by row from the top.

    >>> png(np.full(4, 128, np.uint8), 2)[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    share = (np.asarray(values, float) - 128) / 127
    ends = np.where(share[:, None] > 0, POSITIVE, NEGATIVE)
    mixed = np.abs(share)[:, None] * ends + (1 - np.abs(share))[:, None] * ZERO
    rows = np.clip(mixed, 0, 255).astype(np.uint8).reshape(side, 3 * side)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", compress(raw)), (b"IEND", b""))
    )


def thickness(weights: Any, backward: bool) -> np.ndarray:
    """How thick lines are, in pixels; gradients are taken by the layer's largest."""
    size = np.abs(np.nan_to_num(np.asarray(weights, float), posinf=9, neginf=-9))
    if backward:
        size = 2.5 * size / (size.max(initial=0.0) or 1.0)
    return np.clip(0.4 + 1.9 * size, 0.4, 6.0)


def _lines(shown: Any, layers: Any, *, backward: bool) -> list[str]:
    parts = []
    for k, matrix in enumerate(shown):
        thick = thickness(matrix, backward)
        for (j, i), w in np.ndenumerate(matrix):
            x, y = layers[k][i][0] + SIZE, layers[k][i][1] + SIZE / 2
            u, v = layers[k + 1][j]
            v += OUTPUT / 2 if k == len(layers) - 2 else SIZE / 2
            m = (x + u) / 2
            kind = f"{'g' if backward else 'w'} {'neg' if w < 0 else 'pos'}"
            parts.append(
                f'<path class="bpl-edge {kind}" stroke-width="{thick[j, i]:.1f}" '
                f'd="M{x:g},{y:g}C{m:g},{y:g} {m:g},{v:g} {u:g},{v:g}"/>'
            )
    return parts


def _map(values: np.ndarray, x: float, y: float, size: float, name: str) -> str:
    data = b64encode(png(values, GRID)).decode()
    return (
        f'<image x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" '
        f'href="data:image/png;base64,{data}"><title>{escape(name)}</title></image>'
        f'<rect class="bpl-cell" x="{x:g}" y="{y:g}" width="{size:g}" '
        f'height="{size:g}"/>'
    )


def _points(training: Training, x: float, y: float) -> list[str]:
    paths = ["", ""]
    scale = OUTPUT / (2 * REACH)
    for (a, b), kind in zip(training.points.x, training.points.y, strict=True):
        if max(abs(a), abs(b)) > REACH:
            continue
        u, v = x + (a + REACH) * scale, y + (REACH - b) * scale
        paths[int(kind)] += (
            f"M{u - 3:.1f},{v - 3:.1f}h6v6h-6z"
            if kind
            else f"M{u - 3:.1f},{v:.1f}a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z"
        )
    return [
        f'<path class="bpl-point c{kind}" d="{d}"/>' for kind, d in enumerate(paths)
    ]


def _curves(training: Training, box: list[float]) -> list[str]:
    x, y, w, h = box
    curves = np.array(training.losses, float).T
    top = float(np.max(curves[np.isfinite(curves)], initial=1e-9))
    parts = [f'<path class="bpl-cell" d="M{x:g},{y:g}v{h:g}h{w:g}"/>']
    steps = np.array(training.steps, float) / max(training.steps[-1], 1)
    for kind, line in zip(("train", "held"), curves, strict=True):
        down = np.clip(np.nan_to_num(line / top, nan=1, posinf=1), 0, 1)
        spots = [
            f"{x + w * s:.1f},{y + h * (1 - d):.1f}"
            for s, d in zip(steps, down, strict=True)
        ]
        parts.append(f'<path class="bpl-curve {kind}" d="M{"L".join(spots)}"/>')
    words = "loss by step: solid; on held out points: dashed"
    parts.append(_text(x, y + h + 15, words))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text class="tick" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
