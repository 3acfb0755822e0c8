"""The scope of a module's call: where the module stands in the outermost one."""

from contextvars import ContextVar
from typing import Any, NamedTuple

from ..sockets import mode, path_now


class _Outermost(NamedTuple):
    """Where the modules of the outermost call stand, and in which scope it runs."""

    modules: list[tuple[str, Any]]
    paths: dict[int, str]
    base: str


# The outermost call, and the path of the module that runs.
_call: ContextVar[tuple[_Outermost, str] | None] = ContextVar(
    "backproplab.nn.call", default=None
)


def in_scope(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a module in the scope of its dotted path from the outermost module.

    The outermost has an empty path: its scope is the one that is open already, and a
    plug hears of it with the module as owner. This is ``sockets.scope`` written out,
    since a recorded step enters it for every layer.
    """
    call, within, name = _call.get(), path_now.get(), ""
    path = call[0].paths.get(id(module)) if call is not None else None
    if call is None or path is None:
        modules, path = list(module.named_modules()), ""
        outermost = _Outermost(modules, {id(m): n for n, m in modules}, within)
    else:
        outermost, caller = call
        if not caller:
            name = path
        elif path.startswith(caller + "."):
            # Relative, so that a scope that the caller's forward opened stays in it.
            name = path[len(caller) + 1 :]
        else:
            name, within = path, outermost.base
    whole = f"{within}.{name}" if within and name else within or name
    plugs, output = mode.get().plugs, None
    token = _call.set((outermost, path))
    token_of_path = path_now.set(whole)
    try:
        for plug in plugs:
            plug.enter(whole, module)
        output = module._run(args, kwargs)
    finally:
        path_now.reset(token_of_path)
        for plug in plugs:
            plug.leave(whole, output)
        _call.reset(token)
    return output


def modules_of(owner: Any) -> list[tuple[str, Any]]:
    """(path, module) for a module and all below; known already while it is called."""
    call = _call.get()
    if call is not None and call[0].modules[0][1] is owner:
        return call[0].modules
    return list(owner.named_modules())
