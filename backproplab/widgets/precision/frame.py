"""What the sections of PrecisionLab share: controls, words, a picture, a hint."""

from collections.abc import Iterable, Sequence
from typing import Any

import anywidget
import ipywidgets
import traitlets

from ..drawing import STATIC
from ..lab import bar, hint
from .bits_picture import own_css

EMULATED = (
    "Emulated: numbers lie on the format's grid and are held in float32; products add "
    "up in float32 and are rounded once. A GPU may differ in the last bits."
)


class Pressed(anywidget.AnyWidget):
    """A picture whose marked parts can be pressed; ``on_msg`` tells which."""

    _esm = STATIC / "precision.js"
    picture = traitlets.Unicode("").tag(sync=True)

    def __repr__(self) -> str:
        return "<Pressed>"


def framed(
    bars: Sequence[Sequence[ipywidgets.Widget]],
    body: Iterable[ipywidgets.Widget],
    words: str,
) -> list[ipywidgets.Widget]:
    """List the children of a section: style, bars, body, and what to try."""
    style = ipywidgets.HTML(f"<style>{own_css()}</style>", layout={"display": "none"})
    return [style, *(bar(*b) for b in bars), *body, hint(f"{words}<br>{EMULATED}")]


def choice(
    options: Sequence[Any], value: Any, name: str, width: int = 210, **more: Any
) -> Any:
    """A menu."""
    return ipywidgets.Dropdown(
        options=options, value=value, description=name,
        layout={"width": f"{width}px"}, **more,
    )  # fmt: skip


def button(name: str, tip: str) -> Any:
    """A button with a name and what it does."""
    return ipywidgets.Button(description=name, tooltip=tip, layout={"width": "auto"})
