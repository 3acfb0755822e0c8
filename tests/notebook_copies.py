"""Copies of the notebooks with answers filled in: the right ones, or one slip.

A cell says in its metadata what belongs in the place of its dots, ``NAME = ...``:
``{"backproplab": {"problem": id}}`` takes the lines of that problem's ``answer_code``,
``{"backproplab": {"answer": code, "slips": [[code, label], ...]}}`` brings its own.
``{"backproplab": {"dear": true}}`` marks a cell that takes seconds, and is left out of
copies with a slip.
"""

import ast
import builtins
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from dis import get_instructions
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import backproplab as bp

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))

Notebook = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """One slip in one notebook: which cell or problem, the code, what must come out."""

    notebook: str
    place: str
    code: str
    label: str
    where: str

    def __str__(self) -> str:
        first = next(iter(self.code.splitlines()), "")
        return f"{self.notebook}-{self.place}-{self.label}-{self.where or first}"


def shipped(name: str) -> Notebook:
    """Read a notebook."""
    return json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """List the code cells."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def told(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell says of itself."""
    return cell["metadata"].get("backproplab", {})


def solved(name: str, mistake: Mistake | None = None) -> Notebook:
    """Fill in the reference answers, but for one mistake."""
    notebook = copy.deepcopy(shipped(name))
    if mistake:  # no verdict rests on these, and the solved copy runs them
        notebook["cells"] = [c for c in notebook["cells"] if not told(c).get("dear")]
    for cell in code_cells(notebook):
        code = _answer(cell, mistake)
        if code is not None:
            cell["source"] = _filled("".join(cell["source"]), code)
    return notebook


def mistakes(name: str) -> Iterator[Mistake]:
    """List every slip that the notebook's problems and predictions know."""
    seen = set()
    for cell in code_cells(shipped(name)):
        about = told(cell)
        for code, label in about.get("slips", []):
            yield Mistake(name, cell["id"], code, label, "guess")
        id = about.get("problem")
        if id and id not in seen:
            seen.add(id)
            for slip in bp.exercises.get(id).problem.slips:
                yield Mistake(name, id, slip.code, slip.label, slip.where)


def judged(
    notebook: Notebook, mistake: Mistake | None = None
) -> Iterator[tuple[str, Any]]:
    """Run the cells that end in a verdict, and what they need; yield (id, last value).

    What no verdict rests on (a demonstration, a training run) is left out: it runs in
    a kernel, under nbval. With a mistake, verdicts that do not rest on it are left out.
    """
    cells = code_cells(notebook)
    verdicts = [c for c in cells if {"problem", "verdict"} & told(c).keys()]
    if mistake:
        wrong = [c for c in cells if mistake.place in (c["id"], told(c).get("problem"))]
        verdicts = [v for v in verdicts if any(c in needed(cells, [v]) for c in wrong)]
    places = {v["id"] for v in verdicts}
    yield from (said for said in run(needed(cells, verdicts)) if said[0] in places)


def run(cells: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Run cells one after another; yield (cell id, its last value)."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell["id"], "exec"), space)
        value = None
        if last is not None:
            value = eval(compile(ast.Expression(last.value), cell["id"], "eval"), space)
        yield cell["id"], value


def needed(
    cells: list[dict[str, Any]], verdicts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """List the cells that verdicts rest on, by the names that they bind and use.

    A name handed to a call, or whose method is called, may have been changed by it.
    Every cell that imports is run, but what else it does is not taken as needed.
    """
    kept, wanted = [], set()
    for cell in reversed(cells):
        source = "".join(cell["source"])
        bound, touched, read = _names(source)
        if cell in verdicts or (bound | touched) & wanted or "globals" in read:
            kept.append(cell)
            wanted = wanted - bound | read
        elif imports := [s for s in source.splitlines() if s.startswith("import ")]:
            kept.append({**cell, "source": "\n".join(imports)})
    return kept[::-1]


def shortened(notebook: Notebook) -> Notebook:
    """Leave out what no verdict rests on."""
    cells = code_cells(notebook)
    verdicts = [c for c in cells if {"problem", "verdict"} & told(c).keys()]
    return {**notebook, "cells": needed(cells, verdicts)}


def asserted(notebook: Notebook, ok: bool = True) -> Notebook:
    """Let each verdict cell fail unless its verdict is right."""
    notebook = copy.deepcopy(notebook)
    for cell in code_cells(notebook):
        if "problem" in told(cell) or "verdict" in told(cell):
            body, _, last = "".join(cell["source"]).rpartition("\n")
            cell["source"] = f"{body}\nverdict = {last}\nassert verdict.ok, verdict"
    return notebook


def write(notebook: Notebook, path: Path) -> Path:
    """Write a notebook file."""
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), "utf-8")
    return path


@cache
def _names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Global names that a cell binds, that it may change, and that it reads first."""
    tree = ast.parse(source)
    bound, touched, read = set(), set(), set()
    for statement in tree.body:
        code = compile(ast.Module([statement], []), "cell", "exec")
        read |= _loaded(code) - bound
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            bound |= {i.argval for i in get_instructions(code) if i.opname == _STORE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            handed = [node.func, *node.args, *(k.value for k in node.keywords)]
            touched |= {n.id for a in handed if (n := _root(a)) is not None}
        elif isinstance(getattr(node, "ctx", None), ast.Store):  # a part of an object
            touched |= {n.id for n in [_root(node)] if n is not None}
    modules = {"bp", "np", *dir(builtins)} - {"globals"}
    return bound, touched - modules, read - modules


_STORE = "STORE_NAME"


def _loaded(code: CodeType) -> set[str]:
    """Globals that code reads, in the functions and classes within it, too."""
    found = {
        i.argval
        for i in get_instructions(code)
        if i.opname in ("LOAD_NAME", "LOAD_GLOBAL")
    }
    return found.union(*(_loaded(c) for c in code.co_consts if type(c) is CodeType))


def _root(node: ast.AST) -> ast.Name | None:
    """The name at the left end of ``name.attribute[index]``."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def _answer(cell: dict[str, Any], mistake: Mistake | None) -> str | None:
    about, id = told(cell), cell["id"]
    if "answer" in about:
        code = mistake.code if mistake and mistake.place == id else about["answer"]
        return f"guess = {code}"
    if "problem" in about:
        if mistake and mistake.place == about["problem"]:
            return mistake.code
        return bp.exercises.get(about["problem"]).problem.answer_code
    return None


def _filled(source: str, code: str) -> str:
    """Put the statements of ``code`` in the place of ``NAME = ...``, name by name."""
    by_name = {}
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign):  # classes and functions come whole
            by_name[ast.unparse(statement.targets[0])] = statement
    lines = []
    for line in source.splitlines():
        name, dots, _ = line.partition(" = ...")
        if dots and name == "answer":  # a whole answer: all its lines
            lines += code.splitlines()
        elif dots:
            filled = ast.unparse(by_name[name.strip()])
            lines.append(name[: len(name) - len(name.lstrip())] + filled)
        else:
            lines.append(line)
    return "\n".join(lines)
