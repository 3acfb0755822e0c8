"""Memory that a step frees is kept by the process for the next step.

A training step allocates in forward what backward frees, in stack order. The allocator
of Linux gives the top of its heap back to the system whenever more than a little lies
free there, and fetches it again page by page: for large arrays the page faults then
cost more than the arithmetic.
"""

import os
import sys
from ctypes import CDLL

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT = 2**28  # bytes free at the top of the heap, from which they are given back
MAPPED = 2**25  # size from which an array is mapped on its own, as glibc has it at most


def keep_freed() -> bool:
    """Let up to 256 MB of freed memory stay with the process; say whether it will.

    Only with glibc, and only if no variable of the environment says otherwise.
    """
    own = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"
    if sys.platform != "linux" or any(name in os.environ for name in own):
        return False
    mallopt = getattr(CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, MAPPED))
