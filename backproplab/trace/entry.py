"""An entry: what is known of one value of a run, and how values get their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from types import CodeType

NOTHING = -1  # in the place of an optional input that was None

_nothing: dict[str, Any] = {}


class Entry:
    """What is known of one value while the run goes on; a ``Record`` shows it.

    What most values never get is a default of the class: recording sets little.

    Attributes:
        given: its name by ``.named()``, ``name=`` or the parameter's path.
        assigned: the learner's variable, in its scope.
        aliases: modules whose output it is, and what lines call that.
        name: unique in the run; set when the run is over.
        code: what ran on the learner's line, at instruction ``lasti``.
        contributions: (output, which of its inputs this is, array), as they arrive.
        seed: what came from outside the run: the gradient that backward began with.
        seen: how many contributions earlier passes added.
        wants: whether a gradient is wanted here.
        grid: the number format whose grid the value lies on, where it stands in an
            array of a wider one; else "".
    """

    primitive: Any = None
    node: Any = None
    code: CodeType | None = None
    lasti: int = 0
    grad: Any = None
    seed: Any = None
    given: str | None = None
    assigned: str | None = None
    name: str = ""
    aliases: tuple[str, ...] = ()
    inputs: tuple[int, ...] = ()
    static: dict[str, Any] = _nothing
    seen: int = 0
    source: tuple[str, int] = ("", 0)
    wants: bool = False
    grid: str = ""

    def __init__(self, op: str, value: Any, scope: str) -> None:
        self.op, self.value, self.scope = op, value, scope
        self.contributions: list[tuple[int, int, Any]] = []

    def seal(self) -> None:
        """Keep nothing but data, which cannot be written to."""
        self.code = None
        self.value, self.grad, self.seed = map(
            _sealed, (self.value, self.grad, self.seed)
        )
        self.contributions = [(o, k, _sealed(c)) for o, k, c in self.contributions]


def name_all(entries: list[Entry]) -> None:
    """Unique names: given, else the variable, the module, the op and a count."""
    used: set[str] = set()
    made: dict[str, int] = {}
    for e in entries:
        own = e.node.name if e.node is not None else None
        name = own or e.given or e.assigned or (e.aliases[-1] if e.aliases else None)
        if name is None:
            made[e.op] = made.get(e.op, 0) + 1
            name = f"{e.op}_{made[e.op]}"
        if not is_literal(e):
            plain, n = name, 1
            while name in used:
                n += 1
                name = f"{plain}_{n}"
            used.add(name)
        e.name = name


def is_literal(e: Entry) -> bool:
    """Whether it is a number that stands in the learner's line."""
    return e.op == "constant" and np.ndim(e.value) == 0 and e.assigned is None


def _sealed(array: Any) -> Any:
    """A view that cannot be written to; the engine's own array stays as it is."""
    if array is None or type(array) in (int, float, bool):
        return array
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
