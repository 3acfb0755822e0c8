"""Grading: shape first, rounding earned, each broken link blamed once, none raised."""

import time

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backproplab as bp
from backproplab.grade import LABELS, GradeError, Report, Verdict, check, compare
from backproplab.trace import replay

WANT = np.array([[0.3, -1.7, 2.9], [3e-2, 0.77, -0.11]])


# compare: every label.


@pytest.mark.parametrize("nothing", [..., None, [..., 1.0], np.array([[...]] * 2)])
def test_no_answer_is_not_attempted(nothing) -> None:
    verdict = compare(nothing, WANT)

    assert "not-attempted" == verdict.label
    assert "No answer yet: replace the `...`." == verdict.says
    assert not verdict


@pytest.mark.parametrize(
    ("got", "want"),
    [((64,), (1, 64)), ((1, 64), (64,)), ((64, 1), (64,)), ((), (1,)), ((0,), (1, 0))],
)
def test_shapes_are_never_broadcast(got, want) -> None:
    verdict = compare(np.ones(got), np.ones(want))

    assert "shape" == verdict.label
    assert (
        f"Your array has shape {got}; {want} is asked for. The numbers are compared "
        "once the shape is right."
    ) == verdict.says


def test_shape_is_said_before_anything_is_compared() -> None:
    assert "shape" == compare(np.full(3, np.nan), WANT).label


def test_not_finite_is_said_before_the_values_are() -> None:
    bad = WANT.copy()
    bad[0, 0] = np.nan

    verdict = compare(bad + 1, WANT)

    assert "not-finite" == verdict.label
    assert "1 of 6 entries is NaN; what is asked for is finite there." == verdict.says
    assert (
        "The number is infinite; what is asked for is finite here."
        == compare(np.inf, 1.0).says
    )


def test_what_is_not_finite_in_truth_must_be_so_in_the_answer() -> None:
    want = np.array([np.nan, np.inf, -np.inf, 1.0])

    assert "correct" == compare(want.copy(), want).label
    assert "wrong" == compare(np.array([0.0, np.inf, -np.inf, 1.0]), want).label
    assert "wrong" == compare(np.array([np.nan, -np.inf, -np.inf, 1.0]), want).label


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (2 * WANT, "The shape is right; all 6 entries are off."),
        (np.add(WANT, [[0, 0, 1], [0, 1, 0]]),
         "The shape is right; 2 of 6 entries are off, first at [0, 2]."),
        (np.add(WANT, [[0, 0, 1], [0, 0, 0]]),
         "The shape is right; 1 of 6 entries is off, first at [0, 2]."),
        (-WANT, "The shape is right; all 6 entries are off."),
    ],
)  # fmt: skip
def test_wrong_values_are_counted(got, says) -> None:
    assert ("wrong", says) == (compare(got, WANT).label, compare(got, WANT).says)


def test_a_single_wrong_number_is_not_given_away() -> None:
    assert "The number is not right." == compare(2.5, 2.0).says


def test_no_message_holds_the_right_numbers() -> None:
    truth = np.array([12345.678, 0.98765])
    w = bp.tensor(truth, requires_grad=True, name="w")
    with bp.record() as run:
        h = w * w
        (h * 0.5).sum().backward()
    answers = [np.zeros(2), np.zeros(3), np.nan * truth, "x", ..., 1.001 * truth, 5]

    for answer in answers:
        report = check(run, {"w": answer})
        for text in (str(report), report._repr_html_(), report._repr_markdown_()):
            assert not any(t in text for t in ("12345", "98765", "12,345"))


# The scale at which differences count.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_another_order_of_operations_is_correct_in_every_format(dtype) -> None:
    rng = np.random.default_rng(0)
    want = (rng.normal(size=(20, 30)) @ rng.normal(size=(30, 20))).astype(dtype)
    noise = 1 + 4 * np.finfo(dtype).eps * rng.uniform(-1, 1, want.shape)

    got = (want * noise).astype(dtype)

    assert "correct" == compare(got, want).label
    assert "wrong" == compare((want * 1.02).astype(dtype), want).label


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_gradients_are_judged_at_their_own_scale(size) -> None:
    assert compare(size * WANT * (1 + 1e-14), size * WANT).ok
    assert not compare(size * WANT * (1 + 1e-6), size * WANT).ok
    assert not compare(np.zeros_like(WANT), size * WANT).ok


