"""Diagnosis, scored on wrong derivations that were written down by hand."""

from dataclasses import dataclass, field
from statistics import median
from time import process_time

import diagnosis_cases
import numpy as np
import pytest
import unseen_cases
from diagnosis_cases import Values, recorded

import backproplab as bp
from backproplab import formats
from backproplab.grade import LABELS, GradeError, diagnose

SETS = {"seen": diagnosis_cases, "unseen": unseen_cases}
GRAPHS = diagnosis_cases.GRAPHS | unseen_cases.GRAPHS


# The score.


@dataclass
class Score:
    """How many cases came out under their label, and where."""

    cases: int = 0
    labels: int = 0
    places: int = 0
    times: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    def __str__(self):
        return (
            f"{self.labels} of {self.cases} labels, {self.places} places; "
            f"median {1e3 * median(self.times):.0f} ms, "
            f"most {1e3 * max(self.times):.0f} ms"
        )


def score(module, number):
    """Diagnose the cases with ``number`` slips, each on numbers of its own."""
    total = Score()
    for at, case in enumerate(module.CASES):
        if len(case.slips) == number:
            run = recorded(case.graph, case.dtype, at, module.GRAPHS)
            answer = case.answer(Values(run))
            start = process_time()
            found = diagnose(run, case.asked, answer)
            total.times.append(process_time() - start)
            told = [found] if found.second is None else [found, found.second]
            labels = right(case, told, lambda d, slip: d.label in slip[0])
            places = right(
                case, told, lambda d, slip: d.label in slip[0] and d.where in slip[1]
            )
            total.cases += 1
            total.labels += labels
            total.places += places
            if not places:
                said = "; ".join(f"{d.label} at {d.where}" for d in told)
                total.misses.append(f"{'place' if labels else 'LABEL'} {case}: {said}")
    return total


def right(case, told, fits):
    """Whether what was told covers the slips, in either order."""
    return len(told) == len(case.slips) and any(
        all(fits(d, slip) for d, slip in zip(order, case.slips, strict=True))
        for order in (told, told[::-1])
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("number", "wanted"), [(1, 0.95), (2, 0.85)])
def test_slips_come_out_under_their_label(name, number, wanted, capsys):
    found = score(SETS[name], number)

    with capsys.disabled():
        print(f"\n  {number} broken, {name} graphs: {found}")
    assert found.labels >= wanted * found.cases, "\n".join(found.misses)
    assert found.places >= (wanted - 0.1) * found.cases, "\n".join(found.misses)


def test_the_set_is_large_and_every_label_is_in_it():
    cases = diagnosis_cases.CASES + unseen_cases.CASES
    labels = set().union(*(labels for c in cases for labels, _ in c.slips))

    assert len(GRAPHS) >= 12
    assert sum(len(c.slips) == 1 for c in cases) >= 100
    assert sum(len(c.slips) == 2 for c in cases) >= 40
    plain = {"correct", "rounding", "shape", "not-finite", "not-attempted"}
    assert set(LABELS) - plain - {"unexplained", "wrong"} == labels


def test_the_score_counts_a_wrong_label():
    case = diagnosis_cases.CASES[0]
    told = [bp.grade.Diagnosis("sign", ("z", "w"), "No.")]

    assert not right(case, told, lambda d, slip: d.label in slip[0])


# What is right stays right, and what is not to be explained is not explained.


@pytest.mark.parametrize("graph", GRAPHS)
def test_random_arrays_are_unexplained(graph):
    labels = []
    for seed, dtype in enumerate(("float64", "float32")):
        run = recorded(graph, dtype, seed, GRAPHS)
        rng = np.random.default_rng(seed)
        for r in run.records[seed::2]:
            if r.grad is not None and r.requires_grad:
                answer = rng.normal(size=r.shape).astype(dtype)
                labels.append((r.name, diagnose(run, r.name, answer, seconds=1).label))

    assert [n for n in labels if n[1] != "unexplained"] == []


