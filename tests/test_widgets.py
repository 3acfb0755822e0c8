from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest

import backproplab as bp
from backproplab import plot
from backproplab.widgets import ChainRuleStepper, GradientFlow, GraphExplorer
from backproplab.widgets.drawing import STATIC, data, svg
from backproplab.widgets.flow import table
from backproplab.widgets.formula import explain
from backproplab.widgets.lab import Lab
from backproplab.widgets.logplot import SHOWS, render
from backproplab.widgets.modules import crowded, group
from backproplab.widgets.scene import LIMIT, compose


@pytest.fixture
def fan():
    """u = 3x; loss = tanh x + u u: x fans out to two, u twice to one."""
    x = bp.tensor(2.0, requires_grad=True)
    with bp.record() as run:
        u = x * 3.0
        a = np.tanh(x)
        b = u * u
        loss = a + b
        loss.backward()
    return run


@pytest.fixture
def digits():
    images, labels = bp.data.digits()
    rng = np.random.default_rng(0)
    model = bp.nn.Sequential(
        bp.nn.Linear(64, 16, rng=rng), bp.nn.ReLU(), bp.nn.Linear(16, 10, rng=rng)
    )
    with bp.record() as run:
        loss = bp.ops.cross_entropy(model(images[:8]), labels[:8])
        loss.backward()
    return run


@pytest.fixture
def forward_only():
    with bp.record() as run:
        np.tanh(bp.tensor(1.0, requires_grad=True))
    return run


def cell(scene, name):
    return next(c for c in scene.cells if c.name == name)


def drawn(picture):
    """Parse, so that what is not well-formed fails."""
    return ElementTree.fromstring(picture)


def texts(picture):
    return [e.text for e in drawn(picture).iter() if e.tag.endswith("text") and e.text]


# What a picture says.


def test_a_gradient_is_known_part_by_part(fan):
    scene = compose(fan)

    assert ((2, "6 + 6", False), (4, "6 + 6 = 12", True)) == cell(scene, "u").grads
    assert (
        (3, "0.0707 + …", False),
        (4, "0.0707 + 36", False),
        (5, "0.0707 + 36 = 36.1", True),
    ) == cell(scene, "x").grads


def test_a_step_says_who_sends_what(fan):
    says = [sentence for _, sentence in compose(fan).steps]

    six = "1 × 6 = 6 to `u`"
    assert [
        "`loss` starts with 1, and sends 1 × 1 = 1 to `a` and 1 × 1 = 1 to `b`.",
        f"`b` has its whole gradient, 1, and sends {six} and {six}.",
        "`a` has its whole gradient, 1, and sends 1 × 0.0707 = 0.0707 to `x`.",
        "`u` has its whole gradient, 12, and sends 12 × 3 = 36 to `x`.",
        "`x` is a leaf: its gradient, 0.0707 + 36 = 36.1, is finished.",
    ] == says


def test_an_arrow_carries_the_local_derivative(fan):
    scene = compose(fan)

    names = {c.key: c.name for c in scene.cells}
    slopes = [(names[k.source], names[k.target], k.local) for k in scene.links]
    assert ("x", "a", "0.0707") in slopes
    assert ("x", "u", "3") in slopes
    assert 2 == slopes.count(("u", "b", "6"))
    assert ("", "u", "") in slopes


def test_a_second_backward_pass_adds_steps():
    x = bp.tensor(2.0, requires_grad=True)
    with bp.record() as run:
        y = x * x
        y.backward(retain_graph=True)
        y.backward()

    scene = compose(run)

    assert 4 == len(scene.steps)
    assert (4, "2 + 2 + 2 + 2 = 8", True)[0::2] == cell(scene, "x").grads[-1][0::2]


def test_sources_come_before_targets(digits):
    for folded in ((), ("0",), ("0", "1", "2")):
        scene = compose(digits, folded)
        order = {c.key: i for i, c in enumerate(scene.cells)}

        assert all(order[k.source] < order[k.target] for k in scene.links)


