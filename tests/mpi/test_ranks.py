"""The promises of one process kept on real MPI: ``mpiexec -n 2`` and ``-n 4``."""

import sys

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn, optim
from backproplab.parallel import (
    DataParallel,
    SyncBatchNorm,
    average_gradients,
    ring,
)
from backproplab.parallel.__main__ import _run
from backproplab.parallel.train import Options

pytestmark = pytest.mark.mpi

EXACT = 1e-12
ROWS = 12
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


def shard(comm, equal=True):
    """This rank's rows; unequal shards have at least 2, which batch norm needs."""
    rows = np.arange(ROWS)
    if equal:
        return np.array_split(rows, comm.size)[comm.rank]
    return np.split(rows, [2 * k for k in range(1, comm.size)])[comm.rank]


def loss_of(model, rows):
    return bp.cross_entropy(model(IMAGES[rows]), LABELS[rows])


def gradients(model):
    return [p.grad for p in model.parameters()]


def whole(norm=None):
    model = net(norm=norm)
    loss_of(model, np.arange(ROWS)).backward()
    return model


def off(got, want):
    scale = [max(abs(b).max(), 1e-3) for b in want]
    found = zip(got, want, scale, strict=True)
    return max(float(abs(a - b).max() / s) for a, b, s in found)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_all_reduce_keeps_the_dtype_and_takes_strided_arrays(comm, dtype):
    def brought(rank):
        return (np.arange(6).reshape(2, 3) + rank).astype(dtype)[:, ::-1]

    total = comm.all_reduce(brought(comm.rank), op="sum")
    mean = comm.all_reduce(brought(comm.rank))

    want = sum(brought(rank) for rank in range(comm.size))
    assert dtype == total.dtype
    assert np.array_equal(want, total)
    assert np.array_equal(want / comm.size, mean)


def test_float16_is_added_in_float16(comm):
    total = comm.all_reduce(np.float16(0 if comm.rank > 1 else 2047 * comm.rank + 1))

    assert float(np.float16(2048) + np.float16(1)) / comm.size == total


def test_numbers_arrays_and_words_are_handed_round(comm):
    last = comm.size - 1
    sent = comm.broadcast(np.float16([[1, 2]]) if comm.rank == last else None, last)
    found = comm.gather(np.full(comm.rank, comm.rank))

    assert ([[1.0, 2.0]], np.float16) == (sent.tolist(), sent.dtype)
    assert [[r] * r for r in range(comm.size)] == [a.tolist() for a in found]
    assert float(comm.all_reduce(comm.rank)) == (comm.size - 1) / 2
    assert [f"rank {r}" for r in range(comm.size)] == comm.agree(f"rank {comm.rank}")
    assert list(range(comm.size)) == comm.start_agree(comm.rank).wait()


def test_started_all_reduces_run_side_by_side(comm):
    pending = [comm.start_all_reduce(np.full(1000, float(k))) for k in range(3)]
    for p in pending:
        p.nudge()

    assert [0.0, 1.0, 2.0] == [float(p.wait()[-1]) for p in pending]


def test_traffic_is_the_rings(comm):
    before = comm.traffic
    comm.all_reduce(np.ones(8 * comm.size, np.float32))
    comm.all_reduce(np.ones(3), op="sum")
    sent = ring.formula(comm.size, 8 * comm.size), ring.sent(comm.size, 3, comm.rank)

    assert sum(sent) == comm.traffic.elements - before.elements
    assert 4 * sent[0] + 8 * sent[1] == comm.traffic.bytes - before.bytes


@pytest.mark.parametrize("bucket_size", [1, 100, 2**22])
@pytest.mark.parametrize("equal", [True, False])
def test_data_parallel_gives_the_batchs_gradient_to_every_rank(
    comm, equal, bucket_size
):
    model = DataParallel(net(seed=comm.rank), comm, bucket_size=bucket_size)
    loss_of(model, shard(comm, equal)).backward()

    assert off(gradients(model), gradients(whole())) < EXACT
    assert 1 == len({*comm.agree(b"".join(g.tobytes() for g in gradients(model)))})


def test_unequal_shards_need_their_weights(comm):
    weight = len(shard(comm, equal=False)) / ROWS
    found = []
    for w in (weight, None):
        model = net()
        loss_of(model, shard(comm, equal=False)).backward()
        average_gradients(model, comm, weight=w)
        found.append(off(gradients(model), gradients(whole())))

    assert found[0] < EXACT
    assert found[1] > 0.01


@pytest.mark.parametrize("equal", [True, False])
def test_local_batch_statistics_are_visibly_off_and_shared_ones_exact(comm, equal):
    want, found = whole(norm=nn.BatchNorm1d), []
    for norm in (nn.BatchNorm1d, SyncBatchNorm):
        model = DataParallel(net(seed=comm.rank, norm=norm), comm)
        loss_of(model, shard(comm, equal)).backward()
        found.append(off(gradients(model), gradients(want)))

    assert found[0] > 0.1
    assert found[1] < EXACT
    assert off([*model.buffers()], [*want.buffers()]) < EXACT


