"""Formulas as text: read, shown as TeX and evaluated, with nothing but what is offered.

There is no ``eval``: a short parser walks over the text once and computes as it goes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from .._symbols import Symbol, lift, variable
from ..errors import near
from .tokens import FormulaError, tokens

__all__ = ["FUNCTIONS", "Formula", "FormulaError", "evaluate"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        np.exp, np.log, np.sin, np.cos, np.tanh, np.cosh, np.sqrt, np.square, np.sign,
        np.maximum, np.minimum, np.where, np.sum, np.mean, np.max, np.min, np.outer,
        np.transpose, np.floor, np.ceil, np.log2,
    )
} | {"abs": np.abs}  # fmt: skip

_LONGEST = 500  # characters; every operation takes at least one
_LARGEST = 10**5  # elements of any value on the way
_POWER = 64
_DEEPEST = 30  # brackets and signs inside one another
_BINARY: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    ">": (1, np.greater), "<": (1, np.less), ">=": (1, np.greater_equal),
    "<=": (1, np.less_equal), "==": (1, np.equal),
    "+": (2, np.add), "-": (2, np.subtract),
    "*": (3, np.multiply), "/": (3, np.divide), "@": (3, np.matmul),
    "**": (5, np.power), "^": (5, np.power),
}  # fmt: skip
_KEYWORDS = {"axis", "keepdims"}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was understood: its text, its TeX, its value."""

    text: str
    tex: str
    value: Any


def evaluate(
    text: Any,
    names: Mapping[str, Any],
    functions: Mapping[str, Callable[..., Any]] = FUNCTIONS,
    spell: Callable[[str], str] = variable,
) -> Formula:
    r"""Read a formula, compute it, and write it as TeX.

    Operators: ``+ - * / @ ** ^`` and comparisons, ``.T`` after a value, brackets. A
    ``np.`` before a function is read over. Numbers are floats, powers end at 64.

    Args:
        text: at most 500 characters.
        names: what may be used, by name.
        functions: what may be called, by name; with ``axis=`` and ``keepdims=``.
        spell: writes a name as TeX.

    Raises:
        FormulaError: for all else, within milliseconds, with a caret at the place.

    >>> formula = evaluate("2 * (1 - y**2)", {"y": 0.5})
    >>> print(formula.tex, "is", formula.value)
    2\,\left(1 - y^{2}\right) is 1.5
    >>> evaluate("dy * )", {"dy": 1.0})
    Traceback (most recent call last):
    backproplab.exercises.tokens.FormulaError: A value is missing before `)`.
      dy * )
           ^
    """
    if not isinstance(text, str):
        kind = f"of type {type(text).__name__}"
        raise FormulaError(f"This is {kind}; a formula is text.", "", 0)
    if len(text) > _LONGEST:
        raise FormulaError(
            f"The formula has {len(text)} characters; it may have {_LONGEST}.", text, 0
        )
    with np.errstate(all="ignore"):
        result = _Reader(text, names, functions, spell).read()
    return Formula(text, result.tex, np.asarray(result.value, float)[()])


