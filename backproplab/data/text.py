"""Text whose entropy is known exactly; one of your own is read in ``characters``."""

from __future__ import annotations  # naming np.random would load it, 8 ms

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arguments import require_count, require_real, require_rng

# This share of each row is uniform: all contexts connect, no symbol is impossible.
_LEAK = 0.01
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, eq=False)
class MarkovText:
    """A text together with the source that wrote it, and what can be learnt of it.

    Entropies are in nats per symbol, exact for the source (not estimated from the
    text). A model that knows nothing scores ``ln V``; one that sees the last symbol
    ends at ``bigram_entropy``, one that sees the last ``order`` symbols at ``entropy``,
    and none below it, but for chance in a finite text.

    Attributes:
        sequence: (n,) int64 symbols 0..V-1.
        table: (V, ..., V), ``order`` + 1 axes: P(next = last axis | the symbols before,
            oldest first).
        stationary: (V, ..., V), ``order`` axes: how often each context occurs.
        entropy: H(next | last ``order`` symbols), the floor of any language model.
        bigram_entropy: H(next | last symbol), the floor of a bigram model.
    """

    sequence: NDArray[np.int64]
    table: NDArray[np.float64]
    stationary: NDArray[np.float64]
    entropy: float
    bigram_entropy: float

    @property
    def text(self) -> str:
        """The sequence in letters, 0 being "a"."""
        return "".join(_LETTERS[symbol] for symbol in self.sequence)

    def __repr__(self) -> str:
        symbols, order = self.table.shape[0], self.stationary.ndim
        return (
            f"MarkovText({len(self.sequence)} of {symbols} symbols, order {order}, "
            f"entropy {self.entropy:.4f}, bigram_entropy {self.bigram_entropy:.4f})"
        )


def markov_text(
    n: int,
    rng: np.random.Generator,
    *,
    symbols: int = 8,
    order: int = 2,
    concentration: float = 0.3,
) -> MarkovText:
    r"""Draw a Markov source, then a text from it that is stationary from the start.

    .. math:: H = -\sum_c \pi(c) \sum_s P(s|c) \ln P(s|c), \quad \pi = \pi P

    with c the last ``order`` symbols (Shannon 1948, section 7).

    Args:
        n: length of the text.
        rng: where first the table, then the text come from.
        symbols: V, the size of the alphabet, 2 to 26.
        order: how many symbols the next one depends on.
        concentration: of the symmetric Dirichlet from which each row of the table is
            drawn, at least 0.01; smaller is more predictable. 1 % uniform is mixed in,
            so that no symbol is ever impossible.

    Returns:
        The text and its source, see ``MarkovText``.

    Raises:
        TypeError: if a count is not an integer or ``rng`` is not a Generator.
        ValueError: if an argument is out of its range, or V ** order exceeds 1024.

    >>> import math
    >>> source = markov_text(10_000, np.random.default_rng(0))
    >>> source
    MarkovText(10000 of 8 symbols, order 2, entropy ..., bigram_entropy ...)
    >>> source.entropy < source.bigram_entropy < math.log(8)
    True
    """
    n = require_count("markov_text", "n", n)
    symbols = require_count("markov_text", "symbols", symbols, least=2)
    order = require_count("markov_text", "order", order)
    require_real("markov_text", "concentration", concentration, least=0.01)
    require_rng("markov_text", rng)
    # The order is bounded on its own, for 8 ** (10**9) would never be done.
    if symbols > 26 or order > 10 or symbols**order > 1024:
        raise ValueError(
            f"markov_text: symbols is {symbols} and order is {order}; "
            f"at most 26 symbols and 1024 contexts, symbols ** order, are possible.\n"
            f"  help: pass a smaller alphabet or order=1."
        )

    alpha = np.full(symbols, concentration)
    drawn = rng.dirichlet(alpha, size=symbols**order)
    rows = (1 - _LEAK) * drawn + _LEAK / symbols
    stationary = _stationary(rows)
    sequence = _walk(rows, stationary, n, order, rng)

    table = rows.reshape((symbols,) * (order + 1))
    context = stationary.reshape((symbols,) * order)
    joint = context[..., None] * table
    pairs = joint.sum(axis=tuple(range(order - 1)))
    return MarkovText(
        sequence=sequence,
        table=table,
        stationary=context,
        entropy=_entropy(joint) - _entropy(context),
        bigram_entropy=_entropy(pairs) - _entropy(pairs.sum(axis=1)),
    )


def _successors(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """(C, V): the context after context c and symbol s; the oldest symbol drops out."""
    contexts, symbols = rows.shape
    longer = np.arange(contexts * symbols).reshape(rows.shape)
    return np.remainder(longer, contexts)


def _stationary(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C,): solve pi = pi P with sum(pi) = 1; all of P's contexts are connected."""
    contexts = len(rows)
    flow = np.zeros((contexts, contexts))
    flow[_successors(rows), np.arange(contexts)[:, None]] = rows
    balance = flow - np.eye(contexts)
    # The balance equations sum to zero, so one of them may give way to the norm.
    balance[-1] = 1
    return np.linalg.solve(balance, np.eye(contexts)[-1])


def _walk(
    rows: NDArray[np.float64],
    stationary: NDArray[np.float64],
    n: int,
    order: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(n,) symbols, their first ``order`` being a context drawn from ``stationary``."""
    symbols = rows.shape[1]
    # Without the last bound, so that rounding cannot step past the last symbol.
    bounds = rows.cumsum(axis=1)[:, :-1].tolist()
    after = _successors(rows).tolist()
    context = bisect_right(stationary.cumsum()[:-1].tolist(), rng.random())
    walk = [context // symbols**i % symbols for i in reversed(range(order))]
    for u in rng.random(max(n - order, 0)).tolist():
        symbol = bisect_right(bounds[context], u)
        walk.append(symbol)
        context = after[context][symbol]
    return np.array(walk[:n])


def _entropy(p: NDArray[Any]) -> float:
    """Shannon entropy of a whole array of probabilities, in nats; 0 ln 0 = 0."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())
