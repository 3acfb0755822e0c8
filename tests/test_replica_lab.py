import asyncio
from time import perf_counter
from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab.parallel.ring import sent as sent_by
from backproplab.widgets.replica import lab as replica_lab
from backproplab.widgets.replica import norm, ring, scaling
from backproplab.widgets.replica.controls import FAULTS, ROWS, SHOWS, Controls
from backproplab.widgets.replica.lab import ReplicaLab
from backproplab.widgets.replica.step import compute
from backproplab.widgets.replica.training import Replicas, batch, points, shard

EXACT = 64 * np.finfo(float).eps
AGREED = ("nothing", "unequal shards weighted", "synchronised statistics")


def drawn(picture):
    """Parse, so that what is not well-formed fails."""
    return ElementTree.fromstring(picture)


def drift(steps=20, **controls):
    replicas = Replicas(Controls(**controls))
    replicas.advance(steps)
    return replicas.drift


# One step.


@pytest.mark.parametrize("n", [2, 3, 4, 8])
@pytest.mark.parametrize("fault", AGREED)
def test_replicas_agree_with_one_process_where_nothing_is_broken(n, fault):
    step = compute(Controls(n, fault=fault))

    assert step.off.max() < EXACT
    assert step.apart.max() < EXACT


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - set(AGREED)))
def test_every_fault_is_seen_after_one_step(fault):
    step = compute(Controls(fault=fault))

    assert step.apart.max() > 1e-6


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_the_ring_that_is_drawn_ends_where_the_group_ends(n):
    step = compute(Controls(n))
    last = step.rounds[-1]

    assert last.holds.all()
    np.testing.assert_allclose(last.buffers, step.found, atol=1e-15)
    assert 2 * (n - 1) == len(step.rounds) - 1


@pytest.mark.parametrize("fault", ["fp16 sums", "unequal shards weighted"])
def test_the_drawn_ring_carries_what_the_fault_makes_of_the_gradients(fault):
    step = compute(Controls(fault=fault))

    tolerance = 2e-3 if fault == "fp16 sums" else 1e-14
    np.testing.assert_allclose(step.rounds[-1].buffers, step.found, atol=tolerance)


@pytest.mark.parametrize("n", range(2, 9))
def test_what_is_sent_is_the_ring_formula_exactly(n):
    step = compute(Controls(n))
    sent = step.rounds[-1].sent

    assert [sent_by(n, step.found.shape[1], r) for r in range(n)] == sent.tolist()
    assert pytest.approx(step.formula, rel=1e-15) == sent.mean()


def test_a_chunk_is_said_to_hold_the_parts_that_it_is_the_sum_of():
    step = compute(Controls())
    own = step.rounds[0].buffers
    for now in step.rounds:
        for rank in range(4):
            for chunk, held in enumerate(now.holds[rank]):
                part = slice(*step.edges[chunk : chunk + 2])
                expected = own[held][:, part].sum(axis=0)

                np.testing.assert_allclose(now.buffers[rank, part], expected)


def test_who_forgets_to_average_sends_nothing():
    step = compute(Controls(fault="forget to average"))

    assert 0 == step.rounds[-1].sent.sum()
    assert ("scatter", "forward", "backward", "update") == ring.stages(step)


def test_shards_make_up_the_batch_in_which_no_replica_sees_another_ones_points():
    controls = Controls(5, 8, "unequal shards unweighted")
    parts = [shard(controls, 3, rank) for rank in range(5)]

    assert batch(controls, 3).tolist() == np.concatenate(parts).tolist()
    assert 40 == sum(controls.sizes) == sum(map(len, parts))
    assert 5 == len(set(controls.sizes))
    assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("fault", ["nothing", "unequal shards unweighted"])
def test_every_shard_has_a_row(n, rows, fault):
    sizes = Controls(n, rows, fault).sizes

    assert min(sizes) >= 1
    assert n * rows == sum(sizes)


# Training.


def test_who_forgets_to_average_drifts_apart():
    found = drift(100, fault="forget to average", lr=0.1).between

    assert found[0] == 0
    assert 0.01 < found[1] < found[20] < found[100]


def test_different_seeds_stay_as_far_apart_as_they_began():
    replicas = Replicas(Controls(fault="different seeds"))
    replicas.advance(50)

    drifting = replicas.drift.between
    assert drifting.min() > 0.5
    first, last = (replicas._seen[t][0][0] - replicas._seen[t][1][0] for t in (0, 50))
    np.testing.assert_allclose(first, last, atol=1e-12)


