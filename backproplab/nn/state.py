"""Loading a state: names and shapes are checked before the first number is written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import BackpropError, DTypeError, NameLookupError, ShapeError, near
from ..tensor import Tensor


class Slot(NamedTuple):
    """Where a parameter (``tensor`` is set) or a buffer of a module stands."""

    owner: Any
    name: str
    value: np.ndarray
    tensor: Tensor | None = None

    def write(self, array: np.ndarray) -> None:
        """Put a new array there; the old one is not written into."""
        if self.tensor is not None:
            self.tensor.data = array
        else:
            setattr(self.owner, self.name, array)


class Loaded(NamedTuple):
    """What a state lacked, and what it had beyond need."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(
    owner: str, slots: Mapping[str, Slot], state: Mapping[str, Any], strict: bool
) -> Loaded:
    """Check ``state`` and write it into ``slots``; see ``Module.load_state_dict``."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"load_state_dict: state is a {type(state).__name__}; "
            "a dict from names to arrays is required.\n"
            "  help: pass `model.state_dict()` or `bp.load(path)`."
        )
    arrays = {n: _plain(state[n]) for n in slots if n in state}
    # A shared parameter is there when it comes under one of its names.
    there = {id(slots[n].tensor) for n in arrays if slots[n].tensor is not None}
    missing = [
        n for n, s in slots.items() if n not in arrays and id(s.tensor) not in there
    ]
    unexpected = [n for n in state if n not in slots]
    wrong = [w for n, a in arrays.items() if (w := _misfit(n, a, slots[n].value))]
    if wrong or (strict and (missing or unexpected)):
        raise _report(owner, missing, unexpected, wrong, strict)
    for name, array in arrays.items():
        slots[name].write(np.array(array, dtype=slots[name].value.dtype))
    return Loaded(missing, unexpected)


def _plain(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)


def _misfit(name: str, given: np.ndarray, here: np.ndarray) -> str:
    if given.shape != here.shape:
        return f"wrong shape: {name} is {given.shape} in the state, {here.shape} here"
    if not np.can_cast(given.dtype, here.dtype, "same_kind"):
        return f"wrong dtype: {name} is {given.dtype} in the state, {here.dtype} here"
    return ""


def _report(
    owner: str,
    missing: list[str],
    unexpected: list[str],
    wrong: list[str],
    strict: bool,
) -> BackpropError:
    lines = [f"load_state_dict: the state does not fit {owner}; nothing was loaded."]
    names = strict and (missing or unexpected)
    if names:
        lines += [f"missing: {', '.join(missing)}"] if missing else []
        lines += [f"unexpected: {', '.join(unexpected)}"] if unexpected else []
    lines += wrong
    if not names:
        help = "build the model as it was when the state was saved."
        shapes = any(line.startswith("wrong shape") for line in wrong)
        return (ShapeError if shapes else DTypeError)("\n  ".join(lines), help=help)
    help = "pass strict=False to load what fits by name."
    if missing and unexpected:
        help = f"{unexpected[0]}: {near(unexpected[0], missing)} Or {help}"
    return NameLookupError("\n  ".join(lines), help=help)
