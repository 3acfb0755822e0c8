import asyncio
import time
from fractions import Fraction
from math import copysign, inf, isnan, nan
from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab import formats
from backproplab.errors import NameLookupError, RangeError
from backproplab.widgets.precision import (
    PrecisionLab,
    error,
    gradients,
    master,
    training,
)
from backproplab.widgets.precision.bits import (
    FORMATS,
    around,
    compute,
    flip,
    from_code,
    stepped,
)
from backproplab.widgets.precision.bits_picture import render
from backproplab.widgets.precision.bits_section import BitsSection
from backproplab.widgets.precision.bits_words import says
from backproplab.widgets.precision.error_section import ErrorSection
from backproplab.widgets.precision.gradients_picture import says as says_next
from backproplab.widgets.precision.gradients_section import GradientsSection
from backproplab.widgets.precision.master_section import MasterSection
from backproplab.widgets.precision.memory import measure
from backproplab.widgets.precision.number import read, to_odd, write
from backproplab.widgets.precision.training import Controls, Race, Run
from backproplab.widgets.precision.training_picture import table
from backproplab.widgets.precision.training_section import TrainingSection
from backproplab.widgets.precision.zones import zones

VIEWS = ("bits", "histogram", "master", "error", "training")
HELP = (
    "\n  help: type a number such as `0.1`, `1/3`, `65520`, `2^-25`, `-inf` or `nan`."
)


# A number is read exactly.


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("0.1", Fraction(1, 10)),
        ("1/3", Fraction(1, 3)),
        ("65520", Fraction(65520)),
        ("2**-25", Fraction(1, 2**25)),
        ("2^-25", Fraction(1, 2**25)),
        ("−6.5e-3", Fraction(-65, 10000)),
        (" (1 + 2^-11) × 2 ", Fraction(2049, 1024)),
        ("1_000", Fraction(1000)),
        ("-inf", -inf),
        ("∞", inf),
    ],
)
def test_what_is_typed_is_read_exactly(text, exact):
    assert exact == read(text)


def test_zero_keeps_its_sign_and_nan_stays_nan():
    assert [-1.0, 1.0] == [copysign(1, read(text)) for text in ("-0", "0")]
    assert isnan(read("nan"))
    assert isnan(read("inf - inf"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No number was typed."),
        ("a tenth", "`a tenth` is not a number."),
        ("0.1.2", "`0.1.2` is not a number."),
        ("1j", "`1j` is not a number."),
        ("True", "`True` is not a number."),
        ("2^0.5", "`2^0.5` is not a number."),
        ("2 if 1 else 3", "`2 if 1 else 3` is not a number."),
        ("__import__('os')", "`__import__('os')` is not a number."),
        ("(1).real", "`(1).real` is not a number."),
        ("1/0", "`1/0` divides by zero."),
        ("0^-1", "`0^-1` divides by zero."),
        ("9**9**9", "`9**9**9` has more than 1000 bits when written out."),
        ("1e999999", "`1e999999` has more than 1000 bits when written out."),
        ("1" * 61, "The number has 61 characters; at most 60 are read."),
    ],
)
def test_bad_text_gets_a_sentence(text, message):
    with pytest.raises(RangeError) as caught:
        read(text)

    assert message + HELP == str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_written_number_is_read_back_bit_for_bit(name):
    fmt = formats.get(name)
    rng = np.random.default_rng(0)
    codes = rng.integers(2**fmt.bits, size=300)

    numbers = [v for v in formats.decode(codes, name).tolist() if not isnan(v)]
    assert numbers == [float(to_odd(read(write(v)))) for v in numbers]


# It is stored by one rounding.


def nearest(x, name):
    """The number of a format nearest to a fraction, ties to even, by comparison."""
    fmt = formats.get(name)
    low = float(formats.quantize(float(x), fmt, "toward_zero", "saturate"))
    grid = {low, *(float(v) for v in formats.neighbours(low, fmt))}
    grid = [v for v in grid if np.isfinite(v)]

    def far(v):
        return abs(Fraction(v) - x), int(formats.encode(v, fmt)) & 1

    return min(grid, key=far)


@pytest.mark.parametrize("name", FORMATS)
def test_the_stored_number_is_the_nearest_and_ties_go_to_even(name):
    fmt, rng = formats.get(name), np.random.default_rng(1)
    for _ in range(100):
        v = float(formats.quantize(rng.normal(), fmt))
        v = v or fmt.min_subnormal
        tie = Fraction(v) + Fraction(float(formats.ulp(v, fmt))) / 2
        for x in (tie, tie + Fraction(1, 2**90), tie - Fraction(1, 2**90)):
            assert nearest(x, name) == compute(x, name).stored


