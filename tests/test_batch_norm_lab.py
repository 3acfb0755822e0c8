from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab.widgets.batch_norm import lab as batch_norm
from backproplab.widgets.batch_norm import panels, running
from backproplab.widgets.batch_norm.lab import SIZES, BatchNormLab
from backproplab.widgets.batch_norm.paths import MODES, NORMS, Controls, compute, notes


def drawn(picture):
    """Parse, so that what is not well-formed fails."""
    return ElementTree.fromstring(picture)


# One batch.


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [2, 16])
def test_the_paths_add_up_to_the_gradient_of_the_layer(norm, mode, size):
    batch = compute(Controls(norm, mode, size, gamma=-1.5, beta=0.5, shift=2.0))

    np.testing.assert_allclose(batch.paths.total, batch.run["x"].grad, atol=1e-12)


def test_the_paths_are_the_three_terms_of_the_formula():
    batch = compute(Controls(gamma=2.0))
    x, g = batch.x, batch.g
    s = 2.0 / np.sqrt(x.var(axis=0) + 1e-5)
    xhat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)

    paths = batch.paths

    np.testing.assert_allclose(paths.direct, s * g)
    np.testing.assert_allclose(paths.mean, np.tile(-s * g.mean(axis=0), (16, 1)))
    np.testing.assert_allclose(paths.variance, -s * xhat * (g * xhat).mean(axis=0))


def test_rms_norm_has_no_path_through_a_mean():
    paths = compute(Controls("RMS")).paths

    assert not paths.mean.any()
    assert paths.variance.any()


def test_in_eval_only_the_direct_path_is_left():
    paths = compute(Controls(mode="eval")).paths

    assert paths.direct.any()
    assert not paths.mean.any()
    assert not paths.variance.any()


@pytest.mark.parametrize(
    ("norm", "undoes"),
    [("batch", True), ("layer", True), ("group", True), ("RMS", False)],
)
def test_a_shift_of_the_input_is_undone_by_all_but_rms_norm(norm, undoes):
    here, there = (compute(Controls(norm, shift=s)).y for s in (0.0, 3.0))

    assert undoes == np.allclose(here, there)


@pytest.mark.parametrize("norm", NORMS)
def test_a_scale_of_the_input_is_undone_by_all_up_to_epsilon(norm):
    here, there = (compute(Controls(norm, scale=s)).y for s in (1.0, 3.0))

    np.testing.assert_allclose(here, there, atol=1e-3)


@pytest.mark.parametrize("norm", ["layer", "group", "RMS"])
def test_other_norms_do_not_look_at_the_batch(norm):
    alone, together = (compute(Controls(norm, size=n)).y[0] for n in (1, 64))

    np.testing.assert_allclose(alone, together)


def test_through_a_batch_of_two_hardly_anything_flows_back():
    two, three = (np.abs(compute(Controls(size=n)).paths.total).max() for n in (2, 3))

    assert two < 1e-3 < 0.1 < three
    assert "x̂ is −1 and +1" in " ".join(
        notes(Controls(size=2), compute(Controls(size=2)))
    )


def test_a_batch_of_one_says_what_the_layer_says():
    batch = compute(Controls(size=1))

    assert batch.y is None
    assert batch.error == (
        "BatchNorm1d: x is (1, 8); in training each feature needs at least 2 values, "
        "because 1 has no variance.\n"
        "  help: pass a larger batch, or call `model.eval()` to use the running "
        "statistics."
    )


def test_gamma_zero_stops_what_flows_to_x_but_not_to_gamma():
    controls = Controls(gamma=0.0, beta=0.5)
    batch = compute(controls)

    assert not batch.paths.total.any()
    assert (batch.y == 0.5).all()
    assert np.abs(batch.run["weight"].grad).min() > 0
    assert "γ = 0" in notes(controls, batch)[0]


def test_a_nan_spoils_its_feature_in_batch_norm_and_its_example_in_layer_norm():
    over_batch = np.isnan(compute(Controls(broken=True)).y)
    by_row = np.isnan(compute(Controls("layer", broken=True)).y)
    in_eval = np.isnan(compute(Controls(mode="eval", broken=True)).y)

    assert over_batch[:, 0].all()
    assert not over_batch[:, 1:].any()
    assert by_row[0].all()
    assert not by_row[1:].any()
    assert 1 == in_eval.sum()


