"""Derivations as code: a line for each gradient; a slip changes one of them."""

import ast
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import numpy as np


def gradient(name: str) -> str:
    """The variable in which code keeps dL/d(name).

    >>> gradient("w1"), gradient("fc1.weight")
    ('dw1', 'dfc1_weight')
    """
    return "d" + name.replace(".", "_")


def follow(code: str, given: Mapping[str, Any]) -> Any:
    """Run answer code on what is given, and return its ``answer``."""
    space = _space(given)
    exec(code, space)
    return space["answer"]


def follow_on(
    code: str, given: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    r"""Run answer code, but go on from values of one's own where there are some.

    A line that cannot be followed, since shapes do not fit, is passed over.

    Returns:
        by variable what the code gave, before one's own value took its place.

    >>> follow_on("b = 2 * a\nc = b + 1", {"a": 1}, {"b": 5})
    {'b': 2, 'c': 6}
    """
    space, found = _space(given), {}
    before = ""
    for statement in ast.parse(code).body:
        name = _root(statement) or before
        if name != before and before in own:
            space[before] = own[before]
        before = name
        try:
            with np.errstate(all="ignore"):
                exec(compile(ast.Module([statement], []), "<answer>", "exec"), space)
            found[name] = space.get(name)
        except Exception:  # it was built on a value of a wrong shape
            space.pop(name, None)
            found.pop(name, None)
    return found


def finished(code: str, asked: Mapping[str, str]) -> str:
    """Let the code end in ``answer = ...``.

    Args:
        code: what assigns the variables.
        asked: the variable in which the code keeps the answer, by asked name.
    """
    code = dedent(code).strip()
    if "answer" in assigned(code):
        return code
    pairs = ", ".join(f'"{name}": {variable}' for name, variable in asked.items())
    last = next(iter(asked.values())) if len(asked) == 1 else f"{{{pairs}}}"
    return f"{code}\nanswer = {last}"


def replaced(code: str, change: str) -> str:
    r"""Put each line of ``change`` where ``code`` assigns its name.

    A line that assigns no name of the code goes with the one after it, or before.

    >>> print(replaced("a = x\nb = a", "k = 3\nb = k * a"))
    a = x
    k = 3
    b = k * a
    """
    known, last = assigned(code), ""
    groups: dict[str, list[str]] = {}
    waiting: list[str] = []
    for statement in ast.parse(dedent(change)).body:
        waiting.append(ast.unparse(statement))
        if _name(statement) in known:
            last = _name(statement)
            groups[last], waiting = [*groups.get(last, []), *waiting], []
    groups[last] = [*groups.get(last, []), *waiting]
    lines = groups.pop("", [])
    for statement in ast.parse(code).body:
        kept = str(ast.get_source_segment(code, statement))
        lines += groups.pop(_name(statement), [kept])
    return "\n".join(lines)


def assigned(code: str) -> set[str]:
    """Names that the code assigns."""
    return {_name(statement) for statement in ast.parse(dedent(code)).body}


def _space(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"np": np, **{k.replace(".", "_"): v for k, v in given.items()}}


def _name(statement: ast.stmt) -> str:
    """What a statement assigns; the statement itself where it assigns nothing."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ast.unparse(statement)


def _root(statement: ast.stmt) -> str:
    """The variable that a statement assigns or writes into, empty where it is none."""
    target: Any = None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AugAssign):
        target = statement.target
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""
