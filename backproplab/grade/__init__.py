"""Judging answers: ``compare`` arrays, ``check`` a derivation, ``diagnose`` a slip."""

from typing import TYPE_CHECKING

from ..errors import unknown
from .compare import compare
from .diagnose import diagnose
from .diagnosis import Diagnosis
from .follow import check
from .verdict import LABELS, GradeError, Report, Verdict

__all__ = [
    "LABELS",
    "Diagnosis",
    "GradeError",
    "Report",
    "Verdict",
    "check",
    "compare",
    "diagnose",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
