"""What NumPy leaves to us: undo broadcasting, take in operands, name shapes."""

from typing import Any

import numpy as np

from .errors import ShapeError


def operand(x: Any) -> Any:
    """Take in an operand: arrays and Python scalars stay, lists become arrays.

    Python scalars stay scalars so that they are weak: ``2.0 * float32`` is float32.
    """
    if x is None or isinstance(x, (np.ndarray, np.generic, float, int)):
        return x
    return np.asarray(x)


def fit(c: Any, like: Any) -> Any:
    """Give a contribution its input's shape, by sums over broadcast axes, and dtype.

    The transpose of broadcasting is summation: where one value was used many times,
    its gradient is the sum over the uses.

    Args:
        c: a contribution of shape s, array or Tensor.
        like: the input, whose shape broadcasts to s.

    Raises:
        ShapeError: if it does not; a transposed array must not pass as another shape.

    >>> fit(np.ones((4, 3)), np.zeros((1, 3), np.float32))
    array([[4., 4., 4.]], dtype=float32)
    """
    shape = np.shape(like)
    if c.shape != shape:
        lead = len(c.shape) - len(shape)
        if lead < 0 or any(
            n not in (1, m) for n, m in zip(shape, c.shape[lead:], strict=True)
        ):
            raise ShapeError(
                f"a rule gave an array of shape {c.shape} to an input of shape "
                f"{shape}; it must have that shape, or one that the input "
                "broadcasts to."
            )
        c = c.sum(
            axis=tuple(range(lead))
            + tuple(
                lead + i
                for i, n in enumerate(shape)
                if n == 1 and c.shape[lead + i] != 1
            )
        ).reshape(shape)
    dtype = like.dtype
    return c if c.dtype == dtype else c.astype(dtype)


def shape_words(names: tuple[str, ...], values: Any) -> str:
    """Say which operand has which shape: ``x is (32, 10) and y is (12, 5)``.

    >>> shape_words(("x", "y"), (np.ones((2, 3)), 1.0))
    'x is (2, 3) and y is a scalar'
    """
    words = [
        f"{name} is {np.shape(v) or 'a scalar'}"
        for name, v in zip(names, values, strict=False)
        if v is not None
    ]
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]
