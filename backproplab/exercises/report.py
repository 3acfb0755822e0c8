"""A class at a glance: who has solved what, and which link breaks most often."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._table import Table
from ..errors import BackpropError
from .attempts import attempts_in
from .handed_in import absent, files_in, named, printable

_SETTLED = ("correct", "unfinished")  # labels that tell of no mistake
_LONGEST = 60  # characters of an id or label
_VAGUE = ("unexplained", "wrong", "error")  # labels that name no link


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of one learner.

    Attributes:
        learner: whose it is.
        problem: the id of the problem.
        at: when, as ISO 8601 in UTC.
        label: what the verdict said.
        blamed: the names of the broken links, where several were asked.
    """

    learner: str
    problem: str
    at: str
    label: str
    blamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassReport:
    """What the progress files of a class say.

    Attributes:
        attempts: all of them, by learner, oldest first.
        learners: by name, those without an attempt included.
        unread: what could not be read, and why.
        joined: of whom several files were taken together, and how many.
    """

    attempts: tuple[Attempt, ...]
    learners: tuple[str, ...]
    unread: tuple[tuple[str, str], ...] = ()
    joined: tuple[tuple[str, int], ...] = ()

    def by_mistake(self) -> Table:
        """One row a misconception, the one that most learners had first.

        ``mended`` counts the learners who have solved all problems in which they had
        it; ``mostly in`` names the problem, and the link where several were asked.
        """
        solved = {(a.learner, a.problem) for a in self.attempts if a.label == "correct"}
        had: dict[str, set[tuple[str, str]]] = defaultdict(set)
        tried: Counter[str] = Counter()
        places: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for a in self.attempts:
            if a.label in _SETTLED:
                continue
            had[a.label].add((a.learner, a.problem))
            tried[a.label] += 1
            for link in a.blamed or ("",):
                place = f"{a.problem}, at {link}" if link else a.problem
                places[a.label][place].add(a.learner)
        rows = Table()
        for label, pairs in had.items():
            learners = {who for who, _ in pairs}
            open_still = {who for who, _ in pairs - solved}
            where, whose = max(places[label].items(), key=lambda p: (len(p[1]), p[0]))
            rows.append(
                {
                    "mistake": label,
                    "learners": len(learners),
                    "share": f"{len(learners) / len(self.learners):.0%}",
                    "answers": tried[label],
                    "mended": len(learners - open_still),
                    "mostly in": f"{where} ({len(whose)})",
                }
            )
        rows.sort(key=lambda r: (-r["learners"], -r["answers"], r["mistake"]))
        return rows

    def by_learner(self) -> Table:
        """One row a learner: problems solved and tried, answers, the usual mistake."""
        rows = Table()
        own: dict[str, list[Attempt]] = {name: [] for name in self.learners}
        for a in self.attempts:
            own[a.learner].append(a)
        for name, mine in own.items():
            wrong = Counter(a.label for a in mine if a.label not in _SETTLED)
            usual = max(wrong.items(), key=lambda w: (w[1], w[0]), default=None)
            rows.append(
                {
                    "learner": name,
                    "solved": len({a.problem for a in mine if a.label == "correct"}),
                    "tried": len({a.problem for a in mine}),
                    "answers": len(mine),
                    "usual mistake": f"{usual[0]} ({usual[1]})" if usual else None,
                    "last": max((a.at[:16].replace("T", " ") for a in mine), default="")
                    or None,
                }
            )
        return rows

    def by_problem(self) -> Table:
        """One row a problem, that which fewest have solved first, and how it went."""
        rows = Table()
        own: dict[str, list[Attempt]] = defaultdict(list)
        for a in self.attempts:
            own[a.problem].append(a)
        for problem, here in own.items():
            wrong = Counter(a.label for a in here if a.label not in _SETTLED)
            usual = max(wrong.items(), key=lambda w: (w[1], w[0]), default=None)
            tried = {a.learner for a in here}
            rows.append(
                {
                    "problem": problem,
                    "tried": len(tried),
                    "solved": len({a.learner for a in here if a.label == "correct"}),
                    "answers each": len(here) / len(tried),
                    "usual mistake": f"{usual[0]} ({usual[1]})" if usual else None,
                }
            )
        rows.sort(key=lambda r: (r["solved"] / r["tried"], -r["tried"], r["problem"]))
        return rows

    @property
    def says(self) -> str:
        """The whole in two sentences."""
        mistakes = self.by_mistake()
        who = _count(len(self.learners), "learner")
        head = f"{who}, {_count(len(self.attempts), 'answer')}."
        if not mistakes:
            return f"{head} No mistakes." if self.attempts else head
        first = next((m for m in mistakes if m["mistake"] not in _VAGUE), mistakes[0])
        return (
            f"{head} The commonest broken link: {first['mistake']}, "
            f"{first['learners']} of {who}, mostly in {first['mostly in']}."
        )

    def __str__(self) -> str:
        parts = [self.says, "", str(self.by_mistake()), "", str(self.by_problem())]
        parts += ["", str(self.by_learner())]
        if self.joined:
            some = ", ".join(f"{who} ({n} files)" for who, n in self.joined[:10])
            more = f", and {len(self.joined) - 10} more" if self.joined[10:] else ""
            parts += ["", f"Taken together, since called the same: {some}{more}."]
        if self.unread:
            parts += ["", f"Not read: {_count(len(self.unread), 'file')}"]
            parts += [f"  {path}: {why}" for path, why in self.unread]
        return "\n".join(parts)

    def write_csv(self, path: Path) -> None:
        """Write one row an answer, for a spreadsheet; a name is never a formula."""
        rows = [("learner", "problem", "at", "label", "blamed")]
        for a in self.attempts:
            rows.append((a.learner, a.problem, a.at, a.label, " ".join(a.blamed)))
        # Excel takes a file for UTF-8 where its first three bytes say so.
        plain = all(cell.isascii() for row in rows for cell in row)
        encoding = "utf-8" if plain else "utf-8-sig"
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file).writerows([_inert(cell) for cell in row] for row in rows)


