import asyncio
import zlib
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab.errors import GradError, RangeError
from backproplab.widgets.numerals import number
from backproplab.widgets.playground import chain as chains
from backproplab.widgets.playground import frame as frames
from backproplab.widgets.playground import picture, player
from backproplab.widgets.playground.data import (
    DATA,
    FEATURES,
    GRID,
    REACH,
    features,
    grid,
    points,
)  # fmt: skip
from backproplab.widgets.playground.lab import PlaygroundLab
from backproplab.widgets.playground.net import (
    ACTIVATIONS,
    SNAPSHOTS,
    Controls,
    Training,
    build,
    load,
    loss_of,
    responses,
    weights,
)  # fmt: skip
from backproplab.widgets.playground.places import places
from backproplab.widgets.playground.words import said

TIGHT = 1e4 * np.finfo(float).eps


def trained(steps=50, **set_to):
    training = Training(Controls(**set_to))
    training.advance(steps)
    return training


def explained(training, place, example=3):
    x, y, batch = training.x, training.points.y, training.batch
    return chains.explain(
        training.net,
        training.controls, place, (x[batch], y[batch]), (x[example], y[example]),
    )  # fmt: skip


# The points.


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_points_are_balanced_and_lie_in_the_square(name, noise):
    p = points(name, noise)

    assert (240, 2) == p.x.shape
    assert (120, 2) == p.held_x.shape
    assert 0.4 < p.y.mean() < 0.6
    assert np.mean(np.abs(p.x).max(axis=1) <= REACH) > 0.97
    assert {0.0, 1.0} == set(p.y)


@pytest.mark.parametrize("name", DATA)
def test_points_are_the_same_each_time_and_held_out_ones_are_others(name):
    p = points(name, 0.1)
    points.cache_clear()

    assert np.array_equal(p.x, points(name, 0.1).x)
    assert not set(map(tuple, p.x)) & set(map(tuple, p.held_x))


def test_features_are_what_they_are_called():
    x = np.array([[0.5, -0.25]])

    seen = features(x, tuple(FEATURES))[0]

    sine = np.sin(np.pi * x[0])
    np.testing.assert_allclose(
        [0.5, -0.25, 0.25, 0.0625, -0.125, *sine], seen, rtol=1e-15
    )


def test_the_grid_goes_row_by_row_from_the_upper_left():
    g = grid()

    assert (GRID * GRID, 2) == g.shape
    assert g[0, 0] < 0 < g[0, 1]
    assert g[1, 0] > g[0, 0]
    assert g[0, 1] == g[1, 1]
    assert pytest.approx(0) == g.sum()


# The net and its training.


def test_a_training_takes_the_steps_of_the_optimizer():
    c = Controls(hidden=(3,), lr=0.3, decay=0.01)
    training = Training(c)
    twin = build(c)
    optimizer = bp.optim.SGD(twin.parameters(), lr=0.3, weight_decay=0.01)
    for _ in range(5):
        training.advance()
        k = training.batch
        optimizer.zero_grad()
        logits = twin(training.x[k])[:, 0]
        bp.binary_cross_entropy_with_logits(logits, training.points.y[k]).backward()
        optimizer.step()

    assert np.array_equal(weights(twin), training.latest)


@pytest.mark.parametrize("data", DATA)
def test_every_data_set_can_be_learnt(data):
    training = trained(1500, data=data, hidden=(8, 8), noise=0.0, optimizer="Adam",
                       lr=0.01)  # fmt: skip

    assert training.losses[-1][0] < 0.15


def test_without_a_hidden_layer_the_circle_cannot_be_learnt():
    assert trained(1500, hidden=()).losses[-1][0] > 0.6


@pytest.mark.parametrize("steps", [1, 199, 200, 1000, 5000])
def test_snapshots_are_bounded_and_spread_over_the_run(steps):
    training = trained(steps, hidden=(1,), batch=1)

    assert len(training.steps) <= SNAPSHOTS
    assert len(training.steps) == len(training.snapshots) == len(training.losses)
    gaps = set(np.diff(training.steps).tolist())
    assert 1 == len(gaps)
    assert 0 == training.steps[0]
    assert steps - training.steps[-1] < max(gaps)


def test_a_snapshot_holds_the_weights_of_its_step():
    training = trained(10)
    twin = Training(training.controls)
    twin.advance(4)

    assert np.array_equal(twin.latest, training.snapshots[4])
    assert training.measured(training.snapshots[4]) == training.losses[4]


