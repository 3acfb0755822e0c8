import time
from dataclasses import replace
from itertools import product
from statistics import median
from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import NameLookupError, RangeError
from backproplab.widgets import DepthLab
from backproplab.widgets.depth.controls import (
    ACTIVATIONS,
    INITS,
    NORMS,
    PLACES,
    SKIPS,
    Controls,
)
from backproplab.widgets.depth.net import measure, recorded
from backproplab.widgets.depth.picture import render, says
from backproplab.widgets.depth.theory import expected

EVERY = [
    Controls(30, 64, *chosen)
    for chosen in product(ACTIVATIONS, INITS, (1.0,), SKIPS, NORMS, PLACES)
]


# What is measured.


@pytest.mark.parametrize("activation", ["ReLU", "tanh"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("skip", SKIPS)
def test_theory_meets_the_measured_factor_of_a_layer(activation, norm, skip):
    for init, place in product(("He", "Xavier", "edge of chaos"), PLACES):
        d = measure(Controls(30, 128, activation, init, 1.0, skip, norm, place))

        factors = [d.factor, d.factor_expected]
        assert np.isclose(*np.log(factors), rtol=0, atol=0.03), d.controls


@pytest.mark.parametrize("kind", ["values", "grads"])
def test_what_is_measured_is_what_the_recorded_run_holds(kind):
    c = Controls(5, 16, norm="layer", skip="branch × 1")
    d, run = measure(c), recorded(c)

    field = {"values": "value", "grads": "grad"}[kind]
    rms = [np.sqrt(np.mean(getattr(run[f"z{k}"], field) ** 2)) for k in range(1, 6)]
    assert rms == getattr(d, kind).tolist()


def test_the_gain_of_a_layer_is_the_run_s_gain():
    c = Controls(5, 16, skip="branch × 1")

    gains = recorded(c).gain(depth=1)

    measured = measure(c).gains
    assert np.allclose([gains[f"layer{k}"] for k in range(2, 6)], measured)


def test_theory_of_xavier_on_relu_is_one_half_and_of_he_one():
    xavier = expected(Controls(init="Xavier"))[1]
    he = expected(Controls(init="He"))[1]

    assert {0.5} == set(xavier)
    assert {1.0} == set(he)


def test_theory_of_batch_norm_on_relu_is_pi_over_pi_minus_one():
    chi = expected(Controls(norm="batch", place="post"))[1]

    assert np.allclose(np.pi / (np.pi - 1), chi)


@pytest.mark.parametrize(
    ("skip", "whole"), [("branch × 1", 2.0**30), ("branch × 1/√L", np.e)]
)
def test_theory_of_a_residual_net_is_1_plus_a2_to_the_depth(skip, whole):
    values, _, _ = expected(Controls(skip=skip, init="He"))

    assert np.isclose(whole, values[-1] ** 2, rtol=0.02)


def test_a_branch_of_zero_hands_everything_on_unchanged():
    d = measure(Controls(skip="branch × 0"))

    assert 1 == len(set(d.grads))
    assert 1 == d.factor == d.factor_expected
    assert 1 == d.carried[0]


def test_paths_without_a_skip_pass_through_every_layer():
    d = measure(Controls(depth=7))

    assert [0.0] * 7 + [1.0] == d.lengths.tolist() == d.carried.tolist()


def test_shares_are_shares():
    for c in EVERY[::17]:
        d = measure(replace(c, depth=8, width=16))

        assert np.isclose(1, [d.lengths.sum(), d.carried.sum()]).all()
        assert 0 <= d.flat.min() <= d.flat.max() <= 1
        assert (d.dead <= d.flat + 1e-12).all()


def test_the_batch_gives_way_before_a_slider_waits():
    sizes = [Controls(depth, 128).batch for depth in (1, 25, 100)]

    assert [64, 62, 16] == sizes


# What is drawn and said.


@pytest.mark.parametrize("guess", [None, 0.0, 0.7, 100.0])
def test_every_setting_is_drawn(guess):
    for c in EVERY[:: 7 if guess is None else 29]:
        picture = render(measure(replace(c, depth=9, width=8)), guess, alone=True)

        assert "nan" not in picture
        assert ElementTree.fromstring(picture).tag.endswith("svg")


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_the_ends_of_the_depth_are_drawn(depth):
    ElementTree.fromstring(render(measure(Controls(depth, 16)), 0.9))


def test_the_gradient_is_not_in_the_picture_before_the_prediction():
    d = measure(Controls())

    assert "waits for your prediction" in render(d, None)
    assert "gradients</text>" not in render(d, None)
    assert "gradients</text>" in render(d, 0.7)


def test_a_good_prediction_is_told_apart_from_a_bad_one():
    d = measure(Controls())

    assert says(d, d.factor).endswith("Your prediction holds, within a factor of 2.")
    off = 29 * np.log10(1 / d.factor)
    assert says(d, 1.0).endswith(
        f"Your prediction is off by a factor of 10<sup>{off:.0f}</sup>."
    )


def test_a_prediction_of_nothing_is_answered():
    assert says(measure(Controls()), 0.0).endswith("A factor of 0 would leave nothing.")


def test_a_vanished_gradient_is_said_so():
    d = measure(Controls(100, 8, "sigmoid", "uniform 1/√n", 0.0))

    assert says(d, 0.5).endswith("No finite gradient comes back to layer 1.")


# The lab.


def test_the_lab_says_in_one_line_what_it_shows():
    lab = DepthLab(depth=12, norm="RMS", place="post")

    assert "<DepthLab: 12 layers, ReLU, Xavier, no skip, norm RMS post>" == repr(lab)


def test_a_slider_moves_the_picture():
    lab = DepthLab(depth=5, width=8)
    before = lab._picture.value
    lab.set["depth"].value = 6

    assert before != lab._picture.value
    assert 6 == len(lab.shown.values)


def test_placing_shows_the_gradient_and_typing_moves_the_prediction():
    lab = DepthLab(depth=5, width=8)
    assert "Your turn" in lab.verdict

    lab.buttons["Place"].click()
    assert "You said <b>× 1</b>" in lab.verdict
    lab.guess.value = 0.7
    assert "You said <b>× 0.7</b>" in lab._text.value
    lab.buttons["Hide again"].click()
    assert "Your turn" in lab._text.value


def test_reset_begins_again_as_the_lab_began():
    lab = DepthLab(depth=5, width=8, activation="tanh")
    first = lab.picture()
    lab.place(0.5)
    lab.set["depth"].value = 50
    lab.set["activation"].value = "ReLU"
    lab.buttons["New draw"].click()

    lab.buttons["Reset"].click()

    assert first == lab.picture()
    assert 1.0 == lab.guess.value


def test_a_new_draw_is_another_net_of_the_same_kind():
    lab = DepthLab(depth=5, width=8)
    before = lab.shown
    lab.draw()

    assert before.grads[0] != lab.shown.grads[0]
    assert replace(before.controls, seed=1) == lab.shown.controls


def test_the_place_of_a_norm_matters_only_with_a_norm():
    lab = DepthLab(depth=3, width=8)
    assert lab.set["place"].disabled

    lab.set["norm"].value = "layer"

    assert not lab.set["place"].disabled


def test_runs_of_two_labs_can_be_compared():
    plain = DepthLab(depth=8, width=16).run
    residual = DepthLab(depth=8, width=16, skip="branch × 1").run

    both = bp.compare_runs({"plain": plain, "residual": residual}, layers="layer*")

    growth = both.growth()
    assert growth["plain"] < 1 < growth["residual"]
    assert 8 == len(both.rows)


def test_without_a_kernel_the_picture_stands_in():
    bundle = DepthLab(depth=3, width=8)._repr_mimebundle_()

    assert bundle["image/svg+xml"].startswith("<svg")


def test_an_unknown_control_is_answered_with_the_near_ones():
    with pytest.raises(NameLookupError) as error:
        DepthLab(dept=3)

    assert str(error.value) == (
        "DepthLab has no control 'dept'.\n  help: did you mean depth?"
    )


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (
            {"width": 50},
            "DepthLab: width is 50; one of 8, 16, 32, 64, 128 is required.",
        ),
        ({"depth": 0}, "DepthLab: depth is 0; 1 to 100 is required."),
        (
            {"norm": "rms"},
            "DepthLab: norm is 'rms'; one of 'none', 'batch', 'layer', 'RMS' is "
            "required.",
        ),
    ],
)
def test_a_control_out_of_its_range_is_answered(control, message):
    with pytest.raises(RangeError) as error:
        DepthLab(**control)

    assert message == str(error.value)


