"""What a Problem must hold, and what its functions must return; said with numbers."""

import ast
import inspect
from collections.abc import Mapping
from reprlib import repr as short
from textwrap import dedent
from typing import Any

import numpy as np

from ..errors import RangeError
from ..node import Node

_INPUTS = 'write `inputs=lambda rng: {"x": rng.normal(size=3)}`.'


def text(owner: str, field: str, found: Any) -> None:
    """Refuse what is no text."""
    if not isinstance(found, str):
        raise RangeError(f"{owner}: {field} is {short(found)}; a text is required.")


def id(found: Any) -> None:
    """Refuse what cannot be kept and shown as a name."""
    if not isinstance(found, str) or not found.strip():
        raise RangeError(
            f"Problem: id is {short(found)}; a text is required.",
            help='write `id="course.swish"`.',
        )


def texts(owner: str, field: str, found: Any) -> tuple[str, ...]:
    """Return a tuple or list of texts as a tuple; refuse all else."""
    if isinstance(found, (tuple, list)) and all(isinstance(f, str) for f in found):
        return tuple(found)
    written = f"({found!r},)" if isinstance(found, str) else '("x",)'
    raise RangeError(
        f"{owner}: {field} is {short(found)}; a tuple of texts is required.",
        help=f"write `{field}={written}`.",
    )


def names(owner: str, found: Any) -> tuple[str, ...]:
    """Return what is asked as a tuple; refuse none, and one that is named twice."""
    asks = texts(owner, "asks", found)
    if not asks or len(set(asks)) < len(asks):
        raise RangeError(
            f"{owner}: asks is {asks!r}; one name or more, each once, is required.",
            help='write `asks=("x",)`.',
        )
    return asks


def code(owner: str, where: str, found: str) -> None:
    """Refuse what Python cannot read."""
    try:
        ast.parse(dedent(found))
    except SyntaxError as error:
        raise RangeError(
            f"{owner}: {where} is no Python, {error.msg}: "
            f"{(error.text or found).strip()}"
        ) from None


def functions(owner: str, inputs: Any, forward: Any) -> None:
    """Refuse what cannot be called as ``inputs(rng)``, ``forward(...)``."""
    if not callable(inputs):
        raise RangeError(
            f"{owner}: inputs is {_kind(inputs)}; a function of rng is required.",
            help=_INPUTS,
        )
    if not callable(forward):
        raise RangeError(
            f"{owner}: forward is {_kind(forward)}; a function is required.",
            help="write `def forward(x): ...`, and `forward=forward`.",
        )
    if not _takes(inputs, None):
        raise RangeError(
            f"{owner}: inputs does not take one argument, the generator that draws.",
            help=_INPUTS,
        )


def arrays(owner: str, drawn: Any, forward: Any) -> dict[str, Any]:
    """Return the inputs as arrays; refuse what ``forward`` could not take."""
    if not isinstance(drawn, Mapping):
        raise RangeError(
            f"{owner}: inputs returned {_kind(drawn)}; "
            "a dict of arrays by name is required.",
            help=_INPUTS,
        )
    found = {name: _array(owner, name, value) for name, value in drawn.items()}
    if not _takes(forward, **found):
        wanted = ", ".join(inspect.signature(forward).parameters) or "nothing"
        raise RangeError(
            f"{owner}: inputs draws {', '.join(map(str, found)) or 'nothing'}, "
            f"forward takes {wanted}; the names must be the same."
        )
    return found


def tensor(owner: str, returned: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse an end of ``forward`` from which no gradient can go back."""
    if isinstance(returned, Node):
        return
    helps = "compute it from the inputs, which are tensors."
    if not any(isinstance(x, Node) for x in inputs.values()):
        helps = "draw an input of floats: only those become tensors."
    elif returned is None:
        helps = "end it in `return y`."
    elif isinstance(returned, (tuple, list)):
        helps = "return the last value alone, and ask for the others by name."
    raise RangeError(
        f"{owner}: forward returned {_kind(returned)}; one tensor is required.",
        help=helps,
    )


def values(owner: str, returned: Any) -> None:
    """Refuse what holds no values by name."""
    if not isinstance(returned, Mapping):
        raise RangeError(
            f'{owner}: forward returned {_kind(returned)}; with quantity="value" '
            "a dict of values by name is required.",
            help='end it in `return {"y": y}`.',
        )


def _array(owner: str, name: Any, value: Any) -> Any:
    if isinstance(value, Node):
        raise RangeError(
            f"{owner}: inputs draws {name} as a tensor; an array is required.",
            help="floats become tensors that want a gradient.",
        )
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        array = np.asarray(None)
    if array.dtype.kind in "OUScMm":
        seen = "a ragged or mixed list" if array.dtype.kind == "O" else array.dtype
        raise RangeError(
            f"{owner}: inputs draws {name} as {seen}; "
            "floats, integers or booleans are required."
        )
    return array


def _takes(function: Any, *arguments: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # written in C: it does not tell
        return True
    return True


def _kind(found: Any) -> str:
    """Name a kind with its article."""
    if found is None:
        return "None"
    kind = type(found).__name__
    article = "an" if kind.startswith(("nd", *"aeio")) else "a"
    return f"{article} {kind}"
