"""The pane under the net: a gradient written out, once the picture is on its way."""

import asyncio
from collections.abc import Callable

import ipywidgets

from .chain import Chain

WAIT = 0.04  # seconds that the picture goes first


class ChainPane(ipywidgets.HTMLMath):
    """Shows the gradient of the chosen weight.

    Args:
        explain: makes the chain, and writes it as HTML.
    """

    def __init__(self, explain: Callable[[], tuple[Chain, str]]) -> None:
        super().__init__()
        self.add_class("bpl-pane")
        self.add_class("bpl-chain")
        self._explain = explain
        self._due: asyncio.TimerHandle | None = None
        self._chain: Chain | None = None

    @property
    def chain(self) -> Chain | None:
        """What is written out; what is due is written first."""
        if self._due is not None:
            self._write()
        return self._chain

    def write_soon(self) -> None:
        """Write it once the picture is on its way; at once if there is no loop."""
        self.drop()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._due = loop.call_later(WAIT, self._write)

    def drop(self) -> None:
        """Do not write what is due."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def forget(self) -> None:
        """Let go of the chain: its net is gone."""
        self._chain = None

    def _write(self) -> None:
        self.drop()
        self._chain, self.value = self._explain()