def test_a_number_a_hair_above_a_tie_is_not_rounded_twice():
    x = read("1 + 2^-11 + 2^-60")

    assert 1 + 2**-10 == compute(x, "float16").stored
    assert 1.0 == formats.quantize(float(x), "float16")


def test_one_tenth_in_float16_is_what_the_formula_says():
    bits = compute(Fraction(1, 10), "float16")

    assert (0, 11, 614) == (bits.sign, bits.exponent, bits.significand)
    assert bits.stored == 2.0 ** (bits.exponent - bits.bias) * (1 + 614 / 1024)
    assert bits.error == Fraction(bits.stored) - Fraction(1, 10)
    assert 2.0**-14 == bits.gap == bits.above - bits.stored
    assert (
        "(−1)<sup>0</sup> × 2<sup>11 − 15</sup> × 1.1001100110<sub>2</sub> = "
        "2<sup>−4</sup> × 1.599609375 = <b>0.0999755859375</b>"
    ) in says(bits)


@pytest.mark.parametrize(
    ("text", "name", "kind", "words"),
    [
        ("2^-24", "float16", "subnormal", "2<sup>1 − 15</sup> × 0.0000000001"),
        ("2^-25", "float16", "zero", "2<sup>1 − 15</sup> × 0.0000000000"),
        ("65520", "float16", "infinity", "Beyond the largest number, 65504"),
        ("65519", "float16", "normal", "1.1111111111<sub>2</sub>"),
        ("nan", "bfloat16", "NaN", "significand any other: <b>NaN</b>"),
        ("500", "float8_e4m3fn", "NaN", "significand all ones: <b>NaN</b>"),
        ("-inf", "float8_e5m2", "infinity", "(−1)<sup>1</sup> × ∞"),
        ("100", "float4_e2m1fn", "normal", "= <b>6</b>"),
    ],
)
def test_each_kind_of_number_is_said_and_drawn(text, name, kind, words):
    bits = compute(read(text), name)

    assert kind == bits.kind
    assert words in says(bits)
    ElementTree.fromstring(render(bits, alone=True))


def test_the_bits_in_a_lab_shrink_to_two_thirds_and_then_scroll():
    bits = compute(read("0.1"), "float16")

    assert 'style="min-width:585px"' in render(bits)
    assert "min-width" not in render(bits, alone=True).partition("<style>")[0]


def test_a_format_without_nan_says_so():
    with pytest.raises(RangeError) as caught:
        compute(nan, "float4_e2m1fn")

    assert str(caught.value) == (
        "float4_e2m1fn has no NaN: each of its 16 bit patterns is a number.\n"
        "  help: choose a wider format, or type a number."
    )


@pytest.mark.parametrize("name", [n for n in FORMATS if formats.get(n).bits <= 8])
def test_stepping_up_visits_every_number_in_order(name):
    fmt = formats.get(name)
    bits = from_code(int(formats.encode(-fmt.max, fmt)), name)
    seen = [bits.stored]
    while (after := stepped(bits, up=True)).code != bits.code:
        bits = after
        seen.append(bits.stored)

    codes = formats.decode(np.arange(2**fmt.bits), fmt)
    wanted = np.unique(codes[~np.isnan(codes) & (codes != -inf)])
    assert wanted.tolist() == seen


@pytest.mark.parametrize("name", FORMATS)
def test_every_bit_flips_and_flips_back(name):
    bits = compute(Fraction(1, 2), name)

    for place in range(bits.fmt.bits):
        other = flip(bits, place)
        assert bits.code ^ 1 << place == other.code
        assert bits.code == flip(other, place).code


def test_above_the_largest_number_there_is_infinity_or_none():
    assert "and <b>∞</b>" in says(compute(read("65504"), "float16"))
    assert "<b>416</b> and none." in says(compute(read("448"), "float8_e4m3fn"))


def test_the_neighbours_that_are_drawn_are_the_grid():
    found = around(compute(Fraction(1), "float16"), 2)

    assert [1 - 2**-10, 1 - 2**-11, 1.0, 1 + 2**-10, 1 + 2**-9] == found


def test_the_zones_are_where_rounding_changes():
    for name in FORMATS:
        fmt = formats.get(name)
        lost, subnormal, normal, beyond = zones(fmt)
        held = 2.0 ** np.array([lost.high, subnormal.high])

        assert [0.0, fmt.min_normal] == formats.quantize(held, fmt).tolist()
        assert formats.quantize(held[0] * 1.01, fmt) == fmt.min_subnormal
        assert normal.high == beyond.low == np.log2(fmt.overflow_threshold)