def test_a_loaded_row_is_the_net_it_came_from():
    training = trained(5, hidden=(4, 3))
    other = build(training.controls)

    load(other, training.latest)

    assert np.array_equal(weights(other), training.latest)
    assert np.array_equal(other(training.x).data, training.net(training.x).data)


def test_responses_are_what_the_net_gives_layer_by_layer():
    training = trained(5, hidden=(4, 3))
    with bp.record() as run:
        training.net(training.x)

    found = responses(training.net, training.x)

    for name, response in zip(("act1", "act2", "out"), found, strict=True):
        assert np.array_equal(run[name].value, response)


def test_another_rate_keeps_the_weights():
    training = trained(5)
    before = training.latest

    training.tune(Controls(lr=1.0, optimizer="Adam"))

    assert np.array_equal(before, training.latest)


@pytest.mark.parametrize(
    ("set_to", "message"),
    [
        (
            {"data": "cirle"},
            "PlaygroundLab: data is 'cirle', which it does not know.\n"
            "  help: did you mean circle or spirals?",
        ),
        ({"lr": 9.0}, "PlaygroundLab: lr is 9.0; 0.0001 to 3 is required."),
        (
            {"hidden": (9,)},
            "PlaygroundLab: hidden is (9,); up to 4 layers of 1 to 8 units are "
            "required.",
        ),
        (
            {"hidden": (1,) * 5},
            "PlaygroundLab: hidden is (1, 1, 1, 1, 1); up to 4 layers of 1 to 8 units "
            "are required.",
        ),
        (
            {"features": ()},
            "PlaygroundLab: there are no features; at least one is required.\n"
            "  help: known: x₁, x₂, x₁², x₂², x₁x₂, sin πx₁, sin πx₂.",
        ),
        (
            {"batch": 3},
            "PlaygroundLab: batch is 3, which it does not know.\n"
            "  help: known: 1, 2, 5, 10, 20, 40, 80, 240.",
        ),
    ],
)
def test_what_cannot_be_set_is_refused(set_to, message):
    with pytest.raises(RangeError) as error:
        PlaygroundLab(**set_to)

    assert message == str(error.value)


# The gradient of one weight.


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (3,), (4, 2), (8, 8, 8)])
def test_paths_add_up_to_the_gradient_of_every_layer(activation, hidden):
    training = trained(hidden=hidden, activation=activation, data="xor")
    x, y = training.x[3:4], training.points.y[3:4]

    for layer in range(1, len(hidden) + 2):
        chain = explained(training, (layer, 0, 1 if layer == 1 else 0))

        training.net.zero_grad()
        loss_of(training.net, x, y).backward()
        grads = [p.grad for n, p in training.net.named_parameters() if "weight" in n]
        expected = grads[layer - 1][0, 1 if layer == 1 else 0]
        assert pytest.approx(expected, rel=TIGHT, abs=1e-15) == chain.total
        assert chain.grad == expected
        assert chain.count == np.prod(hidden[layer:], dtype=int)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_factors_of_a_path_multiply_to_its_product(activation):
    training = trained(hidden=(4, 3), activation=activation, data="moons")

    for place in ((1, 1, 0), (2, 2, 3), (3, 0, 1)):
        for route in explained(training, place).routes:
            product = np.prod([number for _, number in route.factors])
            assert pytest.approx(product, rel=TIGHT, abs=1e-300) == route.product


def test_the_factors_are_named_from_the_loss_back_to_the_weight():
    chain = explained(trained(hidden=(3, 2)), (1, 1, 0))

    names = [name for name, _ in chain.routes[0].factors]

    assert "σ(z) − y" == names[0]
    assert names[1] in ("w(h2.1 → output)", "w(h2.2 → output)")
    assert names[2].startswith("tanh′(z2.")
    assert names[3].startswith("w(h1.2 → h2.")
    assert ["tanh′(z1.2)", "x₁"] == names[4:]


def test_the_mean_is_the_gradient_that_the_step_takes():
    training = trained()

    chain = explained(training, (2, 1, 3))

    back = frames.run_backward(training.net, training, training.batch)
    assert pytest.approx(back.weights[1][1, 3], rel=TIGHT) == chain.mean


def test_a_gradient_that_the_paths_do_not_give_is_an_error(monkeypatch):
    training = trained()
    monkeypatch.setattr(chains, "_grad", lambda *_: np.full((4, 4), 0.5))

    with pytest.raises(GradError, match=r"the paths add up to .* and \.grad is 0\.5"):
        explained(training, (1, 0, 0))


