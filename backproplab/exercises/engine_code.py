"""The tape that a learner writes: right answers and classic bugs, as code to be run."""

from functools import cache
from typing import Any

import numpy as np

NODE = '''
class Node:
    """A value, where it came from, and how to send a gradient there."""

    def __init__(self, data, parents=(), rules=()):
        self.data = np.asarray(data, dtype=float)
        self.parents, self.rules, self.grad = parents, rules, None

    def __add__(self, other):
        rules = (lambda g: g, lambda g: g)
        return type(self)(self.data + other.data, (self, other), rules)
'''

VALUE = """
class Value(Node):
    def __sub__(self, other):
        rules = (lambda g: g, lambda g: -g)
        return type(self)(self.data - other.data, (self, other), rules)

    def __mul__(self, other):
        rules = (lambda g: g * other.data, lambda g: g * self.data)
        return type(self)(self.data * other.data, (self, other), rules)

    def __matmul__(self, other):
        rules = (lambda g: g @ other.data.T, lambda g: self.data.T @ g)
        return type(self)(self.data @ other.data, (self, other), rules)

    def tanh(self):
        y = np.tanh(self.data)
        return type(self)(y, (self,), (lambda g: g * (1 - y**2),))

    def sum(self):
        rules = (lambda g: g * np.ones_like(self.data),)
        return type(self)(self.data.sum(), (self,), rules)

answer = Value
"""

ORDER = """
def order(end):
    waits = {}
    todo = [end]
    seen = {id(end)}
    while todo:
        value = todo.pop()
        for parent in value.parents:
            waits[id(parent)] = waits.get(id(parent), 0) + 1
            if id(parent) not in seen:
                seen.add(id(parent))
                todo.append(parent)
    found, ready = [], [end]
    while ready:
        value = ready.pop()
        found.append(value)
        for parent in value.parents:
            waits[id(parent)] -= 1
            if waits[id(parent)] == 0:
                ready.append(parent)
    return found

answer = order
"""

BACKWARD = """
def backward(end):
    visits = order(end)
    for value in visits:
        value.grad = np.zeros_like(value.data)
    end.grad = np.ones_like(end.data)
    for value in visits:
        for parent, rule in zip(value.parents, value.rules):
            parent.grad = parent.grad + rule(value.grad)

answer = backward
"""

TAPE = """
def fit(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for i, n in enumerate(shape):
        if n == 1:
            g = g.sum(axis=i, keepdims=True)
    return g

class Tape(Value):
    def backward(self):
        visits = order(self)
        for value in visits:
            value.grad = np.zeros_like(value.data)
        self.grad = np.ones_like(self.data)
        for value in visits:
            for parent, rule in zip(value.parents, value.rules):
                part = fit(rule(value.grad), parent.data.shape)
                parent.grad = parent.grad + part

answer = Tape
"""

# Bugs, each as (label, what stands there, what is written instead).
VALUE_SLIPS = (
    ("sign", "lambda g: -g)", "lambda g: g)"),
    (
        "wrong-operand",
        "(lambda g: g * other.data, lambda g: g * self.data)",
        "(lambda g: g * self.data, lambda g: g * other.data)",
    ),
    ("transposed", "self.data.T @ g)", "(self.data.T @ g).T)"),
    ("local-factor-missing", "g * (1 - y**2)", "g"),
    ("shape", "g * np.ones_like(self.data)", "g"),
    ("wrong", "self.data @ other.data,", "self.data * other.data[0, 0],"),
    ("path-missing", "(y, (self,), (lambda g: g * (1 - y**2),))", "(y)"),
)

ORDER_SLIPS = (
    (
        "recursion",
        """
def order(end):
    found, seen = [], set()
    def visit(value):
        if id(value) in seen:
            return
        seen.add(id(value))
        for parent in value.parents:
            visit(parent)
        found.append(value)
    visit(end)
    return found[::-1]
""",
    ),
    (
        "order",
        """
def order(end):
    found, seen, todo = [], {id(end)}, [end]
    while todo:
        value = todo.pop()
        found.append(value)
        for parent in value.parents:
            if id(parent) not in seen:
                seen.add(id(parent))
                todo.append(parent)
    return found
""",
    ),
    (
        "twice",
        """
def order(end):
    found, todo = [], [end]
    while todo:
        value = todo.pop(0)
        found.append(value)
        todo.extend(value.parents)
    return found
""",
    ),
    (
        "exponential",
        """
def order(end):
    found, todo = {}, [end]
    while todo:
        value = todo.pop(0)
        found.pop(id(value), None)
        found[id(value)] = value
        todo.extend(value.parents)
    return list(found.values())
""",
    ),
    ("reversed", ORDER.replace("return found", "return found[::-1]")),
    (
        "path-missing",
        """
def order(end):
    found = [end]
    while found[-1].parents:
        found.append(found[-1].parents[0])
    return found
""",
    ),
    (
        "endless",
        """
def order(end):
    found, todo = [], [end]
    while todo:
        found.append(todo[-1])
    return found
""",
    ),
)

_ZERO = "value.grad = np.zeros_like(value.data)"
_ADD = "parent.grad = parent.grad + rule(value.grad)"
BACKWARD_SLIPS = (
    ("overwritten", _ADD, "parent.grad = rule(value.grad)"),
    (
        "order",
        "visits = order(end)",
        """visits = [end]
    for value in visits:
        visits.extend(p for p in value.parents if p not in visits)""",
    ),
    (
        "aliased",
        _ADD,
        """if parent.grad.any():
                parent.grad += rule(value.grad)
            else:
                parent.grad = rule(value.grad)""",
    ),
    (
        "carried-over",
        _ZERO,
        "value.grad = np.zeros_like(value.data) if value.grad is None else value.grad",
    ),
    ("sign", "parent.grad + rule", "parent.grad - rule"),
    ("error", "order(end)", "order(end) + [1 / 0]"),
)

TAPE_SLIPS = (
    ("no-batch-sum", "fit(rule(value.grad), parent.data.shape)", "rule(value.grad)"),
    ("mean-not-sum", "g.sum(axis=0)", "g.mean(axis=0)"),
    ("shape", "g.sum(axis=i, keepdims=True)", "g.sum(axis=i)"),
    ("overwritten", "parent.grad + part", "part"),
    ("carried-over", _ZERO, _ZERO + " if value.grad is None else value.grad"),
)


def changed(code: str, old: str, new: str) -> str:
    """Put a bug into right code, where exactly one place is meant."""
    assert code.count(old) == 1, (old, code.count(old))
    return code.replace(old, new)


@cache
def reference() -> dict[str, Any]:
    """The right engine, run once: Node, Value, order, backward, fit, Tape."""
    space: dict[str, Any] = {"np": np}
    for code in (NODE, VALUE, ORDER, BACKWARD, TAPE):
        exec(compile(code, __file__, "exec"), space)
    return space
