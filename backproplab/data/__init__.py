"""Small data sets with known answers: no downloads, no hidden randomness.

Points and pixels are float32, so that they never widen a float32 model; labels are
int64. Whatever is random takes a ``numpy.random.Generator`` and nothing else.
"""

from typing import TYPE_CHECKING

from ..errors import unknown
from .batching import batches
from .characters import CharacterText, read_text
from .images import Digits, digits
from .points import Points, moons, spirals, xor
from .text import MarkovText, markov_text

__all__ = [
    "CharacterText",
    "Digits",
    "MarkovText",
    "Points",
    "batches",
    "digits",
    "markov_text",
    "moons",
    "read_text",
    "spirals",
    "xor",
]

if not TYPE_CHECKING:  # which shall find misspelt names itself
    __getattr__ = unknown(globals())
