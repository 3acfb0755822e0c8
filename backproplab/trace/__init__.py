"""What a run looked like, as data: ``record()`` gives a ``Trace`` of ``Record``s."""

from .files import load_trace
from .paths import Path, Paths
from .records import Record, Step
from .run import Trace, record

__all__ = ["Path", "Paths", "Record", "Step", "Trace", "load_trace", "record"]