def test_features_without_variance_give_beta_and_finite_gradients():
    controls = Controls(scale=0.0, beta=0.25)
    batch = compute(controls)

    assert (batch.y == 0.25).all()
    assert np.isfinite(batch.paths.total).all()
    assert "the variance is 0" in notes(controls, batch)[0]


def test_an_unknown_norm_is_refused():
    with pytest.raises(bp.errors.RangeError) as raised:
        Controls("bach")

    assert str(raised.value) == (
        "BatchNormLab: norm is 'bach'; one of batch, layer, group, RMS is required.\n"
        "  help: did you mean batch?"
    )


# Running statistics.


def test_running_statistics_come_to_the_true_ones_or_stay_biased():
    c = Controls(size=4)
    found = running.compute(c)
    late = slice(100, None)

    assert (
        pytest.approx(found.true_variance, rel=0.1)
        == found.variance["pytorch"][late].mean()
    )
    biased = running.compute(Controls(size=4, convention="flax", momentum=0.9))
    share = biased.variance["flax"][late].mean() / found.true_variance
    assert pytest.approx(3 / 4, rel=0.1) == share
    assert pytest.approx(found.true_mean, rel=0.1) == found.mean["pytorch"][late].mean()


def test_words_say_whose_weight_a_momentum_is():
    said = [running.words(name, m) for name, m in (("pytorch", 0.1), ("flax", 0.99))]

    assert "weighs the new batch, so a batch counts 0.10" in said[0]
    assert "weighs the old value, so a batch counts 0.01" in said[1]


# The pictures and the lab.


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shown", panels.SHOWS)
@pytest.mark.parametrize("size", [1, 2, 16])
def test_everything_is_drawn(norm, shown, size):
    lab = BatchNormLab(norm, size, shown)

    for change in ({}, {"broken": True}, {"gamma": 0.0}, {"scale": 0.0}):
        lab.reset.click()
        for name, value in change.items():
            getattr(lab, name).value = value
        drawn(lab.picture())
        assert "nan," not in lab._picture.value


def test_controls_move_the_picture_and_reset_moves_it_back():
    lab = BatchNormLab()
    before = lab._picture.value

    for control, value in (
        (lab.size, 8), (lab.gamma, 0.5), (lab.beta, 1.0), (lab.shift, 2.0),
        (lab.scale, 2.0), (lab.mode, "eval"), (lab.broken, True), (lab.norm, "layer"),
        (lab.shown, "depth"), (lab.shown, "running statistics"), (lab.momentum, 0.5),
        (lab.convention, "keras"),
    ):  # fmt: skip
        earlier = lab._picture.value
        control.value = value
        assert earlier != lab._picture.value, control
    assert 0.99 == lab.momentum.value
    lab.reset.click()

    assert before == lab._picture.value


def test_the_error_of_a_batch_of_one_stands_in_the_lab_and_goes_again():
    lab = BatchNormLab()

    lab.size.value = SIZES[0]
    assert "at least 2 values" in lab.message.value
    lab.size.value = SIZES[1]
    assert "" == lab.message.value


def test_a_lab_is_one_line_and_a_picture_without_a_kernel():
    lab = BatchNormLab()

    bundle = lab._repr_mimebundle_()

    assert 1 == len(repr(lab).splitlines())
    assert bundle["text/plain"] == repr(lab)
    drawn(bundle["image/svg+xml"])


def test_a_crash_is_shown_and_raised(monkeypatch):
    lab = BatchNormLab()
    monkeypatch.setattr(batch_norm, "compute", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        lab.gamma.value = 0.2

    assert "This lab broke down." in lab.message.value


@pytest.mark.parametrize(
    ("shown", "held"),
    [
        ("one batch", set()),
        ("running statistics", {"norm", "mode", "gamma", "beta", "broken"}),
        (
            "depth",
            {"mode", "gamma", "beta", "broken", "shift", "scale", "convention"}
            | {"momentum"},
        ),
    ],
)
def test_a_control_that_changes_nothing_is_held(shown, held):
    lab = BatchNormLab(shown=shown)
    begun = {"gamma": -1.5, "beta": 1.0, "shift": 3.0, "scale": 2.5, "broken": True}
    begun |= {"norm": "layer", "mode": "eval", "convention": "flax", "momentum": 0.5}

    off = {name for name in begun if getattr(lab, name).disabled}
    assert held == off

    for name in held:
        before, was = lab.picture(), getattr(lab, name).value
        getattr(lab, name).value = begun[name]
        assert before == lab.picture(), name
        getattr(lab, name).value = was
