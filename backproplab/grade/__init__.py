"""Judging answers: ``compare`` two arrays, ``check`` a derivation link by link."""

from .compare import compare
from .follow import GradeError, check
from .verdict import LABELS, Report, Verdict

__all__ = ["LABELS", "GradeError", "Report", "Verdict", "check", "compare"]
