"""What gives the sliders of a lab their names and, in JupyterLab, the arrow keys."""

import anywidget

from .drawing import STATIC


class Keys(anywidget.AnyWidget):
    """An invisible child of a lab: what has the focus there gets the keys itself."""

    _esm = STATIC / "keys.js"

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})

    def __repr__(self) -> str:
        return "<Keys>"