# Gradients and loss scale.


def test_counts_are_those_of_the_recorded_gradients_rounded():
    c = gradients.Controls(scale=10)
    found = gradients.compute(c).after
    g = gradients.recorded(c.stage, c.kind) * np.float32(2.0**-20)
    g = g[g != 0]
    stored = formats.quantize(g * np.float32(2.0**10), "float16")

    assert np.sum(stored == 0) == found.zero
    assert np.sum((stored != 0) & (abs(stored) < 2.0**-14)) == found.subnormal
    assert g.size == found.total


def test_activations_and_weights_together_are_all_gradients():
    kinds = [
        gradients.recorded("before training", k)
        for k in ("all", "of activations", "of weights")
    ]

    assert kinds[0].size == kinds[1].size + kinds[2].size
    assert 21450 == kinds[2].size


def test_a_loss_scale_saves_what_was_flushed():
    none, some, much = (
        gradients.compute(gradients.Controls(scale=k)).after for k in (0, 8, 20)
    )

    assert none.zero > 0.9 * none.total
    assert none.zero > some.zero > much.zero
    assert 0 == none.beyond == some.beyond == much.beyond


def test_the_scaler_halves_where_something_overflows_and_else_keeps():
    for scale in (16, 20, 24):
        c = gradients.Controls(loss="as it is", scale=scale)
        g = gradients.compute(c)

        assert g.skipped == (g.after.beyond > 0)
        assert g.next_scale == 2.0**scale / (2 if g.skipped else 1)
        word = "skips this step" if g.skipped else "takes the step"
        assert word in says_next(g, c)
    assert g.skipped


def test_in_bfloat16_no_gradient_is_lost_without_a_scale():
    g = gradients.compute(gradients.Controls("bfloat16"))

    assert (0, 0, 0) == (g.before.zero, g.before.subnormal, g.before.beyond)


# Master weights.


def test_4096_small_updates_are_lost_kept_or_kept_on_average():
    w = master.compute("float16", 12)

    assert [1.0, 2.0, 2.0] == [w.narrow[-1], w.master[-1], w.copy[-1]]
    ends = master.by_chance("float16", 12)[-1]
    assert ends.mean() == pytest.approx(2.0, abs=4 * 0.027 / 16)
    assert ends.std() == pytest.approx(0.027, rel=0.2)
    assert formats.on_grid(ends, "float16")


@pytest.mark.parametrize("fmt", master.FORMATS)
def test_updates_are_lost_from_half_a_gap_down(fmt):
    p = formats.get(fmt).precision
    stuck = [master.compute(fmt, k).stuck for k in range(2, 13)]

    assert [None if k < p else 0 for k in range(2, 13)] == stuck


@pytest.mark.parametrize(("k", "words"), [(12, "less than half"), (11, "the tie goes")])
def test_why_an_update_is_lost_is_said(k, words):
    section = MasterSection(k=k)

    assert words in section._words.value


# Errors by layer.


@pytest.mark.parametrize("fmt", ["float16", "bfloat16"])
@pytest.mark.parametrize("layers", [2, 4, 8])
def test_without_flips_the_error_is_a_few_u(fmt, layers):
    u = formats.get(fmt).unit_roundoff
    for gate in ("ReLU, gates frozen", "tanh"):
        e = error.compute(error.Controls(fmt, gate, layers))

        assert 0 == e.flipped.sum()
        assert 0.5 < e.backward.error[0] / u < 3.5


def test_flipped_gates_make_the_error_larger():
    errors = {
        gate: [
            error.compute(error.Controls("bfloat16", gate, 6, seed))
            for seed in range(3)
        ]
        for gate in ("ReLU", "ReLU, gates frozen")
    }
    mean = {g: np.mean([e.backward.error[0] for e in es]) for g, es in errors.items()}

    assert all(e.flipped.mean() > 0 for e in errors["ReLU"])
    assert mean["ReLU"] > 3 * mean["ReLU, gates frozen"]


@pytest.mark.parametrize("gate", error.GATES)
def test_the_gradients_shown_are_those_of_the_weights(gate):
    e = error.compute(error.Controls(gate=gate))
    leaves = [n for n in e.run.nodes if n.op == "leaf" and n.size in (4096, 640)]

    assert [n.error for n in leaves[::-1]] == e.backward.error.tolist()
    assert (e.backward.born < 2.0**-11).all()
    assert (e.backward.error <= e.backward.born + e.backward.inherited + 1e-12).all()


# Training and memory.