def class_report(paths: Sequence[Path], problem: str = "") -> ClassReport:
    """Read the progress files of a class.

    Args:
        paths: files as ``.backproplab/progress.json``, exported blocks saved as text;
            or folders, in which both are looked for.
        problem: only problems whose id begins so, such as "bn.".

    A learner is called as the file is (``ada.json``), or where it is called progress,
    as the folder is (``ada/.backproplab/progress.json``); in nbgrader's folders, as
    nbgrader calls them, those without a file included. What cannot be read is listed,
    never a reason to stop.
    """
    found: dict[str, list[Attempt]] = {}
    unread: list[tuple[str, str]] = []
    files = list(dict.fromkeys(files_in(paths, unread)))
    names = named(files)
    read: Counter[str] = Counter()
    for path in files:
        try:
            known = attempts_in(path)
        except (OSError, BackpropError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            why = (why or str(error)).removeprefix(f"{path} ")
            unread.append((printable(path), printable(why)))
            continue
        read[names[path]] += 1
        found.setdefault(names[path], []).extend(_attempts(names[path], known, problem))
    for learner in absent(paths):
        found.setdefault(learner, [])
    # One learner may have handed in twice: an attempt counts once.
    found = {who: sorted(set(mine), key=_when) for who, mine in sorted(found.items())}
    return ClassReport(
        tuple(a for mine in found.values() for a in mine),
        tuple(found),
        tuple(unread),
        tuple((who, n) for who, n in sorted(read.items()) if n > 1),
    )


def _attempts(
    learner: str, known: Mapping[str, list[dict[str, Any]]], prefix: str
) -> Iterable[Attempt]:
    for problem, tried in known.items():
        if not problem.startswith(prefix):
            continue
        for a in tried:
            blamed = a.get("blamed")
            links = blamed if isinstance(blamed, list) else []
            yield Attempt(
                learner,
                printable(problem, _LONGEST),
                printable(a["at"], _LONGEST),
                printable(a["label"], _LONGEST),
                tuple(printable(link, _LONGEST) for link in links),
            )


def _when(attempt: Attempt) -> tuple[str, str]:
    return attempt.at, attempt.problem


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _inert(cell: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r") else cell
