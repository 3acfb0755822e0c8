"""What a run looked like, as data: ``record()`` gives a ``Trace`` of ``Record``s."""

from .files import load_trace
from .paths import Path, Paths
from .run import Record, Step, Trace, record

__all__ = ["Path", "Paths", "Record", "Step", "Trace", "load_trace", "record"]
