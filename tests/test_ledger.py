"""The ledger: what happened to the numbers of a run, with known counts."""

import numpy as np
import pytest

import backproplab as bp
from backproplab.amp import autocast, shadow


def f32(a, name=None):
    return bp.tensor(np.asarray(a, np.float32), requires_grad=True, name=name)


def found(run):
    return {(row["name"], row["what"]): row["count"] for row in run.ledger()}


def events(run):
    """What rounding did: (name, what, pass, count)."""
    return [
        (row["name"], row["what"], row["pass"], row["count"])
        for row in run.ledger()
        if "born" not in row["what"] and "kink" not in row["what"]
    ]


def test_the_ledger_lists_kinks_births_and_underflows() -> None:
    x = bp.tensor(np.array([0.0, 1.0, -1.0, 0.0]), requires_grad=True, name="x")
    tiny = bp.tensor(np.full(2, 1e-30, np.float32), requires_grad=True, name="tiny")

    with bp.record() as run, np.errstate(all="ignore"):
        h = bp.ops.relu(x)
        (np.log(h).named("broken")).sum().named("s").backward()
        half = tiny.astype(np.float16).named("half")
        half.backward(np.full(2, 1.0))
        low = (tiny * np.float32(1e-20)).named("low")
        low.backward(np.full(2, 1e-30, np.float32))
    rows = found(run)

    assert 2 == rows["h", "at a kink"]
    assert 3 == rows["broken", "NaN or inf born forward"]
    assert 3 == rows["h", "NaN or inf born backward"]
    assert 2 == rows["half", "value underflowed to zero"]
    assert 2 == rows["tiny", "gradient underflowed to zero"]
    assert all(row["source"].startswith("test_ledger.py:") for row in run.ledger())


def test_a_clean_run_has_an_empty_ledger() -> None:
    w = bp.tensor([0.5, -2.0], requires_grad=True)

    with bp.record() as run:
        h = np.tanh(w)
        (h * h.mean()).sum().backward()

    assert "(no rows)" == str(run.ledger())


def test_the_ledger_says_in_which_pass() -> None:
    w = f32([0.0, 1.0])

    with bp.record() as run:
        h = bp.relu(w)
        h.backward(np.full(2, 1e-40, np.float32))

    assert [("w", "backward", 1), ("h", "forward", 1), ("h", "backward", 2)] == [
        (row["name"], row["pass"], row["count"]) for row in run.ledger()
    ]


# Narrow formats.


def test_a_value_below_half_the_smallest_float16_underflows() -> None:
    w = f32([2.0**-24, 2.0**-25, 2.0**-26, 0.0], "w")

    with bp.record() as run, autocast("float16"):
        w @ np.ones(4, np.float32)

    # 2^-25 is halfway to the smallest number, 2^-24, and rounds to even: to zero.
    assert [("cast_1", "value underflowed to zero", "forward", 2)] == events(run)


@pytest.mark.parametrize(("value", "count"), [(65519.0, 0), (65520.0, 1)])
def test_65520_overflows_float16_and_65519_does_not(value, count) -> None:
    w = f32([value, 1.0])

    with bp.record() as run, autocast("float16"):
        w @ np.eye(2, dtype=np.float32)
    rows = found(run)

    assert count == rows.get(("cast_1", "value overflowed"), 0)
    # The product with 0 makes NaN of inf: inherited, not overflowed.
    assert ("matmul_1", "value overflowed") not in rows


@pytest.mark.parametrize(
    ("fmt", "value", "count"),
    [
        ("bfloat16", 65520.0, 0),
        ("float8_e5m2", 61440.0, 1),
        ("float8_e4m3fn", 464.0, 0),
        ("float8_e4m3fn", 465.0, 1),
        ("float6_e3m2fn", 28.0, 0),
        ("float6_e3m2fn", 31.0, 1),
    ],
)
def test_overflow_is_counted_whatever_a_format_makes_of_it(fmt, value, count) -> None:
    w = f32([value])

    with bp.record() as run, autocast(fmt):
        w @ np.ones(1, np.float32)

    assert count == found(run).get(("cast_1", "value overflowed"), 0)


def test_an_op_overflows_where_its_own_output_is_rounded() -> None:
    w = f32([300.0])

    with bp.record() as run, autocast("float16"):
        h = w @ np.float32([300.0])  # noqa: F841

    assert [("h", "value overflowed", "forward", 1)] == events(run)


@pytest.mark.parametrize(("big", "count"), [(2048.0, 1), (2047.0, 0)])
def test_one_added_to_2048_is_swamped_in_float16(big, count) -> None:
    w = f32([[big, 1.0]])

    with bp.record() as run, autocast("float16"):
        h = w @ np.eye(2, dtype=np.float32)
        total = h[:, 0] + h[:, 1]  # noqa: F841

    assert [("total", "addition swamped", "forward", 1)][:count] == events(run)


def test_a_difference_is_swamped_likewise_and_a_zero_swamps_nothing() -> None:
    w = f32([[4096.0, 1.0, 0.0]])

    with bp.record() as run, autocast("bfloat16"):
        h = w @ np.eye(3, dtype=np.float32)
        less = h[:, 0] - h[:, 1]  # noqa: F841
        none = h[:, 0] - h[:, 2]  # noqa: F841

    assert [("less", "addition swamped", "forward", 1)] == events(run)


