"""Verdict and Report: what is said of an answer, as text, Markdown and HTML."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from ..errors import BackpropError

LABELS = (
    "correct", "rounding", "shape", "not-finite", "not-attempted", "transposed",
    "keepdims", "no-batch-sum", "mean-not-sum", "sum-not-mean", "path-missing",
    "overwritten", "local-factor-missing", "upstream-missing", "factor-substituted",
    "wrong-operand", "sign", "constant-factor", "statistics-constant", "wrong-node",
    "unexplained", "wrong",
)  # fmt: skip


class GradeError(BackpropError, AssertionError):
    """A wrong answer where ``strict=True`` asked for an exception."""


_MARKS = {"correct": "✓", "rounding": "✓", "not-attempted": "…"}
_COLOURS = {"✓": "#009E73", "…": "#767676", "✗": "#D55E00"}  # Okabe-Ito, and a grey


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one answer. True where the answer is right.

    Attributes:
        label: one of ``LABELS``.
        says: a plain sentence; it never holds the right numbers.
        format: the number format that explains a ``rounding``.
        name: what was asked for.
        where: the broken edge ``(output name, input name)``, or one node's name, where
            a diagnosis found it.
    """

    label: str
    says: str
    format: str | None = None
    name: str = ""
    where: tuple[str, str] | str | None = None

    @property
    def ok(self) -> bool:
        """Whether the answer is right, at least up to a format's rounding."""
        return self.label in ("correct", "rounding")

    @property
    def mark(self) -> str:
        """A sign for the label: right, wrong or open."""
        return _MARKS.get(self.label, "✗")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = f"{self.mark} {self.name}: " if self.name else f"{self.mark} "
        return f"{head}{self.label}. {self.says}".rstrip()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        head = f"`{self.name}` " if self.name else ""
        return f"{self.mark} {head}**{self.label}**. {self.says}".rstrip()

    def _repr_html_(self) -> str:
        head = f"<code>{escape(self.name)}</code> " if self.name else ""
        return (
            f'<div role="status"><span style="{_style(self)}">'
            f"{self.mark} {head}{self.label}.</span> {written(self.says)}</div>"
        )


class Report(Mapping[str, Verdict]):
    """The verdicts of a derivation, step by step, in the order of the backward pass.

    ``report[name]`` is a ``Verdict``; ``blamed`` names the broken links alone; ``ok``
    is whether every step is right.
    """

    def __init__(self, verdicts: Mapping[str, Verdict]) -> None:
        self._verdicts = dict(verdicts)

    def __getitem__(self, name: str) -> Verdict:
        return self._verdicts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._verdicts)

    def __len__(self) -> int:
        return len(self._verdicts)

    @property
    def blamed(self) -> tuple[str, ...]:
        """Names of the steps that are broken; those left open are not among them."""
        return tuple(
            n for n, v in self.items() if not v.ok and v.label != "not-attempted"
        )

    @property
    def open(self) -> tuple[str, ...]:
        """Names of the steps that were not attempted."""
        return tuple(n for n, v in self.items() if v.label == "not-attempted")

    @property
    def ok(self) -> bool:
        """Whether there is an answer and every one is right."""
        return bool(self) and all(v.ok for v in self.values())

    @property
    def label(self) -> str:
        """The label of the first broken step, else the first open one, or the last."""
        chosen = self.blamed or self.open or tuple(self)[-1:]
        return self[chosen[0]].label if chosen else "not-attempted"

    @property
    def says(self) -> str:
        """One sentence on the whole."""
        right = sum(v.ok for v in self.values())
        text = f"{right} of {len(self)} steps are right"
        if self.blamed:
            word = (
                "the broken link is"
                if len(self.blamed) == 1
                else "the broken links are"
            )
            text += f"; {word} {', '.join(self.blamed)}"
        if self.open:
            text += f"; still open: {', '.join(self.open)}"
        return text + "."

    def __str__(self) -> str:
        return "\n".join([*map(str, self.values()), self.says])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        rows = [f"| {v.mark} | `{n}` | {v.label} | {v.says} |" for n, v in self.items()]
        head = ["| | step | verdict | |", "|---|---|---|---|"]
        return "\n".join([*head, *rows, "", f"**{self.says}**"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="{_style(v)}">{v.mark}</td>'
            f'<td style="text-align:left"><code>{escape(n)}</code></td>'
            f'<td style="text-align:left;white-space:nowrap">{v.label}</td>'
            f'<td style="text-align:left">{written(v.says)}</td></tr>'
            for n, v in self.items()
        )
        head = "<tr><th></th><th>step</th><th>verdict</th><th></th></tr>"
        return (
            f'<table role="status"><thead>{head}</thead><tbody>{rows}</tbody></table>'
            f"<p><strong>{escape(self.says)}</strong></p>"
        )


def written(says: str) -> str:
    """Write a sentence as HTML: what stands between backquotes is code.

    >>> written("replace the `...`")
    'replace the <code>...</code>'
    """
    parts = escape(says, quote=False).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _style(verdict: Verdict) -> str:
    return f"color:{_COLOURS[verdict.mark]};font-weight:bold"
