"""Running a learner's code within bounds: what it raises, or how long, is told."""

import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from ..grade import Verdict

LINES = 300_000  # of the learner's code, in one call
_HOUSES = (str(Path(__file__).parents[1]), str(Path(np.__file__).parent))


class MistakeError(Exception):
    """A verdict that ends the probing."""

    def __init__(self, label: str, says: str) -> None:
        super().__init__(says)
        self.verdict = Verdict(label, says)


class _TooLong(BaseException):
    """Past ``except Exception`` of the learner's own."""


def bounded(call: Callable[..., Any], *args: Any, lines: int = LINES) -> Any:
    """Call the learner's code, for so many of its lines.

    Raises:
        TimeoutError: if it runs longer.
    """
    left = lines

    def line(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left < 0:
            raise _TooLong
        return line

    def entered(frame: FrameType, event: str, arg: Any) -> Any:
        return None if frame.f_code.co_filename.startswith(_HOUSES) else line

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        return call(*args)
    except _TooLong:
        raise TimeoutError(f"stopped after {lines:,} lines") from None
    finally:
        sys.settrace(before)


def tried(call: Callable[..., Any], *args: Any, doing: str) -> Any:
    """Call the learner's code on a small graph; what it raises becomes a verdict.

    Raises:
        MistakeError: if it raises, or does not come to an end.
    """
    try:
        with np.errstate(all="ignore"):
            return bounded(call, *args)
    except MistakeError:
        raise
    except TimeoutError:
        raise MistakeError(
            "endless",
            f"{doing} does not come to an end: it was stopped after {LINES:,} lines. "
            "Does the list of what is left get shorter in every round?",
        ) from None
    except RecursionError:
        raise MistakeError(
            "endless", f"{doing} calls itself without an end, on a graph of few values."
        ) from None
    except Exception as error:
        raise MistakeError("error", f"{doing}: {told(error)}") from None


def told(error: BaseException) -> str:
    """Say an error and the line of the learner's that it came from, no traceback."""
    place, at = "", error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if not code.co_filename.startswith(_HOUSES):
            text = linecache.getline(code.co_filename, at.tb_lineno).strip()
            inside = f" of `{code.co_name}`" if code.co_name.isidentifier() else ""
            place = f" Line {at.tb_lineno}{inside}" + (f": `{text}`" if text else "")
        at = at.tb_next
    says = f"{type(error).__name__}: {error}".strip(": ")
    return f"{says}.{place}{'.' if place else ''}"
