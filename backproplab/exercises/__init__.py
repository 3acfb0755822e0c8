"""Exercises: gradients to derive by hand, judged by the engine.

``get(id)`` hands one out, ``names()`` lists them, ``progress()`` shows what is solved.
``Problem`` and ``validate`` are for those who write new ones.

In nbgrader a test cell is ``verdict = q.check(answer, strict=True)``: it raises on a
wrong answer, and shows nothing that could be taken for points. In the cell above it,
the instructor writes the answer between the lines ``### BEGIN SOLUTION`` and
``### END SOLUTION``; nbgrader takes it out for the learners.
"""

from typing import TYPE_CHECKING

from ..errors import NameLookupError, near, unknown
from . import (
    attention,
    batch_norm,
    chain,
    depth,
    descent,
    engine,
    gate,
    init,
    loss,
    matrix,
    mlp,
    net,
    norm,
    parallel,
    precision,
    scaler,
    scaling,
    sharing,
)
from .attempts import (
    ProgressError,
    ProgressWarning,
    export_progress,
    import_progress,
)
from .authoring import Validation, validate
from .engine import Task
from .exercise import Exercise
from .given import Given
from .panel import Progress, panel
from .problem import Problem, Slip

__all__ = [
    "Exercise",
    "Given",
    "Problem",
    "Progress",
    "ProgressError",
    "ProgressWarning",
    "Slip",
    "Task",
    "Validation",
    "engine",
    "export_progress",
    "get",
    "import_progress",
    "names",
    "progress",
    "validate",
]

_FIELDS = (
    chain,
    matrix,
    gate,
    loss,
    net,
    descent,
    batch_norm,
    norm,
    sharing,
    attention,
    init,
    depth,
    scaling,
    scaler,
    precision,
    parallel,
    mlp,
)
_PROBLEMS = {p.id: p for field in _FIELDS for p in field.PROBLEMS}


def names(*, tasks: bool = False) -> tuple[str, ...]:
    """List the ids of all problems, from the first link to a whole net.

    Args:
        tasks: also those of the tasks, "engine.*", which ask for code. A task has no
            card, and is no ``Problem``.

    >>> names(tasks=True)[-1]
    'engine.tape'
    """
    return (*_PROBLEMS, *(engine.TASKS if tasks else ()))


def get(id: str, *, seed: int = 0) -> Exercise | Task:
    """Hand out an exercise on numbers drawn from a seed; "engine.*" ask for code.

    >>> import backproplab as bp
    >>> q = bp.exercises.get("chain.tanh")
    >>> q
    <Exercise chain.tanh: find dx from x, y, dy>

    Raises:
        NameLookupError: if there is none of this id; the message lists the near ones.
    """
    if id in engine.TASKS:
        return engine.TASKS[id]
    if id not in _PROBLEMS:
        raise NameLookupError(
            f"exercises: there is no problem {id!r}.",
            help=near(str(id), names(tasks=True)),
        )
    return Exercise(_PROBLEMS[id], seed)


def progress() -> Progress:
    """Show what is solved, tried or open, tasks included, with the last verdicts."""
    return panel(names(tasks=True))


if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