def test_a_zero_gradient_is_judged_at_the_scale_that_is_given() -> None:
    assert compare(1e-13, 0.0).ok
    assert not compare(1e-13, 0.0, scale=1e-6).ok
    assert compare(1e-9, 0.0, scale=1e6).ok


# Rounding is earned.


def test_a_float64_array_off_every_grid_is_never_rounding() -> None:
    rng = np.random.default_rng(1)

    for size in 10.0 ** np.arange(-9, -1):
        got = WANT * (1 + size * rng.uniform(0.5, 1, WANT.shape))
        assert "wrong" == compare(got, WANT).label


@pytest.mark.parametrize(
    "name", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_the_truth_in_a_format_is_rounding_of_that_format(name) -> None:
    want = np.random.default_rng(0).normal(size=(4, 6))
    in_format = want.astype(getattr(ml_dtypes, name, name))
    on_grid = in_format.astype(float)

    for got in (in_format, on_grid, on_grid.astype(np.float32), on_grid.tolist()):
        verdict = compare(got, want)
        assert ("rounding", name) == (verdict.label, verdict.format)
        assert f"Right up to the rounding of {name}." == verdict.says
        assert verdict


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_a_computation_in_a_format_is_rounding_of_that_format(name) -> None:
    rng = np.random.default_rng(2)
    x, g = rng.normal(size=(16, 5)), rng.normal(size=(16, 4))
    kind = getattr(ml_dtypes, name, name)
    low_x, low_g = x.astype(kind), g.astype(kind)

    got = low_x.T.astype(np.float32) @ low_g.astype(np.float32)

    verdict = compare(got.astype(kind).astype(float), x.T @ g)
    assert ("rounding", name) == (verdict.label, verdict.format)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (16.0, 17.0),  # the nearest in float8_e4m3fn
        (9.0, 9.3),
        (0.5, 0.48),
        ([1.5, 250.0], [1.0, 250.0]),  # within float16 at the scale of the array
        ([2, 30000], [1, 30000]),  # within float32 at the scale of the array
        ([1.0, 2.0, 3.0], [1.1, 2.2, 3.3]),
        ([2.0, 4.0, 6.0, 8.0, 10.0], [1.9, 3.8, 5.7, 7.6, 9.5]),
        ([0.25, 0.5, 1.0, 2.0], [0.24, 0.49, 0.98, 1.96]),
    ],
)
def test_a_wrong_answer_on_a_coarse_grid_is_wrong(got, want) -> None:
    assert "wrong" == compare(np.asarray(got, float), np.asarray(want, float)).label


@settings(max_examples=200, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    factor=st.sampled_from([2, 0.5, -1, 3, 1 / 3, 0.9, 1.05, 10]),
    name=st.sampled_from(["float32", "float16", "bfloat16"]),
)
def test_a_constant_factor_never_passes_as_rounding(seed, factor, name) -> None:
    want = np.random.default_rng(seed).normal(size=5)
    got = bp.formats.quantize(factor * want, name)

    assert "wrong" == compare(got, want).label


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float8_e5m2"])
def test_an_underflow_to_zero_is_not_rounding(name) -> None:
    zeros = np.zeros(3, getattr(ml_dtypes, name, name))

    assert "wrong" == compare(zeros, np.full(3, 1e-60)).label
    assert "wrong" == compare(np.zeros(3), np.full(3, 1e-60)).label


# Whatever is handed in.


class Rude:
    """Raises whatever is asked of it."""

    def __array__(self, *_args, **_options):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


def _cycle() -> list:
    a: list = []
    a.append(a)
    return a