def test_a_folded_module_is_one_box_with_its_output(digits):
    scene = compose(digits, ("0",))

    box = cell(scene, "0")
    assert ("module", "1 op") == (box.kind, box.op)
    assert digits["0"].id == box.record
    assert {"weight", "bias"}.isdisjoint(
        c.name for c in scene.cells if "0.weight" in c.name
    )
    assert "@2" in scene.frames
    assert "@0" not in scene.frames


def test_a_module_called_twice_is_two_boxes():
    layer = bp.nn.Linear(2, 2, rng=np.random.default_rng(0))
    net = bp.nn.Sequential(layer, bp.nn.Tanh(), layer)
    with bp.record() as run:
        net(np.ones((1, 2))).sum().backward()

    groups = group(run, {"0", "2"}, LIMIT)

    folded = [k for k in groups.members if k.startswith("@")]
    assert 2 == len(folded)


def test_a_crowded_run_is_folded_from_the_inside():
    with bp.record() as run:
        x = bp.tensor(1.0, requires_grad=True)
        for i in range(20):
            with bp.scope(f"block{i}"), bp.scope("inner"):
                x = np.tanh(np.tanh(np.tanh(x)))
        x.backward()

    folded = crowded(run, 30)

    assert {f"block{i}.inner" for i in range(20)} == folded
    assert len(compose(run, folded).cells) <= 30


def test_2000_values_without_modules_are_cut_with_a_note():
    x = bp.tensor(1.0, requires_grad=True)
    with bp.record() as run:
        for _ in range(2000):
            x = np.tanh(x)
        x.backward()

    explorer = GraphExplorer(run)

    assert 2001 == explorer.steps
    assert len(explorer.view.scene["grads"]) <= LIMIT
    assert explorer.view.scene["note"].startswith("The run has 2001 values; the ")


# Drawing.


def test_the_picture_alone_is_well_formed_and_says_everything(fan):
    words = texts(svg(compose(fan)))

    assert {"x", "u", "tanh", "×0.0707", "0.0707 + 36 = 36.1"} <= set(words)


def test_every_box_is_a_labelled_button(fan):
    buttons = [e for e in drawn(svg(compose(fan))).iter() if e.get("role") == "button"]

    assert all(e.get("aria-label") and e.get("tabindex") == "0" for e in buttons)
    assert "u, multiply, value 6" in [e.get("aria-label") for e in buttons]


def test_a_picture_can_be_drawn_at_any_step(fan):
    at_2 = drawn(svg(compose(fan), 2))

    classes = {e.get("data-key"): e.get("class") for e in at_2.iter() if e.get("class")}
    b, u, x = (str(fan[name].id) for name in "bux")
    assert "bpl-box op whole now" == classes[b]
    assert "bpl-box op part" == classes[u]
    assert "bpl-box parameter" == classes[x]


def test_names_cannot_break_out_of_the_picture():
    x = bp.tensor(2.0, requires_grad=True, name="<script>&\"'")
    with bp.record() as run:
        (x * x).backward()

    assert "<script>&\"'" in texts(svg(compose(run)))
    assert "<script>" not in explain(run, 0)


def test_the_style_uses_the_palette_and_follows_the_theme():
    css = STATIC.joinpath("graph.css").read_text("utf-8")

    assert f"--bpl-forward: {plot.FORWARD.lower()};" in css
    assert f"--bpl-backward: {plot.BACKWARD.lower()};" in css
    assert '[data-jp-theme-light="false"]' in css


def test_gradients_are_dashed_not_only_coloured():
    css = STATIC.joinpath("graph.css").read_text("utf-8")

    assert "stroke-dasharray" in css.split(".bpl-arrow .back .line")[1].split("}")[0]


def test_the_browser_gets_only_what_json_can_say(digits):
    import json

    sent = data(compose(digits))

    assert json.loads(json.dumps(sent))["steps"][0]["says"].startswith("`loss` starts")


# Formulas.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("u", r"u = 3\,x"),
        ("u", r"3\cdot 2 = 6"),
        ("u", r"= 6 + 6 = 12"),
        ("u", r"12 \cdot 3 = 36"),
        ("a", r"\tanh(2) = 0.964"),
        ("a", r"= 1 - a^{2} = 0.0707"),
        ("b", r"6^{2} = 36"),
        ("loss", r"= 1$, the start"),
    ],
)
def test_a_formula_comes_with_its_numbers(fan, name, expected):
    assert expected in explain(fan, fan[name].id)


