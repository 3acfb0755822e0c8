"""Given: what a learner may use in an answer, by name."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np

from ..errors import NameLookupError, near


class Given(Mapping[str, Any]):
    """What may be used in an answer, by name: ``given.x`` or ``given["x"]``; read-only.

    Inputs, named values of the forward pass, and the incoming gradient if there is one.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _locked(value) for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise NameLookupError(
                f"given: there is no {name!r}.", help=near(str(name), self._values)
            )
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def words(self) -> tuple[str, ...]:
        """Each name with its shape; a single number has none."""
        return tuple(
            f"{name} {np.shape(v)}" if np.shape(v) else name for name, v in self.items()
        )

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {_short(v)}" for name, v in self.items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code></td>"
            f"<td>{np.shape(v) or 'number'}</td>"
            f'<td style="text-align:left"><code>{escape(_short(v))}</code></td></tr>'
            for name, v in self.items()
        )
        head = "<tr><th>given</th><th>shape</th><th></th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _locked(value: Any) -> Any:
    array = np.array(value)
    array.flags.writeable = False
    return array if array.ndim else array[()]


def _short(value: Any) -> str:
    text = np.array2string(np.asarray(value), precision=3, threshold=8, edgeitems=2)
    return " ".join(text.split())