NUMBERS = "; an array of numbers is asked for."
NO_NUMBERS = {
    "text": ("abc", "This is a str" + NUMBERS),
    "bytes": (b"abc", "This is a bytes" + NUMBERS),
    "a ragged list": ([1, [2, 3]], "This is a list whose rows differ in length."),
    "a list of itself": (_cycle(), "This is a list whose rows differ in length."),
    "a dict": ({"w": 1}, "This is a dict" + NUMBERS),
    "a set": ({1, 2}, "This is a set" + NUMBERS),
    "a generator": ((x for x in "ab"), "This is a generator" + NUMBERS),
    "objects": (np.array([None, 1]), "This is a ndarray of Python objects" + NUMBERS),
    "huge integers": ([10**400, 1], "This is a list of Python objects" + NUMBERS),
    "complex numbers": ([1j, 2], "These are complex numbers; real ones are asked for."),
    "dates": (np.array(["2020"], "M8[Y]"), "This is a ndarray" + NUMBERS),
    "a masked array": (
        np.ma.array([1.0, 2.0], mask=[0, 1]),
        "Some entries are masked; every entry is asked for.",
    ),
    "what refuses": (
        Rude(),
        "This is a Rude that cannot be read as an array of numbers.",
    ),
    "tensors in a list": (
        [bp.tensor(1.0, requires_grad=True)],
        "This is a list that cannot be read as an array of numbers.",
    ),
    "a function": (len, "This is a function: call it, and hand in what it returns."),
    "a lambda": (
        lambda: 1,
        "This is a function: call it, and hand in what it returns.",
    ),
    "a class": (int, "This is a class: call it, and hand in what it returns."),
    "a module": (np, "This is a module" + NUMBERS),
    "an iterator": (iter([1]), "This is a list_iterator" + NUMBERS),
    "an error": (ValueError("x"), "This is a ValueError" + NUMBERS),
    "a record": (np.zeros(2, [("a", float)]), "This is a ndarray" + NUMBERS),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
def test_what_is_no_array_of_numbers_gets_a_plain_sentence(what) -> None:
    got, says = NO_NUMBERS[what]

    assert ("wrong", says) == (compare(got, WANT).label, compare(got, WANT).says)
    run = square_run()
    report = check(run, {"h": got, "w": run["w"].grad})
    assert "wrong" == report["h"].label
    assert report["w"].ok


@pytest.mark.parametrize(
    "same",
    [
        [1, 2, 3], (1.0, 2, 3), range(1, 4), np.array([1, 2, 3], np.uint8),
        memoryview(np.array([1.0, 2.0, 3.0])), np.array([1.0, 2.0, 3.0], ">f8"),
        np.array([1, 2, 3], np.longdouble), bp.tensor([1.0, 2.0, 3.0]),
        bp.tensor([1.0, 2.0, 3.0], requires_grad=True), np.ma.array([1, 2, 3]),
    ],
)  # fmt: skip
def test_every_way_to_hold_the_right_numbers_is_right(same) -> None:
    assert "correct" == compare(same, np.array([1.0, 2.0, 3.0])).label


def test_numbers_and_booleans_are_numbers() -> None:
    assert compare(True, 1.0).ok
    assert compare(3, 3.0).ok
    assert compare(np.float32(0.5), 0.5).ok


@pytest.mark.parametrize("got", [np.full(2, 1e300), np.array([np.longdouble("1e400")])])
def test_overflow_on_the_way_gives_a_verdict(got) -> None:
    want = np.zeros_like(got, dtype=np.float32)

    assert compare(got, want).label in ("wrong", "not-finite")


def test_a_huge_answer_is_judged_fast() -> None:
    want = np.zeros(10**7, np.float32)
    start = time.process_time()

    assert "shape" == compare(np.zeros(10**7 + 1), want).label
    assert time.process_time() - start < 0.05
    assert "correct" == compare(want, want).label
    assert time.process_time() - start < 3


# check: follow-through.


def square_run():
    w = bp.tensor(3.0, requires_grad=True, name="w")
    with bp.record() as run:
        h = w * w
        loss = h * h
        loss.backward()
    return run


def test_a_broken_link_is_blamed_once_and_what_follows_gets_credit() -> None:
    run = square_run()
    wrong = 9.0  # dloss/dh is 2 h = 18

    report = check(run, {"w": 2 * 3.0 * wrong, "h": wrong, "loss": 1.0}, explain=False)

    assert ("h",) == report.blamed
    assert ["loss", "h", "w"] == list(report)
    assert ["correct", "wrong", "correct"] == [v.label for v in report.values()]
    assert "It follows from your own values upstream." == report["w"].says
    assert (
        "What comes in is right, but this step breaks. The number is not right."
        == report["h"].says
    )
    assert not report.ok


def test_a_second_independent_break_is_blamed_too() -> None:
    answers = {"loss": 1.0, "h": 9.0, "w": 3.0 * 9.0}

    report = check(square_run(), answers, explain=False)

    assert ("h", "w") == report.blamed
    assert (
        "Given your own values upstream, this step breaks. The number is not right."
        == report["w"].says
    )


def test_a_broken_step_says_how_it_broke_and_where() -> None:
    report = check(square_run(), {"h": 9.0, "w": 2 * 3.0 * 9.0})

    assert "path-missing" == report["h"].label
    assert ("loss", "h") == report["h"].where
    assert None is report["w"].where


def test_what_nothing_explains_stays_wrong() -> None:
    report = check(square_run(), {"h": 17.123})

    assert ("wrong", None) == (report["h"].label, report["h"].where)


def test_a_step_that_is_right_in_absolute_terms_gets_credit() -> None:
    run = square_run()

    report = check(run, {"h": 9.0, "w": run["w"].grad})

    assert ("h",) == report.blamed
    assert "" == report["w"].says


def chain_run():
    x = bp.tensor(np.array([0.3, -0.7]), requires_grad=True, name="x")
    with bp.record() as run:
        a = np.tanh(x)
        b = a * a
        c = np.exp(b)
        d = c * 3.1
        loss = d.sum()
        loss.backward()
    return run


def test_a_skipped_step_in_between_does_not_hide_the_follow_through() -> None:
    run = chain_run()
    g = {r.name: r.grad for r in run}
    wrong = 2 * g["c"]

    for skipped in ({}, {"b": ...}, {"b": None}):
        report = check(run, {"c": wrong, "a": 2 * g["a"], "x": 2 * g["x"], **skipped})
        assert ("c",) == report.blamed
        assert tuple(skipped) == report.open


@pytest.mark.parametrize(
    "useless", [np.ones(5), "text", np.full(2, np.nan), ..., np.ones((1, 2))]
)
def test_a_step_that_cannot_be_used_does_not_poison_what_follows(useless) -> None:
    run = chain_run()

    report = check(run, {"c": useless, "a": run["a"].grad, "x": run["x"].grad})

    assert report["a"].ok
    assert report["x"].ok
    assert not report["c"].ok


def test_a_useless_step_after_a_wrong_one_still_follows_the_wrong_one() -> None:
    run = chain_run()
    g = {r.name: 2 * r.grad for r in run if r.grad is not None}

    report = check(run, {"d": g["d"], "c": "text", "x": g["x"]})

    assert ("d", "c") == report.blamed


def test_rounding_in_one_step_is_carried_on_and_not_blamed() -> None:
    run = chain_run()
    c = run["c"].grad.astype(np.float16).astype(float)
    b = c * run["c"].value

    report = check(run, {"c": c, "b": b})

    assert ["rounding", "correct"] == [v.label for v in report.values()]
    assert report.ok


def test_fan_out_adds_the_learners_own_contributions() -> None:
    x = bp.tensor(2.0, requires_grad=True, name="x")
    with bp.record() as run:
        a = x * 3.0
        b = x * x
        loss = a * b
        loss.backward()
    wrong = 100.0

    follows = wrong * 3.0 + float(run["b"].grad) * 4.0
    assert ("a",) == check(run, {"a": wrong, "x": follows}).blamed
    assert ("a", "x") == check(run, {"a": wrong, "x": wrong * 3.0}).blamed


def test_hooks_are_part_of_the_truth() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")
    with bp.record() as run:
        h = w * 2.0
        h.register_hook(lambda g: 10 * g)
        (h * h).backward()

    assert check(run, {"h": 120.0, "w": 240.0}).ok


def test_aliases_and_ids_name_a_step_too() -> None:
    run = square_run()
    h = run["h"]

    report = check(run, {h.id: h.grad, "h": 0.0})

    assert report[str(h.id)].ok
    assert ("h",) == report.blamed


# Zero by cancellation.


def test_a_bias_before_batch_norm_may_be_zero_or_noise_but_not_more() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3))
    w = bp.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="w")
    b = bp.tensor(rng.normal(size=4), requires_grad=True, name="b")
    g = rng.normal(size=(32, 4))
    with bp.record() as run:
        z = x @ w + b
        centred = z - z.mean(axis=0)
        y = centred / np.sqrt((centred * centred).mean(axis=0) + 1e-5)
        y.backward(g)

    assert check(run, {"b": np.zeros(4)}).ok
    assert check(run, {"b": run["b"].grad + 1e-15}).ok
    assert ("b",) == check(run, {"b": g.sum(axis=0)}).blamed
    assert ("b",) == check(run, {"b": np.full(4, 1e-3)}).blamed


