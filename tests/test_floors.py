"""Imports only point down, what draws enters in one place; and this can fail."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "backproplab"
README = PACKAGE.with_name("README.md")

# From the ground up. What stands on one floor may import its neighbours there.
FLOORS = (
    (
        "errors",
        "_arrays",
        "_memory",
        "formats",
        "_symbols",
        "_table",
        "distributions",
        "_signatures",
    ),
    ("sockets", "node", "_numpy"),
    ("tape",),
    ("_calling", "_declaring", "_deriving"),
    ("primitive",),
    ("ops",),
    ("_operators",),
    ("tensor",),
    ("_trees", "_linearize", "_checkpoint", "_numerical", "_points", "_causes"),
    ("transforms", "check", "anomaly"),
    ("nn", "optim", "amp", "parallel", "data", "interop", "saving", "meanfield"),
    ("trace",),
    ("_routes",),
    ("grade", "tex", "magnitudes"),
    ("exercises", "plot", "comparison", "monitor"),
    ("widgets",),
    ("__main__",),
)
HEIGHT = {part: n for n, floor in enumerate(FLOORS) for part in floor}
# Third-party names, and the only parts that may import them.
DOORS = {
    "matplotlib": ("plot",),
    "ipywidgets": ("widgets",),
    "anywidget": ("widgets",),
    "traitlets": ("widgets",),
    "IPython": ("widgets",),
    "mpi4py": ("parallel",),
    "ipyparallel": ("parallel",),
    "safetensors": ("saving",),
    "torch": ("interop",),
    "jax": ("interop",),
    "autograd": (),
    "scipy": (),
}


def part_of(path: Path, package: Path) -> str:
    return path.relative_to(package).with_suffix("").parts[0]


def statements(tree: ast.AST, *, lazy: bool = True) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads.

    Args:
        tree: of a file.
        lazy: with those in functions, which run later than the file is loaded.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            continue
        yield node
        yield from statements(node, lazy=lazy)


def imported(path: Path, package: Path) -> set[tuple[str, str]]:
    """(kind, name) of what a file imports: parts of the package, and other packages."""
    found = set()
    inside = path.relative_to(package.parent).with_suffix("").parts
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = inside[: -node.level] if node.level else ()
            whole = ".".join((*base, node.module or "")).strip(".")
            names = [f"{whole}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first != package.name:
                found.add(("package", first))
            elif rest:
                found.add(("part", rest[0]))
    return found


def needed(path: Path, package: Path) -> set[Path]:
    """Files of the package that are loaded before a file is; lazy imports are not."""
    found = set()
    for node in statements(ast.parse(path.read_text()), lazy=False):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1]
            base = base.joinpath(*(node.module or "").split("."))
            parts = [base / alias.name for alias in node.names]
            files = [p.with_suffix(".py") for p in (base, *parts)]
            faces = [p / "__init__.py" for p in (base, *parts) if p not in path.parents]
            found |= {file for file in (*files, *faces) if file.exists()}
    return found - {path, package / "__init__.py"}


def circle(package: Path) -> list[str]:
    """Files that need each other to be loaded, from one back to itself; or none."""
    files = sorted(package.rglob("*.py"))
    try:
        TopologicalSorter({f: needed(f, package) for f in files}).prepare()
    except CycleError as error:
        return [f.relative_to(package).as_posix() for f in error.args[1]]
    return []


def violations(package: Path) -> list[str]:
    """One line for each import that points up, or comes in by the wrong door."""
    found = []
    for path in sorted(package.rglob("*.py")):
        part = part_of(path, package)
        if path == package / "__init__.py":
            continue  # the roof: it shows what lies below
        name = path.relative_to(package)
        if part not in HEIGHT:
            found.append(f"{name} stands on no floor")
            continue
        for kind, other in sorted(imported(path, package)):
            if kind == "package":
                if other in DOORS and part not in DOORS[other]:
                    found.append(f"{name} imports {other}")
            elif other in HEIGHT and HEIGHT[other] > HEIGHT[part]:
                found.append(f"{name} imports {other}, which stands above it")
    return found


def test_imports_only_point_down() -> None:
    assert violations(PACKAGE) == []


def test_every_floor_that_is_built_has_its_files() -> None:
    built = {part_of(p, PACKAGE) for p in PACKAGE.rglob("*.py")} - {"__init__"}

    assert built <= set(HEIGHT)
    assert {"tape", "ops", "nn", "trace", "grade", "tex", "widgets"} <= built


def test_no_file_is_needed_by_what_it_needs() -> None:
    assert circle(PACKAGE) == []


def test_two_files_that_need_each_other_are_caught(tmp_path) -> None:
    package = tmp_path / "backproplab"
    (package / "nn").mkdir(parents=True)
    (package / "nn" / "linear.py").write_text("from . import init\nfrom .a import b")
    (package / "nn" / "init.py").write_text("def f():\n    from .linear import x")
    assert circle(package) == []

    (package / "nn" / "init.py").write_text("from .linear import x")

    assert {"nn/init.py", "nn/linear.py"} == set(circle(package))


def drawn(text: str) -> list[list[str]]:
    """Lines of parts in the README's picture, from the top."""
    picture = text.partition("The house")[2].split("```")[1]
    return [
        re.findall(r"(\w+)(?:/|\.py)", line[:51])
        for line in picture.splitlines()
        if "notebooks/" not in line and line.strip()
    ]


def test_the_readme_draws_the_floors_as_they_are() -> None:
    lines = drawn(README.read_text("utf-8"))

    heights = [HEIGHT[part] for parts in lines for part in parts]
    assert sorted(heights, reverse=True) == heights
    assert sorted(HEIGHT) == sorted(part for parts in lines for part in parts)


def test_what_a_picture_says_of_a_part_is_not_a_part() -> None:
    side = "read a/ first"
    picture = f"The house:\n\n```\n notebooks/\n {'b/  c.py':<50}{side}\n a/\n```\n"

    assert [["b", "c"], ["a"]] == drawn(picture)


BAD = {
    "tape.py": ("from .tensor import Tensor", "tape.py imports tensor, which stands"),
    "ops/shape.py": (
        "from ..nn.linear import Linear",
        "ops/shape.py imports nn, which",
    ),
    "trace/run.py": ("from .. import grade", "trace/run.py imports grade, which"),
    "nn/act.py": ("import backproplab.trace", "nn/act.py imports trace, which stands"),
    "optim/clip.py": (
        "def f():\n    from ..widgets import lab",
        "optim/clip.py imports widgets, which stands above it",
    ),
    "grade/verdict.py": (
        "import matplotlib.pyplot as plt",
        "grade/verdict.py imports matplotlib",
    ),
    "plot.py": ("import ipywidgets", "plot.py imports ipywidgets"),
    "tensor.py": ("import torch", "tensor.py imports torch"),
    "utils.py": ("", "utils.py stands on no floor"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_tree_that_violates_the_floors_is_caught(tmp_path, name) -> None:
    code, complaint = BAD[name]
    package = tmp_path / "backproplab"
    file = package / name
    file.parent.mkdir(parents=True)
    file.write_text(code)

    found = violations(package)

    assert 1 == len(found)
    assert found[0].startswith(complaint)


def test_imports_that_point_down_are_not_caught(tmp_path) -> None:
    package = tmp_path / "backproplab"
    (package / "widgets").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import widgets")
    (package / "plot.py").write_text("import matplotlib\nfrom .trace import Trace")
    (package / "widgets" / "lab.py").write_text(
        "import ipywidgets\nimport numpy as np\nfrom .. import plot\nfrom . import x"
    )

    assert violations(package) == []
