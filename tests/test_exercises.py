import json
import multiprocessing
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import backproplab as bp
from backproplab.exercises import Problem, Slip
from backproplab.exercises.formula import FormulaError, evaluate


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    monkeypatch.setenv("BACKPROPLAB_DIR", str(folder))
    return folder


def cube(**changes):
    problem = Problem(
        id="demo.cube",
        prompt="Cubes.",
        inputs=lambda rng: {"x": rng.normal(size=rng.integers(2, 5))},
        forward=lambda x: (x * x * x).named("y"),
        asks=("x",),
        hints=("At the product.", "The power rule.", "`dx = dy * ... * x**2`"),
        solution="$3 x^2$ times what comes in.",
        answer_code="dx = dy * 3 * x**2",
        slips=(
            Slip("constant-factor", "dx = dy * x**2"),
            Slip("upstream-missing", "dx = 3 * x**2"),
            Slip("sign", "dx = -dy * 3 * x**2"),
        ),
    )
    return replace(problem, **changes)


# Answers of every kind.


def test_an_answer_may_be_array_list_function_formula_or_dict():
    q = bp.exercises.get("chain.tanh")
    y, dy = q.given.y, q.given.dy
    right = dy * (1 - y**2)

    answers = [
        right,
        right.tolist(),
        bp.tensor(right),
        lambda y, dy: dy * (1 - y**2),
        "dy * (1 - y^2)",
        {"x": right},
        {"dx": right},
    ]

    assert ["correct"] * len(answers) == [q.check(a).label for a in answers]


def test_a_formula_may_use_the_gradients_above_it():
    q = bp.exercises.get("chain.fan_out")

    assert q.check({"h": "dy * (cos(h) + 2*h)", "w": "dh * x"}).ok
    assert ("h",) == q.check({"h": "dy * cos(h)", "w": "dh * x"}).blamed


def test_a_function_that_fits_only_the_numbers_shown_is_found_out():
    q = bp.exercises.get("chain.tanh")
    kept = q.given.dy * (1 - q.given.y**2)

    verdict = q.check(lambda x: kept)

    assert "shape" == verdict.label
    assert verdict.says.startswith(
        "Right on the numbers shown, but not on others (float64: x ("
    )


def test_a_function_with_a_wish_that_is_not_given_is_told_so():
    q = bp.exercises.get("chain.tanh")

    def answer(grad):
        return grad

    assert "answer asks for 'grad'; known: x, y, dy." == q.check(answer).says


def test_a_function_that_raises_is_told_what_it_raised():
    q = bp.exercises.get("chain.tanh")

    def answer(y):
        return y / zero  # noqa: F821

    says = "answer raised NameError: name 'zero' is not defined"
    assert says == q.check(answer).says


def test_several_gradients_are_asked_for_as_a_dict():
    q = bp.exercises.get("chain.fan_out")

    report = q.check(np.zeros(3))

    says = '2 gradients are asked: hand in a dict {"h": ..., "w": ...}.'
    assert [says, says] == [v.says for v in report.values()]


