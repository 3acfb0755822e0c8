import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import notebook_copies as copies
import pytest

import backproplab as bp

MISTAKES = [m for name in copies.NAMES for m in copies.mistakes(name)]
LONGEST = 14  # lines of a cell
EASY_TO_SAY = re.compile(
    r"\b(simply|just|obvious(ly)?|trivial(ly)?|of course|clearly)\b", re.I
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPLAB_DIR", str(tmp_path / "kept"))


def nbval(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Run notebooks as `make test` does, one after another, each in a kernel."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax",
        "--nbval-current-env", "--nbval-cell-timeout=120", "-c", "/dev/null",
        "--rootdir", str(paths[0].parent), *map(str, paths),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, cwd=paths[0].parent)


# How they are kept.


@pytest.mark.parametrize("name", copies.NAMES)
def test_outputs_are_stripped_and_ids_are_stable(name):
    cells = copies.shipped(name)["cells"]
    ids = [c["id"] for c in cells]

    assert len(ids) == len(set(ids))
    assert not [i for i in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", i)]
    code = copies.code_cells(copies.shipped(name))
    assert not [c["id"] for c in code if c["outputs"] or c["execution_count"]]


@pytest.mark.parametrize("name", copies.NAMES)
def test_no_cell_is_long(name):
    cells = copies.code_cells(copies.shipped(name))

    assert not [c["id"] for c in cells if len(c["source"]) > LONGEST]


@pytest.mark.parametrize("name", copies.NAMES)
def test_no_text_belittles_the_reader(name):
    text = "".join("".join(c["source"]) for c in copies.shipped(name)["cells"])

    assert [] == EASY_TO_SAY.findall(text)


@pytest.mark.parametrize("name", copies.NAMES)
def test_only_public_names_and_no_address_are_used(name):
    source = "\n".join(
        "".join(c["source"]) for c in copies.code_cells(copies.shipped(name))
    )

    assert "import backproplab as bp" in source
    assert [] == re.findall(
        r"from backproplab|import backproplab\.|\.\s*_\w+|https?:", source
    )
    for attribute in set(re.findall(r"\bbp\.(\w+)", source)):
        assert getattr(bp, attribute)


@pytest.mark.parametrize("name", copies.NAMES)
def test_every_code_cell_with_a_claim_asserts_it_or_ends_in_a_verdict(name):
    for cell in copies.code_cells(copies.shipped(name)):
        source = "".join(cell["source"])
        claims = "print(" in source
        assert not claims or "assert " in source, cell["id"]
        if "problem" in copies.told(cell):
            assert ".check(" in source.splitlines()[-1], cell["id"]


@pytest.mark.parametrize("name", copies.NAMES)
def test_the_last_cell_says_where_to_go_by_links_that_lead_there(name):
    last = "".join(copies.shipped(name)["cells"][-1]["source"])

    links = re.findall(
        r"\]\((\w+)\.ipynb\)", last.partition("Where to go from here")[2]
    )

    assert links
    assert set(links) - {name} <= set(copies.NAMES)


def test_the_reader_predicts_before_the_cell_that_shows():
    for name in copies.NAMES:
        cells = copies.code_cells(copies.shipped(name))
        for cell, following in pairwise(cells):
            if "answer" in copies.told(cell):
                assert "guess = ..." == "".join(cell["source"])
                assert "verdict" in copies.told(following)


# As shipped, solved, and with each slip.


@pytest.mark.parametrize("name", copies.NAMES)
def test_an_unanswered_notebook_runs_and_says_what_is_open(name):
    cells = {c["id"]: copies.told(c) for c in copies.code_cells(copies.shipped(name))}

    shown = dict(copies.judged(copies.shipped(name)))

    asked = [i for i, about in cells.items() if {"problem", "verdict"} & about.keys()]
    assert asked
    assert {"not-attempted"} == {shown[i].label for i in asked}


@pytest.mark.parametrize("name", copies.NAMES)
def test_a_solved_notebook_has_only_right_verdicts(name):
    cells = {c["id"]: copies.told(c) for c in copies.code_cells(copies.shipped(name))}

    shown = dict(copies.judged(copies.solved(name)))

    asked = [i for i, about in cells.items() if {"problem", "verdict"} & about.keys()]
    assert dict.fromkeys(asked, True) == {i: shown[i].ok for i in asked}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_slip_is_blamed_where_it_stands_and_nowhere_else(mistake):
    notebook = copies.solved(mistake.notebook, mistake)

    shown = dict(copies.judged(notebook, mistake))

    wrong = {}
    for said in shown.values():
        each = said.values() if isinstance(said, bp.grade.Report) else [said]
        wrong |= {v.name: v.label for v in each if not v.ok}
    assert [mistake.where] == list(wrong)
    assert mistake.label == wrong[mistake.where]


@pytest.mark.slow
@pytest.mark.notebook
def test_solved_notebooks_pass_in_a_kernel(tmp_path):
    paths = [
        copies.write(copies.asserted(copies.solved(n)), tmp_path / f"{n}.ipynb")
        for n in copies.NAMES
    ]

    done = nbval(*paths)

    assert 0 == done.returncode, done.stdout[-3000:]


@pytest.mark.notebook
def test_that_check_can_fail(tmp_path):
    first = MISTAKES[-1]
    notebook = copies.asserted(copies.solved(first.notebook, first))
    path = copies.write(notebook, tmp_path / "slip.ipynb")

    done = nbval(path)

    assert 1 == done.returncode
    assert f"{first.where}: " in done.stdout


@pytest.mark.slow
@pytest.mark.notebook
def test_slips_come_out_in_a_kernel_too(tmp_path):
    one_a_label = {m.label: m for m in MISTAKES}.values()
    whole = {m.notebook: m for m in MISTAKES}.values()  # one a notebook to its end
    paths = []
    for k, mistake in enumerate([*whole, *one_a_label]):
        notebook = copies.solved(mistake.notebook, mistake)
        if k >= len(whole):
            notebook = copies.shortened(notebook)
        paths.append(copies.write(notebook, tmp_path / f"slip{k}.ipynb"))

    done = nbval(*paths)

    assert 0 == done.returncode, done.stdout[-3000:]


def test_a_solution_between_the_marks_can_be_taken_out_and_then_raises(tmp_path):
    marks = re.compile(r"### BEGIN SOLUTION\n.*?### END SOLUTION", re.S)
    notebook = copies.shipped("authoring")
    cells = {c["id"]: c for c in copies.code_cells(notebook)}
    source = "".join(cells["solution"]["source"])
    assert marks.search(source)

    cells["solution"]["source"] = marks.sub("answer = ...", source)

    with pytest.raises(bp.grade.GradeError, match=r"course\.swish: … x: not-att"):
        dict(copies.run(copies.code_cells(notebook)))
