"""Which of several processes ended first, where the system can tell."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterable


class Vigil:
    """Watches processes from now on; to be closed.

    Linux queues their ends in the order in which they come. Elsewhere, and on Linux
    before 5.3, nothing is known.

    Args:
        pids: of the processes.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._first: int | None = None
        self._pids: dict[int, int] = {}  # by file descriptor
        self._queue: select.epoll | None = None
        if sys.platform == "linux":
            try:
                for pid in pids:
                    self._watch(pid)
            except OSError:  # an old system; or one has ended already
                self.close()

    def first(self) -> int | None:
        """Find the process that ended first; None if none has, or nothing is known."""
        if self._first is None and self._queue is not None:
            ended = self._queue.poll(0)
            self._first = self._pids[ended[0][0]] if ended else None
        return self._first

    def _watch(self, pid: int) -> None:
        self._queue = self._queue or select.epoll()
        watched = os.pidfd_open(pid)
        self._pids[watched] = pid
        self._queue.register(watched, select.EPOLLIN)

    def close(self) -> None:
        """Watch no longer; harmless if it is closed."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.close()
            for watched in self._pids:
                os.close(watched)