class _Reader:
    """A precedence-climbing parser that computes with symbols as it reads."""

    def __init__(
        self,
        text: str,
        names: Mapping[str, Any],
        functions: Mapping[str, Any],
        spell: Callable[[str], str],
    ) -> None:
        self.text, self.names, self.functions, self.spell = (
            text,
            names,
            functions,
            spell,
        )
        self.tokens = tokens(text)
        self.next = self.depth = 0

    @property
    def kind(self) -> str:
        return self.tokens[self.next][0]

    @property
    def word(self) -> str:
        return self.tokens[self.next][1]

    @property
    def at(self) -> int:
        return self.tokens[self.next][2]

    def take(self) -> str:
        self.next += 1
        return self.tokens[self.next - 1][1]

    def fail(self, message: str, at: int | None = None) -> NoReturn:
        raise FormulaError(message, self.text, self.at if at is None else at)

    def read(self) -> Symbol:
        if self.kind == "end":
            self.fail("There is no formula yet.")
        value = self.expression(0)
        if self.word == ")":
            self.fail("This `)` closes nothing.")
        if self.kind != "end":
            hint = " Did you forget a `*`?" if self.word[0] not in "=," else ""
            self.fail(f"An operator is needed before `{self.word}`.{hint}")
        return value

    def expression(self, least: int) -> Symbol:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"More than {_DEEPEST} levels of brackets and signs.")
        left = self.prefix()
        while self.kind == "sign" and self.word in _BINARY:
            rank, f = _BINARY[self.word]
            if rank <= least:
                break
            at, sign = self.at, self.take()
            # A power binds to the right: 2**3**2 is 2**(3**2).
            right = self.expression(rank - 1 if rank == 5 else rank)
            left = self.compute(f, [left, right], at, f"`{sign}`")
        self.depth -= 1
        return left

    def prefix(self) -> Symbol:
        if self.kind == "sign" and self.word in "+-":
            at, sign = self.at, self.take()
            value = self.expression(4)
            return (
                value if sign == "+" else self.compute(np.negative, [value], at, "`-`")
            )
        value = self.atom()
        while self.word == ".T":
            at = self.at
            self.take()
            value = self.compute(np.transpose, [value], at, "`.T`")
        return value

    def atom(self) -> Symbol:
        kind, at = self.kind, self.at
        if kind == "number":
            return lift(float(self.take()))
        if kind == "name":
            word = self.take()
            if self.word == "(":
                return self.call(word, at)
            if word in self.functions and word not in self.names:
                self.fail(f"{word} is a function: write `{word}(...)`.", at)
            if word not in self.names:
                self.fail(f"There is no {word!r} here; {near(word, self.names)}", at)
            return Symbol(self.spell(word), np.asarray(self.names[word], float))
        if self.word == "(":
            self.take()
            value = self.expression(0)
            self.close(at)
            return value
        before = "at the end" if kind == "end" else f"before `{self.word}`"
        self.fail(f"A value is missing {before}.")

    def call(self, word: str, at: int) -> Symbol:
        if word not in self.functions:
            kind = "is a value" if word in self.names else "is no function here"
            self.fail(f"{word!r} {kind}; {near(word, self.functions)}", at)
        bracket = self.at
        self.take()
        values: list[Symbol] = []
        options: dict[str, Any] = {}
        while self.word != ")":
            if self.kind == "name" and self.word in _KEYWORDS:
                self.option(options)
            else:
                values.append(self.expression(0))
            if self.word != ",":
                break
            self.take()
        self.close(bracket)
        return self.compute(self.functions[word], values, at, word, options)

    def option(self, options: dict[str, Any]) -> None:
        key = self.take()
        if self.word != "=":
            self.fail(f"Write `{key}=...`.")
        self.take()
        sign = -1 if self.word == "-" else 1
        if sign < 0:
            self.take()
        at, word = self.at, self.take() if self.kind != "end" else ""
        if word in ("True", "False"):
            options[key] = word == "True"
        elif word.isdigit():
            options[key] = sign * int(word[:3])
        else:
            self.fail(f"{key} takes a whole number, True or False.", at)

    def close(self, opened: int) -> None:
        if self.kind == "end":
            self.fail("This bracket is never closed.", opened)
        if self.word != ")":
            self.fail(f"A `)` or an operator is needed before `{self.word}`.")
        self.take()

    def compute(
        self,
        f: Callable[..., Any],
        values: list[Symbol],
        at: int,
        word: str,
        options: dict[str, Any] | None = None,
    ) -> Symbol:
        shapes = [np.shape(v.value) for v in values]
        if f is np.power and (
            np.size(values[1].value) != 1 or abs(float(values[1].value)) > _POWER
        ):
            self.fail(f"A power is one number, at most {_POWER}.", at)
        wanted = f.nin if isinstance(f, np.ufunc) else 3 if f is np.where else None
        if wanted not in (None, len(values)):
            many = f"{wanted} value{'s' * (wanted != 1)}"
            self.fail(f"{word} takes {many}, not {len(values)}.", at)
        try:
            if _size(f, shapes) > _LARGEST:
                self.fail(f"{word} would make more than {_LARGEST} numbers.", at)
            result = lift(f(*values, **(options or {})))
        except (ValueError, TypeError, ArithmeticError) as error:
            if isinstance(error, FormulaError):
                raise
            seen = (
                " and ".join(str(s) if s else "a number" for s in shapes) or "nothing"
            )
            self.fail(f"{word} does not fit {seen}.", at)
        # Comparisons count as 1 and 0.
        return (
            result.astype(float) if np.asarray(result.value).dtype == bool else result
        )


def _size(f: Callable[..., Any], shapes: list[tuple[int, ...]]) -> int:
    """How large a result may become, before it is computed."""
    sizes = [int(np.prod(s)) for s in shapes]
    if f in (np.outer, np.matmul):
        return int(np.prod(sizes)) if f is np.outer else max(sizes) ** 2 // 100
    return int(np.prod(np.broadcast_shapes(*shapes)))
