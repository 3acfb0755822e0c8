"""Where boxes and arrows go: a layered layout of an acyclic graph, in pixels."""

from .boxes import Arrow, Box, Layout, Route, Spot
from .placement import place

__all__ = ["Arrow", "Box", "Layout", "Route", "Spot", "place"]
