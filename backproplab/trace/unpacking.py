"""Names of values that one line unpacks into several variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .names import is_bound

if TYPE_CHECKING:
    from types import FrameType

    from .entry import Entry


class Unpacking:
    """Values of ``a, b = np.split(x, 2)``, until the line's variables hold them.

    Which variable takes which value the bytecode does not say: it shows afterwards.

    Attributes:
        waits: whether there are values without a name yet.
    """

    def __init__(self) -> None:
        self.waits = False
        self._values: list[tuple[Entry, FrameType | None, tuple[str, ...]]] = []
        self._at: tuple[FrameType | None, int] = (None, 0)

    def add(
        self,
        entry: Entry,
        space: FrameType | None,
        names: tuple[str, ...],
        frame: FrameType,
    ) -> None:
        """Take in a value.

        Args:
            entry: its record.
            space: the frame in which the variables live.
            names: the variables.
            frame: where it is computed.
        """
        self._values.append((entry, space, names))
        self._at, self.waits = (frame, frame.f_lasti), True

    def goes_on(self, frame: FrameType | None) -> bool:
        """Whether the line is still at it."""
        return frame is not None and self._at == (frame, frame.f_lasti)

    def name(self) -> None:
        """Name the values that the variables hold, and forget the rest."""
        for entry, space, names in self._values:
            if space is None or entry.node is None:
                continue
            for name in names:
                if is_bound(name, space, entry.node):
                    entry.assigned = dotted(entry.scope, name)
        self._values.clear()
        self._at, self.waits = (None, 0), False


def dotted(scope: str, name: str) -> str:
    """A name behind the scope that it stands in.

    >>> dotted("fc1", "h"), dotted("", "h")
    ('fc1.h', 'h')
    """
    return f"{scope}.{name}" if scope else name
