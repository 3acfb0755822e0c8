"""``python -m backproplab [WORD ...]``: every public name, with a line on each."""

import inspect
import sys
from importlib import import_module
from typing import Any

from . import __all__ as top

PARTS = (
    "ops", "nn", "nn.init", "optim", "amp", "formats", "parallel", "data", "interop",
    "trace", "grade", "tex", "exercises", "widgets", "plot", "meanfield", "errors",
)  # fmt: skip


def catalogue() -> dict[str, dict[str, Any]]:
    """List the public functions and classes by name, for each part of the package."""
    package = import_module("backproplab")
    found = {"": {name: getattr(package, name) for name in top}}
    for part in PARTS:
        module = import_module(f"backproplab.{part}")
        own = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_")
            and getattr(thing, "__module__", "") == module.__name__
        ]
        names = {*getattr(module, "__all__", own), *getattr(module, "registry", ())}
        found[part] = {name: getattr(module, name) for name in sorted(names)}
    return {
        part: {n: t for n, t in things.items() if _counts(t)}
        for part, things in found.items()
    }


def claim(thing: Any) -> str:
    """The first paragraph of what something says of itself, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def main(words: list[str]) -> int:
    """Print the names whose line holds all of the words.

    Returns:
        0, or 1 where there is none.
    """
    if {"-h", "--help"} & {*words}:
        print(__doc__)
        return 0
    shown = 0
    for part, things in catalogue().items():
        lines = []
        for name, thing in sorted(things.items(), key=lambda p: p[0].lower()):
            full = ".".join(filter(None, ("bp", part, name)))
            line = f"{full:<32} {claim(thing)}"
            if all(word.lower() in line.lower() for word in words):
                lines.append(line)
        if lines:
            print(f"\n{part or 'backproplab'}", *lines, sep="\n  ")
            shown += len(lines)
    if not shown:
        print(f"No public name has {' '.join(words)} in its line.", file=sys.stderr)
    return 0 if shown else 1


def _counts(thing: Any) -> bool:
    return inspect.isclass(thing) or inspect.isroutine(thing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