def test_batch_norm_of_two_rows_has_zero_gradient() -> None:
    rng = np.random.default_rng(0)
    x = bp.tensor(rng.normal(size=(2, 3)), requires_grad=True, name="x")
    with bp.record() as run:
        y = bp.ops.batch_norm(x, np.ones(3), np.zeros(3), eps=0.0)
        y.backward(rng.normal(size=(2, 3)))

    assert np.abs(run["x"].grad).max() < 1e-12
    assert check(run, {"x": np.zeros((2, 3))}).ok
    assert not check(run, {"x": np.full((2, 3), 1e-3)}).ok


def test_a_vanishing_gradient_is_judged_at_its_own_scale() -> None:
    x = bp.tensor(np.array([0.3, -0.2]), requires_grad=True, name="x")
    with bp.record() as run:
        h = x
        for _ in range(10):
            h = h * 1e-3
        h.sum().backward()
    truth = run["x"].grad

    assert 1e-30 == pytest.approx(truth[0], rel=1e-9)
    assert check(run, {"x": truth * (1 + 1e-14)}).ok
    assert not check(run, {"x": np.zeros(2)}).ok
    assert not check(run, {"x": 1.001 * truth}).ok


# The property: exactly the broken node is blamed.


def random_run(rng: np.random.Generator):
    """A random graph of matrices, all named, that ends in one number."""
    x = bp.tensor(rng.normal(size=(3, 3)), requires_grad=True, name="x")
    w = bp.tensor(rng.normal(size=(3, 3)), requires_grad=True, name="w")
    steps = [
        lambda a, b: a @ b,
        lambda a, b: a * b,
        lambda a, b: a + b,
        lambda a, b: a - 2.0 * b,
        lambda a, b: np.tanh(a),
        lambda a, b: a / (1.5 + np.tanh(b)),
        lambda a, b: a.T @ b * 0.5,
        lambda a, b: a - a.mean(axis=0),
    ]
    with bp.record() as run:
        values = [x, w]
        for k in range(rng.integers(3, 9)):
            i, j = rng.integers(0, len(values), 2)
            op = steps[rng.integers(len(steps))]
            values.append(op(values[i], values[j]).named(f"h{k}"))
        total = values[-1]
        for v in values[:-1]:
            total = total + v
        loss = (total * rng.normal(size=(3, 3))).sum()
        loss.backward()
    return run


