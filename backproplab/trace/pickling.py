"""A run as bytes, to be copied or sent to another process: what its file holds."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .files import load_trace

if TYPE_CHECKING:
    from .run import Trace


def as_bytes(run: Trace) -> bytes:
    """Give what ``run.save`` writes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        run.save(path)
        return path.read_bytes()


def from_bytes(data: bytes) -> Trace:
    """Bring back a run, as ``load_trace`` does."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        path.write_bytes(data)
        return load_trace(path)
