"""The benchmark: each row is a test that fails if somebody computes something else."""

from collections.abc import Iterator

import numpy as np
import pytest

import backproplab as bp

from . import kernels, memory, scalars
from .measure import Race, Step, race
from .peers import HAND, JAX, MICROGRAD, MISSING, OURS, STUDENT, TORCH, prepare
from .report import Report
from .targets import NOISE
from .workloads import WORKLOADS, tanh_layers, workload

pytestmark = pytest.mark.filterwarnings("default")  # other people's warnings

SECONDS = 6.0  # of CPU time for a row; a noisy row is measured once more, for longer
RECORDED, COPIED = "recorded", "recorded in copies"


def recorded(step: Step, copy: bool) -> Step:
    """Record all of a step, and read nothing."""

    def watched() -> object:
        with bp.record(copy=copy):
            return step()

    return watched


def five_losses(step: Step) -> list[float]:
    """Train five steps; for JAX the first one compiles too."""
    return [float(np.asarray(step().item())) for _ in range(5)]


def require_equal_work(losses: dict[str, list[float]]) -> None:
    """Fail unless all losses after five steps agree, and have moved from the first."""
    ours = losses[OURS]
    tolerance = float(100 * np.finfo(np.float32).eps)
    assert abs(ours[-1] - ours[0]) > tolerance * abs(ours[0])
    for name, theirs in losses.items():
        assert theirs == pytest.approx(ours, rel=tolerance), name


def raced(steps: dict[str, Step], seconds: float = SECONDS) -> Race:
    """Race; once more, for twice as long, if the A/A pair does not read 1."""
    first = next(iter(steps))
    result = race(steps, seconds)
    if abs(result.noise(first) - 1) > NOISE:
        again = race(steps, 2 * seconds, rounds=120)
        result = min(result, again, key=lambda r: abs(r.noise(first) - 1))
    return result


@pytest.fixture(autouse=True)
def _gate(request: pytest.FixtureRequest, report: Report) -> Iterator[None]:
    """With --gate, fail a row that misses a target."""
    before = set(report.missed())
    yield
    if request.config.getoption("--gate", default=False):
        missed = [line for line in report.missed() if line not in before]
        if missed:
            pytest.fail("\n".join(missed), pytrace=False)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_step_computes_what_all_compute(name, report):
    work = workload(name)
    steps = {peer: prepare(peer, work) for peer in work.present}

    require_equal_work({peer: five_losses(step) for peer, step in steps.items()})

    watch = name in ("MLP, batch 128", "transformer")
    if watch:
        own = prepare(OURS, work)
        steps |= {RECORDED: recorded(own, False), COPIED: recorded(own, True)}
    result = raced(steps)
    report.add_race(name, result)
    if watch:
        report.add(f"{name}, recorded", OURS, result.ratio(RECORDED, OURS))
        report.add(f"{name}, recorded in copies", OURS, result.ratio(COPIED, OURS))
    if name == "transformer":
        report.add_race(f"{name}, recorded", result, RECORDED)


def test_a_competitor_who_computes_something_else_is_caught():
    work = workload("MLP, batch 1")
    ours, lazy = prepare(OURS, work), prepare(HAND, work)
    losses = {OURS: five_losses(ours), HAND: [lazy().item()] * 5}

    with pytest.raises(AssertionError, match="hand"):
        require_equal_work(losses)


@pytest.mark.skipif(MICROGRAD in MISSING, reason="micrograd is not installed")
def test_the_demo_of_micrograd_gives_its_losses(report):
    ours = {
        "by number": scalars.by_number(),
        "by neuron": scalars.by_neuron(),
        "by batch": scalars.by_batch(),
    }
    steps = {"by neuron": ours["by neuron"], MICROGRAD: scalars.micrograd(), **ours}
    losses = {name: [step() for _ in range(3)] for name, step in steps.items()}

    for theirs in losses.values():
        assert theirs == pytest.approx(losses[MICROGRAD], rel=1e-9)

    result = race(steps, 4.0)
    for grain in ours:
        ratio = result.ratio(grain, MICROGRAD)
        report.add(f"micrograd's demo, {grain}", MICROGRAD, ratio)


def test_time_a_layer_stays_the_same_with_depth(report):
    steps = {d: prepare(OURS, tanh_layers(d)) for d in (100, 10, 1000, 10000)}
    names = {f"depth {d}": step for d, step in steps.items()}

    result = raced(names, 5.0)

    ratio = result.ratio("depth 10000", "depth 100") / 100
    report.add("depth 10000, a layer", "depth 100", ratio)
    for d in sorted(steps):
        layer = result.time(f"depth {d}") / d
        report.notes.append((f"CPU time a layer, depth {d}", f"{layer * 1e6:.1f} us"))


def test_import_costs_little_more_than_numpy(report):
    ratio = memory.import_ratio("backproplab", "numpy")

    report.add("import backproplab", "import numpy", ratio)


@pytest.mark.parametrize("name", ["MLP, batch 1024", "50 elementwise ops"])
def test_what_a_step_costs_in_a_process_of_its_own(name, report):
    peers = [p for p in (OURS, HAND, STUDENT, TORCH, JAX) if p not in MISSING]

    costs = {peer: memory.alone(name, peer) for peer in peers}

    for peer, cost in costs.items():
        words = ", ".join(f"{cost[k]:.0f} {k}" for k in sorted(cost))
        report.notes.append((f"{name}, alone, {peer}", words))
        if peer != OURS:
            report.add(f"{name}, alone", peer, costs[OURS]["ms"] / cost["ms"])


@pytest.mark.parametrize(
    "name", [n for n in WORKLOADS if "batch 1024" not in n and "1000 tanh" not in n]
)
def test_what_dominates(name, report):
    report.kernels.append(kernels.dominant(name))
