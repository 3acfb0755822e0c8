"""A learner's engine is run on graphs that break it, and told which bug it has."""

import json
import sys
import time

import notebook_copies as copies
import numpy as np
import pytest

import backproplab as bp
from backproplab.exercises import engine
from backproplab.exercises.engine_code import reference

SLIPS = [
    pytest.param(task, slip, id=f"{task.id}-{slip.label}-{k}")
    for task in engine.TASKS.values()
    for k, slip in enumerate(task.slips)
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPROPLAB_DIR", str(tmp_path))
    return tmp_path


def run(code):
    """Run a learner's cell, above which the right parts stand."""
    space = dict(reference())
    exec(compile(code, "cell", "exec"), space)
    return space["answer"]


@pytest.mark.parametrize("task", engine.TASKS.values(), ids=lambda t: t.id)
def test_the_right_code_is_right(task):
    answer = run(task.answer_code)

    assert "correct" == task.check(answer, strict=True).label
    assert answer is task.carry_on(answer)


@pytest.mark.parametrize(("task", "slip"), SLIPS)
def test_a_classic_bug_is_told_by_its_name(task, slip):
    answer = run(slip.code)

    verdict = task.check(answer)

    assert slip.label == verdict.label
    assert verdict.says
    assert slip.where == verdict.name
    assert task.carry_on(answer) is not answer


# What is said of the classics, on engines that are written in another way.

SCALAR = '''
class answer:
    """As micrograd has it: += into a number, a set, a recursion."""

    def __init__(self, data, parents=(), rules=()):
        self.data = np.asarray(data, float)
        self.parents, self.rules = parents, rules
        self.grad = np.zeros_like(self.data)

    def __add__(self, o):
        return answer(self.data + o.data, (self, o), (lambda g: g, lambda g: g))

    def __sub__(self, o):
        return answer(self.data - o.data, (self, o), (lambda g: g, lambda g: -g))

    def __mul__(self, o):
        rules = (lambda g: g * o.data, lambda g: g * self.data)
        return answer(self.data * o.data, (self, o), rules)

    def __matmul__(self, o):
        rules = (lambda g: g @ o.data.T, lambda g: self.data.T @ g)
        return answer(self.data @ o.data, (self, o), rules)

    def tanh(self):
        y = np.tanh(self.data)
        return answer(y, (self,), (lambda g: g * (1 - y * y),))

    def sum(self):
        shape = self.data.shape
        return answer(self.data.sum(), (self,), (lambda g: np.full(shape, g),))

    def backward(self):
        WALK
'''
ITERATIVE = """seen, order, todo = set(), [], [(self, False)]
        while todo:
            v, done = todo.pop()
            if done:
                order.append(v)
            elif id(v) not in seen:
                seen.add(id(v))
                todo.append((v, True))
                todo.extend((p, False) for p in v.parents)
        for v in order:
            v.grad = np.zeros_like(v.data)
        self.grad = np.ones_like(self.data)
        for v in reversed(order):
            for p, rule in zip(v.parents, v.rules):
                part = rule(v.grad)
                while part.ndim > p.data.ndim:
                    part = part.sum(0)
                for i, n in enumerate(p.data.shape):
                    if n == 1:
                        part = part.sum(i, keepdims=True)
                p.grad = p.grad + part"""
RECURSIVE = """order, seen = [], set()

        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for p in v.parents:
                    visit(p)
                order.append(v)

        visit(self)
        for v in order:
            v.grad = np.zeros_like(v.data)
        self.grad = np.ones_like(self.data)
        for v in reversed(order):
            for p, rule in zip(v.parents, v.rules):
                p.grad = p.grad + rule(v.grad)"""
BY_PATHS = """def send(v, g):
            v.grad = v.grad + g
            for p, rule in zip(v.parents, v.rules):
                send(p, rule(g))

        def reset(v):
            v.grad = np.zeros_like(v.data)
            for p in v.parents:
                reset(p)

        reset(self)
        send(self, np.ones_like(self.data))"""
NO_ORDER = ITERATIVE.replace("reversed(order)", "walk").replace(
    "for v in order:",
    "walk = [self]\n        for v in walk:\n"
    "            walk.extend(p for p in v.parents if p not in walk)\n"
    "        for v in order:",
    1,
)


def whole(walk, **changes):
    code = SCALAR.replace("WALK", walk)
    for old, new in changes.values():
        assert old in code
        code = code.replace(old, new)
    return run(code)


ENGINES = {
    "right": ({}, ITERATIVE, "correct", ""),
    "paths of a deep chain": ({}, BY_PATHS, "recursion", "3,000"),
    "a recursion for the order": ({}, RECURSIVE, "recursion", "a list of what is left"),
    "no order": ({}, NO_ORDER, "order", "before all that used it"),
    "one array for all zeros": (
        {
            "zero": ("np.zeros_like(v.data)", "ZERO.setdefault(v.data.shape, "
                     "np.zeros(v.data.shape))"),
            "add": ("p.grad = p.grad + part", "p.grad += part"),
            "store": ("class answer:", "ZERO = {}\nclass answer:"),
        },
        ITERATIVE,
        "aliased",
        "one array",
    ),
    "overwritten": (
        {"add": ("p.grad + part", "part")},
        ITERATIVE,
        "overwritten",
        "three arrows",
    ),
    "minus": (
        {"rule": ("lambda g: -g)", "lambda g: g)")},
        ITERATIVE,
        "sign",
        "What `x - y` sends to operand 2 has the wrong sign.",
    ),
    "not zeroed": (
        {"zero": ("v.grad = np.zeros_like(v.data)", "pass")},
        ITERATIVE,
        "carried-over",
        "Set them to zero",
    ),
    "not summed": (
        {"sum": ("part.ndim > p.data.ndim", "False")},
        ITERATIVE,
        "no-batch-sum",
        "x (4, 3) and y (3,)",
    ),
    "a loop without an end": (
        {"pop": ("todo.pop()", "todo[-1]")},
        ITERATIVE,
        "endless",
        "stopped after 300,000 lines",
    ),
    "an error": (
        {"typo": ("p.grad + part", "p.grad + parts")},
        ITERATIVE,
        "error",
        "NameError: name 'parts' is not defined. Line ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENGINES)
def test_any_engine_is_judged_by_what_it_does(name):
    changes, walk, label, says = ENGINES[name]
    answer = whole(walk, **changes)

    start = time.perf_counter()
    verdict = engine.check(answer)

    assert (label, says in verdict.says) == (verdict.label, True)
    assert "Traceback" not in verdict.says
    assert time.perf_counter() - start < 5


def test_paths_are_counted_where_the_stack_is_deep_enough(monkeypatch):
    monkeypatch.setattr("backproplab.exercises.engine_graphs.DEEP", 10)

    verdict = engine.check(whole(BY_PATHS))

    assert "exponential" == verdict.label
    assert "2^40 paths" in verdict.says


def test_leaves_may_add_over_passes_as_in_pytorch():
    walk = ITERATIVE.replace(
        "v.grad = np.zeros_like(v.data)",
        "v.grad = np.zeros_like(v.data) if v.parents else v.grad",
    )

    assert engine.check(whole(walk)).ok


def test_a_line_of_a_cell_is_shown_where_it_is_known(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def order(end):\n    return end.parent\n")
    space = {}
    exec(compile(file.read_text(), str(file), "exec"), space)

    verdict = engine.check(space["order"], "order")

    assert (
        "`order(end)`: AttributeError: 'Value' object has no attribute 'parent'. "
        "Line 2 of `order`: `return end.parent`." == verdict.says
    )


STRANGE = [3, "Tape", np.ones(3), run, len, int, dict, object, type, [], lambda *a: a]


@pytest.mark.parametrize("part", ["forward", "order", "backward", "tape"])
def test_nothing_that_is_handed_in_raises(part):
    for answer in STRANGE:
        verdict = engine.check(answer, part)
        assert not verdict.ok
        assert verdict.says


def test_an_endless_loop_that_catches_all_exceptions_is_stopped():
    def order(end):
        while True:
            try:
                end = [end][0]
            except Exception:
                continue

    assert "endless" == engine.check(order, "order").label


def test_dots_are_not_attempted_and_leave_no_attempt(folder):
    q = bp.exercises.get("engine.order")

    assert "not-attempted" == q.check(...).label
    assert [] == list(folder.iterdir())
    assert reference()["order"] is q.carry_on(...)


def test_an_attempt_is_noted_and_a_mere_check_is_not(folder):
    answer = run(engine.TASKS["engine.order"].slips[0].code)

    engine.check(answer, "order")
    assert [] == list(folder.iterdir())
    bp.exercises.get("engine.order").check(answer)

    kept = json.loads((folder / "progress.json").read_text())
    assert "recursion" == kept["problems"]["engine.order"][0]["label"]
    assert "engine.order" in str(bp.exercises.progress())


def test_strict_raises_and_hints_have_three_rungs():
    q = bp.exercises.get("engine.backward")

    with pytest.raises(bp.grade.GradeError) as error:
        q.check(3, strict=True)

    assert (
        "engine.backward: ✗ backward: wrong. A function is asked, this is int: hand in "
        "its name, without calling it.\n  help: q.hint() says where to look."
        == str(error.value)
    )
    assert ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3"] == [
        repr(q.hint(k))[:11] for k in (1, 2, 3)
    ]
    assert "def backward(end):" in repr(q.solution())


def test_there_is_no_card_for_code():
    with pytest.raises(TypeError) as error:
        bp.widgets.ExerciseCard("engine.tape")

    assert (
        "engine.tape: a class is asked, and a card takes formulas.\n"
        "  help: write it in a cell, and hand it to `q.check(answer)`."
        == str(error.value)
    )


def test_an_unknown_part_or_task_is_told_with_near_ones():
    with pytest.raises(bp.errors.NameLookupError) as error:
        engine.check(..., "oder")
    with pytest.raises(bp.errors.NameLookupError, match=r"did you mean engine\.tape"):
        bp.exercises.get("engine.tap")

    assert "engine.check: there is no part 'oder'.\n  help: did you mean order?" == str(
        error.value
    )


def test_a_debugger_that_listens_still_listens_after_a_check():
    def listens(*_):
        return None

    before = sys.gettrace()
    sys.settrace(listens)
    try:
        engine.check(reference()["Tape"])
        found = sys.gettrace()
    finally:
        sys.settrace(before)

    assert listens is found


def test_the_notebook_gives_the_node_that_the_answers_rest_on():
    cells = copies.code_cells(copies.shipped("08_build_an_engine"))
    source = "".join(next(c for c in cells if c["id"] == "node")["source"])
    space, ours = {}, reference()["Node"]
    exec(source, space)

    for node in (space["Node"], ours):
        z = node([1.0, 2.0]) + node([3.0, 4.0])
        assert [4.0, 6.0] == z.data.tolist()
        assert [5.0, 5.0] == [rule(5.0) for rule in z.rules]
        assert z.grad is None


def test_the_notebook_runs_without_pytorch_and_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "jax", None)
    cells = copies.code_cells(copies.shipped("08_build_an_engine"))

    shown = dict(copies.run(cells))

    assert "missing: pip install jax" == shown["side-function"]["jax"]
    assert "missing: pip install torch" == shown["side"]["torch"].says


def test_a_cost_is_counted_that_the_notebook_tells():
    for depth in (1, 2, 8, 32):
        with bp.record() as run:
            h = np.ones((4, 4))
            for _ in range(depth):
                h = np.tanh(h @ bp.tensor(np.eye(4), requires_grad=True))
            h.backward(np.ones((4, 4)))
        products = {r.id for r in run if r.op == "matmul"}
        back = sum(len(s.sends) for s in run.backward_steps() if s.id in products)

        assert 3 * depth - 1 == depth + back
