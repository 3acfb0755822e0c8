"""Replicas in one process: what they agree on, what they send, how they fail."""

import pickle
import signal
import subprocess
import sys
import threading
import time
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim
from backproplab.errors import GradError, RangeError, ShapeError
from backproplab.parallel import (
    CollectiveError,
    DataParallel,
    LocalGroup,
    MissingError,
    MPIGroup,
    ReplicaError,
    SyncBatchNorm,
    average_gradients,
    heading,
    ring,
)
from backproplab.parallel.__main__ import _run, main
from backproplab.parallel.engines import cluster
from backproplab.parallel.launching import mpiexec
from backproplab.parallel.mpi import require_one_mpi
from backproplab.parallel.sending import SendError, pack, unpack
from backproplab.parallel.train import Options
from backproplab.parallel.vigil import Vigil

EXACT = 1e-12
ROWS = 12
EVEN = {n: np.array_split(np.arange(ROWS), n) for n in (1, 2, 3, 4)}
UNEVEN = {n: np.split(np.arange(ROWS), [5, 8, 10][: n - 1]) for n in (2, 3, 4)}
SHARDS = {
    **{f"{n} equal": shards for n, shards in EVEN.items()},
    **{f"{n} unequal": shards for n, shards in UNEVEN.items()},
}
IMAGES = np.random.default_rng(0).normal(size=(ROWS, 5))
LABELS = np.random.default_rng(1).integers(3, size=ROWS)


def net(seed=0, norm=None):
    rng = np.random.default_rng(seed)
    norms = [] if norm is None else [norm(7, dtype=float)]
    return nn.Sequential(
        nn.Linear(5, 7, rng=rng, dtype=float),
        *norms,
        nn.ReLU(),
        nn.Linear(7, 3, rng=rng, dtype=float),
    )


def loss_of(model, rows):
    return bp.cross_entropy(model(IMAGES[rows]), LABELS[rows])


def gradients(model):
    return [p.grad for p in model.parameters()]


def whole(norm=None):
    model = net(norm=norm)
    loss_of(model, np.arange(ROWS)).backward()
    return model


def off(got, want):
    """Largest difference, relative to each array's largest entry."""
    scale = [max(abs(b).max(), 1e-3) for b in want]
    found = zip(got, want, scale, strict=True)
    return max(float(abs(a - b).max() / s) for a, b, s in found)


# The ring.


@pytest.mark.parametrize("size", range(1, 7))
@pytest.mark.parametrize("per_chunk", [0, 1, 5])
def test_the_ring_sends_exactly_what_the_formula_says(size, per_chunk):
    elements = size * per_chunk
    arrays = [np.arange(elements) + r for r in range(size)]

    sums, counted = ring.all_reduce(arrays)

    assert [Fraction(2 * (size - 1) * elements, size)] * size == counted
    assert ring.formula(size, elements) == counted[0]
    assert all(np.array_equal(sum(arrays), s) for s in sums)


@pytest.mark.parametrize("size", range(2, 7))
@pytest.mark.parametrize("elements", [1, 2, 7, 13])
def test_where_n_does_not_divide_d_the_count_is_exact_too(size, elements):
    arrays = [np.arange(elements) * 10**r for r in range(size)]

    sums, counted = ring.all_reduce(arrays)

    assert [ring.sent(size, elements, r) for r in range(size)] == counted
    assert ring.formula(size, elements) * size == sum(counted)
    assert all(np.array_equal(sum(arrays), s) for s in sums)


def test_in_each_step_each_replica_sends_one_chunk_to_its_right_neighbour():
    for step in ring.steps(5, 12):
        assert list(range(5)) == [s.source for s in step]
        assert [1, 2, 3, 4, 0] == [s.target for s in step]
        assert set(range(5)) == {s.chunk for s in step}

    assert ["reduce-scatter"] * 4 + ["all-gather"] * 4 == [
        step[0].phase for step in ring.steps(5, 12)
    ]


def test_after_reduce_scatter_each_replica_holds_one_finished_chunk():
    arrays = [np.arange(6.0) * (r + 1) for r in range(3)]

    held = [[a.copy() for a in now] for _, now in ring.states(arrays)][1]

    for rank, chunk in enumerate([1, 2, 0]):
        place = ring.chunks(3, 6)[chunk]
        assert np.array_equal(sum(arrays)[place], held[rank][place])


def test_the_ring_leaves_what_was_brought_alone():
    arrays = [np.ones(4), np.ones(4)]

    ring.all_reduce(arrays)

    assert [[1.0] * 4] * 2 == [a.tolist() for a in arrays]


def test_the_ring_refuses_what_does_not_fit():
    with pytest.raises(ShapeError) as shapes:
        ring.all_reduce([np.ones(3), np.ones(2)])
    with pytest.raises(RangeError) as size:
        ring.steps(0, 3)

    assert (
        "ring: the replicas bring (3,) float64, (2,) float64; "
        "one shape and one dtype are required." == str(shapes.value)
    )
    assert (
        "ring: size is 0 and elements is 3; at least 1 replica and 0 elements are "
        "required." == str(size.value)
    )


# The group.


def test_results_come_in_rank_order_whoever_ends_first():
    def work(comm, add):
        time.sleep(0.01 * (2 - comm.rank))
        return comm.rank + add, comm.size

    assert [(10, 3), (11, 3), (12, 3)] == LocalGroup(3).run(work, 10)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_all_reduce_gives_all_the_sum_and_the_mean_in_their_dtype(dtype):
    def work(comm):
        a = np.array([[1, 2, 3]], dtype) * (comm.rank + 1)
        return comm.all_reduce(a, op="sum"), comm.all_reduce(a)

    for total, mean in LocalGroup(3).run(work):
        assert [[6, 12, 18]] == total.tolist()
        assert [[2, 4, 6]] == mean.tolist()
        assert total.dtype == dtype
        assert mean.dtype == (dtype if "float" in dtype else float)


