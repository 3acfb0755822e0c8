"""The scope of a module's call: where the module stands in the outermost one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from ..sockets import current_scope, scope


class _Call(NamedTuple):
    """The outermost call that runs: where its modules stand, and which one runs."""

    paths: dict[int, str]
    base: str
    caller: str


_call: ContextVar[_Call | None] = ContextVar("backproplab.nn.call", default=None)


@contextmanager
def entered(module: Any) -> Iterator[list[Any]]:
    """Open the scope of a module's call: its dotted path from the outermost module.

    The outermost has an empty path: its scope is the one that is open already, and a
    plug hears of it with the module as owner.

    Yields:
        a list for the call's output.
    """
    call = _call.get()
    path = call.paths.get(id(module)) if call else None
    name, within = "", None
    if call is None or path is None:
        paths = {id(m): name for name, m in module.named_modules()}
        call, path = _Call(paths, current_scope(), ""), ""
    elif path.startswith(call.caller + "." if call.caller else ""):
        # Relative, so that a scope that the caller's forward opened stays in the path.
        name = path[len(call.caller) :].removeprefix(".")
    else:
        name, within = path, call.base
    token = _call.set(call._replace(caller=path))
    try:
        with scope(name, owner=module, within=within) as outputs:
            yield outputs
    finally:
        _call.reset(token)
