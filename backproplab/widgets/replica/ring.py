"""The picture of one data-parallel step: replicas as columns, a ring of chunks."""

from html import escape

import numpy as np

from ...parallel import ring
from ..drawing import SHRINK, STATIC, opening
from ..numerals import number
from ..panels import css
from .step import Round, Step
from .training import points

LEFT, RIGHT, GAP = 124.0, 34.0, 32.0
WHOLE, WIDEST = 960.0, 190.0
CLOUD = 74.0  # height of the picture of the rows
TOP = 158.0  # of the first chunk
PIPS = 5  # replicas up to which each has a square of its own


def stages(step: Step) -> tuple[str, ...]:
    """Name what happens, from the deal of the batch to the update."""
    ring = len(step.rounds) - 1
    adds = tuple(f"add {k + 1} of {ring // 2}" for k in range(ring // 2))
    copies = tuple(f"copy {k + 1} of {ring // 2}" for k in range(ring // 2))
    return "scatter", "forward", "backward", *adds, *copies, "update"


def render(step: Step, stage: int, *, alone: bool = False) -> str:
    """Draw the step as it stands at a stage, counted from 0."""
    n = len(step.losses)
    cell = min(WIDEST, (WHOLE - LEFT - RIGHT - GAP * (n - 1)) / n)
    tall = float(np.clip(236 / n, 29, 62))
    width = LEFT + n * cell + (n - 1) * GAP + RIGHT
    height = TOP + n * tall + 78
    columns = _Columns(step, stage, cell, tall)
    style = STATIC.joinpath("replica.css").read_text("utf-8")
    looks, least = " bpl-plot bpl-panels bpl-ring", 0 if alone else SHRINK * width
    parts = [
        opening(width, height, "img", label(step, stage), looks, least),
        f"<style>{css()}{style}</style>" if alone else "",
        '<rect class="bpl-paper" width="100%" height="100%"/>',
        columns.names(),
        *(columns.column(r) for r in range(n)),
        columns.arrows(),
        "</svg>",
    ]
    return "".join(parts)


def label(step: Step, stage: int) -> str:
    """Say in a line what the picture shows."""
    name = stages(step)[stage]
    return f"{len(step.losses)} replicas, {name}: {step.controls.fault}"


def current(step: Step, stage: int) -> Round:
    """What the replicas hold at a stage."""
    return step.rounds[int(np.clip(stage - 2, 0, len(step.rounds) - 1))]


class _Columns:
    """Where everything stands, at one stage."""

    def __init__(self, step: Step, stage: int, cell: float, tall: float) -> None:
        self.step, self.stage, self.cell, self.tall = step, stage, cell, tall
        self.now = current(step, stage)
        self.n = len(step.losses)
        most = np.max([np.abs(r.buffers).max(axis=0) for r in step.rounds], axis=0)
        self.scale = [float(m.max()) or 1.0 for m in np.split(most, step.edges[1:-1])]
        self.over = stage == len(stages(step)) - 1

    def left(self, rank: int) -> float:
        return LEFT + rank * (self.cell + GAP)

    def above(self, chunk: int) -> float:
        return TOP + chunk * self.tall

    def names(self) -> str:
        rows = [(48 + CLOUD / 2, "its rows"), (144, "mean loss")]
        rows += [(self.above(c) + self.tall / 2, f"chunk {c}") for c in range(self.n)]
        foot = self.above(self.n)
        rows += [
            (foot + 20, "numbers sent"),
            (foot + 48, "gradient off"),
            (foot + 66, "weights off"),
        ]
        return "".join(
            f'<text class="row" x="{LEFT - 36:g}" y="{y:g}" text-anchor="end">'
            f"{t}</text>"
            for y, t in rows
        )

    def column(self, rank: int) -> str:
        x, s = self.left(rank), self.step
        parts = [
            f'<text class="head" x="{x:g}" y="18">replica {rank}</text>',
            _text(x, 34, f"{s.controls.sizes[rank]} rows"),
            self._rows(rank),
        ]
        loss = number(s.losses[rank]) if self.stage >= 1 else "…"
        parts.append(_text(x, 144, loss))
        parts += [self._chunk(rank, c) for c in range(self.n)]
        foot = self.above(self.n)
        parts.append(self._traffic(x, foot + 8, rank))
        off = _size(s.off[rank]) if self.stage >= len(stages(s)) - 2 else "…"
        parts.append(_text(x, foot + 48, off))
        parts.append(_text(x, foot + 66, _size(s.apart[rank]) if self.over else "…"))
        return "".join(parts)

    def arrows(self) -> str:
        if self.over:
            return ""
        return "".join(
            self._arrow(m.source, m.target, m.chunk, m.phase == ring.REDUCE_SCATTER)
            for m in self.now.moves
        )

    def _rows(self, rank: int) -> str:
        """The points of a shard among all points."""
        x0, y0 = self.left(rank), 48.0
        everything, _ = points()
        low, high = everything.min(axis=0), everything.max(axis=0)

        def place(p: np.ndarray) -> np.ndarray:
            share = (p - low) / (high - low)
            return np.array([x0 + 5, y0 + CLOUD - 5]) + share * np.array(
                [self.cell - 10, 10 - CLOUD]
            )

        mine, classes = self.step.shards[rank]
        faint = "".join(f"M{u:.0f},{v:.0f}h0" for u, v in place(everything[::3]))
        ones = "".join(f"M{u:.1f},{v:.1f}h0" for u, v in place(mine[classes == 0]))
        twos = "".join(
            f'<circle class="two" cx="{u:.1f}" cy="{v:.1f}" r="2.6"/>'
            for u, v in place(mine[classes == 1])
        )
        return (
            f"{_box('cell', x0, y0, self.cell, CLOUD)}"
            f'<path class="others" d="{faint}"/><path class="one" d="{ones}"/>{twos}'
        )

    def _chunk(self, rank: int, chunk: int) -> str:
        x, y, h = self.left(rank), self.above(chunk), self.tall - 7
        holds = self.now.holds[rank, chunk]
        moved = not self.over and self.stage > 2
        gets = moved and any(
            (m.target, m.chunk) == (rank, chunk) for m in self.now.moves
        )
        kind = " gets" if gets else " whole" if holds.all() and self.stage >= 2 else ""
        box = _box(f"cell{kind}", x, y, self.cell, h)
        if self.stage < 2:
            return box
        low, high = self.step.edges[chunk : chunk + 2]
        values = np.asarray(self.now.buffers[rank, low:high], float)
        beside = 8.0 if self.n <= PIPS else 22.0  # whose parts are in the sum
        room = self.cell - 8 - beside
        wide = room / max(len(values), 1)
        middle, reach = y + h / 2, h / 2 - 3
        at = x + 4 + wide * (np.arange(len(values)) + 0.5)
        ends = middle - reach * values / self.scale[chunk]
        path = "".join(
            f"M{u:.1f},{middle:.1f}V{v:.1f}" for u, v in zip(at, ends, strict=True)
        )
        return (
            f'{box}<path class="zero" d="M{x + 4:g},{middle:.1f}h{room:g}"/>'
            f'<path class="bars" stroke-width="{min(6, 0.72 * wide):.1f}" d="{path}"/>'
            f"{self._parts(x + self.cell, y, h, holds)}"
        )

    def _parts(self, right: float, y: float, h: float, holds: np.ndarray) -> str:
        """A square for each replica, filled if its part is in the sum; or a count."""
        if self.n > PIPS:
            return (
                f'<text class="row" x="{right - 4:.1f}" y="{y + h / 2 + 4:.1f}" '
                f'text-anchor="end">{holds.sum()}/{self.n}</text>'
            )
        pitch = min(8.0, (h - 3) / self.n)
        top = y + (h - pitch * self.n) / 2
        return "".join(
            f'<rect class="pip{" in" if inside else ""}" x="{right - 8:.1f}" '
            f'y="{top + k * pitch:.1f}" width="5" height="{pitch - 1.6:.1f}"/>'
            for k, inside in enumerate(holds)
        )

    def _arrow(self, source: int, target: int, chunk: int, adds: bool) -> str:
        y = self.above(chunk) + (self.tall - 7) / 2
        start, end = self.left(source) + self.cell, self.left(target)
        kind = "move" if adds else "move copies"
        if target > source:
            return _shaft(kind, start + 3, end - 4, y)
        out = _shaft(kind, start + 3, start + 26, y)
        into = _shaft(kind, end - 26, end - 4, y)
        return (
            f"{out}{into}"
            f'<text class="small" x="{start + 4:g}" y="{y - 7:.1f}">to {target}</text>'
        )

    def _traffic(self, x: float, y: float, rank: int) -> str:
        sent, goal = int(self.now.sent[rank]), self.step.formula
        if self.stage <= 2:
            sent = 0
        whole = self.cell
        most = max(goal, float(self.step.rounds[-1].sent.max()), 1.0)
        return (
            f"{_box('track', x, y, whole, 6)}"
            f"{_box('filled', x, y, whole * sent / most, 6)}"
            f'<path class="goal" d="M{x + whole * goal / most:.1f},{y - 3:g}v12"/>'
            f"{_text(x, y + 21, f'{sent} of {number(goal, 4)}')}"
        )


def _box(kind: str, x: float, y: float, w: float, h: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{w:.1f}" height="{h:g}" '
        'rx="3"/>'
    )


def _shaft(kind: str, start: float, end: float, y: float) -> str:
    return (
        f'<path class="{kind}" d="M{start:.1f},{y:.1f}H{end - 5:.1f}"/>'
        f'<path class="tip" d="M{end:.1f},{y:.1f}l-8,-4.5v9z"/>'
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text class="small" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _size(gap: float) -> str:
    """Write a relative distance."""
    return "0" if gap == 0 else number(gap, 2)
