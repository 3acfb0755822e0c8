from xml.etree import ElementTree

import numpy as np
import pytest

import backproplab as bp
from backproplab.widgets.descent import lab as descent
from backproplab.widgets.descent.lab import DescentLab
from backproplab.widgets.descent.surface import contours, surfaces
from backproplab.widgets.descent.walk import METHODS, RATES, Controls, compute

NAMES = tuple(surfaces())


def drawn(picture):
    """Parse, so that what is not well-formed fails."""
    return ElementTree.fromstring(picture)


# The surfaces.


@pytest.mark.parametrize("name", NAMES)
def test_the_minimum_of_a_surface_is_flat_and_curves_upwards(name):
    surface = surfaces()[name]

    slope = bp.grad(lambda p: surface.f(p[0], p[1]))(np.array(surface.minimum))

    assert np.abs(slope).max() < 1e-9
    assert surface.curvatures().min() > 0


def test_the_saddle_falls_on_one_axis_alone():
    f = surfaces()["saddle"].f

    curvatures = bp.hessian(lambda p: f(p[0], p[1]))(np.zeros(2))

    assert [[1, 0], [0, -1]] == curvatures.tolist()


def test_the_slice_is_no_formula_but_a_net_that_fits():
    surface = surfaces()["net slice"]

    assert 0 < surface.lowest < 0.3
    assert surface.lowest < float(surface.f(*map(np.asarray, surface.start)))


@pytest.mark.parametrize("name", NAMES)
def test_contours_lie_at_equal_heights(name):
    f = surfaces()[name].f

    for line in contours(name):
        heights = f(*line.T)
        assert np.std(heights) < 0.2 * max(heights.mean(), 0.1)


# The walk.


@pytest.mark.parametrize("method", METHODS)
def test_a_walk_takes_the_steps_of_the_optimizer(method):
    surface = surfaces()["Rosenbrock"]
    p = bp.tensor(np.array(surface.start), requires_grad=True)
    optimizer = {
        "SGD": lambda: bp.optim.SGD([p], lr=1e-3),
        "momentum": lambda: bp.optim.SGD([p], lr=1e-3, momentum=0.9),
        "RMSprop": lambda: bp.optim.RMSprop([p], lr=1e-3, alpha=0.9),
        "Adam": lambda: bp.optim.Adam([p], lr=1e-3, betas=(0.9, 0.999)),
    }[method]()
    places = [p.data.copy()]
    for _ in range(20):
        optimizer.zero_grad()
        surface.f(p[0], p[1]).backward()
        optimizer.step()
        places.append(p.data.copy())

    walk = compute(Controls("Rosenbrock", method, lr=1e-3, steps=20))

    np.testing.assert_allclose(walk.path, places, rtol=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_on_the_valley_the_walk_converges_up_to_the_critical_rate(memory):
    limit = 2 * (1 + memory) / 10
    ends = []
    for share in (0.98, 1.02):
        walk = compute(Controls("valley", "momentum", share * limit, memory, 400))
        ends.append(walk.losses[-1] / walk.losses[0])
        assert pytest.approx(limit) == walk.limit

    assert ends[0] < 1e-3
    assert ends[1] > 1e3


@pytest.mark.parametrize("name", ["saddle", "Rosenbrock", "net slice"])
def test_near_a_minimum_the_critical_rate_holds_everywhere(name):
    surface = surfaces()[name]
    near = tuple(np.array(surface.minimum) + 1e-6)
    limit = compute(Controls(name)).limit

    below = compute(Controls(name, lr=0.95 * limit, steps=100, start=near))
    above = compute(Controls(name, lr=1.05 * limit, steps=100, start=near))

    def away(walk):
        gone = np.linalg.norm(walk.path - surface.minimum, axis=1)
        return gone[-1] / gone[0]

    assert away(below) < 1.5
    assert away(above) > 100


def test_the_first_step_of_adam_is_as_long_as_its_rate():
    walk = compute(Controls("Rosenbrock", "Adam", lr=0.05, steps=5))

    assert pytest.approx([0.05, 0.05]) == np.abs(walk.path[1] - walk.path[0])


def test_on_the_ridge_of_the_saddle_nobody_gets_away():
    for method in METHODS:
        walk = compute(Controls("saddle", method, start=(2.0, 0.0)))
        assert 0 == walk.path[-1, 1]


def test_a_walk_that_diverges_says_at_which_step():
    walk = compute(Controls("Rosenbrock", lr=0.1))

    assert 1 == walk.left
    assert "The walk diverges: gone at step 1." in descent.says(
        walk, Controls("Rosenbrock", lr=0.1)
    )


def test_the_ends_by_learning_rate_are_the_ends_of_walks():
    walk = compute(Controls("saddle", "momentum"))

    rate = float(RATES[40])
    own = compute(Controls("saddle", "momentum", lr=rate))

    assert pytest.approx(walk.ends[40]) == own.losses[-1]


def test_an_unknown_surface_is_refused():
    with pytest.raises(bp.errors.RangeError) as raised:
        compute(Controls("vally"))

    assert str(raised.value) == (
        "DescentLab: surface is 'vally'; one of valley, saddle, Rosenbrock, net slice "
        "is required.\n  help: did you mean valley?"
    )


# The picture and the lab.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lr", [1e-4, 0.1, 10.0])
def test_every_walk_is_drawn(name, method, lr):
    controls = Controls(name, method, lr)

    picture = descent.render(compute(controls), controls, alone=True)

    drawn(picture)
    assert "nan" not in picture.split("</style>")[1].split(">", 1)[1]


def test_the_critical_rate_is_marked():
    for method, mark in (
        ("SGD", "2/λ = 0.2"),
        ("momentum", "2(1+μ)/λ"),
        ("Adam", "2/λ"),
    ):
        controls = Controls(method=method)
        assert mark in descent.render(compute(controls), controls)


def test_controls_move_the_picture_and_reset_moves_it_back():
    lab = DescentLab()
    before = lab._picture.value

    for control, value in (
        (lab.lr, 0.19), (lab.method, "Adam"), (lab.memory, 0.5), (lab.steps, 20),
        (lab.u, 2.0), (lab.v, -1.0), (lab.surface, "saddle"),
    ):  # fmt: skip
        earlier = lab._picture.value
        control.value = value
        assert earlier != lab._picture.value
    lab.reset.click()

    assert before == lab._picture.value


def test_a_lab_is_one_line_and_a_picture_without_a_kernel():
    lab = DescentLab("net slice", "Adam", lr=0.3)

    bundle = lab._repr_mimebundle_()

    assert 1 == len(repr(lab).splitlines())
    assert bundle["text/plain"] == repr(lab)
    drawn(bundle["image/svg+xml"])


def test_a_crash_is_shown_and_raised(monkeypatch):
    lab = DescentLab()
    monkeypatch.setattr(descent, "compute", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        lab.lr.value = 0.2

    assert "This lab broke down." in lab.message.value
