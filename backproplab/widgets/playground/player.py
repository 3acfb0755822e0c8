"""Player: turns taken in the kernel's loop, as long as somebody sees what they show."""

import asyncio
from collections.abc import Callable
from time import perf_counter

PERIOD = 0.022  # seconds from frame to frame, where all goes well
AHEAD = 6  # frames that may be under way before the browser answers
PATIENCE = 100  # waits of PERIOD for an answer, after which nobody is looking


class Player:
    """Takes turns, and leaves the loop to others in between.

    The browser answers some of the frames. Without answers the player waits, then
    stops and remembers that it would go on: the next answer wakes it.

    Args:
        turn: makes one frame, and says whether to stop.
        ended: called when it stopped by itself, with True, or broke down, with False.

    Attributes:
        task: of the loop; None while it does not play.
    """

    def __init__(self, turn: Callable[[], bool], ended: Callable[[bool], None]) -> None:
        self._turn, self._ended = turn, ended
        self._sent = self._answered = 0
        self._asleep = False
        self.task: asyncio.Task[None] | None = None

    @property
    def playing(self) -> bool:
        """Whether turns are taken."""
        return self.task is not None

    def play(self) -> bool:
        """Begin, or go on; False without a running loop."""
        self._asleep = False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self.task is None:
            self._answered = self._sent
            self.task = loop.create_task(self._play())
        return True

    def stop(self) -> bool:
        """Stop; say whether it played."""
        self._asleep = False
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        return task is not None

    def answered(self) -> bool:
        """Take in that somebody looks; say whether the player is to be woken."""
        self._answered = self._sent
        return self._asleep

    async def _play(self) -> None:
        well = False
        try:
            while not await self._frame():
                pass
            well = True
        finally:
            # Not if it was stopped: then another may have begun already.
            if self.task is asyncio.current_task():
                self.task = None
                self._ended(well)

    async def _frame(self) -> bool:
        """One frame and the wait after it; True at the end."""
        begun = perf_counter()
        if self._turn():
            return True
        self._sent += 1
        await asyncio.sleep(max(0.004, PERIOD - (perf_counter() - begun)))
        for _ in range(PATIENCE):
            if self._sent - self._answered < AHEAD:
                return False
            await asyncio.sleep(PERIOD)
        self._asleep = True
        return True
