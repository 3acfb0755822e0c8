import json
import os
import subprocess
import sys

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
    why = "has no progress.json, nor an exported block saved as .txt"
    assert f"{room / 'empty'}: {why}" in said
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


def test_a_folder_may_hold_blocks_and_files_called_as_their_learners(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BACKPROPLAB_DIR", str(tmp_path / "kept"))
    bp.exercises.get("chain.tanh").check("dy")
    block, kept = bp.exercises.export_progress(), tmp_path / "kept" / "progress.json"
    folder = tmp_path / "collected"
    folder.mkdir()
    (folder / "ada.txt").write_text(f"Here it is.\n\n{block}\nAda", "utf-8")
    (folder / "bob.json").write_text(kept.read_text("utf-8"), "utf-8")
    (folder / "notes.txt").write_text("for myself", "utf-8")
    (folder / "package.json").write_text("{}", "utf-8")

    report = class_report([folder])

    assert ("ada", "bob") == report.learners
    assert () == report.unread
    assert ["local-factor-missing"] * 2 == [a.label for a in report.attempts]


def test_a_file_that_an_editor_saved_anew_is_read(tmp_path):
    text = hand_in(tmp_path / "from", "x", [("bn.dx", "sign")]).read_text("utf-8")
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / f"{encoding}.json").write_text(text, encoding)

    report = class_report([tmp_path / "utf-8-sig.json", tmp_path / "utf-16.json"])

    assert ["sign", "sign"] == [a.label for a in report.attempts]


def test_who_handed_in_an_assignment_without_an_answer_has_a_row_too(tmp_path):
    hand_in(tmp_path / "autograded", "ada/week1", [("bn.dx", "sign")])
    (tmp_path / "autograded" / "cleo" / "week1").mkdir(parents=True)

    assert ("ada", "cleo") == class_report([tmp_path / "autograded"]).learners
    assert ("ada", "cleo") == class_report([tmp_path]).learners


def test_the_problem_that_fewest_have_solved_comes_first(room):
    problems = [row["problem"] for row in class_report([room]).by_problem()]

    assert ["loss.mse", "mlp.steps", "bn.dx"] == problems


def test_the_headline_names_a_link_where_there_is_one(tmp_path):
    hand_in(tmp_path, "ada", [("bn.dx", "unexplained"), ("bn.dx", "sign")])
    hand_in(tmp_path, "bob", [("bn.dx", "unexplained")])

    report = class_report([tmp_path])

    assert "unexplained" == report.by_mistake()[0]["mistake"]
    assert "The commonest broken link: sign, 1 of 2" in report.says


def test_a_class_without_an_answer_is_not_praised(tmp_path):
    hand_in(tmp_path / "class", "ada", [])
    hand_in(tmp_path / "good", "ada", [("bn.dx", "correct")])

    assert "1 learner, 0 answers." == class_report([tmp_path / "class"]).says
    assert "1 learner, 1 answer. No mistakes." == class_report([tmp_path / "good"]).says


def test_learners_of_one_name_are_taken_together_and_that_is_said(tmp_path):
    for section in ("a", "b"):
        hand_in(tmp_path / section, "ada", [("bn.dx", f"label-{section}")])
        hand_in(tmp_path / section, f"only-{section}", [])

    report = class_report([tmp_path])

    assert (("ada", 2),) == report.joined
    assert 2 == len(report.attempts)
    said = "\nTaken together, since called the same: ada (2 files)."
    assert str(report).endswith(said)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_an_empty_file_and_one_that_never_ends_are_said(tmp_path):
    (tmp_path / "progress.empty.json").touch()
    os.mkfifo(tmp_path / "progress.pipe.json")

    report = class_report([tmp_path])

    assert [
        (str(tmp_path / "progress.empty.json"), "is empty."),
        (str(tmp_path / "progress.pipe.json"), "is no file."),
    ] == list(report.unread)


def test_a_folder_that_cannot_be_looked_into_is_said(tmp_path, monkeypatch):
    room = tmp_path / "submitted"
    for who in ("ada", "bob"):
        hand_in(room, f"{who}/week1", [("bn.dx", "sign")])

    def closed(real):
        def look(path):
            if "bob" in str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return look

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, closed(getattr(os, name)))

    report = class_report([room])

    assert ("ada",) == report.learners
    assert ((str(room / "bob"), "Permission denied"),) == report.unread


def test_no_text_of_a_file_breaks_a_line_or_moves_the_cursor(tmp_path):
    hand_in(tmp_path, "ada", [("bn.\ndx", "si\x1b[31mgn"), ("bn.dx", "9" * 300)])

    said = str(class_report([tmp_path]))

    assert r"bn.\ndx" in said
    assert r"si\x1b[31mgn" in said
    assert "9" * 59 + "…" in said
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 160


def test_a_spreadsheet_is_told_of_letters_beyond_ascii(room, tmp_path):
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"

    class_report([room]).write_csv(plain)
    hand_in(room, "Łukasz", [("bn.dx", "sign")])
    class_report([room]).write_csv(other)

    assert plain.read_bytes().startswith(b"learner,")
    assert other.read_bytes().startswith(b"\xef\xbb\xbflearner,")
    assert "\nŁukasz,bn.dx," in other.read_text("utf-8-sig")


def reported(folder, **keywords):
    return subprocess.Popen(
        [sys.executable, "-m", "backproplab.exercises", "report", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **keywords,
    )


def test_a_terminal_that_knows_few_letters_gets_their_codes(tmp_path):
    hand_in(tmp_path, "Łukasz", [("bn.dx", "sign")])

    process = reported(tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = process.communicate()

    assert b"" == err
    assert rb"\u0141ukasz" in out


def test_who_reads_only_the_first_line_hears_of_no_error(tmp_path):
    for k in range(2000):
        hand_in(tmp_path, f"learner{k}", [])

    process = reported(tmp_path)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()

    assert 0 == process.wait()
    assert b"" == error


def test_two_hundred_learners_of_forty_answers_take_under_two_seconds(tmp_path):
    rng = np.random.default_rng(0)
    problems, labels = bp.exercises.names(), [*bp.grade.LABELS]
    for k in range(200):
        answers = zip(rng.choice(problems, 40), rng.choice(labels, 40), strict=True)
        hand_in(tmp_path, f"learner{k:03}", answers)

    begun = os.times()  # CPU time: other tests run beside this one
    done = subprocess.run(
        [sys.executable, "-m", "backproplab.exercises", "report", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    ended = os.times()
    seconds = sum(ended[2:4]) - sum(begun[2:4])

    assert 0 == done.returncode, done.stderr
    assert "200 learners, 8000 answers." in done.stdout
    assert seconds < 2