BREAKS = [
    lambda g, rng: 2 * g,
    lambda g, rng: -g,
    lambda g, rng: g.T,
    lambda g, rng: g + rng.normal(size=g.shape),
    lambda g, rng: np.zeros_like(g),
]


def derivation(run, breaks):
    """What a learner hands in whose only mistakes are the breaks, by name."""

    def visit(i, g):
        return breaks[i](g) if i in breaks else g

    grads = replay.backward(run, replay.seeds(run), visit=visit)
    return {run[i].name: g for i, g in grads.items()}


@pytest.mark.parametrize("seed", range(60))
def test_the_broken_node_alone_is_blamed_on_random_graphs(seed) -> None:
    rng = np.random.default_rng(seed)
    run = random_run(rng)
    named = [r for r in run if r.grad is not None and r.name[0] in "hxw"]
    node = named[rng.integers(len(named))]
    change = BREAKS[seed % len(BREAKS)]

    answers = derivation(run, {node.id: lambda g: change(g, rng)})
    mine = {r.name: answers[r.name] for r in named}
    report = check(run, mine)

    assert (node.name,) == report.blamed
    assert set(mine) == set(report)


@pytest.mark.parametrize("seed", range(30))
def test_two_broken_nodes_are_both_blamed_on_random_graphs(seed) -> None:
    rng = np.random.default_rng(1000 + seed)
    run = random_run(rng)
    inner = [r for r in run if r.grad is not None and r.name[0] == "h"]
    one, two = rng.choice(len(inner), 2, replace=False)
    noise = {inner[k].id: 1 + rng.uniform(size=(3, 3)) for k in (one, two)}

    answers = derivation(run, {i: lambda g, n=n: g * n for i, n in noise.items()})
    mine = {r.name: answers[r.name] for r in inner}

    assert {inner[one].name, inner[two].name} == set(check(run, mine).blamed)


