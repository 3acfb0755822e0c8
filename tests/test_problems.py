"""The problems that come with the package, and those that ask for values."""

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import RangeError
from backproplab.exercises import Problem, Slip
from backproplab.exercises.derivation import follow, follow_on, replaced

SEEDS = range(20)
NAMES = bp.exercises.names()
PROBLEMS = {name: bp.exercises.get(name).problem for name in NAMES}
SLIPS = [(name, slip) for name in NAMES for slip in PROBLEMS[name].slips]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPLAB_DIR", str(tmp_path / "kept"))


def verdicts(outcome):
    """By asked name, also where one alone is asked."""
    if isinstance(outcome, bp.grade.Report):
        return dict(outcome)
    return {outcome.name: outcome}


def test_there_are_many_problems_with_many_slips():
    assert len(NAMES) >= 40
    assert len(SLIPS) >= 200


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_fit_for_learners(name):
    found = bp.exercises.validate(PROBLEMS[name], seeds=20)

    assert found.ok, str(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_three_hints_and_three_slips(name):
    assert 3 == len(PROBLEMS[name].hints)
    assert len(PROBLEMS[name].slips) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_answer_is_correct_as_a_function_too(name):
    def answer(**given):
        return follow(PROBLEMS[name].answer_code, given)

    assert bp.exercises.get(name).check(answer).ok


@pytest.mark.parametrize("name", NAMES)
def test_a_random_array_is_never_accepted_nor_explained(name):
    for seed in range(2):
        q = bp.exercises.get(name, seed=seed)
        truth = q.problem.instance(seed).truth
        rng = np.random.default_rng([seed, 99])
        answer = {a: rng.normal(size=np.shape(truth[a])) for a in q.asks}

        labels = {n: v.label for n, v in verdicts(q.check(answer)).items()}
        kind = "wrong" if q.problem.quantity == "value" else "unexplained"
        assert dict.fromkeys(q.asks, kind) == labels


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_not_among_what_is_given(name):
    at = PROBLEMS[name].instance()

    assert all(given.isidentifier() for given in at.given)
    for ask, truth in at.truth.items():
        assert PROBLEMS[name].variable(ask) not in at.given
        same = [v for v in at.given.values() if np.shape(v) == np.shape(truth)]
        assert not any(np.array_equal(v, truth) for v in same)


@pytest.mark.parametrize(("name", "slip"), SLIPS, ids=lambda x: getattr(x, "label", x))
def test_every_slip_is_blamed_alone_under_its_label(name, slip):
    for seed in (7, 8):  # validate tries others
        q = bp.exercises.get(name, seed=seed)

        said = verdicts(q.check(follow(slip.code, q.given)))

        assert {slip.where: slip.label} == {
            n: v.label for n, v in said.items() if not v.ok
        }
        assert said[slip.where].says


# Problems that ask for values.


def doubling(**changes):
    about = {
        "id": "demo.doubling",
        "prompt": "Double it, then add 1.",
        "inputs": lambda rng: {"x": rng.normal(size=rng.integers(2, 5))},
        "forward": lambda x: {"twice": x + x, "y": 2 * x + 1},
        "asks": ("twice", "y"),
        "hints": ("a", "b", "`twice = ... * x`"),
        "solution": "Twice, and one more.",
        "answer_code": "twice = 2 * x\ny = twice + 1",
        "slips": (
            Slip("factor-substituted", "twice = x**2", says="That is the square."),
            Slip("sign", "y = twice - 1", says="The 1 is to be added."),
            Slip("path-missing", "y = twice", says="The 1 is missing."),
        ),
        "quantity": "value",
    }
    return Problem(**{**about, **changes})


def test_values_are_asked_by_their_own_names_and_the_code_is_not_shown():
    q = bp.exercises.Exercise(doubling())

    assert "<Exercise demo.doubling: find twice, y from x>" == repr(q)
    assert "Asked: `twice`, `y`." in q.prompt
    assert "```" not in q.prompt
    assert q.check({"twice": "2 * x", "y": "twice + 1"}).ok


def test_a_value_is_judged_from_the_learners_own_values_before_it():
    q = bp.exercises.Exercise(doubling())

    report = q.check({"twice": "x**2", "y": "twice + 1"})

    assert ("twice",) == report.blamed
    assert "factor-substituted" == report["twice"].label
    assert "That is the square." == report["twice"].says
    assert "It follows from your own values before it." == report["y"].says


def test_a_value_of_a_wrong_shape_or_not_finite_is_told_so():
    q = bp.exercises.Exercise(doubling())
    n = len(q.given.x)

    report = q.check({"twice": np.ones((n, 1)), "y": np.full(n, np.nan)})

    assert f"Your array has shape ({n}, 1); asked is ({n},)." == report["twice"].says
    assert (
        "Some of it is NaN or infinite; the right numbers are finite."
        == report["y"].says
    )


def test_a_value_that_is_not_asked_is_named():
    q = bp.exercises.Exercise(doubling())

    report = q.check({"twise": "2 * x"})

    assert "'twise' is not asked here; did you mean twice?" == report["twise"].says


def test_validate_speaks_of_values_where_values_are_asked():
    found = bp.exercises.validate(doubling(), seeds=3)

    assert found.ok, str(found)
    assert "it runs and every asked name has a value" == found[0]["check"]
    assert "the truth changes with the seed" == found[4]["check"]


@pytest.mark.parametrize(
    ("changes", "check", "seen"),
    [
        (
            {"asks": ("twice", "z")},
            0,
            "the run has no value named 'z'; it has twice, y",
        ),
        ({"answer_code": "twice = x\ny = 2 * twice"}, 1, "seed 0: twice is wrong"),
        ({"slips": (Slip("sign", "y = twice - 1"),) * 3}, 3, "seed 0: sign at y, seen"),
        ({"forward": lambda x: {"twice": x + x, "y": 3.0}}, 4, "y is the same for"),
    ],
)
def test_validate_names_what_is_wrong_with_values(changes, check, seen):
    found = bp.exercises.validate(doubling(**changes), seeds=3)

    assert "✗" == found[check]["holds"]
    assert found[check]["seen"].startswith(seen)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"asks": "y"},
            "Problem demo.doubling: asks is 'y'; a tuple of texts is required.\n"
            "  help: write `asks=('y',)`.",
        ),
        (
            {"slips": ("y = 1",)},
            "Problem demo.doubling: slips is ('y = 1',); a tuple of Slip is required.\n"
            '  help: write `slips=(Slip("sign", "dx = -dy"), ...)`.',
        ),
        (
            {"quantity": "grad"},
            "Problem demo.doubling: quantity is 'grad'; "
            "it must be 'gradient' or 'value'.",
        ),
        (
            {"answer_code": "twice = 2 * x\ny = / 2"},
            "Problem demo.doubling: answer_code is no Python, invalid syntax: y = / 2",
        ),
        (
            {"slips": (Slip("sign", "y = (twice"),)},
            "Problem demo.doubling: the slip sign is no Python, "
            "'(' was never closed: y = (twice",
        ),
    ],
)
def test_a_problem_that_cannot_be_read_is_told_where(changes, message):
    with pytest.raises(RangeError) as caught:
        doubling(**changes)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("slip", "seen"),
    [
        (Slip("sign", "y = twice + 1"), "seed 0: sign at y, but it gives the truth: "),
        (Slip("signs", "y = twice - 1"), "'signs' is no label; did you mean sign?"),
    ],
)
def test_validate_names_a_slip_that_is_none(slip, seen):
    found = bp.exercises.validate(doubling(slips=(slip,) * 3), seeds=3)

    assert found[2]["seen"].startswith(seen)


def test_every_problem_has_an_id_of_its_own():
    written = [p.id for field in bp.exercises._FIELDS for p in field.PROBLEMS]

    assert list(NAMES) == written


# Derivations as code.


def test_a_slip_of_several_lines_stands_where_its_name_is_assigned():
    code = "a = x\nb = a\nanswer = b"

    assert "a = x\nb = 0\nb[i] = a\nanswer = b" == replaced(code, "b = 0\nb[i] = a")


def test_own_values_take_over_after_the_last_line_that_writes_them():
    code = "a = np.zeros(2)\na[0] = 1\nb = a.sum()"
    own = np.array([5.0, 5.0])

    found = follow_on(code, {}, {"a": own})

    assert [1, 0] == found["a"].tolist()
    assert 10 == found["b"]
    assert [5, 5] == own.tolist()


def test_a_line_that_cannot_be_followed_is_passed_over():
    found = follow_on("a = x + 1\nb = 2 * x", {"x": np.ones(2)}, {})
    broken = follow_on("a = q + 1\nb = 2 * x", {"x": np.ones(2)}, {})

    assert ["a", "b"] == list(found)
    assert ["b"] == list(broken)