def test_a_negative_number_gets_parentheses_once():
    x = bp.tensor(-2.0, requires_grad=True)
    with bp.record() as run:
        y = np.tanh(x) * x
        y.backward()

    assert r"\tanh(-2) = -0.964" in explain(run, run["tanh_1"].id)
    assert r"(-0.964)\cdot (-2) = 1.93" in explain(run, run["y"].id)


def test_an_array_is_explained_by_its_largest_gradient(digits):
    text = explain(digits, digits["1"].id)

    at = np.unravel_index(np.argmax(np.abs(digits["1"].grad)), digits["1"].shape)
    assert f"entry [{at[0]}, {at[1]}]:" in text


def test_a_matrix_product_sends_by_its_transposed_rule():
    x, w = (bp.tensor(np.ones(s), requires_grad=True) for s in ((2, 3), (3, 1)))
    with bp.record() as run:
        y = x @ w
        y.sum().backward()

    text = explain(run, run["y"].id)

    assert r"g\,w^{\top}" in text
    assert r"x^{\top}\,g" in text


def test_every_record_of_a_run_can_be_explained(digits, forward_only):
    for run in (digits, forward_only):
        assert all(
            explain(run, r.id).startswith('<div class="bpl-graph bpl-form') for r in run
        )


def test_an_unknown_op_of_a_loaded_run_is_shown_as_data(tmp_path):
    @bp.elementwise(lambda y, _x: 2 * y)
    def mystery(x):
        return np.exp(2 * x)

    x = bp.tensor(0.5, requires_grad=True)
    with bp.record() as run:
        y = mystery(x)
        y.backward()
    run.save(tmp_path / "run.npz")

    loaded = bp.load_trace(tmp_path / "run.npz")
    loaded[1]._entry.primitive = None

    assert "by an op unknown here" in explain(loaded, 1)


# The explorer.


def test_stepping_stays_within_the_pass(fan):
    explorer = GraphExplorer(fan)

    explorer.back()
    seen = [explorer.step]
    for _ in range(7):
        explorer.next()
        seen.append(explorer.step)

    assert [0, 1, 2, 3, 4, 5, 5, 5] == seen
    assert "x" == explorer.selected


def test_browser_and_python_agree_on_step_and_selection(fan):
    explorer = GraphExplorer(fan)

    explorer.view.step = 3
    explorer.view.selected = str(fan["b"].id)

    assert (3, "b") == (explorer.step, explorer.selected)
    assert "6^{2} = 36" in explorer.formula.value

    explorer.step, explorer.selected = 1, "a"

    assert (1, str(fan["a"].id)) == (explorer.view.step, explorer.view.selected)


def test_back_at_the_start_the_formula_gives_way_to_what_to_try(fan):
    explorer = GraphExplorer(fan)
    begun = explorer.formula.value

    explorer.next()
    explorer.back()

    assert (0, "", begun) == (explorer.step, explorer.selected, explorer.formula.value)
    assert "What to try" in begun


def test_a_box_in_a_module_is_called_after_it(digits):
    drawn = svg(compose(digits))

    assert 'aria-label="weight, in 0, value' in drawn
    assert 'aria-label="weight, in 2, value' in drawn


def test_modules_fold_and_unfold(digits):
    explorer = GraphExplorer(digits)
    whole = str(explorer)

    explorer.fold("0")
    folded = str(explorer)
    explorer.fold()
    everything = explorer.folded
    explorer.unfold()

    assert "10 boxes, 8 backward steps, step 0" == whole == str(explorer)
    assert "8 boxes, 8 backward steps, step 0" == folded
    assert ("0", "2") == everything


def test_the_browser_asks_to_fold_by_frame(digits):
    explorer = GraphExplorer(digits)

    explorer._asked(None, {"fold": "@0"}, [])
    once = explorer.folded
    explorer._asked(None, {"fold": "@0"}, [])
    twice = explorer.folded
    explorer._asked(None, {"fold": "*"}, [])

    assert (("0",), (), ("0", "2")) == (once, twice, explorer.folded)