def test_a_chain_is_written_with_its_numbers_and_its_check():
    training = trained(hidden=(8, 8))
    chain = explained(training, (1, 2, 0))

    html = chains.render(chain, 3, 1.0, 10, 50)

    assert "x₁ → h1.3" in html
    assert "8 paths lead from the loss" in html
    assert "by 4 more paths" in html
    assert "✓ equal" in html
    assert r"\frac{\partial L}{\partial w} = \frac{\partial L}{\partial z}" in html
    ElementTree.fromstring(html.replace("<br>", "<br/>"))


def test_too_many_paths_have_no_formula_but_a_count():
    chain = explained(trained(hidden=(8, 8, 8)), (1, 0, 0))

    assert (64, "") == (chain.count, chain.formula)
    assert 4 == len(chain.routes)


# The frame.


def test_a_frame_shows_what_the_net_answers():
    training = trained(hidden=(4, 3))

    frame = frames.compute(training, build(training.controls), training.latest, 50)

    hidden = responses(training.net, features(grid(), training.controls.features))
    seen = (frame.maps.astype(float) - 128) / 127
    np.testing.assert_allclose(hidden[0].T, seen[2:6], atol=1 / 127)
    probability = 1 / (1 + np.exp(-hidden[-1][:, 0]))
    np.testing.assert_allclose(2 * probability - 1, seen[-1], atol=1 / 127)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_backward_pass_of_a_frame_is_the_engines(activation):
    training = trained(hidden=(4, 3), activation=activation)
    net = build(training.controls)
    frame = frames.compute(training, net, training.latest, 50, backward=True)
    k = training.batch
    load(net, training.latest)
    net.zero_grad()
    loss_of(net, training.x[k], training.points.y[k]).backward()

    for name, mine in zip(("fc1", "fc2", "out"), frame.backward.weights, strict=True):
        assert np.array_equal(dict(net.named_parameters())[f"{name}.weight"].grad, mine)
    dz = (1 / (1 + np.exp(-net(training.x[k]).data[:, 0])) - training.points.y[k]) / 10
    np.testing.assert_allclose(dz, frame.backward.units[-1][:, 0], rtol=TIGHT)
    below = frame.backward.units[-1] @ net.out.weight.data
    np.testing.assert_allclose(below, frame.backward.units[-2], rtol=TIGHT)


@pytest.mark.parametrize("backward", [False, True])
def test_the_bytes_of_a_frame_hold_all_of_it_in_order(backward):
    training = trained(20, hidden=(4, 3))
    net = build(training.controls)
    frame = frames.compute(training, net, training.latest, 20, backward=backward)

    data = frames.pack(frame, 7, training)

    maps = 10 * GRID * GRID
    assert frame.maps.tobytes() == data[-maps:]
    numbers = np.frombuffer(data[:-maps], np.float32)
    n = 10 if backward else 0
    assert [7, 20, backward, n, 21] == numbers[[0, 1, 4, 5, 6]].tolist()
    edges = 2 * 4 + 4 * 3 + 3
    flat = np.concatenate([w.ravel() for w in frame.weights])
    assert np.array_equal(flat.astype(np.float32), numbers[7 : 7 + edges])
    length = 7 + edges + backward * (n + edges + n * 8) + 3 * 21
    assert length == len(numbers)
    assert training.steps == numbers[-63:-42].tolist()


def test_weights_out_of_all_bounds_make_a_frame_all_the_same():
    training = trained(1)
    row = np.full_like(training.latest, np.nan)

    frame = frames.compute(training, build(training.controls), row, 1, backward=True)

    assert "diverged" in said(training, frame, 0, False)
    ElementTree.fromstring(picture.render(training, frame))


def test_the_nearest_point_is_found():
    training = trained(0)

    assert 17 == frames.nearest(training, *training.points.x[17])


# The picture.


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("hidden", [(), (1,), (8, 8, 8, 8)])
def test_the_still_picture_is_well_formed_and_has_a_line_for_each_weight(
    backward, hidden
):
    training = trained(3, hidden=hidden)
    net = build(training.controls)
    frame = frames.compute(training, net, training.latest, 3, backward=backward)

    root = ElementTree.fromstring(picture.render(training, frame))

    space = "{http://www.w3.org/2000/svg}"
    lines = [e for e in root.iter(f"{space}path") if "bpl-edge" in e.get("class", "")]
    w = training.controls.widths
    assert sum(a * b for a, b in pairwise(w)) == len(lines)
    assert sum(w) == len(list(root.iter(f"{space}image")))
    assert "after 3 steps" in root.get("aria-label")


