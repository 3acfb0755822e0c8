"""What a class handed in: which files there are, and whose they are."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_COLLECTED = ("autograded", "submitted")  # nbgrader: autograded/LEARNER/ASSIGNMENT/
_SIGNS = (b"backproplab progress", "backproplab progress".encode("utf-16-le"))
_PEEK = 2_000  # bytes in which a file says that it is ours


def files_in(paths: Sequence[Path], unread: list[tuple[str, str]]) -> Iterator[Path]:
    """Find the files; of a folder, what is called progress*.json or says it is ours.

    Args:
        paths: files and folders.
        unread: takes the folders without any, or that cannot be looked into, and why.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        closed: list[OSError] = []
        walk = os.walk(path, onerror=closed.append)
        within = (Path(at, name) for at, _, names in walk for name in names)
        inside = sorted(p for p in within if _ours(p))
        yield from inside
        unread += [(printable(e.filename), printable(e.strerror or e)) for e in closed]
        if not inside and not closed:
            why = "has no progress.json, nor an exported block saved as .txt"
            unread.append((printable(path), why))


def absent(paths: Sequence[Path]) -> Iterator[str]:
    """Name all learners of nbgrader's folders, those without a file included."""
    for path in map(Path.resolve, paths):
        collected = path.name in _COLLECTED
        for folder in [path] if collected else [path / name for name in _COLLECTED]:
            learners = (p for p in _inside(folder) if any(map(Path.is_dir, _inside(p))))
            yield from (printable(p.name) for p in learners)


def named(files: Sequence[Path]) -> dict[Path, str]:
    """Call each learner by the nearest part of the path that tells them apart."""
    paths = {path: (path.parent.resolve() / path.stem).parts for path in files}
    shared = set.intersection(*map(set, paths.values())) if len(paths) > 1 else set()
    names = {}
    for path, parts in paths.items():
        folder = next((f for f in _COLLECTED if f in parts[:-1]), None)
        told = [
            p
            for p in reversed(parts)
            if p not in shared and not p.startswith((".backproplab", "progress", "/"))
        ]
        name = parts[parts.index(folder) + 1] if folder else None
        names[path] = printable(name or (told[0] if told else path))
    return names


def printable(text: Any, most: int | None = None) -> str:
    r"""What a terminal can show in a line: all else is written as its code.

    >>> print(printable("Ada\x1b[31m"), printable("9" * 9, most=4))
    Ada\x1b[31m 999…
    """
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    return plain if most is None or len(plain) <= most else f"{plain[: most - 1]}…"


def _ours(path: Path) -> bool:
    if path.match("progress.aside*"):
        return False
    if path.match("progress*.json"):
        return True
    if path.suffix not in (".json", ".txt") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_PEEK)
    except OSError:
        return True  # it is said why when it is read
    return not head or any(sign in head for sign in _SIGNS)


def _inside(folder: Path) -> list[Path]:
    """What a folder holds; nothing if it is none, or closed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
