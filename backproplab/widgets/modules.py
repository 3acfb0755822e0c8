"""Which records of a run stand together in one box or frame. No text, no places."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..trace import Record, Trace

EARLIER = "@"  # key of the box that holds what there was no room for


@dataclass(frozen=True, slots=True)
class Groups:
    """How the records of a run are gathered.

    A module that is called again after something else is a second frame ("@fc#2"): each
    frame is an unbroken stretch of the tape, so that boxes cannot depend on each other
    in a circle.

    Attributes:
        key: for each record, the box that shows it.
        members: box key -> record ids, sources before targets.
        frames: for each record, keys of its frames, outermost first.
        paths: frame key -> dotted path.
        beside: ids of the leaves that may stand at the side of their consumer.
        note: what was folded because there was too much, if anything.
    """

    key: list[str]
    members: dict[str, list[int]]
    frames: list[tuple[str, ...]]
    paths: dict[str, str]
    beside: set[int]
    note: str

    def shown(self, run: Trace, key: str) -> int:
        """Record whose value a box shows: its output."""
        ids = self.members[key]
        made = [i for i in ids if run[i].inputs] or ids
        return made[-1]


def group(run: Trace, folded: Collection[str], limit: int) -> Groups:
    """Gather records into boxes and frames.

    Args:
        run: a recorded run.
        folded: dotted paths of the modules that are one box each.
        limit: fold the oldest boxes into one, so that about so many are left.
    """
    records = run.records
    consumers: dict[int, list[int]] = defaultdict(list)
    for r in records:
        for x in r.inputs:
            consumers[x].append(r.id)
    frames, paths = _frames(records)
    beside = {x for r in records for x in _beside(r, records, consumers)}
    for r in records:
        if not r.inputs and consumers[r.id]:
            frames[r.id] = _leaf_frames(
                r, r.id in beside, frames, consumers[r.id], paths
            )
    key = [
        next((f for f in frames[r.id] if paths[f] in folded), str(r.id))
        for r in records
    ]
    members = _members(records, key)
    note = ""
    if len(members) > limit:
        note = _fold_earlier(records, key, members, consumers, limit)
        members = _members(records, key)
    return Groups(key, members, frames, paths, beside, note)


def crowded(run: Trace, limit: int) -> set[str]:
    """Modules to fold so that at most ``limit`` boxes are left, the innermost first."""
    paths = {".".join(p) for r in run for p in _prefixes(r.scope)}
    folded: set[str] = set()
    for depth in range(max((p.count(".") for p in paths), default=-1), -1, -1):
        if len(group(run, folded, len(run) + 1).members) <= limit:
            break
        folded |= {p for p in paths if p.count(".") == depth}
    return folded


def _prefixes(scope: str) -> list[tuple[str, ...]]:
    parts = tuple(scope.split(".")) if scope else ()
    return [parts[: n + 1] for n in range(len(parts))]


def _frames(
    records: tuple[Record, ...],
) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    calls: dict[str, int] = defaultdict(int)
    paths: dict[str, str] = {}
    frames: list[tuple[str, ...]] = []
    before: dict[str, str] = {}
    for r in records:
        if not r.inputs:
            frames.append(())
            continue
        here: dict[str, str] = {}
        for prefix in _prefixes(r.scope):
            path = ".".join(prefix)
            if path not in before:
                calls[path] += 1
            again = f"#{calls[path]}" if calls[path] > 1 else ""
            here[path] = before.get(path, f"@{path}{again}")  # no record's id begins so
            paths[here[path]] = path
        frames.append(tuple(here.values()))
        before = here
    return frames, paths


def _beside(
    r: Record, records: tuple[Record, ...], consumers: dict[int, list[int]]
) -> list[int]:
    """Leaves that only ``r`` uses, but for what flows through it from above."""
    leaves = [x for x in r.inputs if not records[x].inputs]
    if len(leaves) == len(r.inputs):
        arrays = [
            x for x in leaves if np.ndim(records[x].value) or records[x].op == "leaf"
        ]
        data = [x for x in arrays if not records[x].requires_grad]
        main = set(data or arrays or leaves)
    else:
        main = set()
    return [x for x in leaves if x not in main and len(consumers[x]) == 1]


def _leaf_frames(
    r: Record,
    beside: bool,
    frames: list[tuple[str, ...]],
    used_by: list[int],
    paths: dict[str, str],
) -> tuple[str, ...]:
    """A leaf stands in its host's frames; else in those whose path begins its name."""
    if beside:
        return frames[used_by[0]]
    shared = frames[used_by[0]]
    for i in used_by[1:]:
        n = sum(a == b for a, b in zip(shared, frames[i], strict=False))
        shared = shared[:n]
    return tuple(f for f in shared if r.name.startswith(paths[f] + "."))


def _members(records: tuple[Record, ...], key: list[str]) -> dict[str, list[int]]:
    """Boxes of leaves first, then the others in the order in which they begin."""
    gathered: dict[str, list[int]] = defaultdict(list)
    for r in records:
        gathered[key[r.id]].append(r.id)
    start = {
        k: min((i for i in ids if records[i].inputs), default=-1)
        for k, ids in gathered.items()
    }
    return dict(sorted(gathered.items(), key=lambda item: start[item[0]]))


def _fold_earlier(
    records: tuple[Record, ...],
    key: list[str],
    members: dict[str, list[int]],
    consumers: dict[int, list[int]],
    limit: int,
) -> str:
    made = [k for k, ids in members.items() if any(records[i].inputs for i in ids)]
    old = set(made[: -limit // 3])
    for r in reversed(records):
        uses = consumers[r.id]
        if key[r.id] in old or (
            not r.inputs and uses and all(key[o] == EARLIER for o in uses)
        ):
            key[r.id] = EARLIER
    hidden = sum(k == EARLIER for k in key)
    return (
        f"The run has {len(records)} values; the {hidden} earliest are folded into one "
        "box. Name its parts with `bp.scope` and they fold part by part."
    )