def test_numbers_and_flags_can_be_reduced():
    assert [1.5] * 4 == LocalGroup(4).run(lambda c: float(c.all_reduce(c.rank)))
    assert [2] * 3 == LocalGroup(3).run(
        lambda c: int(c.all_reduce(c.rank > 0, op="sum"))
    )


def test_float16_is_added_in_float16():
    ones = LocalGroup(2).run(
        lambda c: float(c.all_reduce(np.float16(2048 if c.rank else 1), op="sum"))
    )

    assert [2048.0, 2048.0] == ones


def test_a_run_gives_the_same_bits_whatever_the_scheduling():
    def work(comm, naps):
        rng = np.random.default_rng(comm.rank)
        time.sleep(naps[comm.rank])
        total = comm.all_reduce(rng.normal(size=1001).astype(np.float32))
        return total.tobytes()

    first = LocalGroup(3).run(work, (0, 0, 0.03))
    second = LocalGroup(3).run(work, (0.03, 0.01, 0))

    assert 1 == len({*first, *second})


def test_broadcast_and_gather_hand_arrays_round():
    def work(comm):
        mine = np.full(comm.rank, comm.rank)
        sent = comm.broadcast(mine if comm.rank == 2 else None, root=2)
        return sent.tolist(), [a.tolist() for a in comm.gather(mine)]

    assert [([2, 2], [[], [1], [2, 2]])] * 3 == LocalGroup(3).run(work)


def test_nobody_can_write_into_anothers_array():
    def work(comm):
        mine = np.zeros(2)
        for got in (comm.all_reduce(mine), comm.broadcast(mine), *comm.gather(mine)):
            got += comm.rank + 1
        comm.barrier()
        return mine.tolist()

    assert [[0.0, 0.0]] * 2 == LocalGroup(2).run(work)


def test_traffic_counts_what_each_replica_sends():
    def work(comm):
        seen = [comm.traffic]
        comm.all_reduce(np.ones(8, np.float32))
        seen.append(comm.traffic)
        comm.broadcast(np.ones(5), root=1)
        seen.append(comm.traffic)
        comm.gather(np.ones(comm.rank + 1))
        comm.barrier()
        comm.agree("word")
        seen.append(comm.traffic)
        return [tuple(s) for s in seen]

    sums, chain, gathered = 12, 5, 1 + 2 + 3 + 4

    for rank, seen in enumerate(LocalGroup(4).run(work)):
        sent = 0 if rank == 0 else chain  # rank 0 is the last of the chain from 1
        rest = gathered - ((rank + 1) % 4 + 1)
        elements = [0, sums, sums + sent, sums + sent + rest]
        assert elements == [e for e, _ in seen]
        assert 4 * sums + 8 * (sent + rest) == seen[-1][1]


def test_an_error_ends_the_run_with_its_rank_and_message_and_releases_the_others():
    closed = []

    def work(comm):
        try:
            if comm.rank == 1:
                raise ValueError("boom")
            comm.barrier()
        finally:
            closed.append(comm.rank)

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(3).run(work)

    assert "replica 1 of 3 raised ValueError: boom" == str(caught.value)
    assert 1 == caught.value.rank
    assert isinstance(caught.value.__cause__, ValueError)
    assert [1, 0] == closed  # replica 2 had not begun
    assert not [t for t in threading.enumerate() if t.name.startswith("replica")]


