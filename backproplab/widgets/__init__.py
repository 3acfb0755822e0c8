"""Views of a recorded run for JupyterLab; ipywidgets and anywidget enter here."""

from typing import TYPE_CHECKING

from ..errors import unknown
from .batch_norm import BatchNormLab
from .depth import DepthLab
from .descent import DescentLab
from .exercise_card import ExerciseCard
from .flow import GradientFlow
from .graph import GraphExplorer
from .paths import ChainRuleStepper
from .playground import PlaygroundLab
from .precision import PrecisionLab
from .replica import ReplicaLab

__all__ = [
    "BatchNormLab",
    "ChainRuleStepper",
    "DepthLab",
    "DescentLab",
    "ExerciseCard",
    "GradientFlow",
    "GraphExplorer",
    "PlaygroundLab",
    "PrecisionLab",
    "ReplicaLab",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
