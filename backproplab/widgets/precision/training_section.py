"""Training in several formats, live: the last section of PrecisionLab."""

import asyncio
from typing import Any

import ipywidgets

from ..lab import Lab, status
from . import training as model
from .bits_picture import own_css
from .frame import button, choice, framed
from .gradients import LOSSES
from .training_picture import render, says, table

TRY = (
    "Train as it is. Then with the loss × 2^-10, and as it is. Take float8_e4m3fn, "
    "first with the scale 2^16, then with 2^24. Which runs need a scaler, and why does "
    "bfloat16 not?"
)
_SLICE, _PAUSE = 0.02, 0.01  # seconds of training, and for sliders and pictures


class TrainingSection(Lab):
    """Trains the digits in float32, float16, bfloat16 and 8 bits side by side.

    The buttons train a slice at a time and let the page breathe in between;
    ``train()`` does it all at once.

    Args:
        **begin: what to begin with: fields of ``training.Controls``.

    Attributes:
        race: the runs, with their losses and accuracies.

    >>> section = TrainingSection(epochs=1)
    >>> section
    <TrainingSection: loss × 2^-20, 0 of 1 epochs>
    >>> section.train()
    >>> section
    <TrainingSection: loss × 2^-20, 1 of 1 epochs>
    """

    def __init__(self, **begin: Any) -> None:
        self._begun = model.Controls(**begin)
        begun = self._begun
        self._task: asyncio.Task[None] | None = None
        self.set: dict[str, Any] = {
            "epochs": ipywidgets.IntSlider(
                begun.epochs, *model.EPOCHS, description="epochs",
                style={"description_width": "60px"},
            ),
            "loss": choice(tuple(LOSSES), begun.loss, "loss itself", 190),
            "narrow": choice(model.NARROW, begun.narrow, "8 bits", 220),
            "initial": choice(
                [(f"2^{k}", k) for k in model.INITIAL], begun.initial, "first scale",
                180,
            ),
        }  # fmt: skip
        self.buttons = {
            name: button(name, tip)
            for name, tip in (
                ("Train", "Train all five runs from the start, or go on"),
                ("Stop", "Pause the training"),
                ("Reset", "Begin again"),
            )
        }
        self.progress = ipywidgets.IntProgress(0, 0, 1, layout={"width": "220px"})
        self._words, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        self._table = ipywidgets.HTML()
        names = ("loss", "narrow", "initial")
        bars = (
            [self.set["epochs"], *self.buttons.values(), self.progress],
            [self.set[name] for name in names],
        )
        body = (self._words, self._picture, self._table)
        super().__init__(*framed(bars, body, TRY))
        self._begin()
        for control in self.set.values():
            control.observe(self._begin, "value")
        self.buttons["Train"].on_click(lambda _: self.start())
        self.buttons["Stop"].on_click(lambda _: self.stop())
        self.buttons["Reset"].on_click(lambda _: self.reset())

    @property
    def controls(self) -> model.Controls:
        """What is set now."""
        return model.Controls(
            **{name: c.value for name, c in self.set.items()}, seed=self._begun.seed
        )

    @property
    def training(self) -> bool:
        """Whether it is training a slice at a time."""
        return self._task is not None

    def start(self) -> None:
        """Train in slices, in the kernel's event loop; go on where it was stopped."""
        if self.race.over:
            self._begin()
        if self._task is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # no event loop, as in a script
                self.train()
                return
            self._task = loop.create_task(self._slices())
            self._enable()

    def stop(self) -> None:
        """Pause; ``start`` goes on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._enable()

    def train(self) -> None:
        """Train to the end at once."""
        self.stop()
        with self.reported():
            while not self.race.over:
                self.race.advance(1.0)
            self._draw()

    def reset(self) -> None:
        """Begin again as the section began, untrained."""
        self.put(self.set, self._begun)
        self._begin()

    def picture(self) -> str:
        """Draw the curves as SVG."""
        return render(self.race, alone=True)

    def page(self) -> str:
        """Write curves and table, for a page without a kernel."""
        return f"<style>{own_css()}</style>{self.picture()}{self._table.value}"

    def __str__(self) -> str:
        c = self.controls
        done = len(self.race.runs[-1].losses)
        return f"loss {c.loss}, {done} of {c.epochs} epochs"

    async def _slices(self) -> None:
        with self.reported():
            try:
                while not self.race.over:
                    before = len(self.race.runs[-1].losses)
                    self.race.advance(_SLICE)
                    self.progress.value = self.race.done
                    if len(self.race.runs[-1].losses) != before:
                        self._draw()
                    await asyncio.sleep(_PAUSE)
            finally:
                if self._task is asyncio.current_task():
                    self._task = None
                    self._draw()

    def _begin(self, _: Any = None) -> None:
        """Throw away what was trained."""
        if self.quiet:
            return
        self.stop()
        with self.reported():
            self.race = model.Race(self.controls)
            self.progress.max = self.race.total
            self._draw()

    def _enable(self) -> None:
        self.buttons["Train"].disabled = self.training
        self.buttons["Stop"].disabled = not self.training

    def _draw(self) -> None:
        self.progress.value = self.race.done
        self._words.value = status(says(self.race))
        self._picture.value = render(self.race)
        self._table.value = f'<div class="bpl-graph">{table(self.race)}</div>'
        self._enable()
