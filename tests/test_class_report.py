import json
import subprocess
import sys
import time

import numpy as np
import pytest

import backproplab as bp
from backproplab.exercises.__main__ import main
from backproplab.exercises.report import class_report


def hand_in(folder, learner, answers):
    """Write a progress file as the exercises do: (problem, label, blamed) in order."""
    problems = {}
    for k, (problem, label, *blamed) in enumerate(answers):
        attempt = {"at": f"2026-03-01T10:{k:02}:00.000000+00:00", "label": label}
        if blamed:
            attempt["blamed"] = blamed
        problems.setdefault(problem, []).append(attempt)
    content = {"format": "backproplab progress", "version": 1, "problems": problems}
    path = folder / learner / ".backproplab" / "progress.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), "utf-8")
    return path


@pytest.fixture
def room(tmp_path):
    hand_in(
        tmp_path,
        "ada",
        [("bn.dx", "statistics-constant"), ("bn.dx", "correct"), ("loss.mse", "sign")],
    )
    hand_in(
        tmp_path,
        "bob",
        [
            ("bn.dx", "statistics-constant"),
            ("bn.dx", "statistics-constant"),
            ("mlp.steps", "transposed", "w2"),
        ],
    )
    hand_in(tmp_path, "cleo", [("bn.dx", "correct")])
    hand_in(tmp_path, "dan", [])
    return tmp_path


def test_the_commonest_broken_link_comes_first(room):
    report = class_report([room])

    assert report.says == (
        "4 learners, 7 answers. The commonest broken link: statistics-constant, "
        "2 of 4 learners, mostly in bn.dx (2)."
    )
    assert report.by_mistake()[0] == {
        "mistake": "statistics-constant",
        "learners": 2,
        "share": "50%",
        "answers": 3,
        "mended": 1,
        "mostly in": "bn.dx (2)",
    }
    assert "mlp.steps, at w2 (1)" == report.by_mistake()[2]["mostly in"]


def test_each_learner_has_a_row_even_without_an_answer(room):
    rows = {row["learner"]: row for row in class_report([room]).by_learner()}

    assert ["ada", "bob", "cleo", "dan"] == sorted(rows)
    assert (1, 2, 3) == tuple(rows["ada"][k] for k in ("solved", "tried", "answers"))
    assert "statistics-constant (2)" == rows["bob"]["usual mistake"]
    assert rows["cleo"]["usual mistake"] is None
    assert (0, 0, None) == tuple(rows["dan"][k] for k in ("tried", "answers", "last"))


def test_each_problem_has_a_row(room):
    rows = {row["problem"]: row for row in class_report([room]).by_problem()}

    assert (3, 2) == (rows["bn.dx"]["tried"], rows["bn.dx"]["solved"])
    assert np.isclose(5 / 3, rows["bn.dx"]["answers each"])


def test_a_file_handed_in_twice_counts_once(room):
    path = room / "ada" / ".backproplab" / "progress.json"

    assert class_report([path]).attempts == class_report([path, path]).attempts


def test_learners_are_called_as_their_folders_are(tmp_path):
    for name in ("ada", "bob"):
        hand_in(tmp_path / "deep", f"{name}/work", [("bn.dx", "sign")])
        for assignment in ("week1", "week2"):
            hand_in(tmp_path / "autograded", f"{name}/{assignment}", [])

    assert ("ada", "bob") == class_report([tmp_path / "deep"]).learners
    assert ("ada", "bob") == class_report([tmp_path / "autograded"]).learners
    one = tmp_path / "deep" / "ada" / "work"
    assert ("work",) == class_report([one]).learners


def test_only_the_problems_asked_for_are_counted(room):
    report = class_report([room], problem="bn.")

    assert {"bn.dx"} == {a.problem for a in report.attempts}


def test_real_attempts_and_an_exported_block_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPLAB_DIR", str(tmp_path / "kept"))
    q = bp.exercises.get("chain.tanh")
    q.check(q.given.dy)
    q.check(q.given.dy * (1 - q.given.y**2))
    (tmp_path / "eve.txt").write_text(bp.exercises.export_progress(), "utf-8")

    report = class_report([tmp_path / "eve.txt", tmp_path / "kept" / "progress.json"])

    assert ("eve", "kept") == report.learners
    labels = [a.label for a in report.attempts if a.learner == "eve"]
    assert ["local-factor-missing", "correct"] == labels


def test_what_cannot_be_read_is_listed_and_stops_nothing(room, capsys):
    (room / "broken.json").write_text('{"format": "backproplab progress", "ver')
    (room / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (room / "cut.txt").write_text("--- backproplab progress ---\nabc")
    (room / "empty").mkdir()
    files = ["broken.json", "bytes.json", "cut.txt", "empty", "missing.json", "ada"]

    code = main(["report", *(str(room / f) for f in files)])

    said = capsys.readouterr().out
    assert 0 == code
    assert "1 learner, 3 answers." in said
    assert "Not read: 5 files" in said
    assert said.count("is broken, not ours, or from a newer version.") == 2
    assert f"{room / 'empty'}: has no file called progress*.json" in said
    assert f"{room / 'missing.json'}: No such file or directory" in said
    assert 1 == main(["report", str(room / "missing.json")])


def test_a_spreadsheet_gets_one_row_an_answer_and_no_formula(tmp_path, capsys):
    hand_in(tmp_path, "=cmd", [("bn.dx", "sign", "x", "gamma")])
    table = tmp_path / "class.csv"

    main(["report", str(tmp_path), "--csv", str(table)])

    lines = table.read_text("utf-8").splitlines()
    assert "learner,problem,at,label,blamed" == lines[0]
    assert lines[1].startswith("'=cmd,bn.dx,2026-03-01T10:00")
    assert lines[1].endswith("sign,x gamma")
    assert f"One row an answer: {table}" in capsys.readouterr().out


def test_a_table_that_cannot_be_written_is_said(room, capsys):
    code = main(["report", str(room), "--csv", str(room / "no" / "class.csv")])

    assert 1 == code
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_two_hundred_learners_of_forty_answers_take_under_two_seconds(tmp_path):
    rng = np.random.default_rng(0)
    problems, labels = bp.exercises.names(), [*bp.grade.LABELS]
    for k in range(200):
        answers = zip(rng.choice(problems, 40), rng.choice(labels, 40), strict=True)
        hand_in(tmp_path, f"learner{k:03}", answers)

    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "backproplab.exercises", "report", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun

    assert 0 == done.returncode, done.stderr
    assert "200 learners, 8000 answers." in done.stdout
    assert seconds < 2