def test_a_small_loss_is_learnt_by_all_but_float16_unscaled():
    race = Race(Controls(epochs=5))
    race.advance(60)
    ends = {run.name: run.accuracies[-1] for run in race.runs}

    assert ends.pop("float16") < 0.25
    assert min(ends.values()) > 0.88
    assert race.done == race.total


def test_e4m3_needs_a_larger_first_scale():
    ends = []
    for initial in (16, 24):
        run = Run("float8_e4m3fn", True, Controls(initial=initial))
        train, test = bp.data.digits(split="train"), bp.data.digits(split="test")
        rng = np.random.default_rng(0)
        for _ in range(3):
            for x, y in bp.data.batches(*train, 64, rng):
                run.step(x, y)
            run.judge(*test)
        ends.append(run.accuracies[-1])

    assert ends[0] < 0.4 < 0.7 < ends[1]


def test_memory_is_counted_from_the_arrays():
    values = 5 * 2 * 64 * 64 + 64 * 10  # linear and ReLU outputs of a batch of 64
    wide, half, small = map(measure, ("float32", "float16", "float8_e5m2"))

    assert [4 * 21450, 2 * 21450, 21450] == [m.weights for m in (wide, half, small)]
    assert [0, 4 * 21450, 4 * 21450] == [m.master for m in (wide, half, small)]
    # The narrow ones keep float32 logits for the loss, too.
    assert [4 * values + 4, 2 * values + 4 * 641, values + 4 * 641] == [
        m.activations for m in (wide, half, small)
    ]
    assert {4 * 21450} == {m.gradients for m in (wide, half, small)}
    assert {4 * 21450} == {m.state for m in (wide, half, small)}
    assert wide.total == 3 * 4 * 21450 + wide.activations


def test_a_slice_of_training_lets_the_kernel_breathe():
    race, times = Race(Controls(epochs=2)), []
    while not race.over:
        start = time.perf_counter()
        race.advance(0.04)
        times.append(time.perf_counter() - start)

    assert np.median(times) < 0.1


def test_training_in_an_event_loop_goes_in_slices_stops_and_goes_on():
    section = TrainingSection(epochs=1)

    async def train():
        section.start()
        assert section.training
        section.start()
        await asyncio.sleep(0.1)
        section.stop()
        halted = section.race.done
        await asyncio.sleep(0.1)
        assert 0 < halted == section.race.done < section.race.total
        section.start()
        while section.training:
            await asyncio.sleep(0.01)

    asyncio.run(train())

    assert section.race.over
    assert not section.buttons["Train"].disabled
    assert section.buttons["Stop"].disabled
    assert "After 1 of 1 epochs" in section._words.value


def test_without_an_event_loop_train_trains_at_once():
    section = TrainingSection(epochs=1)

    section.buttons["Train"].click()

    assert section.race.over
    assert section.progress.value == section.progress.max
    assert 6 == table(section.race).count("<tr>")


def test_another_setting_throws_away_what_was_trained():
    section = TrainingSection(epochs=1)
    section.train()

    section.set["loss"].value = "as it is"

    assert 0 == section.race.done
    assert "Your turn" in section._words.value


# Settings that cannot be.


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: gradients.Controls(fmt="float15"),
            "PrecisionLab: fmt is 'float15'; one of float16, bfloat16, float8_e5m2, "
            "float8_e4m3fn is required.\n"
            "  help: did you mean float16 or bfloat16 or float8_e5m2?",
        ),
        (
            lambda: gradients.Controls(scale=25),
            "PrecisionLab: scale is 2^25; 2^0 to 2^24 is required.",
        ),
        (
            lambda: master.compute("float16", 13),
            "PrecisionLab: k is 13; 2 to 12 is required.",
        ),
        (
            lambda: master.compute("int8", 3),
            "PrecisionLab: fmt is 'int8'; one of float16, bfloat16, float8_e5m2, "
            "float8_e4m3fn is required.\n"
            "  help: known: float16, bfloat16, float8_e5m2, float8_e4m3fn.",
        ),
        (
            lambda: error.Controls(layers=1),
            "PrecisionLab: layers is 1; 2 to 8 is required.",
        ),
        (
            lambda: error.Controls(gate="tan"),
            "PrecisionLab: gate is 'tan'; one of ReLU; ReLU, gates frozen; tanh is "
            "required.\n  help: did you mean tanh?",
        ),
        (
            lambda: training.Controls(epochs=0),
            "PrecisionLab: epochs is 0; 1 to 20 is required.",
        ),
        (
            lambda: training.Controls(initial=17),
            "PrecisionLab: initial is 17; one of 16, 24 is required.\n"
            "  help: did you mean 16?",
        ),
    ],
)
def test_what_cannot_be_set_is_said(made, message):
    with pytest.raises(RangeError) as caught:
        made()

    assert message == str(caught.value)


