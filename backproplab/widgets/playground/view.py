"""The net in the browser, drawn by ``static/playground.js``."""

import anywidget
import traitlets

from ..drawing import STATIC


class PlaygroundView(anywidget.AnyWidget):
    """The net in the browser; PlaygroundLab feeds it and listens to it."""

    _esm = STATIC / "playground.js"
    scene = traitlets.Dict().tag(sync=True)
    frame = traitlets.Bytes(b"").tag(sync=True)
    selected = traitlets.List([1, 0, 0]).tag(sync=True)
    example = traitlets.Int(0).tag(sync=True)
    backward = traitlets.Bool(False).tag(sync=True)
    stage = traitlets.Int(0).tag(sync=True)
    told = traitlets.Unicode("").tag(sync=True)
