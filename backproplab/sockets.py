"""The sockets of the tape: who listens, in which scope, and whether it records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

if TYPE_CHECKING:
    from .primitive import Primitive


class Plug:
    """Something that listens to the tape; override what you need.

    ``enter`` and ``leave`` are the scope socket, ``before`` and ``after`` the intercept
    socket, ``edge`` and ``arrive`` the edge socket.

    ``replay`` says whether a checkpoint that computes again must let it listen again: a
    plug that changes values (autocast) must, one that only watches must not.
    """

    replay: ClassVar[bool] = False

    def enter(self, path: str, owner: Any) -> None:
        """Begin a scope: ``path`` is dotted and whole, ``owner`` the module or None."""

    def leave(self, path: str, output: Any) -> None:
        """End the innermost scope, which returns ``output`` (None if it raised)."""

    def before(
        self, op: Primitive, inputs: tuple[Any, ...], static: dict[str, Any]
    ) -> Any:
        """Return the inputs that ``op`` is to see."""
        return inputs

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Return the output that the caller is to see."""
        return node

    def edge(self, node: Any, k: int, c: Any) -> Any:
        """Return what ``node`` is to contribute to its input ``k``."""
        return c

    def arrive(self, node: Any, g: Any) -> None:
        """See the whole gradient of ``node``, all contributions added, hooks run."""


class Mode(NamedTuple):
    """Whether operations leave a record, and who listens."""

    grad: bool = True
    plugs: tuple[Plug, ...] = ()


idle = Mode()
mode: ContextVar[Mode] = ContextVar("backproplab.mode", default=idle)
path_now: ContextVar[str] = ContextVar("backproplab.scope", default="")


@contextmanager
def plugged(plug: Plug) -> Iterator[Plug]:
    """Let ``plug`` listen within a ``with`` block.

    Plugs that change values come first, so that those that watch see what the caller
    sees, whichever block is the inner one.
    """
    now = mode.get()
    first = [p for p in now.plugs if p.replay]
    rest = [p for p in now.plugs if not p.replay]
    plugs = (*first, plug, *rest) if plug.replay else (*now.plugs, plug)
    token = mode.set(Mode(now.grad, plugs))
    try:
        yield plug
    finally:
        mode.reset(token)


@contextmanager
def scope(
    name: str, owner: Any = None, *, within: str | None = None
) -> Iterator[list[Any]]:
    """Name the operations of a ``with`` block, ``outer.inner`` where blocks nest.

    Args:
        name: what the block is called; an empty name adds nothing to the path.
        owner: the module that it belongs to, for those who listen.
        within: the path to nest in, where it is not the innermost scope.

    Yields:
        a list: what the block puts in it is the output that ``leave`` reports.
    """
    path = ".".join(filter(None, (path_now.get() if within is None else within, name)))
    plugs, outputs = mode.get().plugs, []  # type: tuple[Plug, ...], list[Any]
    token = path_now.set(path)
    for plug in plugs:
        plug.enter(path, owner)
    try:
        yield outputs
    finally:
        path_now.reset(token)
        for plug in plugs:
            plug.leave(path, outputs[0] if outputs else None)


def current_scope() -> str:
    """Return the dotted path of the innermost scope, empty at the top."""
    return path_now.get()


class no_grad(ContextDecorator):  # noqa: N801 (PyTorch's name)
    """Leave no record within a ``with`` block (or a decorated function).

    One object serves several blocks, one after the other or nested.

    >>> import backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> with bp.no_grad():
    ...     (x * x).requires_grad
    False
    """

    _on = False

    def __init__(self) -> None:
        self._tokens: list[Token[Mode]] = []

    def __enter__(self) -> None:
        self._tokens.append(mode.set(Mode(self._on, mode.get().plugs)))

    def __exit__(self, *_error: object) -> None:
        mode.reset(self._tokens.pop())

    def _recreate_cm(self) -> Self:
        # each call of a decorated function has its own, threads among them
        return type(self)()


class enable_grad(no_grad):  # noqa: N801 (PyTorch's name)
    """Leave records again, within a ``no_grad`` block."""

    _on = True


def is_grad_enabled() -> bool:
    """Say whether operations leave a record here."""
    return mode.get().grad


def current_plugs() -> tuple[Plug, ...]:
    """List the plugs that listen here, outermost first."""
    return mode.get().plugs
