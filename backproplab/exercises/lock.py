"""A lock on a file, held while nobody else may change what it stands for."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file; the system frees it even if the kernel is killed."""
    with path.open("a+b") as file:
        _lock(file)
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: Any) -> None:
        file.seek(0)
        for _ in range(500):
            with suppress(OSError):
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return
            time.sleep(0.01)
        raise TimeoutError("the lock is held by another notebook")

    def _unlock(file: Any) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: Any) -> None:
        # A file system without locks still has the atomic rename.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)

    def _unlock(file: Any) -> None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
