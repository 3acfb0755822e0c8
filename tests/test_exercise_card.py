import dataclasses
import re

import ipywidgets
import pytest

import backproplab as bp
from backproplab.widgets import ExerciseCard
from backproplab.widgets.markdown import html


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    monkeypatch.setenv("BACKPROPLAB_DIR", str(folder))
    return folder


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def shown(card):
    kinds = (ipywidgets.HTML, ipywidgets.HTMLMath)
    return "".join(w.value for w in everything(card) if isinstance(w, kinds))


def enter(card, **formulas):
    for name, text in formulas.items():
        card.fields[name].value = text


def test_a_card_takes_an_id_a_problem_or_an_exercise():
    q = bp.exercises.get("chain.tanh", seed=3)

    cards = [ExerciseCard("chain.tanh"), ExerciseCard(q.problem), ExerciseCard(q)]

    assert [0, 0, 3] == [c.exercise.seed for c in cards]
    assert ["<ExerciseCard: chain.tanh, 1 formula, not checked>"] * 3 == list(
        map(repr, cards)
    )
    with pytest.raises(bp.errors.NameLookupError, match=r"did you mean chain\.tanh"):
        ExerciseCard("chain.tan")


def test_a_card_of_a_problem_without_hints_says_so(folder):
    problem = dataclasses.replace(bp.exercises.get("chain.tanh").problem, hints=())
    card = ExerciseCard(problem)

    card.hint()

    assert "There is no hint for this one." in shown(card)


@pytest.mark.parametrize("typed", ['"dy"', "[1]", '{"x": 3}', "{}", "null"])
def test_a_strange_answer_in_the_progress_file_breaks_no_card(folder, typed):
    bp.exercises.get("chain.tanh").check("dy")
    path = folder / "progress.json"
    text = path.read_text("utf-8")
    found = re.sub(r'"typed": \{.*?\}', f'"typed": {typed}', text, flags=re.DOTALL)
    path.write_text(found, "utf-8")

    card = ExerciseCard("chain.tanh")

    assert card.fields["x"].value in ("", "3")


def test_what_was_understood_appears_while_one_types():
    card = ExerciseCard("chain.fan_out")

    enter(card, h="dy * cos(h)", w="dh * x")

    assert r"\frac{\partial L}{\partial h} = \frac{\partial L}{\partial y}" in shown(
        card
    )
    assert r"\frac{\partial L}{\partial w} = \frac{\partial L}{\partial h}\,x" in shown(
        card
    )
    assert "shape (6,)" in shown(card)


def test_what_cannot_be_read_is_shown_with_a_caret():
    card = ExerciseCard("chain.tanh")

    enter(card, x="dy * (1 - <b>")

    assert "&lt;b&gt;" in shown(card)
    assert "<b>" not in shown(card)
    assert card.type_check()["x"].endswith("\n  dy * (1 - <b>\n            ^")
    assert "wrong" == card.check().label


def test_a_right_answer_is_said_with_sign_label_and_live_region():
    card = ExerciseCard("chain.tanh")
    enter(card, x="dy * (1 - y**2)")

    verdict = card.check()

    assert verdict.ok
    assert "<ExerciseCard: chain.tanh, 1 formula, correct>" == repr(card)
    region = next(
        w.value for w in everything(card) if "aria-live" in getattr(w, "value", "")
    )
    assert re.search(r'aria-live="polite".*bpl-verdict good.*✓.*correct', region)


def test_a_change_takes_the_verdict_away():
    card = ExerciseCard("chain.tanh")
    enter(card, x="dy")
    card.check()
    assert "✗" in shown(card)

    enter(card, x="dy * 2")

    assert card.verdict is None
    assert "✗" not in shown(card)


def test_enter_in_a_field_checks():
    card = ExerciseCard("chain.tanh")
    enter(card, x="dy")

    card.fields["x"]._handle_custom_msg({"event": "submit"}, [])

    assert card.verdict.label in {"wrong", "local-factor-missing"}


def test_the_solution_needs_a_try_or_a_second_press():
    card = ExerciseCard("chain.tanh")
    button = card.buttons["solution"]

    button.click()
    assert "Try it first" in shown(card)
    assert "1 - y**2" not in shown(card)
    assert "Show it anyway" == button.description
    button.click()
    assert "dx = dy * (1 - y**2)" in shown(card)

    tried = ExerciseCard("chain.sigmoid")
    enter(tried, x="dy")
    tried.check()
    tried.buttons["solution"].click()
    assert "dx = dy * y * (1 - y)" in shown(tried)


def test_hints_go_up_the_ladder_and_begin_again():
    card = ExerciseCard("chain.tanh")
    seen = []

    for _ in range(4):
        card.buttons["hint"].click()
        seen += re.findall(r"Hint \d of 3", shown(card))

    assert ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 1 of 3"] == seen
    assert "Hint 2" == card.buttons["hint"].description


def test_formulas_come_back_after_a_restart():
    card = ExerciseCard("chain.fan_out")
    enter(card, h="dy * cos(h)", w="dh * x")
    card.check()

    again = ExerciseCard("chain.fan_out")

    assert {"h": "dy * cos(h)", "w": "dh * x"} == {
        n: f.value for n, f in again.fields.items()
    }


def test_progress_that_cannot_be_kept_is_said_on_the_card(folder):
    folder.write_text("a file where the folder should be")
    card = ExerciseCard("chain.tanh")
    enter(card, x="dy * (1 - y**2)")

    assert card.check().ok
    assert "Your progress is not kept" in shown(card)


def test_a_crash_is_shown_and_raised(monkeypatch):
    card = ExerciseCard("chain.tanh")
    monkeypatch.setattr(card.exercise, "check", lambda answer: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        card.check()

    assert "ZeroDivisionError" in card.message.value


def test_no_widget_that_flickers_is_used():
    kinds = {type(w).__name__ for w in everything(ExerciseCard("chain.fan_out"))}

    allowed = {"ExerciseCard", "HTML", "HTMLMath", "Text", "HBox", "Button", "Keys"}
    assert kinds <= allowed


def test_a_page_without_a_kernel_shows_the_task():
    bundle = ExerciseCard("chain.tanh")._repr_mimebundle_()

    assert "<ExerciseCard: chain.tanh, 1 formula, not checked>" == bundle["text/plain"]
    assert "<pre>y = np.tanh(x)</pre>" in bundle["text/html"]
    assert "Run the notebook to answer here." in bundle["text/html"]


def test_markdown_leaves_tex_and_code_alone():
    text = "A **bold** $a_*b_*$ and `x**2 * y**2`, *so* 2 < 3."

    assert (
        "<p>A <strong>bold</strong> $a_*b_*$ and <code>x**2 * y**2</code>, "
        "<em>so</em> 2 &lt; 3.</p>"
    ) == html(text)


def test_a_wrong_formula_shows_the_graph_with_the_broken_link_lit():
    card = bp.widgets.ExerciseCard("chain.tanh")
    (field,) = card.fields.values()

    field.value = "dy"
    card.check()

    assert "local-factor-missing" == card.verdict.label
    assert 1 == card._said.value.count('aria-label="the broken link"')

    field.value = "dy * (1 - y**2)"
    card.check()

    assert card.verdict.ok
    assert "the broken link" not in card._said.value
