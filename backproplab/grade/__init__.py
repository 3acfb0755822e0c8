"""Judging answers: ``compare`` arrays, ``check`` a derivation, ``diagnose`` a slip."""

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
