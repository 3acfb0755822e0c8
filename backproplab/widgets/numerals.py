"""Numbers and arrays in a small space: how labels in pictures are written."""

from math import isfinite
from typing import Any

import numpy as np


def number(x: float, digits: int = 3) -> str:
    """Write a number with three digits and a true minus sign.

    >>> number(-0.0706508), number(37.0), number(3.2e-05), number(float("nan"))
    ('−0.0707', '37', '3.2e−5', 'nan')
    """
    text = f"{float(x):.{digits}g}"
    if "e" in text:
        head, power = text.split("e")
        text = f"{head}e{int(power)}"
    return text.replace("-", "−")


def tex_number(x: float) -> str:
    r"""Write a number for TeX.

    >>> tex_number(-0.0706508), tex_number(3.2e-05), tex_number(float("inf"))
    ('-0.0707', '3.2 \\times 10^{-5}', '\\infty')
    """
    x = float(x)
    if not isfinite(x):
        return r"\mathrm{nan}" if x != x else r"-\infty" if x < 0 else r"\infty"
    head, _, power = f"{x:.3g}".partition("e")
    return rf"{head} \times 10^{{{int(power)}}}" if power else head


def shape(sizes: tuple[int, ...]) -> str:
    """Write a shape.

    >>> shape((64, 10)), shape((3,)), shape(())
    ('64×10', '3', 'scalar')
    """
    return "×".join(map(str, sizes)) or "scalar"


def fits(a: Any, room: int = 24) -> bool:
    """Tell whether all entries can be written out in so many characters."""
    return np.size(a) <= 4 and len(_entries(a)) <= room


def brief(a: Any, room: int = 24) -> str:
    """Write an array as its entries where they fit, else as its norm.

    >>> brief(np.array([1.0, -2.0])), brief(np.array(0.5)), brief(np.ones((4, 4)))
    ('[1 −2]', '0.5', 'norm 4')
    """
    return _entries(a) if fits(a, room) else f"norm {number(norm(a))}"


def sized(a: Any, room: int = 24) -> str:
    """Write an array with its shape where its entries do not fit.

    >>> sized(np.ones((4, 4))), sized(np.arange(10)), sized(np.array(0.5))
    ('4×4 · norm 4', '10 · 0…9', '0.5')
    """
    if fits(a, room):
        return _entries(a)
    text = brief(a, room) if np.asarray(a).dtype.kind == "f" else span(a)
    return f"{shape(np.shape(a))} · {text}"


def norm(a: Any) -> float:
    """Euclidean length of an array of any shape."""
    return float(np.linalg.norm(np.asarray(a, dtype=float)))


def span(a: Any) -> str:
    """Write between which numbers the entries lie, in few characters.

    >>> span(np.array([0.0, 1.0])), span(np.ones(3)), span(np.array([-1.77, 2.08]))
    ('0…1', '1', '±2.1')
    """
    if np.size(a) == 0:
        return ""
    low, high = float(np.min(a)), float(np.max(a))
    if low == high:
        return number(low)
    if low < 0 < high:
        return f"±{number(max(-low, high), 2)}"
    return f"{number(low, 2)}…{number(high, 2)}"


def histogram(a: Any, bins: int = 15) -> list[float]:
    """Count the entries in bins from -m to m, m the largest magnitude; the peak is 1.

    >>> histogram(np.array([-2.0, 0.0, 0.0, 2.0]), bins=3)
    [0.5, 1.0, 0.5]
    """
    a = np.ravel(np.asarray(a, dtype=float))
    a = a[np.isfinite(a)]
    m = np.max(np.abs(a), initial=0.0) or 1.0
    counts, _ = np.histogram(a / m, bins=bins, range=(-1.0, 1.0))
    return [float(c) for c in counts / max(counts.max(initial=0), 1)]


def _entries(a: Any) -> str:
    flat = np.ravel(a)
    if np.ndim(a) == 0:
        return number(flat[0])
    return f"[{' '.join(map(number, flat))}]"
