"""What a rank is about to call, in few bytes that all ranks compare beforehand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .group import OPS, CollectiveError, ranks

KINDS = ("all_reduce", "broadcast", "gather", "barrier", "agree", "start_agree")
_DIMS = 6  # axes that are told apart; beyond them only how many there are
_CALL = struct.Struct(f"<{4 + _DIMS}q")
_COUNT = struct.Struct("<q")
LENGTH = _CALL.size + _COUNT.size


@lru_cache(maxsize=1024)
def written(
    kind: str, option: int = 0, dtype: str = "", shape: tuple[int, ...] = ()
) -> bytes:
    """Write a call down; calls that fit together are written alike.

    Args:
        kind: one of ``KINDS``.
        option: index in ``OPS``, or the root's rank.
        dtype: one character, where all have to bring the same dtype and shape.
        shape: of the array, where all have to bring the same.

    >>> read(written("all_reduce", 0, "d", (3,)))
    'all_reduce of (3,) float64, op="mean"'
    >>> read(written("broadcast", 1))
    'broadcast, root=1'
    """
    dims = (*shape, *[0] * _DIMS)[:_DIMS]
    numbers = KINDS.index(kind), option, ord(dtype or "\0"), len(shape), *dims
    return _CALL.pack(*numbers) + _COUNT.pack(0)


def counted(heading: bytes, count: int) -> bytes:
    """Put a count behind a call; counts may differ from rank to rank."""
    return heading[: _CALL.size] + _COUNT.pack(count)


def counts(heard: bytes | bytearray) -> list[int]:
    """Read the counts of all ranks."""
    starts = range(_CALL.size, len(heard), LENGTH)
    return [int(_COUNT.unpack_from(heard, at)[0]) for at in starts]


def read(heading: bytes | bytearray) -> str:
    """Say a call as the learner wrote it."""
    kind, option, dtype, ndim, *dims = _CALL.unpack_from(heading)
    name = KINDS[kind]
    if name == "broadcast":
        return f"{name}, root={option}"
    if name != "all_reduce":
        return name
    shape = str(tuple(dims[:ndim])) if ndim <= _DIMS else f"{ndim} axes"
    return f'{name} of {shape} {np.dtype(chr(dtype))}, op="{OPS[option]}"'


def compare(mine: bytes, heard: bytes | bytearray) -> None:
    """Raise unless all ranks call the same.

    Args:
        mine: what this rank calls.
        heard: what all call, in rank order.

    Raises:
        CollectiveError: the same on every rank; it names ranks and what each called.
    """
    if heard == mine * (len(heard) // LENGTH):
        return
    said = [bytes(heard[at : at + _CALL.size]) for at in range(0, len(heard), LENGTH)]
    if len(set(said)) > 1:
        raise disagreement("MPIGroup", [f"called {read(call)}" for call in said])


def disagreement(group: str, words: Sequence[str]) -> CollectiveError:
    """Say what each replica did, those that did the same together."""
    said: dict[str, list[int]] = {}
    for rank, did in enumerate(words):
        said.setdefault(did, []).append(rank)
    found = "; ".join(f"{ranks(who)} {did}" for did, who in said.items())
    return CollectiveError(
        f"{group}: {found}; every replica must call the same collective, with the "
        "same shape and dtype.",
        help="look for a collective or a backward pass inside `if comm.rank == ...`, "
        "and for loops that run a different number of times.",
    )