def test_a_folded_box_stands_for_what_is_in_it(digits):
    explorer = GraphExplorer(digits, folded=("0",))

    explorer.selected = "0.weight"

    assert "@0" == explorer.view.selected


def test_a_page_without_a_kernel_shows_the_picture(fan):
    for lab in (GraphExplorer(fan), GradientFlow(fan)):
        bundle = lab._repr_mimebundle_()

        assert "application/vnd.jupyter.widget-view+json" in bundle
        drawn(bundle["image/svg+xml"])
        assert "\n" not in bundle["text/plain"]


@pytest.mark.parametrize("view", [GraphExplorer, GradientFlow, ChainRuleStepper])
@pytest.mark.parametrize("wrong", [None, 3.0, "run", [1, 2], {}])
def test_what_is_no_run_gets_a_plain_sentence(view, wrong):
    lab = view(wrong)

    said = lab.message.value
    assert "run" in said
    assert "Error" not in said
    assert "\n" not in repr(lab)


def test_an_empty_run_says_what_to_type():
    with bp.record() as run:
        pass

    said = GraphExplorer(run).message.value

    assert (
        '<div class="bpl-graph bpl-message">GraphExplorer: the run is empty; no '
        "operation on a tensor was recorded.<br>Compute inside the block: <code>with "
        "bp.record() as run:</code>, then compute a loss and call "
        "<code>loss.backward()</code> inside.</div>"
    ) == said


def test_a_run_without_backward_shows_values_and_says_what_is_missing(forward_only):
    explorer = GraphExplorer(forward_only)

    assert 0 == explorer.steps
    assert "tanh" in texts(explorer.picture())
    assert (
        '<div class="bpl-graph bpl-message">GraphExplorer: the run has values and no '
        "gradients; no backward pass was recorded.<br>Call <code>loss.backward()"
        "</code> inside the <code>with bp.record() as run:</code> block.</div>"
    ) == explorer.message.value


def test_a_crash_is_shown_and_raised(fan, monkeypatch):
    flow = GradientFlow(fan)
    monkeypatch.setattr("backproplab.widgets.flow.magnitudes", lambda *_, **__: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        flow.leaves.value = True

    assert "ZeroDivisionError" in flow.message.value
    assert "" == flow.message.layout.display


def test_what_is_fine_again_takes_the_crash_away(fan, monkeypatch):
    flow = GradientFlow(fan)
    with monkeypatch.context() as broken:
        broken.setattr("backproplab.widgets.flow.magnitudes", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            flow.leaves.value = True

    flow.leaves.value = False

    assert "none" == flow.message.layout.display


def test_a_lab_is_a_widget_with_one_line():
    lab = Lab()

    assert "<Lab: a lab>" == repr(lab)
    assert "image/svg+xml" not in lab._repr_mimebundle_()


# The flow.


def test_the_flow_shows_the_layers_of_a_model(digits):
    flow = GradientFlow(digits)

    assert ["0", "1", "2", "loss"] == [r.name for r in flow.rows]
    assert "<GradientFlow: 4 layers, 1 run>" == repr(flow)


def test_controls_change_what_is_shown(digits):
    flow = GradientFlow(digits)

    flow.leaves.value = True
    with_leaves = len(flow.rows)
    flow.shown.value = "gain"

    assert with_leaves > 4
    assert "→ grows" in texts(flow.picture())


def test_reset_takes_the_flow_back_to_where_it_began(digits):
    flow = GradientFlow(digits)
    begun = flow.picture()

    flow.shown.value, flow.by_module.value, flow.leaves.value = SHOWS[3], False, True
    changed = flow.picture()
    flow.reset.click()

    assert begun != changed
    assert begun == flow.picture()


def test_the_first_path_is_one_press_away(fan):
    stepper = ChainRuleStepper(fan, "x")

    stepper.next()
    shown = stepper._first.disabled
    stepper._first.click()

    assert (False, 1, True) == (shown, stepper.path, stepper._first.disabled)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ValueError])
def test_what_ends_a_change_of_many_controls_leaves_the_lab_awake(ending):
    lab = Lab()

    with pytest.raises(ending), lab.quietly():
        raise ending

    assert not lab.quiet