MISMATCHES = {
    "returned": (
        lambda c: c.all_reduce(np.ones(3)) if c.rank != 1 else None,
        'replicas 0 and 2 called all_reduce of (3,) float64, op="mean"; '
        "replica 1 returned",
    ),
    "shape": (
        lambda c: c.all_reduce(np.ones(3 + c.rank // 2), op="sum"),
        'replicas 0 and 1 called all_reduce of (3,) float64, op="sum"; '
        'replica 2 called all_reduce of (4,) float64, op="sum"',
    ),
    "dtype": (
        lambda c: c.all_reduce(np.ones((2, 3), np.float32 if c.rank else float)),
        'replica 0 called all_reduce of (2, 3) float64, op="mean"; '
        'replicas 1 and 2 called all_reduce of (2, 3) float32, op="mean"',
    ),
    "op": (
        lambda c: c.all_reduce(np.ones(3), op="sum" if c.rank else "mean"),
        'replica 0 called all_reduce of (3,) float64, op="mean"; '
        'replicas 1 and 2 called all_reduce of (3,) float64, op="sum"',
    ),
    "kind": (
        lambda c: (c.barrier, c.all_reduce, c.broadcast)[c.rank](
            *[np.ones(3), 2][: c.rank]
        ),
        "replica 0 called barrier; "
        'replica 1 called all_reduce of (3,) float64, op="mean"; '
        "replica 2 called broadcast of (3,) float64, root=2",
    ),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_collectives_that_do_not_match_are_named_instead_of_waited_for(name):
    work, said = MISMATCHES[name]

    with pytest.raises(CollectiveError) as caught:
        LocalGroup(3).run(work)

    assert (
        f"LocalGroup: {said}; every replica must call the same collective, with the "
        "same shape and dtype.\n"
        "  help: look for a collective or a backward pass inside `if comm.rank == "
        "...`, and for loops that run a different number of times."
    ) == str(caught.value)


REFUSED = {
    "op": (
        lambda c: c.all_reduce(1.0, op="men"),
        "replica 0 of 1 raised RangeError: all_reduce: op is 'men'; "
        '"mean" or "sum" is required.\n  help: did you mean mean?',
    ),
    "root": (
        lambda c: c.broadcast(1.0, root=1),
        "replica 0 of 1 raised RangeError: broadcast: root is 1; "
        "a rank from 0 to 0 is required.",
    ),
    "text": (
        lambda c: c.gather("x"),
        "replica 0 of 1 raised DTypeError: gather: the data has dtype <U1; "
        "real numbers are required.\n"
        "  help: send an array: `np.asarray(data, dtype=float)`.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_collective_says_what_it_takes(name):
    work, said = REFUSED[name]

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(1).run(work)

    assert said == str(caught.value)


def test_a_model_that_came_back_from_its_run_says_where_it_works():
    model = LocalGroup(1).run(lambda comm: DataParallel(net(), comm))[0]
    with bp.no_grad():
        assert (ROWS, 3) == model(IMAGES).shape

    with pytest.raises(CollectiveError) as caught:
        model(IMAGES)

    assert (
        "LocalGroup: replica 0 called agree outside its run, where the others do not "
        "hear it.\n"
        "  help: call it inside the function that `run` calls; a trained model is "
        "`model.module`."
    ) == str(caught.value)


def test_a_group_needs_a_replica():
    with pytest.raises(RangeError) as caught:
        LocalGroup(0)

    assert "LocalGroup: n is 0; at least 1 replica is required." == str(caught.value)


def test_context_variables_are_each_replicas_own():
    def work(comm):
        x = bp.tensor(1.0, requires_grad=True)
        with bp.record() as run, bp.scope(f"r{comm.rank}"):
            comm.barrier()
            y = x * 2.0
            comm.barrier()
        return y.requires_grad, run[-1].scope, len(run)

    with bp.no_grad(), bp.record() as outside:
        inside = LocalGroup(2).run(work)

    assert [(False, "r0", 3), (False, "r1", 3)] == inside
    assert 0 == len(outside)


def test_groups_nest():
    def work(comm):
        return sum(LocalGroup(2).run(lambda c: float(c.all_reduce(comm.rank + c.rank))))

    assert [1.0, 3.0] == LocalGroup(2).run(work)


def test_an_interrupt_ends_the_run_at_once():
    def work(comm):
        if comm.rank == 1:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.2)
        comm.barrier()

    with pytest.raises(KeyboardInterrupt):
        LocalGroup(2).run(work)

    time.sleep(0.1)
    assert not [t for t in threading.enumerate() if t.name.startswith("replica")]


# Averaged gradients.


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_mean_of_equal_shards_gradients_is_the_batchs_gradient(size):
    def work(comm):
        model = net()
        loss_of(model, EVEN[size][comm.rank]).backward()
        average_gradients(model, comm)
        return gradients(model)

    for got in LocalGroup(size).run(work):
        assert off(got, gradients(whole())) < EXACT


@pytest.mark.parametrize("size", [2, 3, 4])
def test_unequal_shards_need_their_weights(size):
    def work(comm, weighted):
        model, rows = net(), UNEVEN[size][comm.rank]
        loss_of(model, rows).backward()
        average_gradients(model, comm, weight=len(rows) / ROWS if weighted else None)
        return gradients(model)

    assert off(LocalGroup(size).run(work, True)[0], gradients(whole())) < EXACT
    assert off(LocalGroup(size).run(work, False)[0], gradients(whole())) > 0.01


def test_a_gradient_that_nobody_has_stays_none():
    def work(comm):
        w, unused = (bp.tensor(1.0, requires_grad=True) for _ in range(2))
        (w * 2.0).backward()
        average_gradients([w, unused], comm)
        return float(w.grad), unused.grad

    assert [(2.0, None)] * 2 == LocalGroup(2).run(work)


WEIGHTS = {
    "together": (
        lambda c: 0.5 + c.rank,
        "average_gradients: the weights are 0.5, 1.5, together 2; shares that add up "
        "to 1 are required.\n"
        "  help: pass the shard's rows divided by the batch's rows.",
    ),
    "some": (
        lambda c: 0.5 if c.rank else None,
        "average_gradients: replica 0 passed no weight, others did; all must, or none.",
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_must_be_shares(name):
    weight, said = WEIGHTS[name]

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(2).run(lambda c: average_gradients(net(), c, weight(c)))

    assert f"replica 0 of 2 raised RangeError: {said}" == str(caught.value)


def test_weights_after_backward_come_too_late_for_shared_statistics():
    def work(comm):
        model = net(norm=SyncBatchNorm)
        average_gradients(model, comm, weight=0.25 + 0.5 * comm.rank)

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(2).run(work)

    assert (
        "replica 0 of 2 raised RangeError: average_gradients: the weight is 0.25 on "
        "replica 0, and the model has a SyncBatchNorm, whose backward pass mixes the "
        "shards' gradients; unequal weights must be in the loss before it runs.\n"
        "  help: use DataParallel, which does that; or call `(loss * weight * "
        "comm.size).backward()` and pass no weight."
    ) == str(caught.value)


# DataParallel.


def wrapped(comm, shards, norm=None, **options):
    model = DataParallel(net(seed=comm.rank, norm=norm), comm, **options)
    loss_of(model, shards[comm.rank]).backward()
    return model


@pytest.mark.parametrize("bucket_size", [1, 100, 2**22])
@pytest.mark.parametrize("name", SHARDS)
def test_data_parallel_gives_the_batchs_gradient_to_every_replica(name, bucket_size):
    shards = SHARDS[name]

    models = LocalGroup(len(shards)).run(
        lambda c: wrapped(c, shards, bucket_size=bucket_size)
    )

    for model in models:
        assert off(gradients(model), gradients(whole())) < EXACT
    assert 1 == len({b"".join(g.tobytes() for g in gradients(m)) for m in models})


@pytest.mark.parametrize("name", [name for name in SHARDS if name[0] != "1"])
def test_local_batch_statistics_are_visibly_off_and_shared_ones_exact(name):
    shards = SHARDS[name]
    group, want = LocalGroup(len(shards)), whole(norm=nn.BatchNorm1d)

    local = group.run(lambda c: wrapped(c, shards, norm=nn.BatchNorm1d))
    shared = group.run(lambda c: wrapped(c, shards, norm=SyncBatchNorm))

    for model in local:
        assert off(gradients(model), gradients(want)) > 0.1
    for model in shared:
        assert off(gradients(model), gradients(want)) < EXACT
        assert off([*model.buffers()], [*want.buffers()]) < EXACT


def test_one_step_sends_what_the_ring_formula_says():
    def work(comm):
        model = DataParallel(net(), comm)
        before = comm.traffic
        loss_of(model, EVEN[3][comm.rank]).backward()
        after = comm.traffic
        return after.elements - before.elements, after.bytes - before.bytes

    numbers = sum(p.size for p in net().parameters())

    assert numbers % 3 == 0
    assert [(ring.formula(3, numbers), 8 * ring.formula(3, numbers))] * 3 == (
        LocalGroup(3).run(work)
    )


def test_replicas_start_as_replica_0_buffers_too():
    def work(comm):
        module = net(seed=comm.rank, norm=nn.BatchNorm1d)
        module[1].running_mean += comm.rank
        before = module.state_dict()
        return before, DataParallel(module, comm).module.state_dict()

    (first, _), *others = LocalGroup(3).run(work)

    for before, after in others:
        assert any((before[n] != first[n]).any() for n in first)
        assert all((after[n] == first[n]).all() for n in first)


def test_names_are_pytorchs():
    def work(comm):
        model = DataParallel(net(), comm)
        return [*model.state_dict()], [*model.module.state_dict()], repr(model)

    outer, inner, shown = LocalGroup(1).run(work)[0]

    assert ["0.weight", "0.bias", "2.weight", "2.bias"] == inner
    assert [f"module.{name}" for name in inner] == outer
    assert shown.startswith("DataParallel(\n  rank=0, size=1\n  (module): Sequential(")


def test_buckets_are_filled_from_the_last_parameter_on():
    def work(comm):
        return DataParallel(net(), comm, bucket_size=8 * 24).buckets

    assert [["2.bias", "2.weight"], ["0.bias"], ["0.weight"]] == (
        LocalGroup(1).run(work)[0]
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: optim.Adam(p, lr=0.01),
    ],
    ids=["SGD", "Adam"],
)
def test_training_stays_with_the_single_process_and_replicas_with_each_other(make):
    def steps(model, rows):
        optimizer = make(model.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            loss_of(model, rows).backward()
            optimizer.step()
        return [p.data for p in model.parameters()]

    alone = steps(net(), np.arange(ROWS))
    replicas = LocalGroup(3).run(
        lambda c: steps(DataParallel(net(seed=c.rank), c), UNEVEN[3][c.rank])
    )

    for weights in replicas:
        assert off(weights, alone) < 1e-9  # Adam divides by small numbers
    assert 1 == len({b"".join(w.tobytes() for w in r) for r in replicas})


def test_no_sync_gathers_and_the_next_backward_averages_all():
    def work(comm):
        model, mine = DataParallel(net(), comm), EVEN[2][comm.rank]
        before = comm.traffic
        with model.no_sync():
            loss_of(model, mine[:3]).backward()
        quiet = comm.traffic == before
        apart = [g.copy() for g in gradients(model)]
        loss_of(model, mine[3:]).backward()
        return quiet, apart, gradients(model)

    (quiet, one, got), (_, two, same) = LocalGroup(2).run(work)

    assert quiet
    assert off(one, two) > 0.01
    assert off(got, [2 * g for g in gradients(whole())]) < EXACT
    assert off(got, same) == 0


def test_backward_twice_adds_up_as_in_one_process():
    def work(comm):
        model = DataParallel(net(), comm)
        loss = loss_of(model, EVEN[2][comm.rank])
        loss.backward(retain_graph=True)
        loss.backward()
        return gradients(model)

    for got in LocalGroup(2).run(work):
        assert off(got, [2 * g for g in gradients(whole())]) < EXACT


class Odd(nn.Module):
    """Two outputs, a weight used twice, one that is not used, one that is frozen."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.a, self.b, self.unused, self.frozen = (
            nn.Linear(5, 5, rng=rng, dtype=float) for _ in range(4)
        )
        self.frozen.requires_grad_(False)

    def forward(self, x):
        h = np.tanh(self.a(np.tanh(self.a(x))))
        return {"b": self.b(h), "h": [h, self.frozen(x)]}


def odd_loss(model, rows):
    out = model(IMAGES[rows])
    return (out["b"] ** 2).mean() + (out["h"][0] ** 3).mean()


@pytest.mark.parametrize("bucket_size", [1, 2**22])
def test_several_outputs_shared_unused_and_frozen_weights_are_no_trouble(bucket_size):
    def work(comm):
        model = DataParallel(Odd(comm.rank), comm, bucket_size=bucket_size)
        odd_loss(model, UNEVEN[3][comm.rank]).backward()
        return model.module

    alone = Odd()
    odd_loss(alone, np.arange(ROWS)).backward()

    for module in LocalGroup(3).run(work):
        for part in ("a", "b"):
            got, want = (gradients(getattr(m, part)) for m in (module, alone))
            assert off(got, want) < EXACT
        assert [None] * 4 == gradients(module.unused) + gradients(module.frozen)


def test_a_state_that_goes_from_call_to_call_is_weighted_once():
    class Step(nn.Module):
        def __init__(self):
            self.map = nn.Linear(5, 5, rng=np.random.default_rng(0), dtype=float)

        def forward(self, x, state):
            return np.tanh(self.map(x) + state)

    def loss(model, rows):
        state = np.zeros((len(rows), 5))
        for _ in range(3):
            state = model(IMAGES[rows], state)
        return (state**2).mean()

    def work(comm):
        model = DataParallel(Step(), comm)
        loss(model, UNEVEN[3][comm.rank]).backward()
        return gradients(model)

    alone = Step()
    loss(alone, np.arange(ROWS)).backward()

    for got in LocalGroup(3).run(work):
        assert off(got, gradients(alone)) < EXACT


def test_the_gradient_of_an_input_is_that_of_the_shards_own_loss():
    def work(comm):
        x = bp.tensor(IMAGES[UNEVEN[2][comm.rank]], requires_grad=True)
        model = DataParallel(net(), comm) if comm.size > 1 else net()
        bp.cross_entropy(model(x), LABELS[UNEVEN[2][comm.rank]]).backward()
        return x.grad

    first = LocalGroup(1).run(work)[0]

    assert off([LocalGroup(2).run(work)[0]], [first]) < EXACT


def test_a_replica_whose_loss_misses_a_weight_counts_as_zero():
    def work(comm):
        model = DataParallel(Odd(), comm)
        out = model(IMAGES[EVEN[2][comm.rank]])
        (out["h"][0] if comm.rank else out["b"]).sum().backward()
        return gradients(model.module.b)

    alone = Odd()
    alone(IMAGES[EVEN[2][0]])["b"].sum().backward()

    for got in LocalGroup(2).run(work):
        assert off(got, [g / 2 for g in gradients(alone.b)]) < EXACT


def test_weights_that_thaw_later_are_averaged_too():
    def work(comm):
        model = DataParallel(net(), comm)
        model.module[0].requires_grad_(False)
        loss_of(model, EVEN[2][comm.rank]).backward()
        frozen = gradients(model.module[0])
        model.module[0].requires_grad_(True)
        model.zero_grad()
        loss_of(model, EVEN[2][comm.rank]).backward()
        return frozen, gradients(model)

    for frozen, got in LocalGroup(2).run(work):
        assert [None, None] == frozen
        assert off(got, gradients(whole())) < EXACT


def test_a_backward_that_raised_does_not_spoil_the_next_one():
    def work(comm):
        model = DataParallel(net(), comm)

        def fail(_g):
            raise ValueError("stop")

        loss = loss_of(model, EVEN[2][comm.rank])
        with (
            model.module[2].weight.register_hook(fail),
            pytest.raises(ValueError, match="stop"),
        ):
            loss.backward()
        model.zero_grad()
        loss_of(model, EVEN[2][comm.rank]).backward()
        return gradients(model)

    for got in LocalGroup(2).run(work):
        assert off(got, gradients(whole())) < EXACT


def test_a_penalty_in_the_loss_is_averaged_once():
    def loss(model, rows):
        return loss_of(model, rows) + 0.1 * sum((p * p).sum() for p in weights(model))

    def weights(model):
        return [p for p in model.parameters() if p.ndim == 2]

    def work(comm):
        model = DataParallel(net(comm.rank), comm)
        loss(model, UNEVEN[3][comm.rank]).backward()
        return gradients(model)

    alone = net()
    loss(alone, np.arange(ROWS)).backward()

    for got in LocalGroup(3).run(work):
        assert off(got, gradients(alone)) < EXACT


def test_what_a_hook_of_ones_own_returns_is_averaged():
    def work(comm):
        model = DataParallel(net(comm.rank), comm)
        for p in model.parameters():
            p.register_hook(lambda g: g * (comm.rank + 1))
        loss_of(model, EVEN[2][0]).backward()
        return gradients(model)

    alone = net()
    loss_of(alone, EVEN[2][0]).backward()

    for got in LocalGroup(2).run(work):
        assert off(got, [1.5 * g for g in gradients(alone)]) < EXACT


def test_without_gradients_nothing_is_agreed_on():
    def work(comm):
        model = DataParallel(net(), comm)
        with bp.no_grad():  # one replica may test while the other does not
            return model(IMAGES).shape if comm.rank else None

    assert [None, (ROWS, 3)] == LocalGroup(2).run(work)


def test_a_recorded_run_is_the_models_own():
    def work(comm):
        model = DataParallel(net(), comm)
        with bp.record() as run:
            loss_of(model, EVEN[2][comm.rank]).backward()
        return run

    run, other = LocalGroup(2).run(work)

    assert "module.0.weight" in run
    assert [r.op for r in other] == [r.op for r in run]
    assert not {"gate", "identity"} & {r.op for r in run}


def test_checkpointed_layers_are_averaged():
    class Lean(nn.Module):
        def __init__(self):
            self.net = net()

        def forward(self, x):
            return bp.checkpoint(self.net)(x)

    def work(comm):
        model = DataParallel(Lean(), comm)
        loss_of(model, EVEN[2][comm.rank]).backward()
        return gradients(model)

    for got in LocalGroup(2).run(work):
        assert off(got, gradients(whole())) < EXACT


BUILDS = {
    "shapes": (
        lambda c: DataParallel(nn.Sequential(nn.Linear(2, 3 + c.rank, rng=RNG)), c),
        "ShapeError: DataParallel: the replicas' models differ: replica 0 has 0.weight "
        "(3, 2) float32, replica 1 has 0.weight (4, 2) float32.\n"
        "  help: build the same model on every replica, before it is wrapped.",
    ),
    "number": (
        lambda c: average_gradients([bp.tensor(1.0, True)] * (c.rank + 1), c),
        "ShapeError: average_gradients: the replicas' models differ: replica 0 has "
        "1 parameters, replica 1 has 2.\n"
        "  help: build the same model on every replica, before it is wrapped.",
    ),
    "shared": (
        lambda c: DataParallel(SHARED, c),
        "RangeError: DataParallel: replicas 0 and 1 share one and the same model; "
        "each replica must have its own.\n"
        "  help: build the model inside the function that `LocalGroup.run` calls.",
    ),
    "order": (
        lambda c: DataParallel(c, net()),
        "TypeError: DataParallel: the model is a Replica; a backproplab.nn.Module is "
        "required.\n  help: pass the model first, then the group.",
    ),
    "bucket": (
        lambda c: DataParallel(net(), c, bucket_size=0),
        "RangeError: bucket_size is 0; at least 1 byte is required.",
    ),
}
RNG = np.random.default_rng(0)
SHARED = nn.Linear(2, 2, rng=RNG)


@pytest.mark.parametrize("name", BUILDS)
def test_models_that_cannot_be_replicas_are_refused(name):
    build, said = BUILDS[name]

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(2).run(build)

    assert f"replica 0 of 2 raised {said}" == str(caught.value)


def test_gradients_of_gradients_are_refused_and_the_way_out_is_named():
    def work(comm):
        model = DataParallel(nn.Linear(2, 1, rng=np.random.default_rng(0)), comm)
        return bp.hessian(lambda x: (model(x) ** 2).sum())(np.ones(2, np.float32))

    with pytest.raises(ReplicaError) as caught:
        LocalGroup(2).run(work)

    assert (
        "replica 0 of 2 raised GradError: DataParallel: a gradient that has gradients "
        "cannot be averaged by hooks.\n"
        "  help: differentiate `model.module`, and average the result with "
        "`comm.all_reduce`."
    ) == str(caught.value)


# Shared statistics.


@pytest.mark.parametrize("shape", [(ROWS, 3), (ROWS, 3, 4), (ROWS, 3, 2, 5)])
@pytest.mark.parametrize("convention", ["pytorch", "flax", "keras"])
def test_sync_batch_norm_is_batch_norm_of_the_whole_batch(shape, convention):
    rng = np.random.default_rng(0)
    x, g = rng.normal(2, 3, size=shape), rng.normal(size=shape)
    weight, bias = rng.normal(size=(2, 3))
    options = {"convention": convention, "dtype": float}

    def pass_through(norm, rows):
        part = bp.tensor(x[rows], requires_grad=True)
        norm.weight.data, norm.bias.data = weight, bias
        y = norm(part)
        y.backward(g[rows])
        after = norm.eval()(x[rows])
        return y.data, part.grad, gradients(norm), [*norm.buffers()], after.data

    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    y, dx, dp, buffers, after = pass_through(kind(3, **options), np.arange(ROWS))
    parts = LocalGroup(3).run(
        lambda c: pass_through(SyncBatchNorm(3, group=c, **options), UNEVEN[3][c.rank])
    )

    for k, want in ((0, y), (1, dx), (4, after)):
        assert off([np.concatenate([p[k] for p in parts])], [want]) < EXACT
    assert off([sum(p[2][k] for p in parts) for k in range(2)], dp) < EXACT
    for part in parts:
        assert off(part[3], buffers) < EXACT


def test_sync_batch_norm_keeps_float32_and_works_without_weights():
    def work(comm):
        norm = SyncBatchNorm(3, affine=False, track_running_stats=False, group=comm)
        x = bp.tensor(IMAGES[EVEN[2][comm.rank], :3].astype("f4"), requires_grad=True)
        y = norm(x)
        (y * y * y).sum().backward()
        return y.data, x.grad

    parts = LocalGroup(2).run(work)
    x = bp.tensor(IMAGES[:, :3], requires_grad=True)
    y = bp.ops.batch_norm(x, None, None)
    (y * y * y).sum().backward()

    assert {np.dtype("f4")} == {a.dtype for part in parts for a in part}
    assert off([np.concatenate([p[0] for p in parts])], [y.data]) < 1e-6
    assert off([np.concatenate([p[1] for p in parts])], [x.grad]) < 1e-4


def test_a_shard_may_be_empty():
    def work(comm):
        norm = SyncBatchNorm(5, dtype=float, group=comm)
        return norm(IMAGES[: ROWS * comm.rank]).data

    none, all_ = LocalGroup(2).run(work)

    assert (0, 5) == none.shape
    assert off([all_], [bp.ops.batch_norm(IMAGES, None, None)]) < EXACT


def test_without_statistics_to_share_it_says_so():
    with pytest.raises(GradError) as alone:
        SyncBatchNorm(5)(IMAGES)
    with pytest.raises(ReplicaError) as single:
        LocalGroup(1).run(lambda c: SyncBatchNorm(5, group=c)(IMAGES[:1]))

    assert (
        "SyncBatchNorm: it has no group, so there are no statistics to share.\n"
        "  help: pass `group=comm`, or wrap the model: `DataParallel(model, comm)`."
    ) == str(alone.value)
    assert (
        "replica 0 of 1 raised ShapeError: SyncBatchNorm: x is (1, 5), and the 1 "
        "replicas have 1 value of each feature together; in training at least 2 are "
        "required, because 1 has no variance.\n"
        "  help: pass a larger batch, or call `model.eval()` to use the running "
        "statistics."
    ) == str(single.value)


def test_a_state_of_batch_norm_loads_into_sync_batch_norm():
    state = whole(norm=nn.BatchNorm1d).state_dict()

    model = net(norm=SyncBatchNorm)
    model.load_state_dict(state)

    assert off([*model.eval()(IMAGES).data], [*_evaluated(state)]) < EXACT


def _evaluated(state):
    model = net(norm=nn.BatchNorm1d)
    model.load_state_dict(state)
    return model.eval()(IMAGES).data


# What a notebook sends to its ranks.


def test_what_a_notebook_defines_goes_by_value():
    cell = """
import numpy as np
from backproplab import nn
scale = 3
class Base:
    def __init__(self, k): self.k = k
class Net(Base):
    __slots__ = ("extra",)
    @property
    def double(self): return 2 * self.k
    @staticmethod
    def one(): return 1
    def __init__(self, k):
        super().__init__(k)
        self.extra = scale
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def outer(add):
    def inner(x, y=5, *, z=7):
        net = Net(x)
        return net.double + net.extra + net.one() + add + y + z + fact(4), np.pi
    return inner
"""
    space = {"__name__": "__main__"}
    exec(compile(cell, "<cell 7>", "exec"), space)

    sent = pack(space["outer"](100))
    space.clear()

    assert (2 * 4 + 3 + 1 + 100 + 5 + 7 + 24, np.pi) == unpack(sent)(4)


def test_what_is_installed_goes_by_name():
    assert unpack(pack((np.tanh, nn.Linear, np.linalg))) == (
        np.tanh,
        nn.Linear,
        np.linalg,
    )


def test_recorded_runs_can_be_sent():
    w = bp.tensor(2.0, requires_grad=True, name="w")
    with bp.record() as run:
        (w * w).named("y").backward()

    for got in (unpack(pack(run)), pickle.loads(pickle.dumps(run)), deepcopy(run)):
        assert str(run) == str(got)
        assert 2.0 == got["y"].local[0]


def test_what_belongs_to_this_process_cannot_be_sent():
    with open(__file__) as file, pytest.raises(SendError) as caught:
        pack(lambda: file, "cluster.run")

    assert (
        "cluster.run: something cannot be sent to another process (cannot pickle "
        "'_io.TextIOWrapper' object).\n"
        "  help: make it inside the function, on each rank, and return arrays, "
        "numbers or a recorded Trace."
    ) == str(caught.value)


# Without the extra.


def test_replicas_in_one_process_load_no_mpi():
    code = """
import sys, backproplab as bp
bp.parallel.LocalGroup(2).run(lambda comm: comm.all_reduce(comm.rank))
print(*{"mpi4py", "ipyparallel", "IPython", "matplotlib", "tqdm"} & {*sys.modules})
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ("\n", "") == (done.stdout, done.stderr)


def test_without_mpi4py_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)

    with pytest.raises(MissingError) as caught:
        MPIGroup()

    assert (
        "MPIGroup: MPI cannot be loaded (import of mpi4py halted; None in "
        "sys.modules).\n"
        '  help: pip install "backproplab[parallel]" brings mpi4py and an MPI for '
        "this environment; LocalGroup(n) needs neither."
    ) == str(caught.value)


def test_without_ipyparallel_it_is_said_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipyparallel", None)
    monkeypatch.setattr("backproplab.parallel.launching.find_spec", lambda name: name)

    with pytest.raises(MissingError) as caught, cluster(2):
        pass

    assert (
        "cluster: ipyparallel and mpi4py cannot be loaded (import of ipyparallel "
        "halted; None in sys.modules).\n"
        '  help: pip install "backproplab[parallel]" brings them, and an MPI; '
        "LocalGroup(n) needs neither."
    ) == str(caught.value)


def test_without_mpiexec_it_is_said_what_to_install(monkeypatch, tmp_path):
    for name in ("prefix", "executable"):
        monkeypatch.setattr(sys, name, str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingError) as caught:
        mpiexec()

    assert (
        "cluster: there is no mpiexec in this environment nor on the PATH.\n"
        '  help: pip install "backproplab[parallel]" brings one.'
    ) == str(caught.value)


def test_ranks_that_believe_to_be_alone_are_told_why(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    require_one_mpi(1, "MPICH Version: 5")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    require_one_mpi(4, "Open MPI v5")

    with pytest.raises(CollectiveError) as caught:
        require_one_mpi(1, "MPICH Version: 5\nMPICH Release date: today")

    assert (
        "MPIGroup: the launcher started 4 processes, but each is alone: it belongs to "
        "another MPI than mpi4py's (MPICH Version: 5).\n"
        "  help: use the mpiexec beside this Python: "
        "`python -m backproplab.parallel --mpiexec` prints its path."
    ) == str(caught.value)


def test_mpiexec_beside_python_goes_before_the_path(monkeypatch, tmp_path):
    for folder in ("path", "env/bin"):
        file = tmp_path / folder / "mpiexec"
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    found = []
    for prefix in ("env", "other"):
        monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
        found.append(mpiexec())

    assert [str(tmp_path / p / "mpiexec") for p in ("env/bin", "path")] == found


def test_a_cluster_runs_in_its_block_only():
    with pytest.raises(RuntimeError) as outside:
        cluster(3).run(len)
    with pytest.raises(RangeError) as size:
        cluster(0)

    assert (
        "cluster.run: the cluster is not running.\n"
        "  help: call it inside `with bp.parallel.cluster(3) as ranks:`."
    ) == str(outside.value)
    assert "cluster: n is 0; at least 1 rank is required." == str(size.value)


# From the shell.


def test_the_digits_are_trained_and_judged_on_replicas(capsys):
    codes = LocalGroup(3).run(_run, Options(hidden=9, epochs=2, batch=300, lr=0.5))

    said = capsys.readouterr().out.splitlines()
    assert [0, 0, 0] == codes
    assert "digits, 64-9-9-10 in float32, 3 ranks, batches of 300" == said[0]
    assert ["epoch 1", "epoch 2"] == [line[:7] for line in said[1:3]]
    assert ["accuracy", "agreement", "traffic", "speed"] == [
        line.split()[0] for line in said[3:]
    ]
    numbers = 9 * 65 + 9 * 10 + 10 * 10
    assert f"D = {numbers}" in said[5]
    assert "times as fast" in said[6]


def test_the_agreement_is_that_of_the_number_format(capsys):
    LocalGroup(2).run(_run, Options(hidden=8, epochs=1, batch=100, dtype="float64"))

    line = capsys.readouterr().out.splitlines()[3]
    assert float(line.split("differ by ")[1].split()[0]) < EXACT


BAD = {
    "--hidden x": "argument --hidden: 'x' is not a whole number of at least 1.",
    "--epochs 0": "argument --epochs: '0' is not a whole number of at least 1.",
    "--lr -1": "argument --lr: '-1' is not a number of at least 0.",
    "--lr nan": "argument --lr: 'nan' is not a number of at least 0.",
    "--seed 1.5": "argument --seed: '1.5' is not a whole number of at least 0.",
    "--depth 3": "unrecognized arguments: --depth 3",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_options_get_a_sentence(line, capsys):
    with pytest.raises(SystemExit) as caught:
        main(line.split())

    assert 2 == caught.value.code
    assert f"backproplab.parallel: {BAD[line]}\n  help: see --help.\n" == (
        capsys.readouterr().err
    )


def test_other_ranks_leave_the_complaint_to_rank_0(monkeypatch, capsys):
    monkeypatch.setenv("PMI_RANK", "1")

    with pytest.raises(SystemExit):
        main(["--hidden", "x"])

    assert "" == capsys.readouterr().err


def test_a_batch_needs_an_image_for_each_rank(capsys):
    assert [2] * 3 == LocalGroup(3).run(_run, Options(batch=2))
    assert (
        "--batch is 2 and there are 3 ranks; at least one image for each rank is "
        "required.\n" == capsys.readouterr().err
    )


def test_without_mpiexec_it_is_a_single_process():
    command = "-m backproplab.parallel --hidden 8 --epochs 1 --batch 500 --quiet"

    done = subprocess.run(
        [sys.executable, *command.split()], capture_output=True, text=True, check=True
    )

    assert "digits, 64-8-8-10 in float32, 1 process, batches of 500" in done.stdout
    assert "this is one process; start several with `mpiexec -n 2 ...`" in done.stdout


def test_ranks_compare_what_they_call_in_few_bytes():
    one = heading.written("all_reduce", 1, "f", (2, 3))
    other = heading.written("barrier")
    waiting = heading.written("start_agree")

    heading.compare(one, one * 3)
    heading.compare(waiting, heading.counted(waiting, 5) + heading.counted(waiting, -1))
    assert [5, -1] == heading.counts(
        heading.counted(waiting, 5) + heading.counted(waiting, -1)
    )
    with pytest.raises(CollectiveError) as caught:
        heading.compare(one, one + other + one)
    assert (
        'MPIGroup: replicas 0 and 2 called all_reduce of (2, 3) float32, op="sum"; '
        "replica 1 called barrier; every replica must call the same collective, with "
        "the same shape and dtype."
    ) == str(caught.value).split("\n")[0]


def test_calls_with_more_axes_than_the_heading_holds_are_told_by_their_number():
    wide = heading.written("all_reduce", 0, "d", (1,) * 9)

    assert 'all_reduce of 9 axes float64, op="mean"' == heading.read(wide)
    assert wide != heading.written("all_reduce", 0, "d", (1,) * 8)


@pytest.mark.parametrize("n", [1.5, "2", None, [2]])
def test_the_number_of_replicas_is_a_whole_number(n):
    with pytest.raises(RangeError) as caught:
        LocalGroup(n)

    assert f"LocalGroup: n is {n!r}; a whole number is required." == str(caught.value)


@pytest.mark.parametrize("root", [2, -1, 0.5, "0", None])
def test_a_root_is_the_rank_of_a_replica(root):
    with pytest.raises(ReplicaError) as caught:
        LocalGroup(2).run(lambda comm: comm.broadcast(1.0, root=root))

    assert (
        f"replica 0 of 2 raised RangeError: broadcast: root is {root!r}; a rank from 0 "
        "to 1 is required."
    ) == str(caught.value)


# Processes that end.


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the order")
def test_the_process_that_ended_first_is_known_when_asked_late():
    code = [sys.executable, "-c", "input()"]
    ended = [subprocess.Popen(code, stdin=subprocess.PIPE) for _ in range(3)]
    vigil = Vigil(process.pid for process in ended)
    assert vigil.first() is None

    for process in (ended[1], ended[0], ended[2]):
        process.communicate(b"\n")

    assert ended[1].pid == vigil.first()
    vigil.close()
    assert ended[1].pid == vigil.first()


def test_of_a_process_that_has_ended_before_nothing_is_known():
    over = subprocess.Popen([sys.executable, "-c", ""])
    over.wait()

    vigil = Vigil([over.pid])

    assert vigil.first() is None
