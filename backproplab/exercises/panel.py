"""Progress as a picture: which problems are solved, tried or open, field by field."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

from .._table import Table
from .attempts import attempts

_SIGNS = {"solved": "✓", "tried": "…", "open": "○"}


class Progress(Table):
    """One row a problem: sign, name, state, number of attempts, last verdict."""

    @property
    def solved(self) -> int:
        """How many problems are solved."""
        return sum(row["state"] == "solved" for row in self)

    @property
    def says(self) -> str:
        """The whole in one sentence."""
        return f"{self.solved} of {len(self)} problems are solved."

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.says}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for field, group in groupby(self, lambda r: r["problem"].partition(".")[0]):
            chips = [_chip(row) for row in group]
            done = sum("✓" in chip for chip in chips)
            rows.append(
                f'<div class="bpl-field" role="row"><b role="rowheader">'
                f"{escape(field)} <small>{done}/{len(chips)}</small></b>"
                f'<span role="cell">{"".join(chips)}</span></div>'
            )
        share = 100 * self.solved / max(len(self), 1)
        return (
            f'{_STYLE}<div class="bpl-progress"><p>{escape(self.says)}</p>'
            f'<div class="bpl-share" role="progressbar" aria-label="problems solved" '
            f'aria-valuemin="0" aria-valuemax="{len(self)}" '
            f'aria-valuenow="{self.solved}"><i style="width:{share:.1f}%"></i></div>'
            f'<div role="table" aria-label="problems">{"".join(rows)}</div></div>'
        )


def panel(problems: Iterable[str]) -> Progress:
    """Look up what was attempted of these problems, and of any others."""
    known = attempts()
    rows = Progress()
    for name in dict.fromkeys((*problems, *known)):
        tried = known.get(name, [])
        solved = any(a["label"] == "correct" for a in tried)
        state = "solved" if solved else "tried" if tried else "open"
        rows.append(
            {
                "": _SIGNS[state],
                "problem": name,
                "state": state,
                "attempts": len(tried),
                "last verdict": tried[-1]["label"] if tried else None,
            }
        )
    return rows


def _chip(row: dict[str, object]) -> str:
    name, state, tried = str(row["problem"]), row["state"], row["attempts"]
    count = f"{tried} attempt{'s' * (tried != 1)}"
    last = f", last verdict {row['last verdict']}" if tried else ""
    about = escape(f"{name}: {state}, {count}{last}", quote=True)
    short = escape(name.partition(".")[2] or name)
    return (
        f'<span class="bpl-chip {state}" role="img" aria-label="{about}" '
        f'title="{about}">{row[""]} {short}</span>'
    )


_STYLE = """<style>
.bpl-progress { max-width: 780px; font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; color: var(--jp-ui-font-color1, #222); }
.bpl-progress p { font-size: 14px; margin: 4px 0; }
.bpl-progress .bpl-share { border: 1px solid var(--jp-border-color1, #bbb); border-radius: 5px; height: 8px; margin: 0 0 10px; overflow: hidden; }
.bpl-progress .bpl-share i { background: #009e73; display: block; height: 100%; }
.bpl-progress .bpl-field { align-items: baseline; display: grid; gap: 4px 8px; grid-template-columns: 130px 1fr; padding: 3px 0; }
.bpl-progress small { color: var(--jp-ui-font-color2, #666); font-weight: 400; }
.bpl-progress .bpl-chip { border: 1px solid var(--jp-border-color1, #bbb); border-radius: 10px; display: inline-block; margin: 1px 6px 3px 0; padding: 0 9px; white-space: nowrap; }
.bpl-progress .bpl-chip.open { color: var(--jp-ui-font-color2, #666); }
.bpl-progress .bpl-chip.tried { border-color: #e69f00; border-style: dashed; }
.bpl-progress .bpl-chip.solved { border-color: #009e73; border-width: 2px; font-weight: 600; }
</style>"""  # noqa: E501