# What is missing is said, and nothing raises.


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    report = check(square_run(), {"hh": 1.0})

    assert "not-attempted" == report["hh"].label
    assert "The run has no value called 'hh'; did you mean h?" == report["hh"].says


def test_a_run_without_backward_never_raises() -> None:
    with bp.record() as run:
        h = bp.tensor(1.0, requires_grad=True) * 2.0  # noqa: F841

    report = check(run, {"h": 1.0})

    assert (
        "The run holds no backward pass: call loss.backward() in the with block."
        == report["h"].says
    )
    with bp.record() as empty:
        pass
    assert "not-attempted" == check(empty, {"h": 1.0}).label


def test_a_value_to_which_no_gradient_flows_says_so() -> None:
    w = bp.tensor(3.0, requires_grad=True, name="w")
    with bp.record() as run:
        c = np.floor(w.data) * bp.tensor(1.0)  # noqa: F841
        (w * 2.0).backward()

    assert "No gradient flows to c in this run." == check(run, {"c": 1.0})["c"].says


@pytest.mark.parametrize("answers", [None, [1, 2], "w", 3.0, np.ones(2)])
def test_answers_that_are_no_dict_get_a_sentence(answers) -> None:
    report = check(square_run(), answers)

    assert not report.ok
    assert 'The answers are to be a dict by name: `{"w": ..., "h": ...}`.' == (
        report["answers"].says
    )


def test_no_answers_at_all_is_not_right() -> None:
    report = check(square_run(), {})

    assert not report.ok
    assert ("not-attempted", "0 of 0 steps are right.") == (report.label, report.says)


def test_strict_raises_with_the_whole_report() -> None:
    run = square_run()

    check(run, {"h": run["h"].grad}, strict=True)
    with pytest.raises(GradeError) as caught:
        check(run, {"h": 1.0, "w": ...}, strict=True)
    assert """\
✗ h: local-factor-missing. Look at the link from loss back to h. The gradient that \
comes into loss is passed on to h without the factor dloss/dh.
… w: not-attempted. No answer yet: replace the `...`.
0 of 2 steps are right; the broken link is h; still open: w.""" == str(caught.value)


# How verdicts look.


def test_a_verdict_as_text_markdown_and_html() -> None:
    verdict = Verdict("wrong", "a < b & c.", name="w<1>")

    assert "✗ w<1>: wrong. a < b & c." == str(verdict) == repr(verdict)
    assert "✗ `w<1>` **wrong**. a < b & c." == verdict._repr_markdown_()
    assert (
        '<div role="status"><span style="color:#D55E00;font-weight:bold">'
        "✗ <code>w&lt;1&gt;</code> wrong.</span> a &lt; b &amp; c.</div>"
    ) == verdict._repr_html_()
    assert "✓ correct." == str(Verdict("correct", ""))


def test_a_report_as_text_markdown_and_html() -> None:
    report = Report(
        {
            "h": Verdict("correct", "", name="h"),
            "w": Verdict("sign", "Minus.", name="w"),
            "v": Verdict("not-attempted", "Open.", name="v"),
        }
    )

    assert """\
✓ h: correct.
✗ w: sign. Minus.
… v: not-attempted. Open.
1 of 3 steps are right; the broken link is w; still open: v.""" == str(report)
    assert """\
| | step | verdict | |
|---|---|---|---|
| ✓ | `h` | correct |  |
| ✗ | `w` | sign | Minus. |
| … | `v` | not-attempted | Open. |

**1 of 3 steps are right; the broken link is w; still open: v.**""" == (
        report._repr_markdown_()
    )
    html = report._repr_html_()
    assert html.startswith('<table role="status"><thead><tr><th></th><th>step</th>')
    assert html.count("<tr>") == 4
    assert html.endswith(
        "<p><strong>1 of 3 steps are right; the broken link is w; still open: v."
        "</strong></p>"
    )
    assert (("w",), ("v",)) == (report.blamed, report.open)
    assert "sign" == report.label


def test_every_label_has_a_mark_and_two_are_right() -> None:
    right = [label for label in LABELS if Verdict(label, "").ok]

    assert ["correct", "rounding"] == right
    assert {"✓", "…", "✗"} == {Verdict(label, "").mark for label in LABELS}