class Thorny:
    """An object that fights being looked at."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None


ODD = [
    None, ..., True, 3, 2 + 1j, "", "x +", "__import__('os')", b"x", [], [[1], [1, 2]],
    {}, {"q": 1}, {3: 1}, {"x": {}}, set(), object(), object, int, np.array, print, len,
    np.zeros(0), np.full(4, np.nan), np.array("a"), np.array([None]), np.zeros((2, 3)),
    np.array([1 + 1j]), Thorny(), range(3), iter([]), (x for x in ()), lambda: 3,
    lambda *a, **k: ..., np.ma.masked, float("inf"), datetime(2020, 1, 1), type,
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=[str(i) for i in range(len(ODD))])
@pytest.mark.parametrize("name", ["chain.tanh", "chain.fan_out"])
def test_no_object_makes_check_raise_or_pass(name, odd):
    outcome = bp.exercises.get(name).check(odd)

    assert not outcome.ok
    assert outcome.says


@pytest.mark.parametrize(
    "huge", [np.zeros(10**8), "x" * 10**7, np.zeros((10**4, 10**4), np.float32)]
)
def test_a_huge_answer_is_judged_at_once(huge):
    q = bp.exercises.get("chain.tanh")
    q.check(...)
    start = time.perf_counter()

    verdict = q.check(huge)

    assert time.perf_counter() - start < 0.1
    assert not verdict.ok


def test_a_broken_link_is_named_with_the_place_and_the_way_it_broke():
    verdict = bp.exercises.get("chain.tanh").check("dy")

    assert str(verdict) == (
        "✗ x: local-factor-missing. Look at the link from y back to x. The gradient "
        "that comes into y is passed on to x without the factor dy/dx."
    )


def test_a_diagnosis_starts_from_the_learners_own_answers():
    q = bp.exercises.get("net.two_neurons")
    dy = 5 * q.given.y
    dh = dy  # the path over b is missing, given this dy

    report = q.check({"y": dy, "b": dy, "h": dh})

    assert ("y", "h") == report.blamed
    assert "path-missing" == report["h"].label


def test_a_slip_that_no_diagnosis_finds_is_told_in_the_authors_words():
    says = "Cubes have nothing to do with the weather."
    far_fetched = Slip("factor-substituted", "dx = dy * np.sinc(x - 0.3)", says=says)
    silent = Slip("factor-substituted", "dx = dy * np.sinc(x + 0.4)")
    q = bp.exercises.Exercise(cube(slips=(far_fetched, silent)))
    x, dy = q.given.x, q.given.dy

    told, untold = (q.check(dy * np.sinc(x + c)) for c in (-0.3, 0.4))

    assert ("factor-substituted", says) == (told.label, told.says)
    assert "unexplained" == untold.label


def test_what_follows_from_an_answer_of_a_wrong_shape_gets_credit():
    q = bp.exercises.get("loss.softmax_steps")
    e, s, p, dp = q.given.e, q.given.s, q.given.p, -q.given.target / q.given.p
    dp = dp / len(dp)
    ds = -dp * e / s**2  # not summed over the row

    report = q.check({"p": dp, "s": ds, "e": dp / s + ds, "z": (dp / s + ds) * e})

    assert ("s",) == report.blamed
    assert "no-batch-sum" == report["s"].label
    assert "It follows from your own values before it." == report["e"].says
    assert p.shape == ds.shape


def test_strict_raises_with_the_whole_verdict():
    q = bp.exercises.get("chain.tanh")

    with pytest.raises(bp.grade.GradeError) as caught:
        q.check("dy", strict=True)

    assert str(caught.value).startswith("chain.tanh: ✗ x: ")
    assert str(caught.value).endswith("\n  help: q.hint() says where to look.")
    assert q.check("dy * (1 - y**2)", strict=True).ok


def test_given_is_read_only_and_names_what_is_near():
    given = bp.exercises.get("matrix.dw").given

    with pytest.raises(ValueError, match="read-only"):
        given.x[0] = 1
    with pytest.raises(bp.errors.NameLookupError) as caught:
        given.xx  # noqa: B018

    assert "given: there is no 'xx'.\n  help: did you mean x?" == str(caught.value)


def test_an_unknown_id_names_the_near_ones():
    with pytest.raises(bp.errors.NameLookupError) as caught:
        bp.exercises.get("chain.tanhh")

    message = (
        "exercises: there is no problem 'chain.tanhh'.\n  help: did you mean chain.tanh"
    )
    assert str(caught.value).startswith(message)


def test_the_ladder_of_hints_has_three_rungs():
    q = bp.exercises.get("chain.tanh")

    assert q.hint().startswith("**Hint 1 of 3.** One link")
    assert q.hint().endswith("`q.hint(2)` says more.")
    assert q.hint(3) == q.hint(99)
    assert "dx = dy * (1 - y**2)" in q.solution()


def test_the_prompt_shows_the_code_that_runs():
    prompt = bp.exercises.get("chain.scalar").prompt

    assert "```python\nz = w * x\ny = np.tanh(z)\nloss = (y - t) ** 2\n```" in prompt
    assert "Given: `x`, `w`, `t`, `z`, `y`, `loss`." in prompt
    assert "Asked: `dw`." in prompt


# Writing problems.


def test_a_slip_is_the_line_that_differs():
    slip = bp.exercises.get("net.two_neurons").problem.slips[2]

    assert "dh = db * w2" in slip.code
    assert "da = dh * (1 - h**2)" in slip.code
    assert "h" == slip.where


@pytest.mark.parametrize(
    ("changes", "check", "seen"),
    [
        ({"asks": ("q",)}, 0, "the run has no value named 'q'"),
        ({"answer_code": "dx = dy * x**2"}, 2, "seed 0: "),
        ({"slips": ()}, 3, "there are 0 slips; three are the least"),
        ({"slips": (Slip("sign", "dx = dy * 3 * x * x"),) * 3}, 3, "seed 0: sign at x"),
        ({"slips": (Slip("silly", "dx = dy"),) * 3}, 3, "'silly' is no label"),
        ({"slips": (Slip("sign", "dx = 3 * x**2"),) * 3}, 4, "seed 0: sign at x, seen"),
        (
            {"forward": lambda x: (x * 0.0).named("y")},
            5,
            "seed 0: the gradient of x is",
        ),
        ({"hints": ("a", "b", "dy*3*x**2")}, 6, "a hint holds dy * 3 * x**2"),
        ({"hints": ("a", "b", "`x**2 * 3 * dy`")}, 6, "a hint holds x**2 * 3 * dy"),
        ({"hints": ("a",)}, 6, "there are 1 hints; three are wanted"),
    ],
)
def test_validate_names_what_is_wrong(changes, check, seen):
    changes = {"answer_code": "dx = dy * 3 * x**2", "slips": (), **changes}
    if "slips" not in changes or not changes["slips"]:
        changes["slips"] = changes.get("slips", ())

    found = bp.exercises.validate(cube(**changes), seeds=3)

    assert not found.ok
    assert "✗" == found[check]["holds"]
    assert found[check]["seen"].startswith(seen)


def test_validate_finds_a_rule_of_the_engine_that_is_wrong():
    @bp.elementwise(lambda y, x: 2.5 * x)
    def almost_square(x):
        return x * x

    problem = cube(forward=lambda x: almost_square(x).named("y"))

    found = bp.exercises.validate(problem, seeds=3)

    assert "✗" == found[1]["holds"]
    assert found[1]["seen"].startswith("x: ")


# Formulas.

SPACE = {"x": np.ones((3, 4)), "w": np.ones((4, 2)), "dy": np.ones((3, 2)), "t": 2.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("2**3**2", 512),
        ("-t**2", -4),
        ("2 * -t", -4),
        ("(1 - t) / 4", -0.25),
        ("t^-1", 0.5),
        ("t · 3 − 1", 5),
        ("1e-3 * .5", 0.0005),
        ("sum(x)", 12),
        ("np.mean(x, axis=0)[", None),
        ("sum(sum(x, axis=-1))", 12),
        ("where(t > 1, t, 0)", 2),
        ("(t > 1) - (t < 1)", 1),
        ("maximum(t, 3)", 3),
    ],
)
def test_a_formula_computes_what_python_would(text, value):
    if value is None:
        with pytest.raises(FormulaError, match="'\\[' is not part of a formula"):
            evaluate(text, SPACE)
        return

    assert value == pytest.approx(float(evaluate(text, SPACE).value))


def test_matrix_formulas_keep_their_shapes():
    assert (4, 2) == evaluate("x.T @ dy", SPACE).value.shape
    assert (3, 4) == evaluate("dy @ w.T", SPACE).value.shape
    assert (1, 2) == evaluate("sum(dy, axis=0, keepdims=True)", SPACE).value.shape
    assert r"x^{\top}\,\mathrm{dy}" == evaluate("x.T @ dy", SPACE).tex


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dy * ) x", "A value is missing before `)`.\n  dy * ) x\n       ^"),
        ("((x", "This bracket is never closed.\n  ((x\n   ^"),
        ("x)", "This `)` closes nothing.\n  x)\n   ^"),
        (
            "2 t",
            "An operator is needed before `t`. Did you forget a `*`?\n  2 t\n    ^",
        ),
        ("t = 3", "An operator is needed before `=`.\n  t = 3\n    ^"),
        ("9**9**9", "A power is one number, at most 64.\n  9**9**9\n   ^"),
        ("q", "There is no 'q' here; known: x, w, dy, t.\n  q\n  ^"),
        ("exp", "exp is a function: write `exp(...)`.\n  exp\n  ^"),
        ("x @ x", "`@` does not fit (3, 4) and (3, 4).\n  x @ x\n    ^"),
        ("where(t > 0)", "where takes 3 values, not 1.\n  where(t > 0)\n  ^"),
        (
            "maximum(t, 1, x)",
            "maximum takes 2 values, not 3.\n  maximum(t, 1, x)\n  ^",
        ),
        ("x.shape", "'.' is not part of a formula.\n  x.shape\n   ^"),
        ("", "There is no formula yet.\n  \n  ^"),
    ],
)
def test_a_formula_that_cannot_be_read_says_where(text, message):
    with pytest.raises(FormulaError) as caught:
        evaluate(text, SPACE)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "().__class__", "x.__class__", "9" * 500,
        "9**9**9**9", "(" * 499, "-" * 499, "a" * 10_000_000, "lambda: 3",
        "x if t else x", "[x for x in x]", "exec('1')", "open('f')", "t;t", "t:=3",
        "\x00", "x\nimport os",
        "sum(" * 100, "outer(" * 20 + "x" + ",x)" * 20, "2**64**64", "x" + "+x" * 249,
        "sum(x, axis=99999999999)", "where()", "f'{x}'", "ｓum(x)", "x@" * 200, 3, None,
        b"x",
    ],
    ids=lambda t: str(t)[:20],
)  # fmt: skip
def test_no_text_runs_long_or_does_anything_but_compute(text):
    start = time.perf_counter()

    with suppress(FormulaError):
        assert np.asarray(evaluate(text, SPACE).value).dtype == float

    assert time.perf_counter() - start < 0.1


# Progress.


def labels(folder):
    content = json.loads((folder / "progress.json").read_text("utf-8"))
    return {k: [a["label"] for a in v] for k, v in content["problems"].items()}


def test_attempts_are_kept_and_open_answers_are_not(folder):
    q = bp.exercises.get("chain.tanh")

    q.check(...)
    assert not folder.exists()
    q.check("dy * (1 - x")
    q.check("dy * (1 - y**2)")

    assert ["wrong", "correct"] == labels(folder)["chain.tanh"]
    row = next(r for r in bp.exercises.progress() if r["problem"] == "chain.tanh")
    assert ("✓", "solved", 2, "correct") == tuple(
        row[k] for k in ("", "state", "attempts", "last verdict")
    )


def test_the_panel_says_what_is_solved_tried_and_open():
    bp.exercises.get("chain.tanh").check("dy * (1 - y**2)")
    bp.exercises.get("chain.relu").check("dy")

    panel = bp.exercises.progress()

    says = f"1 of {len(bp.exercises.names())} problems are solved."
    assert str(panel).endswith(says)
    page = panel._repr_html_()
    for about in (
        "chain.tanh: solved, 1 attempt, last verdict correct",
        "chain.relu: tried, 1 attempt, last verdict local-factor-missing",
        "chain.sigmoid: open, 0 attempts",
    ):
        assert f'aria-label="{about}"' in page
    assert 'aria-valuenow="1"' in page
    assert "✓ tanh" in page


def test_a_strange_problem_in_the_file_cannot_write_into_the_page(folder):
    name = "x.<img src=y onerror=alert(1)>"
    block = {"at": "2020", "label": "<b>"}
    folder.mkdir()
    (folder / "progress.json").write_text(
        json.dumps(
            {
                "format": "backproplab progress",
                "version": 1,
                "problems": {name: [block]},
            }
        )
    )

    page = bp.exercises.progress()._repr_html_()

    assert "<img" not in page
    assert "<b>." not in page


def test_progress_survives_as_one_block_of_text(folder):
    bp.exercises.get("chain.tanh").check("dy")
    bp.exercises.get("chain.relu").check("dy * (x > 0)")
    block = bp.exercises.export_progress()
    before = labels(folder)
    (folder / "progress.json").unlink()

    assert 2 == bp.exercises.import_progress(f"my progress:\n  {block}\nthanks")
    assert 0 == bp.exercises.import_progress(block)
    assert before == labels(folder)


@pytest.mark.parametrize("cut", [slice(5, None), slice(None, 60), slice(None, None, 2)])
def test_a_damaged_block_is_refused(folder, cut):
    bp.exercises.get("chain.tanh").check("dy")
    block = bp.exercises.export_progress()

    with pytest.raises(bp.exercises.ProgressError, match="copy the whole block"):
        bp.exercises.import_progress(block[cut])
    body = "".join(block.splitlines()[1:-1])[:-8]
    with pytest.raises(bp.exercises.ProgressError, match="the block is damaged"):
        bp.exercises.import_progress(
            f"--- backproplab progress ---\n{body}\n--- end of progress ---"
        )


@pytest.mark.parametrize(
    "content",
    [
        "not json", "[]", "{}", "\ud800",
        '{"format": "other", "version": 1, "problems": {}}',
        '{"format": "backproplab progress", "version": 2, "problems": {}}',
        '{"format": "backproplab progress", "version": 1, "problems": {"a": [3]}}',
        "[" * 100_000,
    ],
    ids=range(8),
)  # fmt: skip
def test_a_strange_file_is_set_aside_and_never_overwritten(folder, content):
    raw = content.encode("utf-8", "surrogatepass")
    folder.mkdir()
    (folder / "progress.json").write_bytes(raw)
    (folder / "progress.aside-1.json").write_text("older")

    with pytest.warns(bp.exercises.ProgressWarning) as told:
        bp.exercises.get("chain.tanh").check("dy")

    assert raw == (folder / "progress.aside-2.json").read_bytes()
    assert "older" == (folder / "progress.aside-1.json").read_text()
    assert ["chain.tanh"] == list(labels(folder))
    assert str(told[0].message) == (
        f"{folder / 'progress.json'} is broken, not ours, or from a newer version: "
        "it is kept as progress.aside-2.json, and a new file is begun."
    )


def test_a_folder_that_cannot_be_written_is_said_once_and_verdicts_go_on(folder):
    folder.write_text("a file where the folder should be")
    q = bp.exercises.get("chain.tanh")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        outcomes = [q.check("dy * (1 - y**2)") for _ in range(3)]

    assert all(o.ok for o in outcomes)
    assert 1 == len(told)
    assert str(told[0].message).startswith(
        f"Your progress is not kept: {folder} cannot be written"
    )


def work(folder, who):
    import os

    os.environ["BACKPROPLAB_DIR"] = str(folder)
    for _ in range(15):
        bp.exercises.get(who).check("dy")


def test_two_notebooks_at_once_lose_nothing(folder):
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=work, args=(folder, name))
        for name in ("chain.tanh", "chain.sigmoid")
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)

    assert {"chain.tanh": 15, "chain.sigmoid": 15} == {
        k: len(v) for k, v in labels(folder).items()
    }
    assert ["progress.json", "progress.lock"] == sorted(
        p.name for p in folder.iterdir()
    )


def test_progress_stands_beside_the_notebook(tmp_path, monkeypatch):
    monkeypatch.delenv("BACKPROPLAB_DIR")
    monkeypatch.chdir(tmp_path)

    bp.exercises.get("chain.tanh").check("dy")

    assert Path(".backproplab/progress.json").exists()


def test_a_code_that_is_no_character_loses_no_attempt(tmp_path):
    """JSON may hold half of a pair of codes, which UTF-8 cannot write."""
    q = bp.exercises.get("chain.tanh")
    q.check(q.given.dy)
    path = next(tmp_path.rglob("progress.json"))
    path.write_text(path.read_text().replace('"local-', r'"\ud800local-'))

    q.check(q.given.dy)

    labels = [a["label"] for a in json.loads(path.read_text())["problems"][q.id]]
    assert ["\ud800local-factor-missing", "local-factor-missing"] == labels


def test_a_name_that_is_not_asked_for_is_said():
    one = bp.exercises.get("chain.tanh").check({"xx": 1.0})
    many = bp.exercises.get("attention.dqk").check({"y": 1.0, 3: 2.0})

    assert "not-attempted" == one.label == many.label
    assert "'xx' is not asked for here; did you mean x?" == one.says
    assert "'y' is not asked for here; known: q, k." == many["q"].says
