"""What dominates: the time of each op's value and rules, replayed alone."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import backproplab as bp
from backproplab.tape import unchanged

from .measure import clocked
from .peers import OURS, prepare
from .report import duration, table
from .workloads import workload


class Replay(bp.Plug):
    """Keeps every call of a value or a rule during one step, to be made again alone."""

    def __init__(self) -> None:
        self.forward: list[tuple[str, Callable[[], Any]]] = []
        self.backward: list[tuple[str, Callable[[], Any]]] = []

    def after(self, node: Any, inputs: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Keep the value's call."""
        op = node._op
        static = {k: v for k, v in static.items() if k != "saved"}
        values = [x._data if isinstance(x, bp.Tensor) else x for x in inputs]
        self.forward.append((op.name, partial(op.value, *values, **static)))
        return node

    def arrive(self, node: Any, g: Any) -> None:
        """Keep the calls of the rules."""
        if not node._edges:
            return
        op, arguments = node._op, (g, node._data, *node._values)
        if op.vjp is not None:
            rules = [partial(op.vjp, *arguments, wrt=node._edges, **node._static)]
        else:
            rules = [
                partial(op.pullbacks[k], *arguments, **node._static)
                for k in node._edges
                if op.pullbacks[k] not in (None, unchanged)  # the engine skips both
            ]
        self.backward += [(op.name, rule) for rule in rules]


def dominant(name: str, top: int = 6) -> str:
    """Lay out the ops of a workload by their time, as a Markdown table."""
    work = workload(name)
    step = prepare(OURS, work)
    step()
    whole = _alone(step, 30)
    replay = Replay()
    with bp.plugged(replay):
        step()
    count = Counter(op for op, _ in replay.forward)
    value, rules = _times(replay.forward), _times(replay.backward)
    rest = whole - sum(value.values()) - sum(rules.values()) - (sgd := _sgd(work))
    ops = sorted(count, key=lambda op: -value[op] - rules[op])
    rows = [
        [op, str(count[op]), duration(value[op]), duration(rules[op]),
         f"{(value[op] + rules[op]) / whole:.0%}"] for op in ops[:top]
    ]  # fmt: skip
    others = sum(value[op] + rules[op] for op in ops[top:])
    rows += [
        [what, "", "", "", f"{seconds / whole:.0%} ({duration(max(seconds, 0))})"]
        for what, seconds in (
            ("other ops", others),
            ("SGD", sgd),
            ("tape, Modules, sums of contributions", rest),
        )
    ]
    head = [f"{name}: {duration(whole)}", "calls", "values", "rules", "share"]
    return table(head, rows)


def _times(calls: list[tuple[str, Callable[[], Any]]]) -> Counter[str]:
    times: Counter[str] = Counter()
    for op, call in calls:
        times[op] += _alone(call)
    return times


def _alone(call: Callable[[], Any], turns: int = 5) -> float:
    """The least CPU time of a call, of turns long enough for the clock."""
    n = max(1, int(5e-5 / max(clocked(call, 2), 1e-7)))
    return min(clocked(call, n) for _ in range(turns))


def _sgd(work: Any) -> float:
    parameters = [bp.tensor(w, requires_grad=True) for w in work.weights]
    for p in parameters:
        p.grad = p.data * 0
    return _alone(bp.optim.SGD(parameters, lr=0.01).step)
