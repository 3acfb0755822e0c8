"""ReplicaLab: replicas of a model that share a batch, agree, and are led astray."""

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import Any

import ipywidgets

from ..drawing import STATIC
from ..lab import Lab, bar, hint, status, toggles
from ..numerals import number
from . import views
from .controls import FAULTS, RATES, REPLICAS, ROWS, SHOWS, Controls, choose
from .ring import stages
from .scaling import Race
from .step import Step, compute
from .training import Replicas

STEP, TRAINING, NORM, SCALING = SHOWS
FAST = 10**-0.5  # the learning rate to begin with, but for
RATE = {SCALING: 10**-1.7}
SLICE = 0.012  # seconds of training in which the kernel listens to nothing else
PICTURE = 0.15  # seconds between two pictures: Jupyter drops what comes too thick
TRY = (
    "Press Next until the update. Then break it: forget to "
    "average. Before you look at the training: will the replicas drift apart? With "
    "different seeds? With a stale one? Take local batch statistics, then mend them. "
    "Under linear scaling: 8 replicas, warm-up off and on, rates 0.01 to 0.05."
)


class ReplicaLab(Lab):
    """Shows data-parallel training: one step taken apart, drift, batch norm, scaling.

    Args:
        shown: "one step", "training", "batch norm" or "linear scaling".
        **begin: what to begin with: fields of ``Controls``, that is replicas, rows,
            fault, lr and warmup.

    Raises:
        RangeError: if something cannot be set so.

    >>> ReplicaLab()
    <ReplicaLab: 4 replicas of 16 rows, one step, nothing broken, gradient off ...e−16>
    >>> lab = ReplicaLab("training", fault="forget to average")
    >>> lab.finish()
    >>> lab
    <ReplicaLab: 4 replicas of 16 rows, training, forget to average, 200 steps>
    """

    def __init__(self, shown: str = STEP, **begin: Any) -> None:
        choose("shown", shown, SHOWS)
        self._begun = Controls(**{"lr": RATE.get(shown, FAST), **begin})
        self._shown, self._task = shown, None  # type: str, asyncio.Task[None] | None
        self.step: Step = compute(self._begun)
        self.run: Replicas | Race | None = None
        self.shown = toggles(SHOWS, "what is shown")
        self.replicas = ipywidgets.IntSlider(
            4, *REPLICAS, description="replicas", style={"description_width": "92px"}
        )
        self.rows = ipywidgets.SelectionSlider(
            options=ROWS, value=16, description="rows of each",
            style={"description_width": "92px"},
        )  # fmt: skip
        self.lr = ipywidgets.FloatLogSlider(
            FAST, min=-3, max=0.3, step=0.01, description="learning rate",
            readout_format=".3g", style={"description_width": "92px"},
        )  # fmt: skip
        self.fault = ipywidgets.Dropdown(
            options=tuple(FAULTS), description="broken: ", layout={"width": "290px"}
        )
        self.warmup = ipywidgets.Checkbox(True, description="warm-up", indent=False)
        self.stage = ipywidgets.IntSlider(
            1, 1, 10, description="stage", style={"description_width": "92px"}
        )
        self.progress = ipywidgets.IntProgress(0, 0, Replicas.whole)
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=tip)
            for name, tip in (
                ("Back", "One stage back"),
                ("Next", "One stage on"),
                ("Run", "Train on to the end"),
                ("Stop", "Stop training"),
                ("Reset", "Begin again"),
            )
        }
        for button in self.buttons.values():
            button.layout.width = "84px"
        self._text, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        b = self.buttons
        bars = (
            [self.shown, b["Reset"]],
            [self.replicas, self.rows, self.lr, self.fault, self.warmup],
            [self.stage, b["Back"], b["Next"], b["Run"], b["Stop"], self.progress],
        )
        looks = STATIC.joinpath("replica.css").read_text("utf-8")
        style = ipywidgets.HTML(f"<style>{looks}</style>", layout={"display": "none"})
        rows = [bar(*controls) for controls in bars]
        super().__init__(style, *rows, self._text, self._picture, hint(TRY))
        self._restart()
        self.shown.observe(self._turn, "value")
        for control in (self.replicas, self.rows, self.lr, self.fault, self.warmup):
            control.observe(self._update, "value")
        self.stage.observe(self._draw, "value")
        b["Back"].on_click(lambda _: self._move(-1))
        b["Next"].on_click(lambda _: self._move(1))
        b["Run"].on_click(lambda _: None if self._begin() else self.finish())
        b["Stop"].on_click(lambda _: self.stop())
        b["Reset"].on_click(self._restart)

    @property
    def controls(self) -> Controls:
        """What is set now."""
        return Controls(
            self.replicas.value, self.rows.value, self.fault.value,
            min(max(self.lr.value, RATES[0]), RATES[1]), self.warmup.value,
        )  # fmt: skip

    def finish(self) -> None:
        """Train to the end, here and now."""
        self.stop()
        while self._open():
            self._advance()
        self._draw()

    def stop(self) -> None:
        """Stop training; ``Run`` goes on from there."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        self._switch()

    def picture(self) -> str:
        """Draw what is shown as SVG; a training is drawn to its end."""
        return views.still(*self._state())

    def __str__(self) -> str:
        c, shown = self.controls, self.shown.value
        fault = "nothing broken" if c.fault == "nothing" else c.fault
        head = f"{c.replicas} replicas of {c.rows} rows, {shown}"
        if shown == STEP:
            off = number(float(self.step.off.max()), 2)
            return f"{head}, {fault}, gradient off {off}"
        if shown == NORM:
            return head
        taken = self.run.taken if self.run is not None else 0
        return f"{head}{f', {fault}' if shown == TRAINING else ''}, {taken} steps"

    def _restart(self, _: Any = None) -> None:
        with self.quietly():
            begun = self._begun
            self.shown.value, self.stage.value = self._shown, 1
            for name in ("replicas", "rows", "fault", "lr", "warmup"):
                getattr(self, name).value = getattr(begun, name)
        self._update()

    def _turn(self, _: Any = None) -> None:
        """Show something else; it brings the learning rate that shows most."""
        if not self.quiet:
            with self.quietly():
                self.lr.value = RATE.get(self.shown.value, FAST)
            self._update()

    def _move(self, by: int) -> None:
        self.stage.value += by

    def _update(self, _: Any = None) -> None:
        """Compute what the controls ask for; a training begins, and goes on alone."""
        if self.quiet:
            return
        self.stop()
        with self.reported():
            controls, shown = self.controls, self.shown.value
            self.run = None
            if shown == STEP:
                self.step = compute(controls)
                with self.quietly():
                    self.stage.max = len(stages(self.step))
            elif shown != NORM:
                self.run = (Replicas if shown == TRAINING else Race)(controls)
                self._advance()
            self._draw()
            self._begin()
            self._switch()

    def _state(self) -> tuple[Any, ...]:
        now = self.step, self.stage.value - 1, self.run
        return self.shown.value, self.controls, *now

    def _open(self) -> bool:
        return self.run is not None and self.run.taken < self.run.whole

    def _advance(self) -> None:
        """Train for a moment."""
        end, run = perf_counter() + SLICE, self.run
        while run is not None and run.taken < run.whole and perf_counter() < end:
            run.advance(2)

    def _begin(self) -> bool:
        """Let the kernel's loop train between other things; False without a loop."""
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            if self._open() and self._task is None:
                self._task = loop.create_task(self._train())
            self._switch()
            return True
        return False

    async def _train(self) -> None:
        drawn = perf_counter()
        while self._open():
            await asyncio.sleep(0.005)
            with self.reported():
                self._advance()
                if not self._open() or perf_counter() - drawn > PICTURE:
                    self._draw()
                    drawn = perf_counter()
        self._task = None
        self._switch()

    def _switch(self) -> None:
        """Show the controls that matter now, and which buttons can be pressed."""
        shown, b = self.shown.value, self.buttons
        runs = shown in (TRAINING, SCALING)
        for part, wanted in (
            (self.stage, shown == STEP), (b["Back"], shown == STEP),
            (b["Next"], shown == STEP), (b["Run"], runs), (b["Stop"], runs),
            (self.progress, runs), (self.lr, runs),
            (self.fault, shown in (STEP, TRAINING)), (self.warmup, shown == SCALING),
        ):  # fmt: skip
            part.layout.display = "" if wanted else "none"
        b["Run"].disabled = self._task is not None or not self._open()
        b["Stop"].disabled = self._task is None
        b["Back"].disabled = self.stage.value == self.stage.min
        b["Next"].disabled = self.stage.value == self.stage.max

    def _draw(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            self._text.value = status(views.said(*self._state()))
            self._picture.value = views.drawn(*self._state())
            if self.run is not None:
                self.progress.max = self.run.whole
                self.progress.value = self.run.taken
                done = f"{self.run.taken} of {self.run.whole}"
                self.progress.description = done
            self._switch()
