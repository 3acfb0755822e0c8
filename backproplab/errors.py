"""What can go wrong, said so that the next keystroke is known; no checks live here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn


class BackpropError(Exception):
    """A message in three parts: what was seen, what is required, what to do next.

    Args:
        message: seen (with numbers) and required, in one or two clauses.
        help: the next keystroke; shown on a line of its own.

    >>> print(BackpropError("seen 3; needs 2.", help="drop one."))
    seen 3; needs 2.
      help: drop one.
    """

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(f"{message}\n  help: {help}" if help else message)


class ShapeError(BackpropError, ValueError):
    """Shapes do not fit together."""


class RangeError(BackpropError, ValueError):
    """A value outside its range: a label that is no class, an option that is none."""


class DTypeError(BackpropError, TypeError):
    """A number format that cannot do what was asked, as integers with a gradient."""


class GradError(BackpropError, RuntimeError):
    """A backward pass that cannot start, cannot go on, or would be wrong."""


class RuleError(BackpropError, TypeError):
    """A NumPy function, keyword or derivative for which no rule is declared."""


class CheckError(BackpropError, AssertionError):
    """A derivative rule that numerical differentiation contradicts."""


class AnomalyError(BackpropError, FloatingPointError):
    """A NaN or infinity, reported where it was born."""


class NameLookupError(BackpropError, KeyError, AttributeError):
    """No such name; the message lists the near ones."""

    __str__ = Exception.__str__  # KeyError would show the repr


def near(name: str, known: Iterable[str]) -> str:
    """Suggest up to three known names close to ``name``.

    >>> near("sigmod", ["sigmoid", "tanh"])
    'did you mean sigmoid?'
    >>> near("q", ["sigmoid", "tanh"])
    'known: sigmoid, tanh.'
    """
    from difflib import get_close_matches  # loaded only once something is misspelt

    known = list(dict.fromkeys(known))
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(known[:12]) + (", .." if len(known) > 12 else "")
    return f"known: {shown}." if known else "there are none yet."


def unknown(space: Mapping[str, Any]) -> Callable[[str], NoReturn]:
    """Make a part's ``__getattr__``: a name that is not there raises with near ones.

    Args:
        space: the ``globals()`` of the part.

    >>> unknown({"__name__": "bp.nn", "Linear": 1})("Linaer")
    Traceback (most recent call last):
    AttributeError: bp.nn has no 'Linaer'; did you mean Linear?
    """

    def refuse(name: str) -> NoReturn:
        known = [n for n in space.get("__all__", space) if not n.startswith("_")]
        raise AttributeError(
            f"{space['__name__']} has no {name!r}; {near(name, known)}"
        )

    return refuse
