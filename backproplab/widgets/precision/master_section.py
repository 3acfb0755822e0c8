"""Master weights on or off: the section of PrecisionLab on lost updates."""

from typing import Any

import ipywidgets

from ..lab import Lab, status
from .frame import button, choice, framed
from .master import FORMATS, POWERS, compute
from .master_picture import render, says

TRY = (
    "Say where w ends, then switch the master weight on. Which k is the first that is "
    "lost in float16? In bfloat16? Does stochastic rounding need a master?"
)


class MasterSection(Lab):
    """Shows what becomes of 2^k updates of 2^-k to a weight of 1.

    Args:
        fmt: the format at first.
        k: at first.

    >>> MasterSection("bfloat16", k=8)
    <MasterSection: 2^8 updates of 2^-8 in bfloat16 end at 1, not at 2>
    """

    def __init__(self, fmt: str = "float16", k: int = 12) -> None:
        self.shown = compute(fmt, k)
        self.set: dict[str, Any] = {
            "k": ipywidgets.IntSlider(
                k, *POWERS, description="2^k updates, k",
                style={"description_width": "100px"},
            ),
            "fmt": choice(FORMATS, fmt, "format"),
            "master": ipywidgets.Checkbox(
                False, description="float32 master weight", indent=False
            ),
            "chance": ipywidgets.Checkbox(
                False, description="stochastic rounding", indent=False
            ),
        }  # fmt: skip
        self._begun = {name: control.value for name, control in self.set.items()}
        self.button = button("Reset", "Begin again")
        self._words, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        names = ("master", "chance")
        bars = (
            [self.set["k"], self.set["fmt"], self.button],
            [self.set[name] for name in names],
        )
        super().__init__(*framed(bars, (self._picture, self._words), TRY))
        self._update()
        for control in self.set.values():
            control.observe(self._update, "value")
        self.button.on_click(lambda _: self.reset())

    def reset(self) -> None:
        """Begin again as the section began."""
        with self.quietly():
            for name, control in self.set.items():
                control.value = self._begun[name]
        self._update()

    def picture(self) -> str:
        """Draw the weights as SVG."""
        return render(self.shown, **self._lines(), alone=True)

    def __str__(self) -> str:
        w = self.shown
        end = f"{float(w.narrow[-1]):g}"
        return (
            f"2^{w.k} updates of 2^-{w.k} in {w.fmt} end at {end}"
            f"{'' if end == '2' else ', not at 2'}"
        )

    def _lines(self) -> dict[str, bool]:
        return {name: bool(self.set[name].value) for name in ("master", "chance")}

    def _update(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            self.shown = compute(self.set["fmt"].value, self.set["k"].value)
            self._words.value = status(says(self.shown, **self._lines()))
            self._picture.value = render(self.shown, **self._lines())
