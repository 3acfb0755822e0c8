"""Views of a recorded run for JupyterLab; ipywidgets and anywidget enter here."""

from .depth import DepthLab
from .exercise_card import ExerciseCard
from .flow import GradientFlow
from .graph import GraphExplorer
from .paths import ChainRuleStepper

__all__ = [
    "ChainRuleStepper",
    "DepthLab",
    "ExerciseCard",
    "GradientFlow",
    "GraphExplorer",
]
