"""What a picture of a run says: boxes, arrows and steps as data, without places."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from ..trace import Record, Trace
from . import numerals
from .modules import EARLIER, Groups, group
from .steps import Backstep, backward, pending, slope

LIMIT = 150  # boxes that are drawn; beyond it the earliest are folded into one
MANY = 60  # boxes beyond which modules are folded at first


@dataclass(frozen=True, slots=True)
class Cell:
    """One box: a value of the run, or a folded module.

    Attributes:
        key: the record's id as text, or the frame's key.
        record: id of the record whose value and gradient it shows.
        records: ids of all that it stands for.
        kind: "op", "parameter", "constant", "number" or "module".
        name: as shown.
        op: what made it.
        value: in a few characters, with its shape.
        bars: histogram of the value; empty where the numbers themselves are shown.
        grads: (step, text, whole): from this step on, this is known of its gradient.
        grad_bars: histogram of the gradient.
        frames: frames it stands in, outermost first.
        beside: whether it may stand at the side of its only consumer.
    """

    key: str
    record: int
    records: tuple[int, ...]
    kind: str
    name: str
    op: str
    value: str
    bars: tuple[float, ...]
    grads: tuple[tuple[int, str, bool], ...]
    grad_bars: tuple[float, ...]
    frames: tuple[str, ...]
    beside: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One arrow: ``source`` is an operand of ``target``, ``local`` their slope.

    ``broken`` says that a diagnosis found the link broken.
    """

    source: str
    target: str
    local: str
    steps: tuple[int, ...]
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a picture of a run says.

    Attributes:
        cells: sources before targets.
        links: in the order of the run.
        frames: key -> dotted path, of the modules that are not folded.
        steps: (key of the box, sentence) for each step of the backward pass; names
            stand in backquotes.
        note: what was left out, if anything.
    """

    cells: tuple[Cell, ...]
    links: tuple[Link, ...]
    frames: dict[str, str]
    steps: tuple[tuple[str, str], ...]
    note: str


def compose(
    run: Trace,
    folded: Collection[str] = (),
    broken: Collection[tuple[str, str]] = (),
) -> Scene:
    """Turn a run into boxes, arrows and steps.

    Args:
        run: a recorded run, with or without a backward pass.
        folded: dotted paths of the modules that are one box each.
        broken: (output name, input name) of the links to light.
    """
    groups = group(run, folded, LIMIT)
    steps = backward(run)
    lit = {(groups.key[run[x].id], groups.key[run[out].id]) for out, x in broken}
    links = tuple(
        replace(link, broken=True) if (link.source, link.target) in lit else link
        for link in _links(run, groups, steps)
    )
    within = Counter(
        f for ids in groups.members.values() for f in groups.frames[ids[0]]
    )
    frames = {f: path for f, path in groups.paths.items() if within[f] > 1}
    cells = tuple(
        _cell(run, groups, key, ids, steps, frames)
        for key, ids in groups.members.items()
    )
    return Scene(
        cells,
        links,
        frames,
        tuple((groups.key[s.id], s.says) for s in steps),
        groups.note,
    )


def _links(run: Trace, groups: Groups, steps: list[Backstep]) -> tuple[Link, ...]:
    when: dict[tuple[int, int], list[int]] = defaultdict(list)
    for t, step in enumerate(steps, 1):
        for x, n in step.sends:
            when[run[x].consumers[n]].append(t)
    found: dict[tuple[str, str, int, int], tuple[str, list[int]]] = {}
    for r in run:
        target = groups.key[r.id]
        for k, x in enumerate(r._entry.inputs):
            source = groups.key[x] if x >= 0 else target
            if source == target:
                continue
            single = target == str(r.id) and source == str(x)
            place = (source, target, r.id, k) if single else (source, target, -1, -1)
            local = ""
            if single and r.requires_grad and run[x].requires_grad:
                s = slope(run, r.id, k)
                local = "" if s is None else numerals.span(s)
            found.setdefault(place, (local, []))[1].extend(when[r.id, k])
    return tuple(
        Link(source, target, local, tuple(sorted(at)))
        for (source, target, _, _), (local, at) in found.items()
    )


def _cell(
    run: Trace,
    groups: Groups,
    key: str,
    ids: list[int],
    steps: list[Backstep],
    shown: Collection[str],
) -> Cell:
    r = run[groups.shown(run, key)]
    folded = key in groups.paths or key == EARLIER
    frames = tuple(f for f in groups.frames[ids[0]] if f in shown and f != key)
    kind, name, op = _kind(r), r.name, r.op
    if kind == "number":
        name, op = "", ""
    elif kind in ("parameter", "constant"):
        op = ""
    if folded:
        made = sum(bool(run[i].inputs) for i in ids)
        kind, op = "module", f"{made} op" if made == 1 else f"{made} ops"
        name = groups.paths.get(key, "earlier values")
    elif frames:
        path = groups.paths[frames[-1]]
        name = (
            name.removeprefix(f"{path}.") if name != path else name.rpartition(".")[2]
        )
    has_bars = np.size(r.value) > 4 and np.asarray(r.value).dtype.kind == "f"
    return Cell(
        key,
        r.id,
        tuple(ids),
        kind,
        name,
        op.replace("_", " "),
        numerals.sized(r.value),
        tuple(numerals.histogram(r.value)) if has_bars else (),
        tuple(pending(r, steps)),
        tuple(numerals.histogram(r.grad)) if has_bars and r.grad is not None else (),
        frames,
        ids[0] in groups.beside,
    )


def _kind(r: Record) -> str:
    if r.inputs:
        return "op"
    if r.op == "constant" and np.ndim(r.value) == 0:
        return "number"
    return "parameter" if r.requires_grad else "constant"
