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
    start = time.process_time()

    verdict = q.check(huge)

    assert time.process_time() - start < 0.1
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


def test_tasks_are_listed_where_they_are_wanted_and_shown_beside_the_problems():
    tasks = ("engine.forward", "engine.order", "engine.backward", "engine.tape")

    assert (*bp.exercises.names(), *tasks) == bp.exercises.names(tasks=True)
    shown = [row["problem"] for row in bp.exercises.progress()]
    assert list(bp.exercises.names(tasks=True)) == shown
    assert list(tasks) == [bp.exercises.get(task).id for task in tasks]


def test_a_problem_without_hints_says_so():
    q = bp.exercises.Exercise(cube(hints=()))

    assert "There is no hint for this one." == q.hint() == q.hint(2)


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


def moved(x):
    x = x.detach()
    return x * x


DRAW = 'write `inputs=lambda rng: {"x": rng.normal(size=3)}`.'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"id": ""},
            "id is ''; a text is required.\n  help: write `id=\"course.swish\"`.",
        ),
        ({"prompt": None}, "prompt is None; a text is required."),
        ({"answer_code": 3}, "answer_code is 3; a text is required."),
        (
            {"asks": ()},
            "asks is (); one name or more, each once, is required.\n"
            '  help: write `asks=("x",)`.',
        ),
        (
            {"asks": ("x", "x")},
            "asks is ('x', 'x'); one name or more, each once, is required.\n"
            '  help: write `asks=("x",)`.',
        ),
        (
            {"hints": None},
            "hints is None; a tuple of texts is required.\n"
            '  help: write `hints=("x",)`.',
        ),
        (
            {"inputs": {"x": 3.0}},
            f"inputs is a dict; a function of rng is required.\n  help: {DRAW}",
        ),
        (
            {"inputs": lambda: {"x": 3.0}},
            "inputs does not take one argument, the generator that draws.\n"
            f"  help: {DRAW}",
        ),
        (
            {"forward": "x * x"},
            "forward is a str; a function is required.\n"
            "  help: write `def forward(x): ...`, and `forward=forward`.",
        ),
    ],
)
def test_a_field_that_is_not_of_its_kind_is_named(changes, message):
    with pytest.raises(bp.errors.RangeError) as caught:
        cube(**changes)

    owner = "Problem" if "id" in changes else "Problem demo.cube"
    assert f"{owner}: {message}" == str(caught.value)


def test_a_slip_is_made_of_texts():
    with pytest.raises(bp.errors.RangeError) as caught:
        Slip("sign", None)

    assert "Slip: code is None; a text is required." == str(caught.value)


def test_lists_are_taken_for_tuples():
    hints = ["At the product.", "The power rule.", "`dx = dy * ...`"]

    problem = cube(asks=["x"], hints=hints, slips=list(cube().slips))

    assert (("x",), tuple(hints), cube().slips) == (
        problem.asks,
        problem.hints,
        problem.slips,
    )
    assert "✓" == bp.exercises.validate(problem, seeds=3)[0]["holds"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": lambda rng: rng.normal(size=3)},
            "inputs returned an ndarray; a dict of arrays by name is required.\n"
            f"  help: {DRAW}",
        ),
        (
            {"inputs": lambda rng: {"z": rng.normal(size=3)}},
            "inputs draws z, forward takes x; the names must be the same.",
        ),
        (
            {"inputs": lambda rng: {"x": "abc"}},
            "inputs draws x as <U3; floats, integers or booleans are required.",
        ),
        (
            {"inputs": lambda rng: {"x": [[1.0], [2.0, 3.0]]}},
            "inputs draws x as a ragged or mixed list; "
            "floats, integers or booleans are required.",
        ),
        (
            {"inputs": lambda rng: {"x": bp.tensor([1.0])}},
            "inputs draws x as a tensor; an array is required.\n"
            "  help: floats become tensors that want a gradient.",
        ),
        (
            {"inputs": lambda rng: {"x": rng.integers(5, size=3)}},
            "forward returned an ndarray; one tensor is required.\n"
            "  help: draw an input of floats: only those become tensors.",
        ),
        (
            {"forward": lambda x: None},
            "forward returned None; one tensor is required.\n"
            "  help: end it in `return y`.",
        ),
        (
            {"forward": lambda x: (x, x)},
            "forward returned a tuple; one tensor is required.\n"
            "  help: return the last value alone, and ask for the others by name.",
        ),
        (
            {"forward": lambda x: 3.0},
            "forward returned a float; one tensor is required.\n"
            "  help: compute it from the inputs, which are tensors.",
        ),
        (
            {"forward": lambda x: x, "quantity": "value"},
            'forward returned an ndarray; with quantity="value" a dict of values by '
            'name is required.\n  help: end it in `return {"y": y}`.',
        ),
    ],
)
def test_what_the_functions_of_a_problem_return_is_looked_at(changes, message):
    problem = cube(
        **{"forward": lambda x: (x * 1).named("y") if hasattr(x, "named") else x}
        | changes
    )

    with pytest.raises(bp.errors.RangeError) as caught:
        problem.instance()

    assert f"Problem demo.cube: {message}" == str(caught.value)


