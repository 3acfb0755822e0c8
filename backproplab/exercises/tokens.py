"""The text of a formula cut into tokens; errors point to their place in it."""

import re

from ..errors import BackpropError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?:np\s*\.\s*)?(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|>=|<=|==|\.T\b|[-+*/@^()<>,=]))"
)
_SIGNS = {"·": "*", "×": "*", "−": "-", "÷": "/"}
_BLANKS = dict.fromkeys(range(32), " ")


class FormulaError(BackpropError, ValueError):
    """A formula that cannot be read or computed; a caret shows the place.

    Attributes:
        at: the position in the text.
    """

    def __init__(self, message: str, text: str, at: int) -> None:
        start = max(0, at - 40)
        shown = text[start : start + 70].translate(_BLANKS)
        super().__init__(f"{message}\n  {shown}\n  {' ' * (at - start)}^")
        self.at = at


def tokens(text: str) -> list[tuple[str, str, int]]:
    """Cut a text into (kind, word, position): number, name, sign; the last is "end".

    A ``np.`` before a name is read over, and typographic signs are read as plain ones.

    Raises:
        FormulaError: at the first character that is part of no token.

    >>> tokens("np.exp(2 × y)")[:4]
    [('name', 'exp', 3), ('sign', '(', 6), ('number', '2', 7), ('sign', '*', 9)]
    """
    plain = "".join(_SIGNS.get(c, c) for c in text)
    found, at = [], 0
    while plain[at:].strip():
        match = _TOKEN.match(plain, at)
        if match is None:
            at += len(plain[at:]) - len(plain[at:].lstrip())
            raise FormulaError(f"{text[at]!r} is not part of a formula.", text, at)
        kind = str(match.lastgroup)
        found.append((kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, ("end", "", len(text.rstrip()))]