def test_a_crash_is_shown_in_the_lab_and_raised(monkeypatch):
    lab = DepthLab(depth=3, width=8)
    monkeypatch.setattr("backproplab.widgets.depth.lab.measure", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        lab.set["depth"].value = 4

    assert "This lab broke down. <code>ZeroDivisionError</code>" in lab.message.value


def test_depth_100_is_computed_and_drawn_well_within_100_ms():
    lab = DepthLab(depth=100, norm="batch", skip="branch × 1")
    lab.place(1.0)
    times = []
    for depth in (99, 100) * 4:
        begun = time.process_time()
        lab.set["depth"].value = depth
        times.append(time.process_time() - begun)

    assert median(times) < 0.1


def test_the_browser_is_told_while_it_computes_and_no_longer(monkeypatch):
    lab, told = DepthLab(depth=3, width=8), []

    def watched(controls):
        told.append("bpl-computing" in lab._dom_classes)
        return measure(controls)

    monkeypatch.setattr("backproplab.widgets.depth.lab.measure", watched)
    lab.set["depth"].value = 4

    assert [True] == told
    assert "bpl-computing" not in lab._dom_classes


def test_a_crash_ends_the_computing_too(monkeypatch):
    lab = DepthLab(depth=3, width=8)
    monkeypatch.setattr("backproplab.widgets.depth.lab.measure", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        lab.set["depth"].value = 4

    assert "bpl-computing" not in lab._dom_classes
