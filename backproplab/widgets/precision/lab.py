"""PrecisionLab: rounding, underflow, loss scaling and master weights, to be seen."""

from collections.abc import Callable
from typing import Any

import ipywidgets

from ...errors import NameLookupError, near
from ..lab import Lab, bar, toggles
from .bits_section import BitsSection
from .error_section import ErrorSection
from .gradients_section import GradientsSection
from .master_section import MasterSection
from .training_section import TrainingSection

_SECTIONS: dict[str, tuple[str, Callable[[], Any]]] = {
    "bits": ("bits of a number", BitsSection),
    "histogram": ("gradients and loss scale", GradientsSection),
    "master": ("master weights", MasterSection),
    "error": ("error by layer", ErrorSection),
    "training": ("training", TrainingSection),
}


class PrecisionLab(Lab):
    """Shows what few bits do to numbers, gradients, weights and training.

    Args:
        view: one section alone: "bits", "histogram", "master", "error" or "training";
            left out, all of them behind a row of buttons.

    Raises:
        NameLookupError: if there is no such section.

    >>> lab = PrecisionLab()
    >>> lab
    <PrecisionLab: bits, 0.1 in float16 is 0.0999755859375>
    >>> lab.show("histogram")
    >>> lab.section.controls.fmt
    'float16'
    """

    def __init__(self, view: str | None = None) -> None:
        if view is not None:
            _require(view)
        names = tuple(_SECTIONS) if view is None else (view,)
        self._made: dict[str, Any] = {}
        self._place = ipywidgets.Box()
        self._place.add_class("bpl-section")
        self.views = toggles([(_SECTIONS[n][0], n) for n in names], "what is shown")
        super().__init__(*([bar(self.views)] if view is None else []), self._place)
        self._open()
        self.views.observe(self._open, "value")

    @property
    def view(self) -> str:
        """Name of the section that is shown."""
        return str(self.views.value)

    @property
    def section(self) -> Any:
        """The section that is shown, a lab of its own; made when first shown."""
        if self.view not in self._made:
            self._made[self.view] = _SECTIONS[self.view][1]()
        return self._made[self.view]

    def show(self, view: str) -> None:
        """Turn to another section.

        Raises:
            NameLookupError: if there is no such section.
        """
        _require(view)
        self.views.value = view

    def reset(self) -> None:
        """Let the section that is shown begin again."""
        self.section.reset()

    def picture(self) -> str:
        """Draw the section that is shown as SVG."""
        return str(self.section.picture())

    def page(self) -> str:
        """Write the section that is shown, where a picture does not say all."""
        return str(self.section.page())

    def __str__(self) -> str:
        return f"{self.view}, {self.section}"

    def _open(self, _: Any = None) -> None:
        with self.reported():
            self._place.children = (self.section,)


def _require(view: str) -> None:
    if view not in _SECTIONS:
        raise NameLookupError(
            f"PrecisionLab has no section {view!r}.",
            help=near(str(view), _SECTIONS),
        )
