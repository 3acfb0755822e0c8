"""A table: text to a terminal, HTML to a notebook, a list of dicts to code."""

from html import escape
from typing import Any


class Table(list[dict[str, Any]]):
    """Rows with the same keys.

    >>> print(Table([{"name": "w", "size": 3}, {"name": "loss", "size": 10}]))
    name  size
    w        3
    loss    10
    """

    def __str__(self) -> str:
        if not self:
            return "(no rows)"
        head = list(self[0])
        cells = [[show(row[key]) for key in head] for row in self]
        wide = [
            max(len(c) for c in column) for column in zip(head, *cells, strict=True)
        ]
        right = [all(_numeric(row[key]) for row in self) for key in head]
        return "\n".join(
            "  ".join(
                c.rjust(w) if r else c.ljust(w)
                for c, w, r in zip(line, wide, right, strict=True)
            ).rstrip()
            for line in [head, *cells]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self:
            return "<em>no rows</em>"
        head = "".join(f"<th>{escape(str(key))}</th>" for key in self[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td>{escape(show(v))}</td>" for v in row.values())
            + "</tr>"
            for row in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def show(value: Any) -> str:
    """Write a value in few characters: three digits, and nothing for None.

    >>> show(0.000123456), show((3, 4)), show(None), show(12)
    ('0.000123', '(3, 4)', '', '12')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def _numeric(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))
