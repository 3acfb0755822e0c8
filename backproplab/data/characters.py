"""A text of your own, read from a file as a row of whole numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RangeError


@dataclass(frozen=True, slots=True, eq=False)
class CharacterText:
    """A text, its alphabet, and the text as positions in that alphabet.

    Entropies are in nats per character, counted in this very text: what a model that
    knows nothing of the context reaches on it, and one that sees the last character.

    Attributes:
        text: as it was read.
        alphabet: the V different characters, sorted.
        sequence: (n,) int64, 0..V-1.

    >>> hello = CharacterText("hello")
    >>> hello
    CharacterText(5 characters, 4 different)
    >>> hello.alphabet, hello.sequence.tolist(), hello.decode([2, 1])
    ('ehlo', [1, 0, 2, 2, 3], 'lh')
    """

    text: str
    alphabet: str = field(init=False)
    sequence: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphabet", "".join(sorted(set(self.text))))
        object.__setattr__(self, "sequence", self.encode(self.text))

    def encode(self, text: str) -> NDArray[np.int64]:
        """Turn characters into numbers.

        Raises:
            RangeError: if a character does not occur in the alphabet.
        """
        place = {c: i for i, c in enumerate(self.alphabet)}
        unknown = sorted(set(text) - place.keys())
        if unknown:
            raise RangeError(
                f"encode: {unknown[0]!r} is none of the {len(place)} characters of "
                "this text; only those have a number.\n"
                "  help: leave it out, or read a text in which it occurs."
            )
        return np.array([place[c] for c in text], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        """Turn numbers back into characters."""
        return "".join(self.alphabet[i] for i in numbers)

    @property
    def unigram_entropy(self) -> float:
        """H(next): what the counts of single characters give away."""
        return _entropy(np.bincount(self.sequence))

    @property
    def bigram_entropy(self) -> float:
        """H(next | last): what the counts of pairs give away."""
        size = len(self.alphabet)
        pairs = size * self.sequence[:-1] + self.sequence[1:]
        return _entropy(np.bincount(pairs)) - _entropy(np.bincount(self.sequence[:-1]))

    def __repr__(self) -> str:
        different = len(self.alphabet)
        return f"CharacterText({len(self.text)} characters, {different} different)"


def read_text(path: str | PathLike[str]) -> CharacterText:
    """Read a text file in UTF-8; every line end becomes a newline.

    Args:
        path: the file. ``~`` stands for your home folder.

    Returns:
        The text, its alphabet, and its characters as numbers.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not text, or has fewer than two different characters.

    >>> import backproplab as bp
    >>> own = read_text(bp.errors.__file__)
    >>> own.decode(own.sequence[:10]) == own.text[:10]
    True
    """
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"read_text: {path} {what}; a text file is required.\n"
            f"  help: the path is seen from {Path.cwd()}; upload the file there."
        )
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_text: {path} is not UTF-8 (byte {error.start} is "
            f"{error.object[error.start]:#04x}); a plain text is required.\n"
            "  help: save it as plain text, with the encoding UTF-8."
        ) from None
    if len(set(text)) < 2:
        raise ValueError(
            f"read_text: {path} has {len(set(text))} different characters; "
            "at least 2 are required.\n"
            "  help: choose a longer text."
        )
    return CharacterText(text)


def _entropy(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of a table of counts, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())
