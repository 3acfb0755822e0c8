"""Views of a recorded run for JupyterLab; ipywidgets and anywidget enter here."""

from .exercise_card import ExerciseCard
from .flow import GradientFlow
from .graph import GraphExplorer

__all__ = ["ExerciseCard", "GradientFlow", "GraphExplorer"]
