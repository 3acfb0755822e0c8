"""Pictures for paper and slides; matplotlib enters here and loads when first used."""

from typing import TYPE_CHECKING

from ..errors import unknown
from .charts import by_layer, gradient_flow, histograms, over_steps
from .figures import (
    BACKWARD,
    BLACK,
    BLUE,
    CYCLE,
    FORWARD,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    SOFT,
    TEXT,
    TITLE,
    VERMILLION,
    figure,
    house,
    png,
    style,
    svg,
)

__all__ = [
    "BACKWARD", "BLACK", "BLUE", "CYCLE", "FORWARD", "GREEN", "INK", "ORANGE", "PURPLE",
    "SKY", "SMALL", "SOFT", "TEXT", "TITLE", "VERMILLION", "by_layer",
    "figure", "gradient_flow", "histograms", "house", "over_steps", "png", "style",
    "svg",
]  # fmt: skip

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
