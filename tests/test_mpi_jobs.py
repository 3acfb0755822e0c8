"""Whole MPI jobs, started and broken from outside: by mpiexec, and by a notebook."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import backproplab as bp
from backproplab.parallel import DataParallel, ReplicaError, cluster
from backproplab.parallel.launching import mpiexec

pytestmark = pytest.mark.slow

ENOUGH = 120  # seconds, for a busy machine
PROMISED = 10  # seconds until a broken job has said so


def job(ranks, *arguments):
    command = [mpiexec(), "-n", str(ranks), sys.executable, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_digits_are_trained_on_four_ranks():
    options = ["--hidden", "16", "--epochs", "2", "--batch", "100", "--lr", "0.2"]

    run = job(4, "-m", "backproplab.parallel", *options)
    said, bar = run.communicate(timeout=ENOUGH)

    assert 0 == run.returncode
    assert "/15 [" in bar  # steps of an epoch, from rank 0
    assert "digits, 64-16-16-10 in float32, 4 ranks, batches of 100\n" in said
    for word in ("epoch 2  loss", "accuracy", "agreement", "traffic", "speed"):
        assert 1 == said.count(f"\n{word}"), said


def test_a_bad_option_gets_one_sentence_from_all_ranks_together():
    run = job(3, "-m", "backproplab.parallel", "--hidden", "many")
    _, complaints = run.communicate(timeout=ENOUGH)

    assert run.returncode
    assert 1 == complaints.count("argument --hidden: 'many' is not a whole number")


RAISES = """
import time
import backproplab as bp
comm = bp.parallel.MPIGroup()
if comm.rank == 1:
    print(time.monotonic(), flush=True)
    raise ValueError("boom")
comm.barrier()
"""
LEAVES = """
import sys, time
import backproplab as bp
comm = bp.parallel.MPIGroup()
comm.barrier()
if comm.rank == 1:
    print(time.monotonic(), flush=True)
    LEAVE
else:
    comm.all_reduce(1.0)
