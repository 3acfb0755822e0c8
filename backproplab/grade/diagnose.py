"""Which single rule, broken, reproduces the learner's array? Then which two?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import near
from ..trace import Trace, replay
from .breaks import Break, Edge, breaks, edges, fitted, is_statistic, sizes
from .compare import compare, take_in, tolerance
from .expression import slips
from .shapes import shape_question

# The most telling label wins; among equals, the link nearest to what was asked.
_TELLING = (
    "transposed", "keepdims", "no-batch-sum", "statistics-constant", "sign",
    "mean-not-sum", "sum-not-mean", "path-missing", "overwritten",
    "local-factor-missing", "upstream-missing", "factor-substituted", "wrong-operand",
    "wrong-node", "constant-factor",
)  # fmt: skip
_DIRECTIONS = 3
_NICE = sorted({p / q * s for p in range(1, 9) for q in range(1, 9) for s in (1, -1)})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What most likely went wrong.

    Attributes:
        label: see the table of labels in the README.
        where: the broken edge ``(output name, input name)``, or one node's name.
        says: one sentence where, one why; never empty, never the right numbers.
        alternatives: other explanations of the same array, most telling first.
    """

    label: str
    where: tuple[str, str] | str
    says: str
    alternatives: tuple["Diagnosis", ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the answer was right."""
        return self.label in ("correct", "rounding")

    def __str__(self) -> str:
        return f"{self.label}: {self.says}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<div role="status"><strong>{self.label}.</strong> {escape(self.says)}</div>'


def diagnose(
    run: Trace,
    name: str,
    got: Any,
    *,
    given: Mapping[str, Any] | None = None,
    seconds: float = 1.0,
) -> Diagnosis:
    """Say which link of the chain broke: re-run backward with one rule broken on purpose.

    The recorded tape is the model of the learner; any graph will do, no catalogue is
    needed. A guess is never dressed as knowledge: what no break reproduces is
    ``unexplained``.

    Args:
        run: a recorded run with a backward pass.
        name: the value whose gradient was asked for.
        got: the learner's array; any Python object is answered, none raises.
        given: gradients by name that the learner started from, instead of the run's.
        seconds: how long the search for two breaks at once may take.

    Returns:
        the most telling explanation, with the others as ``alternatives``.

    >>> import backproplab as bp
    >>> x = bp.tensor([0.3, -0.7], requires_grad=True, name="x")
    >>> with bp.record() as run:
    ...     h = np.tanh(x).named("h")
    ...     (h * h).sum().backward()
    >>> d = diagnose(run, "x", 2 * h.data)
    >>> d.label, d.where
    ('local-factor-missing', ('h', 'x'))
    """
    if name not in run:
        return Diagnosis(
            "not-attempted",
            str(name),
            f"The run has no value called {name!r}; {near(str(name), run.names)}",
        )
    name = run[name].name
    if run[name].grad is None:
        return Diagnosis(
            "not-attempted",
            name,
            f"No gradient came to {name} in this run; call loss.backward() inside the with block.",
        )
    search = _Search(run, name, got, given or {})
    first = search.plain()
    if first is not None:
        return first
    found = search.singles()
    if not found:
        found = search.pairs(perf_counter() + seconds)
    if not found:
        return Diagnosis("unexplained", name, search.unexplained())
    best, *others = found
    return Diagnosis(best.label, best.where, best.says, tuple(others[:8]))


class _Search:
    """One answer, and the backward pass that it should have come from."""

    def __init__(
        self,
        run: Trace,
        name: str,
        got: Any,
        given: Mapping[str, Any],
    ) -> None:
        self.run, self.name, self.got = run, name, got
        self.t = run[name].id
        self.given: dict[int, np.ndarray] = {}
        for key, value in given.items():
            if key in run and run[key].id != self.t:
                array, _ = take_in(value)
                if (
                    array is not None
                    and array.shape == run[key].shape
                    and np.isfinite(array).all()
                ):
                    self.given[run[key].id] = array
        self.seeds = replay.seeds(run)
        self.grads = self._rerun({}, {})
        self.want = self.grads.get(self.t, np.asarray(run[name].grad))
        self.array, _ = take_in(got)

    # Backward, sound and broken.

    def _rerun(
        self,
        sends: dict[tuple[int, int], np.ndarray],
        factors: dict[tuple[int, int], float],
    ) -> dict[int, np.ndarray]:
        def edge(output: int, k: int, x: int, c: np.ndarray) -> np.ndarray:
            key = (output, k)
            if key in sends:
                return sends[key]
            return c * factors[key] if key in factors else c

        def visit(i: int, g: np.ndarray) -> np.ndarray:
            return self.given.get(i, g)

        return replay.backward(
            self.run, self.seeds, visit=visit, edge=edge, down_to=self.t
        )

    def _matches(self, array: Any) -> bool:
        return array is not None and compare(self.array, array).ok

    # What is said before any rule is broken.

    def plain(self) -> Diagnosis | None:
        verdict = compare(self.got, self.want)
        if verdict.ok or verdict.label in ("not-attempted", "not-finite"):
            says = verdict.says or "Right."
            return Diagnosis(verdict.label, self.name, says)
        if self.array is None:
            return Diagnosis("unexplained", self.name, verdict.says)
        if verdict.label == "shape":
            label, where, says = shape_question(
                self.run, self.t, self.grads, self.array, self.want
            )
            return Diagnosis(label, where, says or verdict.says)
        scale = replay.cancelled_scale(self.run, self.t)
        if compare(self.array, self.want, scale=scale or None).ok:
            return Diagnosis("correct", self.name, "Right.")
        return None

    # One broken rule.

    def singles(self) -> list[Diagnosis]:
        found: list[tuple[tuple[int, int], Diagnosis]] = list(self._whole())
        used = [e for e in edges(self.run, self.grads) if e.output > self.t]
        tangents = self._tangents()
        noise = self._noise()
        off = [float(np.vdot(r, self.array - self.want)) for r in self.directions]
        for e in used:
            if e.x not in tangents[0]:
                continue
            g, sent = (
                self.grads[e.output],
                replay.contribution(self.run, e.output, e.k, self.grads[e.output]),
            )
            ts = [t[e.x] for t in tangents]
            found += self._multiples(e, sent, ts, off, noise)
            for b in self._broken(e, g, sent):
                if all(
                    abs(float(np.vdot(t, b.sends - sent)) - d) <= noise
                    for t, d in zip(ts, off, strict=True)
                ) and self._matches(
                    self._rerun({(e.output, e.k): b.sends}, {}).get(self.t)
                ):
                    found.append(self._ranked(b.label, e, b.why))
        found += self._overwritten(used)
        found += self._statistics(used)
        found.sort(key=lambda pair: pair[0])
        unique: dict[tuple[str, Any], Diagnosis] = {}
        for _, d in found:
            unique.setdefault((d.label, d.where), d)
        return list(unique.values())

    def _broken(self, e: Edge, g: np.ndarray, sent: np.ndarray) -> Iterator[Break]:
        yield from breaks(self.run, e, g, sent)
        for label, raw, why in slips(self.run, e, g):
            c = fitted(raw, np.shape(sent))
            if c is not None and np.isfinite(c).all():
                yield Break(label, e, c, why)

    def _whole(self) -> Iterator[tuple[tuple[int, int], Diagnosis]]:
        a, name = self.array, self.name
        if (
            a.ndim >= 2
            and a.shape[-1] == a.shape[-2]
            and self._matches(np.swapaxes(self.want, -1, -2))
        ):
            yield (
                self._rank("transposed", 0),
                Diagnosis(
                    "transposed",
                    name,
                    f"Your d{name} is the transpose of the gradient.",
                ),
            )
        for r in self.run:
            if r.id == self.t or r.shape != a.shape:
                continue
            if r.id in self.grads and self._matches(self.grads[r.id]):
                says = f"This is the gradient of {r.name}, not of {name}."
                yield self._rank("wrong-node", 0), Diagnosis("wrong-node", r.name, says)
            elif (
                r.op != "constant"
                and np.any(r.value)
                and np.size(r.value) > 1
                and self._matches(r.value)
            ):
                says = f"This is the value of {r.name}, not a gradient."
                yield self._rank("wrong-node", 1), Diagnosis("wrong-node", r.name, says)
        if self._matches(self.run[self.t].value) and np.any(a) and a.size > 1:
            yield (
                self._rank("wrong-node", 0),
                Diagnosis(
                    "wrong-node",
                    name,
                    f"This is the value of {name}, not its gradient.",
                ),
            )

    def _multiples(
        self, e: Edge, sent: Any, ts: Any, off: Any, noise: float
    ) -> Iterator[tuple[tuple[int, int], Diagnosis]]:
        effects = [float(np.vdot(t, sent)) for t in ts]
        k = int(np.argmax(np.abs(effects)))
        if abs(effects[k]) <= noise:
            return
        c = 1 + off[k] / effects[k]
        if any(abs((c - 1) * f - d) > noise for f, d in zip(effects, off, strict=True)):
            return
        label, factor, why = self._factor(e, c)
        if label and self._matches(
            self._rerun({}, {(e.output, e.k): factor}).get(self.t)
        ):
            yield self._ranked(label, e, why)

    def _factor(self, e: Edge, c: float) -> tuple[str, float, str]:
        """Name a multiple of what an edge sends."""
        out, x = self.run[e.output].name, self.run[e.x].name
        close = 1e3 * tolerance(self.want.dtype)
        several = len(self.run[e.x].consumers) > 1

        def like(n: float) -> bool:
            return abs(c - n) <= close * max(1.0, abs(n))

        if like(0):
            if is_statistic(self.run, e):
                return (
                    "statistics-constant",
                    0.0,
                    f"{out} is held constant, but it depends on {x}",
                )
            why = f"{x} is used {'in several places, and what comes' if several else 'here, and what comes'} back from {out} is left out"
            return "path-missing", 0.0, why
        if like(-1):
            return "sign", -1.0, f"the sign of what {out} sends to {x} is turned"
        sums, means = sizes(self.run, e)
        for n in sorted(sums | means):
            if like(1 / n):
                return (
                    "mean-not-sum",
                    1 / n,
                    f"the rule sums over {n} terms here; you have their mean",
                )
        for n in sorted(means):
            if like(n):
                return (
                    "sum-not-mean",
                    float(n),
                    f"{out} is a mean over {n}; its 1/{n} is missing",
                )
        nice = [n for n in _NICE if like(n)]
        if self.want.size == 1 and not nice:
            return "", c, ""
        factor = nice[0] if nice else c
        return (
            "constant-factor",
            factor,
            f"what {out} sends to {x} is {factor:.4g} times what it should be",
        )

    def _overwritten(
        self, used: list[Edge]
    ) -> Iterator[tuple[tuple[int, int], Diagnosis]]:
        by_input: dict[int, list[Edge]] = {}
        for e in used:
            by_input.setdefault(e.x, []).append(e)
        for x, group in by_input.items():
            if len(group) < 2:
                continue
            for kept in group:
                drop = {(e.output, e.k): 0.0 for e in group if e is not kept}
                if self._matches(self._rerun({}, drop).get(self.t)):
                    name = self.run[x].name
                    why = (
                        f"{name} is used in {len(group)} places and their contributions add; "
                        f"only the one from {self.run[kept.output].name} is kept"
                    )
                    yield (
                        self._rank("overwritten", self._distance(x)),
                        Diagnosis("overwritten", self._where(kept), _sentence(why)),
                    )

    def _statistics(
        self, used: list[Edge]
    ) -> Iterator[tuple[tuple[int, int], Diagnosis]]:
        stats = [e for e in used if is_statistic(self.run, e)]
        if 2 <= len(stats) <= 12 and self._matches(
            self._rerun({}, {(e.output, e.k): 0.0 for e in stats}).get(self.t)
        ):
            names = " and ".join(dict.fromkeys(self._name(e.output) for e in stats))
            why = f"{names} are held constant, but they depend on {self._name(stats[-1].x)}"
            yield (
                self._rank("statistics-constant", 0),
                Diagnosis(
                    "statistics-constant", self._where(stats[-1]), _sentence(why)
                ),
            )

    # Two broken rules.

    def pairs(self, until: float) -> list[Diagnosis]:
        """Break one rule, then ask by one dot product what a second break would do."""
        used = [e for e in edges(self.run, self.grads) if e.output > self.t]
        tangents = self._tangents()
        used = [e for e in used if e.x in tangents[0]]
        noise = self._noise()
        firsts = [
            (self._rank(label, self._distance(e.x)), label, e, sends, factor, why)
            for e in used
            for label, sends, factor, why in self._simple(e, self.grads)
        ]
        firsts.sort(key=lambda f: f[0])
        for _, label, e, sends, factor, why in firsts:
            if perf_counter() > until:
                break
            key = (e.output, e.k)
            grads = self._rerun(
                {key: sends} if sends is not None else {},
                {key: factor} if sends is None else {},
            )
            if self.t not in grads:
                continue
            off = [
                float(np.vdot(r, self.array - grads[self.t])) for r in self.directions
            ]
            for f in used:
                if (
                    f.output > e.output
                    or (f.output, f.k) == key
                    or f.output not in grads
                ):
                    continue
                sent = replay.contribution(self.run, f.output, f.k, grads[f.output])
                for label2, sends2, factor2, why2 in self._simple(f, grads, sent):
                    change = (
                        sends2 - sent if sends2 is not None else (factor2 - 1) * sent
                    )
                    if any(
                        abs(float(np.vdot(t[f.x], change)) - d) > noise
                        for t, d in zip(tangents, off, strict=True)
                    ):
                        continue
                    both_sends = {
                        k: s
                        for k, s in ((key, sends), ((f.output, f.k), sends2))
                        if s is not None
                    }
                    both_factors = {
                        k: c
                        for k, s, c in (
                            (key, sends, factor),
                            ((f.output, f.k), sends2, factor2),
                        )
                        if s is None
                    }
                    if self._matches(self._rerun(both_sends, both_factors).get(self.t)):
                        second = Diagnosis(label2, self._where(f), _sentence(why2))
                        says = f"Two links are broken. First, {why}. Second, {why2}."
                        return [Diagnosis(label, self._where(e), says), second]
        return []

    def _simple(
        self, e: Edge, grads: dict[int, np.ndarray], sent: Any = None
    ) -> Iterator[tuple[str, Any, float, str]]:
        """The breaks that are tried in pairs: (label, what it sends or None, factor, why)."""
        sums, means = sizes(self.run, e)
        nice = [0.0, -1.0, 2.0, 0.5, *(1 / n for n in sums | means), *map(float, means)]
        if len(self.run[e.x].consumers) < 2 and not is_statistic(self.run, e):
            nice = nice[1:]
        for c in nice:
            label, factor, why = self._factor(e, c)
            if label:
                yield label, None, factor, why
        if sent is None:
            sent = replay.contribution(self.run, e.output, e.k, grads[e.output])
        for b in self._broken(e, grads[e.output], sent):
            if np.shape(b.sends) == np.shape(sent) and not np.array_equal(
                b.sends, sent
            ):
                yield b.label, b.sends, 1.0, b.why

    # Tools.

    def _tangents(self) -> list[dict[int, np.ndarray]]:
        rng = np.random.default_rng(0)
        self.directions = [rng.normal(size=self.want.shape) for _ in range(_DIRECTIONS)]
        return [
            replay.tangents(self.run, self.t, r, set(self.given))
            for r in self.directions
        ]

    def _noise(self) -> float:
        size = max(float(np.linalg.norm(self.want)), float(np.linalg.norm(self.array)))
        return 50 * tolerance(self.want.dtype) * size + 1e-300

    def _distance(self, x: int) -> int:
        """Links from the asked node up to record ``x``."""
        if not hasattr(self, "_far"):
            far = {self.t: 0}
            for r in self.run.records[self.t :]:
                for i in r.inputs:
                    if i in far:
                        far[r.id] = min(far.get(r.id, 10**6), far[i] + 1)
            self._far = far
        return self._far.get(x, 10**6)

    def _rank(self, label: str, distance: int) -> tuple[int, int]:
        return _TELLING.index(label), distance

    def _ranked(
        self, label: str, e: Edge, why: str
    ) -> tuple[tuple[int, int], Diagnosis]:
        rank = self._rank(label, self._distance(e.x))
        return rank, Diagnosis(
            label, self._where(e), _sentence(f"{self._place(e)}: {why}")
        )

    def _name(self, i: int) -> str:
        return self.run[i].name

    def _where(self, e: Edge) -> tuple[str, str] | str:
        return self._name(e.output), self._name(e.x)

    def _place(self, e: Edge) -> str:
        return f"on the way back from {self._name(e.output)} to {self._name(e.x)}"

    def unexplained(self) -> str:
        off = np.abs(np.asarray(self.array, float) - self.want)
        size = float(np.max(np.abs(self.want), initial=0))
        if size and float(off.max()) < 1e-3 * size:
            return (
                f"Your d{self.name} is close, but not to the precision of its format; "
                "finite differences look like this. No single broken rule explains it."
            )
        return f"Your d{self.name} is not the gradient, and no broken rule that was tried explains it: check it link by link."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
