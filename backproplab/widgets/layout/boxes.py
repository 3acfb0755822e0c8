"""Boxes and arrows, and where they come to stand: plain data, in pixels."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed.

    Attributes:
        key: unique.
        width: in pixels.
        height: in pixels.
        frames: keys of the frames it stands in, outermost first.
        beside: whether it may stand at the side of its only consumer.
    """

    key: str
    width: float
    height: float
    frames: tuple[str, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a value to what is computed from it; the same pair may come twice."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A rectangle by its left upper corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def cx(self) -> float:
        """Middle from left to right."""
        return self.x + self.width / 2

    @property
    def cy(self) -> float:
        """Middle from top to bottom."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """Right end."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower end."""
        return self.y + self.height

    def meets(self, other: "Spot") -> bool:
        """Tell whether two rectangles overlap."""
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.bottom
            and other.y < self.bottom
        )


@dataclass(frozen=True, slots=True)
class Route:
    """The points that an arrow passes, downwards; level from a box at the side."""

    points: tuple[tuple[float, float], ...]
    level: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes.

    Attributes:
        spots: by box key.
        routes: in the order of the arrows.
        frames: by frame key; one that would cover a stranger's box is left out.
        width: of the whole.
        height: of the whole.
    """

    spots: dict[str, Spot]
    routes: tuple[Route, ...]
    frames: dict[str, Spot]
    width: float
    height: float