def test_a_gate_that_stands_otherwise_in_float64_is_flipped() -> None:
    w = f32([[1.0 + 2.0**-12, -1.0], [2.0, -1.0]])

    with bp.record() as run, autocast("float16"):
        gate = bp.relu(w @ np.ones((2, 1), np.float32))
        most = np.maximum(gate, 2.0**-13)  # noqa: F841
    with bp.record() as wide:
        bp.relu(w @ np.ones((2, 1), np.float32))

    flips = [e for e in events(run) if "flipped" in e[1]]
    assert [(n, "gate flipped", "forward", 1) for n in ("gate", "most")] == flips
    assert [] == events(wide)


def test_a_gradient_that_rounding_flushes_underflows() -> None:
    w = f32([1.0, 1.0], "w")

    with bp.record() as run, autocast("float16"):
        h = (w @ np.eye(2, dtype=np.float32)).named("h")
        k = h * np.float32(2.0**-12)
        k.backward(np.float32([2.0**-12, 2.0**-14]))

    # 2^-24 is the smallest float16; 2^-26 rounds to zero. All is float16 from h down.
    rows = [e for e in events(run) if e[1] == "gradient underflowed to zero"]
    assert [("h", "gradient underflowed to zero", "backward", 1)] == rows


def test_a_gradient_beyond_the_format_overflows() -> None:
    w = f32([1.0], "w")

    with bp.record() as run, autocast("float16"):
        h = (w @ np.ones((1, 1), np.float32)).named("h")
        k = h * np.float32(2.0)
        k.backward(np.float32([40000.0]))

    assert ("h", "gradient overflowed", "backward", 1) in events(run)
    assert ("k", "gradient overflowed", "backward", 1) not in events(run)


def test_contributions_that_change_nothing_in_the_sum_are_swamped() -> None:
    w = f32([1.0], "w")

    with bp.record() as run, autocast("float16"):
        h = (w @ np.ones((1, 1), np.float32)).named("h")
        (h * np.float32(2048.0) + h * np.float32(1.0)).backward(np.float32([1.0]))

    assert ("h", "sum of contributions swamped", "backward", 1) in events(run)


def test_a_gradient_below_the_formats_normal_range_is_counted_by_that_format() -> None:
    w = f32([1.0, 1.0], "w")

    with bp.record() as run, autocast("float16"):
        h = (w @ np.eye(2, dtype=np.float32)).named("h")
        h.backward(np.float32([2.0**-15, 2.0**-14]))

    assert 1 == found(run)["h", "gradient below the normal range"]
    assert ("w", "gradient below the normal range") not in found(run)


def test_real_float16_arrays_are_looked_at_too() -> None:
    x = bp.tensor(np.float16([65504, 2048, 3]), requires_grad=True, name="x")

    with bp.record() as run, np.errstate(over="ignore"):
        y = x + np.float16([32, 1, 1])  # noqa: F841

    assert [
        ("y", "value overflowed", "forward", 1),
        ("y", "addition swamped", "forward", 1),
    ] == events(run)


def test_the_ledger_counts_what_shadow_counts() -> None:
    rng = np.random.default_rng(0)
    a, b = f32(rng.normal(size=(8, 8)), "a"), f32(rng.normal(size=(8, 3)), "b")
    x = np.exp(5 * rng.normal(size=(16, 8))).astype(np.float32)

    def loss():
        h = bp.relu(x @ a)
        return (h @ b + h[:, :3] * 1e-4) * 1e-7

    seen = shadow(loss, "float16")
    with bp.record() as run:
        shadow(loss, "float16")
    words = {
        "underflows": ("value underflowed to zero", "gradient underflowed to zero"),
        "overflows": ("value overflowed", "gradient overflowed"),
        "swamped": ("addition swamped",),
        "flipped": ("gate flipped",),
    }

    for event, names in words.items():
        theirs = sum(e["count"] for e in seen.ledger() if e["event"] == event)
        ours = sum(n for (_, what), n in found(run).items() if what in names)
        assert theirs == ours, event
    assert {"underflows", "overflows", "swamped"} <= {e["event"] for e in seen.ledger()}


def test_a_loaded_run_has_the_same_ledger(tmp_path) -> None:
    w = f32([[2048.0, 1.0, 2.0**-26, 7e4]], "w")

    with bp.record() as run, autocast("float16"):
        h = w @ np.eye(4, dtype=np.float32)[:, :2]
        total = bp.relu(h[:, 0] + h[:, 1])
        total.backward(np.float32([2.0**-26]))
    run.save(tmp_path / "run.npz")
    again = bp.load_trace(tmp_path / "run.npz")

    assert len(run.ledger()) > 3
    assert run.ledger() == again.ledger()
    assert [r.format for r in run] == [r.format for r in again]
    assert "float16" in {r.format for r in again}


def test_a_narrow_run_of_layers_that_keep_something_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    model = bp.nn.Sequential(
        bp.nn.Linear(6, 6, rng=rng), bp.nn.LayerNorm(6), bp.nn.GELU(),
        bp.nn.Dropout(0.5, rng=rng), bp.nn.Linear(6, 4, rng=rng),
    )  # fmt: skip

    with bp.record() as run, autocast("bfloat16"):
        x = rng.normal(size=(5, 6)).astype(np.float32)
        bp.cross_entropy(model(x), np.array([0, 1, 2, 3, 0])).backward()

    assert [] == [e for e in events(run) if "overflow" in e[1]]


def test_the_ledger_calls_no_function_of_the_learner_again() -> None:
    calls = []

    def f(u):
        calls.append(u)
        return bp.relu(u)

    w = f32([[2.0**-12]])
    with bp.record() as run, autocast("float16"):
        h = bp.checkpoint(f)(w @ np.ones((1, 1), np.float32))
        k = bp.relu(h * 1.0)
        k.backward(np.float32([[2.0**-12]]))
    n = len(calls)

    assert [] == events(run)
    assert n == len(calls)