@pytest.mark.parametrize(
    ("changes", "check", "seen"),
    [
        ({"forward": moved}, 0, "backward() was called on the output of multiply "),
        ({"asks": ("dx",)}, 0, "the run has no value named 'dx'; it has x, "),
        (
            {"inputs": lambda rng: {"x": np.array([1.0, 2.0])}},
            0,
            "inputs draws the same numbers for every seed; take them from rng",
        ),
        (
            {"inputs": lambda rng: {"x": np.random.normal(size=3)}},  # noqa: NPY002
            0,
            "inputs draws other numbers from the same seed; take all from rng",
        ),
        (
            {"forward": lambda x: (x * np.random.normal()).named("y")},  # noqa: NPY002
            0,
            "forward gives other numbers when it runs again; draw them in inputs",
        ),
        (
            {"forward": lambda x: np.log(-(x**2)).named("y")},
            0,
            "seed 0: the gradient of x, or where it comes from, is not finite; "
            "draw inputs at which forward is defined",
        ),
        (
            {"inputs": lambda rng: {"x": np.zeros(0)}},
            0,
            "seed 0: x has no entries; draw a size of 1 or more",
        ),
        (
            {
                "inputs": lambda rng: {"x": rng.normal(size=2), "dx": rng.normal()},
                "forward": lambda x, dx: (x * dx).named("y"),
            },
            0,
            "dx is asked and given; call the input otherwise",
        ),
        (
            {
                "inputs": lambda rng: {"x": rng.normal(size=2) * 1e-300},
                "forward": lambda x: bp.relu(x).named("y"),
            },
            1,
            "; if forward has a kink or a jump where seed 0 draws, draw away from it",
        ),
        ({"answer_code": "d = dy"}, 2, "answer_code does not assign dx; write `dx ="),
        (
            {"answer_code": "dx = dy * q"},
            2,
            "answer_code uses 'q'; given are x, y, dy",
        ),
        (
            {"answer_code": "dx = -(x > 0)"},
            2,
            "answer_code raises TypeError: The numpy boolean negative",
        ),
        (
            {"slips": (Slip("sign", "dx = 3 * dy * x**2"),) * 3},
            3,
            "seed 0: sign at x, but it gives the truth: `dx = 3 * dy * x ** 2` is "
            "right here; make it wrong, or take it out",
        ),
        (
            {"slips": (Slip("sign", "dw = -dy"),) * 3},
            3,
            "seed 0: sign at x, but it gives the truth: it replaces no line of "
            "answer_code; begin it with `dx = `",
        ),
        (
            {"slips": (Slip("sign", "dx = -dy * 3 * x**2"),) * 3},
            3,
            "two slips are the same; three different ones are the least",
        ),
        (
            {"slips": (Slip("sign", "dx = -q"),) * 3},
            3,
            "the slip sign uses 'q'; given are x, y, dy",
        ),
        (
            {"slips": (Slip("transposed", "dx = -dy * 3 * x**2"),) * 3},
            4,
            "seed 0: transposed at x, seen as sign; "
            "give it that label, or write another line",
        ),
        ({"hints": ("a", "", "c")}, 6, "a hint is empty; write where to look, which"),
        (
            {"id": "bn.dx"},
            7,
            "'bn.dx' comes with the package, and progress and reports would mix the "
            "two; choose another id",
        ),
        ({"id": "engine.tape"}, 7, "'engine.tape' comes with the package"),
    ],
)
def test_validate_says_in_a_line_what_is_seen_and_what_to_do(changes, check, seen):
    found = bp.exercises.validate(cube(**changes), seeds=3)

    assert "✗" == found[check]["holds"]
    assert seen in found[check]["seen"]
    assert 1 == len(found[check]["seen"].splitlines())


def test_what_does_not_run_is_said_once_and_with_its_line():
    def forward(x):
        y = np.unwrap(x)
        return y

    found = bp.exercises.validate(cube(forward=forward), seeds=3)

    said = "forward, at `y = np.unwrap(x)`: np.unwrap has no derivative rule, so it "
    assert found[0]["seen"].startswith(said)
    assert ["✗", *"○○○○○○", "✓"] == [row["holds"] for row in found]
    assert {"waits until it runs"} == {row["seen"] for row in found[1:7]}
    assert not found.ok
    assert "○" in found._repr_html_()


def test_a_variation_may_keep_the_id_of_its_problem():
    problem = replace(bp.exercises.get("chain.tanh").problem, prompt="In my words.")

    assert bp.exercises.validate(problem, seeds=3).ok


def test_validate_takes_a_problem_alone():
    with pytest.raises(bp.errors.RangeError) as caught:
        bp.exercises.validate("bn.dx")

    assert (
        "validate: this is a str; a Problem is required.\n"
        '  help: of an exercise it is `bp.exercises.get("chain.tanh").problem`.'
    ) == str(caught.value)


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
    start = time.process_time()

    with suppress(FormulaError):
        assert np.asarray(evaluate(text, SPACE).value).dtype == float

    assert time.process_time() - start < 0.1


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

    says = f"1 of {len(bp.exercises.names(tasks=True))} problems are solved."
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
    assert str(told[0].message) == (
        f"Your progress is not kept: {folder} cannot be written (File exists). "
        "Verdicts work as ever; the variable BACKPROPLAB_DIR names another folder."
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


def test_a_tilde_in_the_variable_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("BACKPROPLAB_DIR", "~/kept")
    monkeypatch.chdir(tmp_path)

    bp.exercises.get("chain.tanh").check("dy")

    assert (tmp_path / "home" / "kept" / "progress.json").exists()
    assert not (tmp_path / "~").exists()


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


def test_a_solution_printed_without_a_browser_keeps_its_powers():
    said = repr(bp.exercises.get("chain.tanh").solution())

    assert "**2" in said
    assert "`" * 3 not in said