def test_nothing_leaves_the_stage():
    at = places(Controls(hidden=(8, 8, 8, 8)))

    for layer in at["layers"][:-1]:
        assert all(0 < x and x + at["size"] < at["width"] for x, _ in layer)
        assert all(40 < y and y + at["size"] < at["height"] for _, y in layer)
    assert at["layers"][-1][0][0] + at["output"] <= at["width"] <= 830


def test_a_png_holds_the_colours_of_the_signs():
    data = picture.png(np.array([255, 1, 128, 128], np.uint8), 2)

    at = data.index(b"IDAT")
    raw = zlib.decompress(data[at + 4 : data.index(b"IEND") - 8])
    assert bytes([0, *picture.POSITIVE, *picture.NEGATIVE]) == raw[:7]
    assert bytes([0, *(247,) * 6]) == raw[7:]


# The lab.


def test_a_lab_says_in_one_line_what_it_shows():
    assert "<PlaygroundLab: circle, 2-4-2-1 units, tanh, step 0, loss 0.697>" == repr(
        PlaygroundLab()
    )


def test_a_page_without_a_kernel_has_the_picture():
    bundle = PlaygroundLab()._repr_mimebundle_()

    assert bundle["image/svg+xml"].startswith("<svg ")
    assert bundle["text/plain"].startswith("<PlaygroundLab")


def test_the_controls_reach_the_net():
    lab = PlaygroundLab()
    lab.train(5)
    lab.panel.lr.value = 1.0
    assert 5 == lab.training.taken

    lab.panel.data.value = "xor"
    lab.panel.features["x₁x₂"].value = True
    lab.panel.activation.value = "relu"

    c = lab.training.controls
    assert ("xor", ("x₁", "x₂", "x₁x₂"), "relu", 0) == (
        c.data, c.features, c.activation, lab.training.taken,
    )  # fmt: skip
    assert pytest.approx(1.0, rel=0.1) == c.lr
    assert [3, 4, 2, 1] == lab.view.scene["widths"]


def test_the_browser_edits_the_layers_within_bounds():
    lab = PlaygroundLab()
    version = lab.view.scene["version"]

    lab._asked(None, {"hidden": [4, 3]}, None)
    assert (4, 3) == lab.training.controls.hidden
    assert version < lab.view.scene["version"]

    for wrong in ([9], [0], [1] * 5):
        lab._asked(None, {"hidden": wrong}, None)
        assert (4, 3) == lab.training.controls.hidden


def test_a_chosen_weight_that_is_gone_gives_way_to_the_first():
    lab = PlaygroundLab(hidden=(4, 4))
    lab.select(2, 3, 3)
    assert "h1.4 → h2.4" == lab.chain.name

    lab.reshape((2, 2))

    assert "x₁ → h1.1" == lab.chain.name


def test_buttons_step_reseed_and_reset():
    lab = PlaygroundLab()
    b = lab.panel.buttons
    first = lab.training.latest
    b["Step"].click()
    assert 1 == lab.frame.step

    b["New weights"].click()
    assert 0 == lab.frame.step
    assert not np.array_equal(first, lab.training.latest)
    b["+ layer"].click()
    assert (4, 2, 4) == lab.hidden
    b["− layer"].click()
    lab.panel.noise.value = 0.3
    b["Reset"].click()

    assert np.array_equal(first, lab.training.latest)
    assert Controls() == lab.training.controls


def test_the_history_shows_earlier_weights_and_training_goes_on_from_the_newest():
    lab = PlaygroundLab()
    lab.train(10)
    lab.panel.history.value = 4
    assert 4 == lab.frame.step
    shown = [w.data for w in build(lab.training.controls).parameters()]
    load(net := build(lab.training.controls), lab.training.snapshots[4])
    assert len(shown) == len(list(net.parameters()))
    assert np.array_equal(net.fc1.weight.data, lab.frame.weights[0])

    lab.train(1)

    assert 11 == lab.frame.step


def test_the_newest_step_is_shown_where_it_is_no_snapshot():
    lab = PlaygroundLab(hidden=(1,))
    lab.train(1001)

    assert 1001 == lab.frame.step
    assert 1001 not in lab.training.steps
    assert lab.panel.history.max == len(lab.training.steps)