@pytest.mark.parametrize(
    "fault", ["unequal shards unweighted", "fp16 sums", "sum in place of a mean"]
)
def test_replicas_may_agree_to_the_bit_and_all_be_off(fault):
    found = drift(fault=fault.replace(" a ", " "))

    assert 0 == found.between.max()
    assert found.single[-1].min() > 1e-6


def test_local_statistics_let_losses_drift_and_synchronised_ones_mend_it():
    local = drift(fault="local batch statistics")
    mended = drift(fault="synchronised statistics")

    assert local.single[-1].max() > 1e-3
    assert np.ptp(local.losses[-1]) > 1e-6  # running statistics are each replica's own
    assert mended.single.max() < 1e-12
    assert np.ptp(mended.losses[-1]) < 1e-12


def test_a_stale_replica_is_one_update_behind():
    replicas = Replicas(Controls(fault="one stale replica"))
    replicas.advance(5)

    ahead, behind = ([at[rank][0] for at in replicas._seen] for rank in (0, 3))
    np.testing.assert_allclose(ahead[1:-1], behind[2:], atol=0)


def test_training_in_pieces_is_training_at_once():
    pieces, whole = Replicas(Controls()), Replicas(Controls())
    for steps in (1, 4, 3):
        pieces.advance(steps)
    whole.advance(8)

    np.testing.assert_array_equal(pieces.drift.single, whole.drift.single)


def test_training_ends_with_the_whole():
    replicas = Replicas(Controls(2, 4))
    replicas.advance(10_000)

    assert Replicas.whole == replicas.taken == len(replicas.drift.alone) - 1


# Batch norm and linear scaling.


@pytest.mark.parametrize("n", [2, 4, 8])
def test_local_statistics_are_off_by_18_to_51_percent_and_synchronised_by_rounding(n):
    off = norm.compute(n).off

    assert off["synchronised"].max() < 1e-12
    assert off["no batch norm"].max() < 1e-12
    eight, thirty_two = (off["local"][ROWS.index(rows)] for rows in (8, 32))
    assert 0.12 < thirty_two < eight < 0.55
    assert (off["local"] > 0.05).all()


@pytest.mark.parametrize("k", [2, 4, 8])
def test_small_steps_and_a_large_one_differ_by_the_square_of_the_rate(k):
    order = scaling.order(k, 16)

    assert pytest.approx(2, abs=0.05) == order.slope
    assert pytest.approx(1, abs=0.01) == np.log10(order.moved[1] / order.moved[0])


@pytest.mark.parametrize("k", [4, 8])
def test_warm_up_helps_a_large_step_at_the_rate_that_the_lab_begins_with(k):
    race = scaling.Race(Controls(k, lr=replica_lab.RATE["linear scaling"]))
    race.advance(60)

    curves = race.curves
    assert curves.warm[-10:].mean() < 0.7 * curves.large[-10:].mean()
    assert curves.small[-10:].mean() < curves.warm[-10:].mean()


def test_a_race_that_diverges_is_drawn():
    lab = ReplicaLab("linear scaling", lr=2.0, replicas=8)
    lab.finish()

    drawn(lab.picture())
    assert "inf," not in lab.picture()


# The pictures and the lab.


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_stage_is_drawn_and_said(n, fault):
    lab = ReplicaLab(replicas=n, fault=fault)
    said = set()
    for stage in range(1, lab.stage.max + 1):
        lab.stage.value = stage
        drawn(lab.picture())
        said.add(lab._text.value)

    assert lab.stage.max == len(said)


@pytest.mark.parametrize("shown", SHOWS)
@pytest.mark.parametrize("fault", FAULTS)
def test_everything_is_drawn(shown, fault):
    lab = ReplicaLab(shown, fault=fault, rows=4)

    drawn(lab.picture())
    assert "nan," not in lab._picture.value


def test_controls_move_the_picture_and_reset_moves_it_back():
    lab = ReplicaLab()
    before = lab._picture.value

    for control, value in (
        (lab.stage, 4), (lab.replicas, 6), (lab.rows, 8),
        (lab.fault, "unequal shards unweighted"), (lab.shown, "training"),
        (lab.lr, 0.1), (lab.shown, "batch norm"), (lab.rows, 4),
        (lab.shown, "linear scaling"), (lab.lr, 0.05), (lab.warmup, False),
    ):  # fmt: skip
        earlier = lab._picture.value
        control.value = value
        assert earlier != lab._picture.value, control
    lab.buttons["Reset"].click()

    assert before == lab._picture.value