def test_early_gradients_leave_the_model_as_it_was(comm):
    model = DataParallel(net(), comm, bucket_size=1)
    parameters = list(model.parameters())
    loss_of(model, shard(comm)).backward()

    assert all(p is q for p, q in zip(parameters, model.parameters(), strict=True))
    hooks = [
        vars(layer)["_hooks"] for layer in model.modules() if "_hooks" in vars(layer)
    ]
    assert hooks
    assert not any(h.before or h.after for h in hooks)


def test_gradients_travel_before_backward_has_ended(comm):
    class Watched(nn.Module):
        def __init__(self):
            self.net = net()

        def forward(self, x):
            h = self.net[0](x)
            h.register_hook(lambda _g: on_the_way.append(len(model._reducer._started)))
            return self.net[2](self.net[1](h))

    on_the_way = []
    model = DataParallel(Watched(), comm, bucket_size=1)
    loss_of(model, shard(comm)).backward()

    assert [2] == on_the_way  # weight and bias of the last layer, of four


def test_a_layer_that_raises_leaves_the_model_as_it_was(comm):
    model = DataParallel(net(), comm)
    parameters = list(model.parameters())
    with pytest.raises(ValueError, match="columns"):
        model(IMAGES[:, :3])
    loss_of(model, shard(comm)).backward()

    assert all(p is q for p, q in zip(parameters, model.parameters(), strict=True))
    assert off(gradients(model), gradients(whole())) < EXACT


def test_weights_used_twice_and_recorded_runs_are_no_trouble(comm):
    class Twice(nn.Module):
        def __init__(self, seed=0):
            rng = np.random.default_rng(seed)
            self.map = nn.Linear(5, 5, rng=rng, dtype=float)
            self.out = nn.Linear(5, 3, rng=rng, dtype=float)

        def forward(self, x):
            return self.out(np.tanh(self.map(np.tanh(self.map(x)))))

    model, alone = DataParallel(Twice(comm.rank), comm, bucket_size=1), Twice()
    loss_of(alone, np.arange(ROWS)).backward()
    loss_of(model, shard(comm, equal=False)).backward()
    first = off(gradients(model), gradients(alone))
    model.zero_grad()
    if comm.rank:  # one records, the others overlap: the same collectives
        loss_of(model, shard(comm, equal=False)).backward()
    else:
        with bp.record() as run:
            loss_of(model, shard(comm, equal=False)).backward()
        assert "gate" not in {r.op for r in run}

    assert first < EXACT
    assert off(gradients(model), gradients(alone)) < EXACT


def test_a_penalty_in_the_loss_and_hooks_of_ones_own_are_averaged(comm):
    def loss(model, rows):
        penalty = sum((p * p).sum() for p in model.parameters() if p.ndim == 2)
        return loss_of(model, rows) + 0.1 * penalty

    model, alone = DataParallel(net(comm.rank), comm, bucket_size=1), net()
    loss(model, shard(comm, equal=False)).backward()
    loss(alone, np.arange(ROWS)).backward()
    first = off(gradients(model), gradients(alone))
    model.zero_grad()
    for p in model.parameters():
        p.register_hook(lambda g: 2 * g)
    loss(model, shard(comm, equal=False)).backward()

    assert first < EXACT
    assert off(gradients(model), [2 * g for g in gradients(alone)]) < EXACT


def test_tied_and_checkpointed_weights_are_averaged(comm):
    class Tied(nn.Module):
        def __init__(self, seed):
            rng = np.random.default_rng(seed)
            self.into = nn.Linear(5, 4, rng=rng, dtype=float)
            self.between = nn.Linear(4, 4, rng=rng, dtype=float)

        def forward(self, x):
            h = bp.checkpoint(self.between)(np.tanh(self.into(x)))
            return h @ self.into.weight  # outside its layer

    def loss(model, rows):
        return (model(IMAGES[rows]) ** 2).mean()

    model, alone = DataParallel(Tied(comm.rank), comm, bucket_size=1), Tied(0)
    loss(model, shard(comm, equal=False)).backward()
    loss(alone, np.arange(ROWS)).backward()

    assert off(gradients(model), gradients(alone)) < EXACT


def test_no_sync_and_training_stay_with_the_single_process(comm):
    def steps(model, rows):
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(4):
            optimizer.zero_grad()
            loss_of(model, rows).backward()
            optimizer.step()
        return [p.data for p in model.parameters()]

    model = DataParallel(net(seed=comm.rank), comm)
    with model.no_sync():
        loss_of(model, shard(comm)).backward()
    loss_of(model, shard(comm)).backward()
    gathered = gradients(model)

    assert off(gathered, [2 * g for g in gradients(whole())]) < EXACT
    assert off(steps(model, shard(comm)), steps(net(), np.arange(ROWS))) < EXACT


def test_the_digits_are_trained_and_judged(comm, capfd):
    code = _run(comm, Options(hidden=16, epochs=2, batch=120, dtype="float64"))

    said = capfd.readouterr().out.splitlines()
    assert 0 == code
    if comm.rank == 0:
        assert f"{comm.size} ranks" in said[0]
        agreement = next(line for line in said if line.startswith("agreement"))
        assert float(agreement.split("differ by ")[1].split()[0]) < EXACT
    else:
        assert [] == said


def test_an_exception_will_end_the_job(comm):
    assert "_abort" == sys.excepthook.__name__