"""
KILLED = """
import os, signal, time
import backproplab as bp
comm = bp.parallel.MPIGroup()
comm.barrier()
if comm.rank == 1:
    print(time.monotonic(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
comm.all_reduce(1.0)
"""


def test_a_rank_that_raises_ends_the_job_with_its_rank_and_traceback():
    run = job(4, "-c", RAISES)
    said, complaints = run.communicate(timeout=ENOUGH)

    assert run.returncode
    assert "rank 1 of 4 raised ValueError, so the job ends:\nTraceback" in complaints
    assert "ValueError: boom" in complaints
    assert time.monotonic() - float(said.split()[0]) < PROMISED


ASTRAY = """
import time
import numpy as np
import backproplab as bp
comm = bp.parallel.MPIGroup()
comm.barrier()
if comm.rank == 1:
    print(time.monotonic(), flush=True)
    THIS
else:
    THAT
"""


@pytest.mark.parametrize(
    ("this", "that", "said"),
    [
        (
            "comm.all_reduce(np.ones((2, 3)))",
            "comm.all_reduce(np.ones((3, 2)))",
            'replicas 0 and 2 called all_reduce of (3, 2) float64, op="mean"; '
            'replica 1 called all_reduce of (2, 3) float64, op="mean"',
        ),
        (
            "comm.start_all_reduce(np.ones(9, np.float32)).wait()",
            'comm.all_reduce(np.ones(70000), "sum")',
            'replicas 0 and 2 called all_reduce of (70000,) float64, op="sum"; replica '
            '1 called all_reduce of (9,) float32, op="mean"',
        ),
        (
            "comm.broadcast(1.0, root=2)",
            "comm.barrier()",
            "replicas 0 and 2 called barrier; replica 1 called broadcast, root=2",
        ),
    ],
)
def test_ranks_that_call_different_things_end_the_job_and_say_who_called_what(
    this, that, said
):
    run = job(3, "-c", ASTRAY.replace("THIS", this).replace("THAT", that))
    begun, complaints = run.communicate(timeout=ENOUGH)

    assert run.returncode
    assert (
        f"CollectiveError: MPIGroup: {said}; every replica must call the same "
        "collective, with the same shape and dtype.\n"
        "  help: look for a collective or a backward pass inside `if comm.rank == "
        "...`, and for loops that run a different number of times."
    ) in complaints
    assert time.monotonic() - float(begun.split()[0]) < PROMISED


@pytest.mark.parametrize("leave", ["sys.exit(4)", "sys.exit()", "pass"])
def test_a_rank_that_leaves_the_others_waiting_ends_the_job(leave):
    run = job(3, "-c", LEAVES.replace("LEAVE", leave))
    said, complaints = run.communicate(timeout=ENOUGH)

    assert run.returncode
    assert "MPIGroup: rank 1 has left the job, and this rank still waits" in complaints
    assert time.monotonic() - float(said.split()[0]) < PROMISED


def test_ranks_that_end_apart_end_well():
    code = (
        "import time, backproplab as bp; comm = bp.parallel.MPIGroup();"
        "print(comm.all_reduce(1.0, 'sum')); time.sleep(4 * comm.rank)"
    )

    run = job(2, "-c", code)
    said, complaints = run.communicate(timeout=ENOUGH)

    assert (0, "") == (run.returncode, complaints)
    assert "2.02.0" == "".join(said.split())  # two lines, or one where they met


def test_a_killed_rank_ends_the_job_with_an_error():
    run = job(4, "-c", KILLED)
    said, complaints = run.communicate(timeout=ENOUGH)

    assert run.returncode
    assert "Killed (signal 9)" in said + complaints
    assert time.monotonic() - float(said.split()[0]) < PROMISED


# From a notebook.

SCALE = 2


class Net(bp.nn.Module):
    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.fc = bp.nn.Linear(3, SCALE, rng=rng, dtype=float)

    def forward(self, x):
        return np.tanh(self.fc(x))


def recorded(comm, rows):
    model = DataParallel(Net(comm.rank), comm)
    with bp.record() as run:
        loss = (model(rows[comm.rank]) ** 2).mean()
        loss.backward()
    return run


def waits(comm, what):
    if comm.rank == 1:
        if what == "raise":
            raise ValueError("boom")
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "return":
            return
        if what == "other":
            comm.all_reduce(np.ones(7))
    comm.all_reduce(1.0)


@pytest.fixture(scope="module")
def ranks():
    with cluster(2, timeout=ENOUGH, progress=False) as started:
        yield started


def broken(ranks, what, **options):
    start = time.monotonic()
    with pytest.raises(ReplicaError) as caught:
        ranks.run(waits, what, **options)
    assert time.monotonic() - start < PROMISED
    return caught.value


def is_well(ranks):
    total = ranks.run(lambda comm: float(comm.all_reduce(comm.rank + SCALE, op="sum")))
    return [1.0 + 2 * SCALE] * 2 == total


def test_ranks_send_their_recorded_runs_to_the_notebook(ranks):
    rows = np.random.default_rng(0).normal(size=(2, 4, 3))
    alone = Net(0)
    (alone(rows.reshape(8, 3)) ** 2).mean().backward()

    runs = ranks.run(recorded, rows)

    for rank, run in enumerate(runs):
        assert np.array_equal(alone.fc.weight.data, run["module.fc.weight"].value)
        assert (4, SCALE) == run["module.fc"].shape
        assert np.array_equal(rows[rank], next(r for r in run if r.op != "leaf").value)
    mean = sum(run["module.fc.bias"].contributions[0] for run in runs) / 2
    assert np.allclose(alone.fc.bias.grad, mean, rtol=0, atol=1e-12)


def test_ranks_out_of_step_are_replaced(ranks):
    error = broken(ranks, "other")

    assert 0 == error.rank
    text = str(error)
    assert (
        'MPIGroup: replica 0 called all_reduce of () float64, op="mean"; replica 1 '
        'called all_reduce of (7,) float64, op="mean"; every replica must'
    ) in text
    assert text.endswith(
        "  help: the ranks were out of step and were stopped; the next run starts new "
        "ones."
    )
    assert is_well(ranks)


def test_a_raising_rank_is_reported_and_the_cluster_goes_on(ranks):
    error = broken(ranks, "raise")

    assert 1 == error.rank
    text = str(error)
    assert text.startswith(
        "rank 1 of 2 raised; there:\nTraceback (most recent call last):\n"
    )
    assert text.endswith(
        'raise ValueError("boom")\nValueError: boom\n\n'
        "  help: the other ranks waited for it and were stopped; the next run starts "
        "new ones."
    )
    assert is_well(ranks)


def test_where_nobody_waits_an_error_leaves_the_ranks_running(ranks):
    before = ranks.run(lambda comm: os.getpid())

    with pytest.raises(ReplicaError, match="rank 0 of 2 raised"):
        ranks.run(lambda comm: 1 / comm.rank)

    assert before == ranks.run(lambda comm: os.getpid())


def test_a_killed_rank_is_named_and_the_cluster_goes_on(ranks):
    error = broken(ranks, "kill")

    assert 1 == error.rank
    assert (
        "rank 1 of 2 ended, killed or crashed, and with it the MPI job.\n"
        "  help: look for too little memory, or a crash in compiled code; the next run "
        "starts new ranks."
    ) == str(error)
    assert is_well(ranks)


def test_a_rank_that_waits_in_vain_is_shown_where_it_stands(ranks):
    error = broken(ranks, "return", timeout=2)

    assert 0 == error.rank
    text = str(error)
    assert text.startswith(
        "1 of 2 ranks had not returned after 2 s.\nrank 0 is here:\n"
    )
    assert "in all_reduce" in text
    assert "in waits" in text
    assert is_well(ranks)


def lives(pid):
    """Whether it runs; an ended process that nobody has waited for has no command."""
    line = Path(f"/proc/{pid}/cmdline")
    return line.exists() and line.read_bytes() != b""


def test_an_interrupt_stops_the_ranks_and_leaves_nothing_behind(ranks):
    pids = ranks.run(lambda comm: os.getpid())
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    start = time.monotonic()

    try:
        with pytest.raises(KeyboardInterrupt):
            ranks.run(lambda comm: time.sleep(60))
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    assert time.monotonic() - start < PROMISED
    assert not any(lives(pid) for pid in pids)
    assert is_well(ranks)


def test_a_start_that_takes_too_long_says_so():
    with (
        pytest.raises(RuntimeError) as caught,
        cluster(2, timeout=0.01, progress=False),
    ):
        pass

    assert str(caught.value).startswith("cluster: after 0.01 s ")
    assert "of a controller and 2 ranks; mpiexec said:" in str(caught.value)


def test_starting_shows_how_far_it_is(capsys):
    with cluster(1, timeout=ENOUGH) as ranks:
        shown = repr(ranks)

    said = capsys.readouterr().out
    assert "<cluster of 1 MPI ranks, running>" == shown
    assert "<cluster of 1 MPI ranks, stopped>" == repr(ranks)
    assert "starting a controller" in said
    assert "0 of 1 MPI ranks are there" in said
