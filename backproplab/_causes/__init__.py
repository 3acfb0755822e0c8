"""What is likely wrong with a rule, judging by what it gave; no rule is changed."""

from .case import Case
from .causes import cause_of_jvp, cause_of_vjp

__all__ = ["Case", "cause_of_jvp", "cause_of_vjp"]
