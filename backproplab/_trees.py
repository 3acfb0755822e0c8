"""Nested lists, tuples and dicts, whose leaves are arrays, numbers and tensors."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import DTypeError, GradError, ShapeError
from .node import Node


def is_leaf(tree: Any) -> bool:
    """Say whether it is a value rather than a container; None is an empty one."""
    return tree is not None and not isinstance(tree, (tuple, list, dict))


def leaves(tree: Any) -> Iterator[Any]:
    """Walk the values from left to right."""
    if is_leaf(tree):
        yield tree
    elif tree is not None:
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(branch)


def rebuild(tree: Any, leaves: Iterator[Any]) -> Any:
    """Put ``leaves`` in the places of the tree's own."""
    if is_leaf(tree):
        return next(leaves)
    if tree is None:
        return None
    if isinstance(tree, dict):
        built = {k: rebuild(branch, leaves) for k, branch in tree.items()}
        return OrderedDict(built) if isinstance(tree, OrderedDict) else built
    branches = [rebuild(branch, leaves) for branch in tree]
    plain = type(tree) in (tuple, list)
    return type(tree)(branches) if plain else type(tree)(*branches)  # namedtuple


def pairs(tree: Any, other: Any, what: str) -> Iterator[tuple[Any, Any]]:
    """Walk two trees that must have one structure."""
    if is_leaf(tree) and is_leaf(other):
        yield tree, other
        return
    same = isinstance(other, type(tree)) and not is_leaf(tree)
    if isinstance(tree, dict) and same:
        same = tree.keys() == other.keys()
    elif tree is not None and same:
        same = len(tree) == len(other)
    if not same:
        raise GradError(
            f"{what} must have the structure of what they belong to: {kind(tree)} "
            f"cannot be matched with {kind(other)}."
        )
    for key in tree if isinstance(tree, dict) else range(len(tree or ())):
        yield from pairs(tree[key], other[key], what)


def matched(what: str, whose: str, like: Any, given: Any) -> Any:
    """Check that a direction has the shape and dtype of its value."""
    like, shape = array(like), np.shape(given)
    if shape != like.shape:
        raise ShapeError(
            f"{what} has shape {shape} and its {whose} {like.shape}; "
            "they must be equal.",
            help=f"`np.ones({like.shape})` is the direction in which all entries grow.",
        )
    if isinstance(given, (int, float)):
        return np.asarray(given, like.dtype)
    given = operand(given)
    if given.dtype != like.dtype:
        raise DTypeError(
            f"{what} has dtype {given.dtype} and its {whose} {like.dtype}; "
            "they must be equal.",
            help=f"convert it: `.astype(np.{like.dtype})`.",
        )
    return given


def array(x: Any) -> Any:
    """The array of a tensor, an array or a number."""
    return x._data if isinstance(x, Node) else np.asarray(x)


def operand(x: Any) -> Any:
    """A tensor as it is; anything else as an array."""
    return x if isinstance(x, Node) else np.asarray(x)


def kind(x: Any) -> str:
    """Name a value in a message."""
    if x is None:
        return "None"
    if isinstance(x, dict):
        return f"a dict with keys {', '.join(map(repr, x))}"
    if isinstance(x, (tuple, list)):
        return f"a {type(x).__name__} of {len(x)}"
    shape = np.shape(x)
    return f"an array of shape {shape}" if shape else "a number"