@pytest.mark.parametrize("shown", SHOWS)
def test_every_view_of_the_flow_is_well_formed(digits, fan, shown):
    for runs in (digits, [digits, fan], {"a": digits, "b": fan}):
        flow = GradientFlow(runs)

        drawn(render(flow.rows, tuple(flow.runs), shown, alone=True))
        drawn(table(flow.rows, tuple(flow.runs)))


def test_the_flow_shrinks_to_two_thirds_and_then_scrolls(digits):
    flow = GradientFlow(digits)
    alone = render(flow.rows, tuple(flow.runs), SHOWS[0], alone=True)

    assert 'style="min-width:' in render(flow.rows, tuple(flow.runs), SHOWS[0])
    assert "min-width" not in alone.partition("<style>")[0]


@pytest.mark.parametrize(
    "lab", ["BatchNormLab", "DescentLab", "PlaygroundLab", "PrecisionLab", "ReplicaLab"]
)
def test_every_row_of_words_to_choose_from_has_a_name(lab):
    def rows(widget):
        if isinstance(widget, ipywidgets.ToggleButtons):
            yield widget
        for child in getattr(widget, "children", ()):
            yield from rows(child)

    found = list(rows(getattr(bp.widgets, lab)()))

    assert found
    assert all(row.tooltip for row in found)


def test_zero_has_its_own_lane():
    x = bp.tensor(np.ones(3), requires_grad=True)
    with bp.record() as run:
        y = np.sin(x) * 0.0
        y.sum().backward()

    picture = GradientFlow(run).picture()

    assert "0" in texts(picture)
    assert "gradients: 0" in flow_titles(picture)


def test_nan_is_drawn_beside_the_scale_not_hidden():
    x = bp.tensor(-1.0, requires_grad=True)
    with np.errstate(invalid="ignore"), bp.record() as run:
        y = np.log(x)
        y.backward()

    assert "values: nan" in flow_titles(GradientFlow(run).picture())


def flow_titles(picture):
    return [e.text for e in drawn(picture).iter() if e.tag.endswith("title")]


# Paths.


def test_paths_are_shown_one_product_at_a_time(fan):
    stepper = ChainRuleStepper(fan, "x")
    seen = []
    for _ in range(3):
        seen.append(stepper._words.value)
        stepper.next()

    assert r"= 1 \cdot 6 \cdot 3$ gives 18" in seen[0]
    assert "so far 18 + 18 = 36" in seen[1]
    assert "so far 18 + 18 + 0.0707 = 36.1; all together" in seen[2]
    assert 3 == stepper.path


def test_two_paths_through_one_op_take_its_two_inputs():
    x = bp.tensor(2.0, requires_grad=True)
    with bp.record() as run:
        u = x * 1.5
        y = u**u
        y.backward()

    stepper = ChainRuleStepper(run, "x", "y")

    assert {0, 1} == {way[0][1] for way in stepper.ways}


def test_no_path_is_said_in_a_sentence(fan):
    stepper = ChainRuleStepper(fan, "b", "a")

    assert (
        "No path leads from <code>b</code> to <code>a</code>." in stepper.message.value
    )


def wrong_square() -> tuple[bp.trace.Trace, bp.grade.Report]:
    w = bp.tensor(3.0, requires_grad=True, name="w")
    with bp.record() as run:
        h = bp.ops.tanh(w).named("h")
        loss = (h * 2.0).named("loss")
        loss.backward()
    return run, bp.grade.check(run, {"w": 2.0})


def test_a_broken_link_is_lit_with_a_cross_and_a_label() -> None:
    run, report = wrong_square()

    for said in (report, report["w"], [("h", "w")], bp.grade.diagnose(run, "w", 2.0)):
        picture = GraphExplorer(run, broken=said).picture()
        assert 1 == picture.count(
            'class="cross" role="img" aria-label="the broken link"'
        )
    assert ("h", "w") == report["w"].where


def test_nothing_is_lit_where_nothing_is_broken() -> None:
    run, _ = wrong_square()
    right = bp.grade.check(run, {"w": run["w"].grad})

    for said in ((), right, [("h", "nobody")]):
        assert 'class="cross"' not in GraphExplorer(run, broken=said).picture()
