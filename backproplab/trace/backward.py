"""What backward did, step by step, out of what was heard while it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .entry import Entry

ARRIVED, HOOKED = -1, -2  # in the place of an input's position

# (entry that sent it or whose gradient is whole, position of the input or ARRIVED or
# HOOKED, node id of the receiver, array)
Heard = tuple[int, int, int, "np.ndarray"]


class Passes:
    """Sorts what was heard of backward into entries and steps, when first read.

    Attributes:
        heard: what is not sorted yet, in the order of time.
        steps: one for each step of backward: entry, [(input, its nth contribution)].
    """

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.steps: list[tuple[int, list[tuple[int, int]]]] = []
        self._sends: dict[int, list[tuple[int, int]]] = {}  # of an entry's latest step
        # Node id -> the entry that contributions go to: a leaf that changed between
        # forward and backward has a newer one, which they do not concern.
        self._received: dict[int, int] = {}

    def sort(self, entries: list[Entry]) -> None:
        """Give the entries their contributions, gradients and seeds."""
        heard, self.heard[:] = list(self.heard), ()
        for k, position, node, array in heard:
            if position >= 0:
                self._edge(entries, k, position, node, array)
            else:
                k = self._received.pop(node, k)
                self._arrive(k, entries[k], array, position == HOOKED)

    def _edge(
        self, entries: list[Entry], output: int, k: int, node: int, c: Any
    ) -> None:
        x = entries[output].inputs[k]
        received = entries[x].contributions
        self._sends[output].append((x, len(received)))
        received.append((output, k, c))
        self._received[node] = x

    def _arrive(self, k: int, entry: Entry, g: Any, hooked: bool) -> None:
        entry.grad = g if entry.grad is None else entry.grad + g
        new = entry.contributions[entry.seen :]
        outside = g
        if new:
            entry.seen += len(new)
            sum_ = new[0][2]
            for _, _, c in new[1:]:
                sum_ = sum_ + c
            same = hooked or sum_ is g or np.array_equal(sum_, g, equal_nan=True)
            outside = None if same else g - sum_
        if outside is not None:
            entry.seed = outside if entry.seed is None else entry.seed + outside
        sends: list[tuple[int, int]] = []
        self._sends[k] = sends
        self.steps.append((k, sends))
