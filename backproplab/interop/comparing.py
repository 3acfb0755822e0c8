"""side_by_side: one function in several engines, as rows and as a table."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from .._table import Table
from ..errors import RangeError, near
from .arguments import taken
from .engines import RUNS, Found, MissingError, OneNumberError

ENGINES = tuple(RUNS)
_SLOW = ("numeric", "complex")  # run once: their time is in their many calls


@dataclass(frozen=True, slots=True)
class EngineRow:
    """What one engine found.

    Attributes:
        engine: its name.
        value: of the function; None where there is none, and then ``says`` tells why.
        grads: one array for each argument.
        ulps: the largest difference from backproplab's value and gradients, each in
            units in the last place of its largest entry, in the arguments' format.
        seconds: value and gradients together, the best of three after a first call.
        calls: how often the function was called.
        saved_arrays: how many arrays were kept for the backward pass.
        saved_bytes: their size, each array once.
        says: why there are no numbers; empty where there are.
    """

    engine: str
    value: float | None = None
    grads: tuple[np.ndarray, ...] | None = None
    ulps: float | None = None
    seconds: float | None = None
    calls: int | None = None
    saved_arrays: int | None = None
    saved_bytes: int | None = None
    says: str = ""

    @property
    def ok(self) -> bool:
        """Whether the engine gave numbers."""
        return self.value is not None


class SideBySide(Sequence[EngineRow]):
    """Rows by place or by engine; a table to look at.

    Attributes:
        rows: one ``EngineRow`` an engine.
    """

    def __init__(self, rows: Sequence[EngineRow]) -> None:
        self.rows = tuple(rows)

    def __getitem__(self, key: Any) -> Any:
        """Return a row by its place, or by the engine's name."""
        if not isinstance(key, str):
            return self.rows[key]
        for row in self.rows:
            if row.engine == key:
                return row
        raise RangeError(
            f"side_by_side: there is no row {key!r}.",
            help=near(key, [row.engine for row in self.rows]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[EngineRow]:
        return iter(self.rows)

    def table(self) -> Table:
        """One row an engine, in words."""
        return Table(
            {
                "engine": row.engine,
                "value": None if row.value is None else f"{row.value:.10g}",
                "ulps off": _ulps(row.ulps),
                "ms": None if row.seconds is None else row.seconds * 1e3,
                "calls": row.calls,
                "kept arrays": row.saved_arrays,
                "kept bytes": row.saved_bytes,
                "": row.says,
            }
            for row in self.rows
        )

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def side_by_side(
    fn: Callable[..., Any], *args: Any, engines: Sequence[str] = ENGINES
) -> SideBySide:
    """Value and gradients of one function by several engines, each by its own means.

    ``backproplab`` is our tape, ``torch`` PyTorch's graph, ``jax`` JAX's vjp;
    ``numeric`` takes central differences and ``complex`` complex steps of plain NumPy,
    one number after another, in float64. JAX runs in float64 where the arguments are.

    Args:
        fn: ``fn(xp, *args)`` returns a single number; ``xp`` holds each engine's own
            functions under the names ``interop.NAMES``. Arrays that are not arguments
            enter by ``xp.asarray``.
        *args: arrays of floats; the gradient is taken for all.
        engines: which, and in which order.

    Returns:
        One row an engine. An engine that is missing, or that cannot do it, has a row
        that says so.

    Raises:
        DTypeError: if an argument is not floating point.
        GradError: if ``fn`` returns more than one number.
        RangeError: if an engine is unknown, or there is no argument.

    >>> import numpy as np
    >>> both = side_by_side(
    ...     lambda xp, x: xp.sum(xp.tanh(x) ** 2),
    ...     np.array([0.5, -1.0]),
    ...     engines=("backproplab", "complex"),
    ... )
    >>> [row.calls for row in both], bool(both["complex"].ulps < 4)
    ([1, 2], True)
    """
    if isinstance(engines, str):
        engines = (engines,)
    for name in engines:
        if name not in RUNS:
            raise RangeError(
                f"side_by_side: there is no engine {name!r}.", help=near(name, ENGINES)
            )
    arrays = taken("side_by_side", args)
    found = {n: _tried(n, fn, arrays) for n in dict.fromkeys(("backproplab", *engines))}
    ours = found["backproplab"][0]
    return SideBySide([_row(name, *found[name], ours, arrays) for name in engines])


def _tried(
    name: str, fn: Callable[..., Any], arrays: list[np.ndarray]
) -> tuple[Found | None, float | None, str]:
    """Run an engine; what it gives, the seconds that it took, and what went wrong."""
    try:
        seconds = []
        for _ in range(1 if name in _SLOW else 4):
            start = perf_counter()
            with np.errstate(all="ignore"):
                found = RUNS[name](fn, [np.array(a) for a in arrays])
            seconds.append(perf_counter() - start)
    except OneNumberError:
        raise
    except MissingError as error:
        return None, None, str(error).partition("\n")[0]
    except Exception as error:  # of this engine, or of fn in it: told in its row
        first = str(error).partition("\n")[0]
        own = type(error).__module__.startswith("backproplab.")
        return None, None, first if own else f"{type(error).__name__}: {first}"
    return found, min(seconds[1:] or seconds), ""


def _row(
    name: str,
    found: Found | None,
    seconds: float | None,
    says: str,
    ours: Found | None,
    arrays: list[np.ndarray],
) -> EngineRow:
    if found is None:
        return EngineRow(name, says=says)
    return EngineRow(
        engine=name,
        value=found.value,
        grads=found.grads,
        ulps=None if ours is None else _off(found, ours, arrays),
        seconds=seconds,
        calls=found.calls,
        saved_arrays=len(found.saved),
        saved_bytes=sum(found.saved),
    )


def _off(found: Found, ours: Found, arrays: list[np.ndarray]) -> float:
    """The largest difference, in units in the last place of the largest entry."""
    dtype = np.result_type(*arrays)
    pairs = [(found.value, ours.value), *zip(found.grads, ours.grads, strict=True)]
    worst = 0.0
    for a, b in pairs:
        a, b = np.asarray(a, float), np.asarray(b, float)
        with np.errstate(invalid="ignore"):
            gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        top = np.abs(b).max(initial=0)
        unit = float(np.spacing(dtype.type(top))) if np.isfinite(top) else 1.0
        worst = max(worst, float(np.max(gap / unit, initial=0)))
    return worst


def _ulps(ulps: float | None) -> str | None:
    return None if ulps is None else f"{ulps:.0f}" if ulps < 1e4 else f"{ulps:.1e}"