def test_next_and_back_stop_at_the_ends():
    lab = ReplicaLab(replicas=2)
    assert lab.buttons["Back"].disabled

    for _ in range(20):
        lab.buttons["Next"].click()

    assert 6 == lab.stage.value == lab.stage.max
    assert lab.buttons["Next"].disabled


def test_a_stage_beyond_those_of_fewer_replicas_becomes_the_last_one():
    lab = ReplicaLab(replicas=8)
    lab.stage.value = 18

    lab.replicas.value = 2

    assert 6 == lab.stage.value
    assert "6 of 6: update" in lab._text.value


def test_without_a_loop_run_trains_to_the_end():
    lab = ReplicaLab("training", replicas=2)
    assert lab.run.taken < 200

    lab.buttons["Run"].click()

    assert 200 == lab.run.taken == lab.progress.value
    assert lab.buttons["Run"].disabled
    assert lab.buttons["Stop"].disabled


def test_with_a_loop_a_training_goes_on_alone_and_can_be_stopped():
    async def session():
        lab = ReplicaLab("training", replicas=2)
        await asyncio.sleep(0.02)
        assert not lab.buttons["Stop"].disabled
        lab.buttons["Stop"].click()
        assert lab.buttons["Stop"].disabled
        stopped = lab.run.taken
        await asyncio.sleep(0.05)
        held = lab.run.taken
        lab.buttons["Run"].click()
        while lab._task is not None:
            await asyncio.sleep(0.01)
        return stopped, held, lab.run.taken

    stopped, held, done = asyncio.run(session())

    assert 0 < stopped == held < 200 == done


def test_a_training_shows_few_pictures_since_jupyter_drops_what_comes_too_thick():
    async def session():
        lab, shown = ReplicaLab("training", replicas=8), []
        lab._picture.observe(lambda _: shown.append(perf_counter()), "value")
        while lab._task is not None:
            await asyncio.sleep(0.01)
        return shown

    begun = perf_counter()
    shown = asyncio.run(session())

    assert 1 <= len(shown) <= 2 + (shown[-1] - begun) / replica_lab.PICTURE


def test_a_slider_that_moves_begins_the_training_anew():
    async def session():
        lab = ReplicaLab("training", replicas=2)
        before = lab._task
        lab.rows.value = 4
        await asyncio.sleep(0)
        return before, lab

    before, lab = asyncio.run(session())

    assert before.cancelled()
    assert 4 == lab.run.controls.rows


def test_what_may_not_be_set_is_told_in_a_sentence():
    said = []
    for begin in (
        {"replicas": 9}, {"replicas": 2.5}, {"lr": float("nan")}, {"rows": 17},
        {"shown": "one stop"},
    ):  # fmt: skip
        with pytest.raises(bp.errors.RangeError) as raised:
            ReplicaLab(**begin)
        said.append(str(raised.value))

    assert said == [
        "ReplicaLab: replicas is 9; a whole number from 2 to 8 is required.",
        "ReplicaLab: replicas is 2.5; a whole number from 2 to 8 is required.",
        "ReplicaLab: lr is nan; 0.001 to 2 is required.",
        "ReplicaLab: rows is 17; one of 4, 8, 16, 32, 64 is required.\n"
        "  help: did you mean 16?",
        "ReplicaLab: shown is 'one stop'; one of one step, training, batch norm, "
        "linear scaling is required.\n  help: did you mean one step?",
    ]


def test_a_lab_is_one_line_and_a_picture_without_a_kernel():
    for shown in SHOWS:
        lab = ReplicaLab(shown)
        bundle = lab._repr_mimebundle_()

        assert 1 == len(repr(lab).splitlines())
        assert bundle["text/plain"] == repr(lab)
        drawn(bundle["image/svg+xml"])


def test_a_crash_is_shown_and_raised(monkeypatch):
    lab = ReplicaLab()
    monkeypatch.setattr(replica_lab, "compute", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        lab.rows.value = 4
    assert "ZeroDivisionError" in lab.message.value


def test_points_are_two_classes_of_one_size():
    _, labels = points()

    assert [128, 128] == np.bincount(labels).tolist()


@pytest.mark.parametrize("shown", ["training", "linear scaling"])
def test_a_page_without_a_kernel_shows_the_training_whole(shown):
    lab = ReplicaLab(shown)
    begun = lab.run.taken
    still = lab.picture()
    lab.finish()

    assert begun < lab.run.whole
    assert lab.picture() == still


def test_the_ring_in_a_lab_shrinks_to_two_thirds_and_then_scrolls():
    step = compute(Controls())

    assert 'style="min-width:' in ring.render(step, 0)
    assert "min-width" not in ring.render(step, 0, alone=True).partition("<style>")[0]