ROUTES = {
    "tanh_net.w1": lambda v: np.einsum("nd,nk->dk", v.x, v.dh / np.cosh(v.z1) ** 2),
    "tanh_net.b1": lambda v: np.ones(5) @ v.dz1,
    "softmax_by_hand.logits": lambda v: -v.dloss * (
        diagnosis_cases.onehot(v) - v.probs
    ) / 6,
    "batch_norm_by_hand.x": lambda v: v.var_inv * v.gamma / 6 * (
        6 * v.dy - v.dy.sum(0) - 6 / 5 * v.raw * (v.dy * v.raw).sum(0)
    ),
    "attention_by_hand.s": lambda v: v.p * v.dp - v.p * (v.p * v.dp).sum(1)[:, None],
    "rnn.wh": lambda v: sum(
        h.T @ dz for h, dz in ((v.h0, v.dz1), (v.h1, v.dz2), (v.h2, v.dz3))
    ),
    "cross_entropy_fused.scores": lambda v: v.dloss / 5 * (
        np.exp(v.scores) / np.exp(v.scores).sum(1)[:, None] - unseen_cases._one(v)
    ),
    "gate.n": lambda v: v.dy - v.dy * v.z,
    "own_op.s": lambda v: v.dg / (1 + np.abs(v.s)) ** 2,
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_another_route_to_the_right_answer_is_right(route):
    graph, name = route.split(".")
    for seed in range(5):
        run = recorded(graph, "float64", seed, GRAPHS)

        assert diagnose(run, name, ROUTES[route](Values(run))).label == "correct"


@pytest.mark.parametrize("format", ["float32", "float16", "bfloat16"])
def test_a_rounded_answer_is_a_rounding(format):
    run = recorded("tanh_net")
    answer = formats.quantize(run["w1"].grad, format)

    assert diagnose(run, "w1", answer).label == "rounding"


def test_finite_differences_are_not_taken_for_a_slip():
    run = recorded("tanh_net")
    rng = np.random.default_rng(0)
    near = run["w1"].grad * (1 + 1e-6 * rng.normal(size=(4, 3)))
    found = diagnose(run, "w1", near)

    assert found.label == "unexplained"
    assert "finite differences" in found.says


def test_a_value_handed_in_for_a_gradient_is_named():
    run = recorded("tanh_net")
    found = diagnose(run, "h", run["h"].value)

    assert ("wrong-node", "h") == (found.label, found.where)


def test_a_number_that_is_no_plain_multiple_needs_two_telling_breaks():
    run = recorded("rms_softmax", graphs=GRAPHS)
    truth = run["w"].grad
    vague, told = diagnose(run, "w", 0.3717 * truth), diagnose(run, "w", 0.14 * truth)

    assert ("constant-factor", None) == (vague.label, vague.second)
    assert {"local-factor-missing", "mean-not-sum"} == {told.label, told.second.label}


def test_zeros_are_not_a_guess_where_paths_meet():
    run = recorded("fan_out")
    found = diagnose(run, "p", np.zeros((4, 3)))

    assert found.label in ("path-missing", "unexplained")
    assert "0" not in found.says


def test_a_dead_gradient_is_right_as_zeros():
    x = bp.tensor([-1.0, -2.0], requires_grad=True)
    with bp.record() as run:
        bp.relu(x).sum().backward()

    assert diagnose(run, "x", np.zeros(2)).label == "correct"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_single_number_is_explained_by_plain_factors_only(dtype):
    run = recorded("chain", dtype)
    truth = run["b"].grad
    labels = [diagnose(run, "b", c * truth).label for c in (2, -1, 0.7318)]

    assert ["constant-factor", "sign", "unexplained"] == labels


def test_given_gradients_are_where_the_learner_starts():
    run = recorded("tanh_net")
    own = np.random.default_rng(0).normal(size=(5, 3))
    v = Values(run)
    answer = v.x.T @ own  # from the learner's own dh, without the factor of tanh

    assert diagnose(run, "w1", answer).label == "unexplained"
    found = diagnose(run, "w1", answer, given={"h": own})
    assert ("local-factor-missing", ("h", "z1")) == (found.label, found.where)
    right = v.x.T @ (own * (1 - v.h**2))
    assert diagnose(run, "w1", right, given={"h": own}).label == "correct"


def test_a_shape_and_a_rule_may_both_be_wrong():
    run = recorded("tanh_net")
    found = diagnose(run, "b1", run["h"].grad)

    assert "no-batch-sum" == found.label
    assert ("local-factor-missing", ("h", "z1")) == (
        found.second.label,
        found.second.where,
    )


# What is said.


def test_the_sentences_name_the_place_in_the_learners_words():
    run = recorded("tanh_net")
    v = Values(run)
    found = diagnose(run, "w1", v.x.T @ v.dh)

    assert (
        "Look at the link from h back to z1. The gradient that comes into h is passed "
        "on to z1 without the factor dh/dz1."
    ) == found.says


def test_a_nameless_step_is_said_to_be_inside_a_named_one():
    run = recorded("rnn")
    v = Values(run)
    found = diagnose(run, "wh", v.h2.T @ v.dz3 + v.h0.T @ v.dz1)

    assert (
        "Look at the link from matmul_4 (inside z2) back to wh. wh is used in 3 "
        "places, and what comes back from matmul_4 is left out."
    ) == found.says


def test_two_breaks_are_both_told_and_the_second_is_at_hand():
    run = recorded("tanh_net")
    v = Values(run)
    found = diagnose(run, "b1", (v.dh * (1 - v.h)).mean(0))

    assert "mean-not-sum" in (found.label, found.second.label)
    assert found.says.startswith("Two links are broken. Look at the link from h back")
    assert found.second is found.alternatives[0]


def test_hints_lead_from_the_place_to_the_rule_to_a_skeleton():
    run = recorded("chain")
    found = diagnose(run, "z", 2 * run["z"].grad)

    assert "Look at the link from a back to z." == found.hint()
    assert found.hint(2).startswith("A constant number is wrong")
    assert "`dz = ... da ...`" in found.hint(3)
    assert found.hint(3) == found.hint(9)


def test_forms_for_notebooks_escape_what_they_say():
    found = bp.grade.Diagnosis("sign", "a<b", "a<b")

    assert "✗ sign. a<b" == str(found)
    assert "✗ **sign**. a<b" == found._repr_markdown_()
    assert "a&lt;b" in found._repr_html_()
    assert 'role="status"' in found._repr_html_()


def test_no_sentence_holds_the_right_numbers():
    for at, case in enumerate(diagnosis_cases.CASES):
        run = recorded(case.graph, case.dtype, at)
        found = diagnose(run, case.asked, case.answer(Values(run)))
        numbers = {f"{abs(v):.3g}" for v in np.ravel(run[case.asked].grad)}
        numbers = {n for n in numbers if len(n) > 3}

        for d in (found, *found.alternatives):
            assert d.says
            assert not any(n in d.says for n in numbers)


# Bad input.


class Fights:
    def __array__(self, *_args, **_kwargs):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError

    def __repr__(self):
        raise RuntimeError


ANYTHING = [
    None, ..., "x", b"x", "9**9**9" * 10**5, [1, [2]], {}, set(), object(), Fights(),
    Fights, lambda: 1, 1j, True, 3, 10**400, [[None] * 3] * 4, np.array(None), range(5),
    np.zeros((3000, 3000)), np.ones(10**7), np.full((4, 3), np.nan), np.zeros((0, 3)),
    np.full((4, 3), -np.inf), np.full((4, 3), 1e308), np.full((4, 3), 5e-324),
    np.zeros((4, 3)), np.ones((4, 3), np.float16), np.ones((1,) * 20), np.zeros(()),
    np.full((5, 4, 3), 1e300), np.ones((4, 3), ">f8"), np.ma.masked_all((4, 3)),
]  # fmt: skip


def test_any_object_is_answered_at_once():
    run = recorded("tanh_net")
    run.records, Values(run).x  # the run is read once, before the clock starts
    diagnose(run, "w1", 1.0)
    for anything in ANYTHING:
        start = process_time()
        found = diagnose(run, "w1", anything)

        assert process_time() - start < 0.5  # 0.1 on a machine that is not busy
        assert found.label in LABELS
        assert not found.ok
        assert found.says


@pytest.mark.parametrize("name", ["nope", None, (), [], 2.5, -1])
def test_any_name_is_answered(name):
    found = diagnose(recorded("chain"), name, 1.0)

    assert found.label in LABELS
    assert found.says


def test_any_given_value_is_passed_over_where_it_does_not_fit():
    run = recorded("tanh_net")
    given = {"h": "x", "zzz": 1, "y": np.ones(3), "d": np.full((5, 3), np.nan), 3: 2}

    assert diagnose(run, "w1", run["w1"].grad, given=given).label == "correct"


def test_a_run_without_backward_says_what_is_missing():
    x = bp.tensor([1.0], requires_grad=True)
    with bp.record() as run:
        x * 2.0
    found = diagnose(run, "x", 1.0)

    assert (
        "not-attempted",
        "No gradient came to x in this run; "
        "call loss.backward() inside the with block.",
    ) == (found.label, found.says)


def test_strict_raises_for_tests():
    run = recorded("chain")
    diagnose(run, "w", run["w"].grad, strict=True)

    with pytest.raises(GradeError, match="sign"):
        diagnose(run, "w", -run["w"].grad, strict=True)


def test_a_net_of_forty_nodes_is_diagnosed_in_time():
    rng = np.random.default_rng(0)
    x = h = bp.tensor(rng.normal(size=(8, 6)), requires_grad=True)
    with bp.record() as run:
        for _ in range(8):
            w = bp.tensor(0.4 * rng.normal(size=(6, 6)), requires_grad=True)
            h = h + np.tanh(h @ w) * 0.5
        h.backward(rng.normal(size=(8, 6)))
    times = []
    for answer in (-run["x"].grad, run["h"].grad * 2, rng.normal(size=(8, 6))):
        start = process_time()
        diagnose(run, "x", answer, seconds=1.0)
        times.append(process_time() - start)

    assert len(run) >= 40
    assert median(times) < 0.6  # 0.15 on a machine that is not busy
    assert max(times) < 2.0
    assert x.grad is not None


if __name__ == "__main__":
    import sys

    for name, module in SETS.items():
        for number in (1, 2):
            found = score(module, number)
            print(f"{number} broken, {name} graphs: {found}")
            if name in sys.argv[1:]:
                print("\n".join(found.misses))


def test_of_two_nodes_with_one_gradient_the_named_one_is_told():
    rng = np.random.default_rng(0)
    x = bp.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    b = bp.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    with bp.record() as run:
        h = np.tanh(np.sin(np.tanh(x * 2.0)))
        y = np.sin(h * 0.5 + b)  # h * 0.5 and b have the same gradient
        y.backward(rng.normal(size=(4, 3)))

    said = bp.grade.diagnose(run, "x", run["b"].grad)

    assert ("wrong-node", "b") == (said.label, said.where)


# What outside checks found.


def leaf(*shape, name, seed=0):
    data = np.random.default_rng([seed, *shape]).normal(size=shape)
    return bp.tensor(data, requires_grad=True, name=name)


def normal(*shape):
    return np.random.default_rng([7, *shape]).normal(size=shape)


def told(run, name, got):
    found = diagnose(run, name, got)
    return found.label, found.where


def test_the_input_may_stand_where_a_hidden_layer_belongs():
    w, x, c = leaf(3, 3, name="w"), normal(4, 3), normal(4, 3)
    with bp.record() as run:
        h = np.tanh(x @ w).named("h")
        z = (h @ w).named("z")
        (z * c).sum().backward()
    first = x.T @ ((c @ w.data.T) * (1 - h.data**2))

    assert ("wrong-operand", ("z", "w")) == told(run, "w", first + x.T @ c)


def test_the_gate_of_a_maximum_over_rows_may_be_left_out():
    x, c = leaf(5, 4, name="x"), normal(5)
    with bp.record() as run:
        m = x.max(axis=1).named("m")
        (m * c).sum().backward()

    spread = np.repeat(c[:, None], 4, axis=1)
    assert ("local-factor-missing", ("m", "x")) == told(run, "x", spread)


def test_both_factors_of_an_inverse_may_be_turned():
    a, c = leaf(3, 3, name="a"), normal(3, 3)
    with bp.record() as run:
        y = np.linalg.inv(a).named("y")
        (y * c).sum().backward()

    assert ("transposed", ("y", "a")) == told(run, "a", -y.data @ c @ y.data)


def test_what_comes_through_a_transposition_may_not_be_turned_back():
    x, c, d = leaf(4, 4, name="x"), normal(4, 4), normal(4, 4)[::-1]
    with bp.record() as run:
        y = x.T.named("y")
        (np.sin(x) * c + y * d).sum().backward()

    assert ("transposed", ("y", "x")) == told(run, "x", c * np.cos(x.data) + d)


def test_cross_entropys_normaliser_may_be_held_constant():
    x, labels = leaf(6, 4, name="x"), np.array([0, 1, 2, 3, 0, 1])
    with bp.record() as run:
        loss = bp.cross_entropy(x, labels).named("loss")
        loss.backward()

    target = np.eye(4)[labels]
    assert ("statistics-constant", ("loss", "x")) == told(run, "x", -target / 6)


def test_a_sum_forgotten_further_up_is_placed_there():
    b, x, c = leaf(3, name="b"), normal(5, 3), normal(5, 3)
    with bp.record() as run:
        s = (b * b).named("s")
        ((x + s) * c).sum().backward()

    assert ("no-batch-sum", "s") == told(run, "b", 2 * b.data * c)
    assert ("no-batch-sum", "s") == told(run, "s", c)


@pytest.mark.parametrize("loss", ["mse", "written out"])
def test_the_two_of_a_square_is_no_mean_over_two_columns(loss):
    w, x, y = leaf(3, 2, name="w"), normal(8, 3), normal(8, 2)
    with bp.record() as run:
        e = (x @ w - y).named("e")
        if loss == "mse":
            bp.mse_loss(e, np.zeros_like(y)).backward()
        else:
            (e * e).mean().backward()

    assert told(run, "e", run["e"].grad / 2)[0] in ("constant-factor", "path-missing")


def test_a_mean_over_rows_counts_no_classes():
    x = leaf(6, 4, name="x")
    with bp.record() as run:
        bp.cross_entropy(x, np.array([0, 1, 2, 3, 0, 1])).named("loss").backward()
    dx = run["x"].grad

    assert ("sum-not-mean", ("loss", "x")) == told(run, "x", 6 * dx)
    assert ("mean-not-sum", ("loss", "x")) == told(run, "x", dx / 4)
    assert "constant-factor" == told(run, "x", 4 * dx)[0]
    assert "constant-factor" == told(run, "x", dx / 6)[0]


def test_a_loss_that_sums_has_no_mean_to_forget():
    x, y = leaf(5, 3, name="x"), normal(5, 3)
    with bp.record() as run:
        bp.mse_loss(x, y, reduction="sum").named("loss").backward()
    dx = run["x"].grad

    assert ("mean-not-sum", ("loss", "x")) == told(run, "x", dx / 15)
    assert "constant-factor" == told(run, "x", 5 * dx)[0]


def test_the_local_derivative_alone_is_told_where_it_stands():
    z, c = leaf(4, 3, name="z"), normal(4, 3)
    with bp.record() as run:
        h = np.tanh(z).named("h")
        (h * c).sum().backward()

    assert ("upstream-missing", ("h", "z")) == told(run, "z", 1 - h.data**2)


def test_a_related_functions_slope_may_be_taken_at_the_input():
    x, c = leaf(4, 3, name="x"), normal(4, 3)
    with bp.record() as run:
        y = bp.softplus(x).named("y")
        (y * c).sum().backward()

    s = 1 / (1 + np.exp(-x.data))
    assert ("factor-substituted", ("y", "x")) == told(run, "x", c * s * (1 - s))


def test_one_wrong_rule_in_every_layer_is_told_once():
    ws, x, c = [leaf(4, 4, name=f"w{k}", seed=k) for k in range(4)], normal(5, 4), 0
    h, hs = x, []
    with bp.record() as run:
        for k, w in enumerate(ws):
            h = np.tanh((h @ w).named(f"z{k}")).named(f"h{k}")
            hs.append(h.data)
        c = normal(5, 4)
        (h * c).sum().backward()
    g = c
    for k in (3, 2, 1, 0):
        dz = g * (1 - hs[k])
        g = dz @ ws[k].data.T

    found = diagnose(run, "w0", x.T @ dz)

    assert ("factor-substituted", ("h0", "z0")) == (found.label, found.where)
    assert (
        "Look at the link from h0 back to z0. 1 - h0 stands in place of dh0/dz0. And "
        "in the same way at the other tanh steps: h1, h2, h3."
    ) == found.says


def test_statistics_may_be_held_constant_beside_another_slip():
    x, gamma, c = leaf(6, 3, name="x"), leaf(3, name="gamma"), normal(6, 3)
    with bp.record() as run:
        mu = x.mean(axis=0)
        centred = x - mu
        variance = (centred * centred).mean(axis=0)
        s = np.sqrt(variance + 1e-5)
        normed = (centred / s).named("normed")
        y = (gamma * normed).named("y")
        (y * c).sum().backward()

    found = diagnose(run, "x", c / s.data)

    labels = {found.label, found.second.label}
    assert {"statistics-constant", "local-factor-missing"} == labels
    assert ("y", "normed") in (found.where, found.second.where)


def test_each_rows_own_gradient_of_a_weight_lacks_the_sum_over_rows():
    w, x, c = leaf(5, 4, name="w"), normal(2, 3, 5), normal(2, 3, 4)
    with bp.record() as run:
        ((x @ w).named("y") * c).sum().backward()

    each = np.einsum("bnd,bnk->bndk", x, c)
    assert ("no-batch-sum", "w") == told(run, "w", each)
    assert ("no-batch-sum", "w") == told(run, "w", each.sum(axis=1))
    assert ("no-batch-sum", "w") == told(run, "w", each.reshape(6, 5, 4))


@pytest.mark.parametrize("rows", ["weighted", "ignored"])
def test_a_mean_over_weighted_rows_divides_by_their_weights(rows):
    x, labels = leaf(6, 3, name="x"), np.array([0, 1, 2, 0, 1, 1])
    weight, total = np.array([1.0, 0.5, 3.0]), 1 + 0.5 + 3 + 1 + 0.5 + 0.5
    if rows == "ignored":
        labels[4:], weight, total = -100, None, 4
    with bp.record() as run:
        bp.cross_entropy(x, labels, weight=weight).named("loss").backward()
    dx = run["x"].grad

    found = diagnose(run, "x", total * dx)

    assert ("sum-not-mean", ("loss", "x")) == (found.label, found.where)
    assert f"A mean over {total:g} brings the factor 1/{total:g}" in found.says


@pytest.mark.parametrize("option", ["weight", "label_smoothing"])
def test_an_option_of_a_loss_may_be_left_out(option):
    given = {"weight": np.array([1.0, 0.5, 3.0]), "label_smoothing": 0.2}
    x, labels = leaf(5, 3, name="x"), np.array([0, 1, 2, 0, 1])
    with bp.record() as run:
        bp.cross_entropy(x, labels, **{option: given[option]}).named("loss").backward()
    plain = bp.grad(lambda x: bp.cross_entropy(x, labels))(x.data)

    found = diagnose(run, "x", plain)

    assert ("factor-substituted", ("loss", "x")) == (found.label, found.where)
    assert f"`{option}` is left out in the derivative of loss." in found.says


class Liar:
    """Raises when it is asked what it is."""

    __class__ = property(lambda _: 1 / 0)


def test_an_answer_that_raises_when_it_is_asked_what_it_is_gets_a_verdict():
    w = leaf(2, name="w")
    with bp.record() as run:
        (w * w).sum().backward()

    assert "unexplained" == diagnose(run, "w", Liar()).label
    assert not bp.grade.check(run, {"w": Liar()}).ok


def test_a_tensor_where_a_name_belongs_is_told_so():
    w = leaf(2, name="w")
    with bp.record() as run:
        h = (w * w).named("h")
        h.sum().backward()

    report = bp.grade.check(run, {h: np.ones(2), "w": np.zeros(2)})
    found = diagnose(run, h, np.ones(2))

    assert "not-attempted" == report["Tensor"].label
    assert (
        'Of type Tensor; a name is to be here: `{"w": ..., "h": ...}`.'
        == report["Tensor"].says
    )
    assert ("w",) == report.blamed
    assert ("not-attempted", "Tensor") == (found.label, found.where)
    assert (
        "The name is of type Tensor; the name of a value is to be here." == found.says
    )


def test_the_shape_of_a_gradient_is_explained_and_that_of_an_array_is_named():
    w = leaf(2, 3, name="w")
    with bp.record() as run:
        (w * w).sum().backward()
    plain = (
        "Your array has shape (5,); (2, 3) is asked for. The numbers are compared once "
        "the shape is right."
    )
    of_a_gradient = f"{plain} The gradient of a value has the value's own shape."

    assert plain == bp.grade.compare(np.ones(5), np.ones((2, 3))).says
    assert of_a_gradient == diagnose(run, "w", np.ones(5)).says
    assert of_a_gradient == bp.grade.check(run, {"w": np.ones(5)})["w"].says


def test_the_local_derivative_alone_is_told_of_numbers_too():
    x = bp.tensor(1.3, requires_grad=True, name="x")
    with bp.record() as run:
        h = np.tanh(x).named("h")
        ((h - 2) ** 2).backward()

    assert ("upstream-missing", ("h", "x")) == told(run, "x", 1 - h.data**2)


def test_a_factor_left_out_beside_a_sum_is_told_where_it_comes_in():
    w, c = leaf(3, 2, name="w"), normal(3, 2)
    with bp.record() as run:
        square = (w * w).named("square")
        total = square.sum().named("total")
        penalty = (0.1 * total).named("penalty")
        ((w * c).sum() + penalty).backward()

    answer = c + 2 * w.data
    assert ("local-factor-missing", ("penalty", "total")) == told(run, "w", answer)


def test_a_number_that_is_subtracted_is_no_factor():
    x = bp.tensor(1.3, requires_grad=True, name="x")
    with bp.record() as run:
        d = (x - 2).named("d")
        loss = (d**2).named("loss")
        loss.backward()

    assert ("constant-factor", ("loss", "d")) == told(run, "x", d.item())


def test_a_long_chain_of_steps_is_diagnosed_in_its_time():
    ws, x = [leaf(4, 4, name=f"w{k}", seed=k) for k in range(150)], normal(3, 4)
    with bp.record() as run:
        h = x
        for w in ws:
            h = h + np.tanh(h @ w) * 0.1
        (h * normal(3, 4)).sum().backward()

    start = process_time()
    found = diagnose(run, "w0", -run["w0"].grad, seconds=0.2)

    assert "sign" == found.label
    assert process_time() - start < 5  # it took several times as long to try all links