def test_backward_is_stepped_from_the_output_to_the_first_layer():
    lab = PlaygroundLab()
    b = lab.panel.buttons
    assert b["Next"].disabled
    lab.panel.mode.value = "backward"
    words = [lab.view.told]
    while not b["Next"].disabled:
        b["Next"].click()
        words.append(lab.view.told)

    assert 4 == len(words)
    assert "starts at the output" in words[0]
    assert words[-1].endswith("The signal has come through the whole net.")
    size = np.linalg.norm(lab.frame.backward.units[0])
    assert f"its size is {number(size)}" in words[-1]
    b["Back"].click()
    assert 2 == lab.view.stage


def test_an_example_is_chosen_by_slider_or_by_place():
    lab = PlaygroundLab()

    lab._asked(None, {"near": lab.training.points.x[17].tolist()}, None)

    assert 17 == lab.panel.example.value == lab.view.example
    assert "example 17 of" in lab.pane.value


def test_a_crash_is_shown_and_raised(monkeypatch):
    lab = PlaygroundLab()

    def broken(*_args, **_options):
        raise ZeroDivisionError("no frame")

    monkeypatch.setattr(frames, "compute", broken)
    with pytest.raises(ZeroDivisionError):
        lab.train(1)

    assert "<code>ZeroDivisionError</code>: no frame" in lab.message.value
    monkeypatch.undo()
    lab.train(1)
    assert "none" == lab.message.layout.display


def test_in_a_loop_the_picture_goes_first_and_the_chain_follows():
    lab = PlaygroundLab()

    async def main():
        lab.select(1, 2, 0)
        before = lab.pane.value
        await asyncio.sleep(0.3)
        after = lab.pane.value
        lab.select(1, 3, 0)
        return before, after, lab.chain.name

    before, after, asked = asyncio.run(main())
    assert "x₁ → h1.1" in before
    assert "x₁ → h1.3" in after
    assert "x₁ → h1.4" == asked


# Playing.


def played(lab, seconds, *, answers=True):
    """Play in a loop of its own; return how often something else had its turn."""

    async def main():
        turns = 0
        lab.play()
        assert "Pause" == lab.panel.buttons["Play"].description
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end and lab.playing:
            await asyncio.sleep(0.005)
            turns += 1
            if answers:
                lab._asked(None, {"painted": 0}, None)
        return turns

    return asyncio.run(main())


def test_playing_trains_and_leaves_the_loop_to_others():
    lab = PlaygroundLab()

    turns = played(lab, 0.4)

    assert turns > 10
    assert lab.training.taken >= 10
    lab.pause()
    assert not lab.playing
    assert lab.frame.step == lab.training.taken
    assert "Play" == lab.panel.buttons["Play"].description


def test_playing_stops_when_nobody_looks_and_goes_on_when_somebody_does(monkeypatch):
    monkeypatch.setattr(player, "PATIENCE", 3)
    lab = PlaygroundLab()
    lab.panel.speed.value = 1

    played(lab, 5.0, answers=False)
    assert not lab.playing
    assert player.AHEAD >= lab.training.taken > 0

    async def seen():
        lab._asked(None, {"visible": True}, None)
        playing = lab.playing
        lab.pause()
        return playing

    assert asyncio.run(seen())


def test_a_paused_lab_is_not_woken():
    lab = PlaygroundLab()

    async def main():
        lab.play()
        await asyncio.sleep(0.05)
        lab.pause()
        lab._asked(None, {"visible": True}, None)
        return lab.playing

    assert not asyncio.run(main())


def test_closing_a_lab_stops_it():
    lab = PlaygroundLab()

    async def main():
        lab.play()
        await asyncio.sleep(0.05)
        lab.close()
        taken = lab.training.taken
        await asyncio.sleep(0.15)
        return taken, lab.training.taken

    before, after = asyncio.run(main())
    assert before == after


def test_a_crash_while_playing_is_shown_and_stops_it(monkeypatch):
    lab = PlaygroundLab()

    def broken(_end):
        raise ZeroDivisionError("no step")

    monkeypatch.setattr(lab, "_slice", broken)

    async def main():
        lab.play()
        await lab._player.task

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert "no step" in lab.message.value
    assert not lab.playing


def test_a_training_that_diverges_stops_and_says_so():
    lab = PlaygroundLab(activation="linear", hidden=(8, 8, 8), lr=3.0)
    for p in lab.training.net.parameters():
        p.data[...] = 1e200

    played(lab, 5.0)

    assert not lab.playing
    assert "diverged" in lab.view.told


def test_without_a_loop_play_says_what_to_do():
    lab = PlaygroundLab()

    lab.panel.buttons["Play"].click()

    assert "lab.train(100)" in lab.message.value
    assert not lab.playing