def test_an_unknown_section_is_answered_with_near_names():
    for call in (lambda: PrecisionLab("bit"), lambda: PrecisionLab().show("bit")):
        with pytest.raises(NameLookupError) as caught:
            call()

        assert str(caught.value) == (
            "PrecisionLab has no section 'bit'.\n  help: did you mean bits?"
        )


# The lab.


def test_the_lab_opens_in_two_seconds_with_the_bits():
    start = time.process_time()
    lab = PrecisionLab()

    assert time.process_time() - start < 2
    assert "<PrecisionLab: bits, 0.1 in float16 is 0.0999755859375>" == repr(lab)


@pytest.mark.parametrize("view", VIEWS)
def test_a_section_alone_shows_itself_and_draws_a_still_picture(view):
    lab = PrecisionLab(view=view)

    assert view == lab.view
    assert lab.views not in [w for box in lab.children for w in _inside(box)]
    ElementTree.fromstring(lab.picture())
    assert "What to try" in str([w.value for w in _inside(lab) if _is_text(w)])
    assert "Emulated" in str([w.value for w in _inside(lab) if _is_text(w)])


def test_all_sections_stand_behind_buttons_and_keep_what_was_set():
    lab = PrecisionLab()
    lab.section.step(up=True)
    stepped_to = lab.section.bits.code

    for view in VIEWS[1:]:
        lab.show(view)
        assert view == lab.view
    lab.show("bits")

    assert stepped_to == lab.section.bits.code


SECTIONS = [
    (lambda: BitsSection("1/3"), lambda s: s.flip(3)),
    (GradientsSection, lambda s: setattr(s.set["scale"], "value", 9)),
    (MasterSection, lambda s: setattr(s.set["master"], "value", True)),
    (lambda: ErrorSection(layers=3), lambda s: s.draw()),
    (lambda: TrainingSection(epochs=1), lambda s: s.train()),
]


@pytest.mark.parametrize(("make", "change"), SECTIONS)
def test_reset_begins_again_as_the_section_began(make, change):
    section = make()
    first = str(section), section.picture()
    change(section)
    assert first != (str(section), section.picture())

    section.reset()

    assert first == (str(section), section.picture())


@pytest.mark.parametrize("view", ["bits", "histogram", "master", "error"])
def test_a_control_moves_the_picture(view):
    section = PrecisionLab(view).section
    slider = {
        "bits": lambda: section.significand,
        "histogram": lambda: section.set["scale"],
        "master": lambda: section.set["k"],
        "error": lambda: section.set["layers"],
    }[view]()
    before = section.picture()

    slider.value -= 1 if view == "master" else -1

    assert before != section.picture()


def test_dragging_moves_the_bits_and_writes_the_number():
    section = BitsSection("1", "float16")
    section.exponent.value = 16
    section.significand.value = 512

    assert (3.0, "3") == (section.bits.stored, section.text.value)
    assert 0 == section.bits.error


def test_bad_text_leaves_the_number_and_good_text_takes_the_sentence_away():
    section = BitsSection("0.5")
    section.text.value = "half"
    assert "is not a number" in section.message.value
    assert 0.5 == section.bits.stored

    section.text.value = "0.25"

    assert ("", 0.25) == (section.message.value, section.bits.stored)


def test_another_format_stores_the_typed_number_anew():
    section = BitsSection("0.1", "float8_e4m3fn")

    section.fmt.value = "float32"

    assert np.float32(0.1) == section.bits.stored
    assert Fraction(1, 10) == section.bits.typed


def test_a_still_picture_carries_its_own_style_and_no_switch():
    bits, histogram = (PrecisionLab(view).picture() for view in VIEWS[:2])

    assert ".bpl-bits .bit" in bits
    assert ".zone.lost" in histogram
    assert 'role="switch"' not in bits
    assert "<td>413.9</td>" in PrecisionLab("training").page()


def test_a_crash_shows_in_the_section_and_is_raised(monkeypatch):
    section = GradientsSection()

    def broken(_):
        raise ZeroDivisionError("broken on purpose")

    monkeypatch.setattr(gradients, "compute", broken)
    with pytest.raises(ZeroDivisionError):
        section.set["scale"].value = 3

    assert "broken on purpose" in section.message.value


def _inside(widget):
    """A widget and all that stands in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _inside(child)


def _is_text(widget):
    return type(widget).__name__ == "HTML"
