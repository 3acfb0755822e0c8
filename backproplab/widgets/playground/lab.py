"""PlaygroundLab: a small net trained live on points, open to the last weight."""

from time import perf_counter
from typing import Any

import ipywidgets
import numpy as np

from ..lab import Lab, hint
from ..numerals import number
from . import chain as chains
from . import frame as frames
from . import picture
from .chain import Chain
from .controls import MODES, Panel
from .frame import Frame
from .net import LAYERS, UNITS, Controls, Training, build
from .pane import ChainPane
from .player import Player
from .view import PlaygroundView
from .words import said

SLICE = 0.02  # seconds of training in a frame at most
TRY = (
    "Spirals: play with 4 + 2 units; is it enough? Add units, then "
    "a layer. Pause, choose a weight, read its gradient as a sum over paths. Turn to "
    "backward and press Next: where does the signal fade with four layers of sigmoid? "
    "Scrub the history back to the step where the loss fell."
)
_REBUILD = ("data", "noise", "features", "activation", "seed", "hidden")


class PlaygroundLab(Lab):
    """Trains a small net on points in the plane, live, and takes any gradient apart.

    Each unit shows its response over the plane. A click on a line, or the arrow keys
    and Enter, writes out the gradient of that weight: the paths from the loss back to
    it, the local factors along each with their numbers, their sum, equal to ``.grad``.
    In backward mode lines are gradients and dots are dL/dh, example by example; Next
    lets the signal come one layer further.

    Training stops when nobody sees it, and goes on when somebody does.

    Args:
        data: "circle", "xor", "spirals", "gaussians" or "moons".
        **begin: what else to begin with: fields of ``Controls``, that is noise,
            features, hidden, activation, optimizer, lr, batch, decay, seed.

    Raises:
        RangeError: if something cannot be set so.

    Attributes:
        training: the net, its history, its points.
        frame: what is shown.

    >>> lab = PlaygroundLab("xor", hidden=(3,))
    >>> lab.train(100)
    >>> lab
    <PlaygroundLab: xor, 2-3-1 units, tanh, step 100, loss 0...>
    >>> bool(abs(lab.chain.total - lab.chain.grad) < 1e-12)
    True
    """

    frame: Frame

    def __init__(self, data: str = "circle", **begin: Any) -> None:
        # First of all: a lab that fails to begin is closed all the same.
        self.pane = ChainPane(self._explain)
        self._player = Player(self._turn, self._ended)
        self._begun = Controls(data, **begin)
        self.view, self.panel = PlaygroundView(), Panel()
        self._version = 0
        self.hidden, self.seed = self._begun.hidden, self._begun.seed
        self._make(self._begun)
        looks = picture.looks()
        style = ipywidgets.HTML(f"<style>{looks}</style>", layout={"display": "none"})
        p = self.panel
        super().__init__(style, *p.above, self.view, *p.below, self.pane, hint(TRY))
        self._restart()
        for control in (
            p.data, p.noise, p.activation, p.optimizer, p.lr, p.batch, p.decay,
            *p.features.values(),
        ):  # fmt: skip
            control.observe(self._update, "value")
        for control in (p.mode, p.history, p.example):
            control.observe(self._draw, "value")
        self.view.observe(self._draw, "selected")
        self.view.on_msg(self._asked)
        for name, act in (
            ("Play", self._toggle), ("Step", lambda: self.train(1)),
            ("New weights", self._reseed), ("Reset", self._restart),
            ("− layer", lambda: self.reshape(self.hidden[:-1])),
            ("+ layer", lambda: self.reshape((*self.hidden, 4))),
            ("Back", lambda: self._stage(-1)), ("Next", lambda: self._stage(1)),
        ):  # fmt: skip
            p.buttons[name].on_click(lambda _, act=act: act())

    # What can be done.

    @property
    def controls(self) -> Controls:
        """What is set now."""
        return self.panel.read(self.hidden, self.seed)

    @property
    def chain(self) -> Chain | None:
        """The gradient that is written out, at the weights that are shown."""
        return self.pane.chain

    @property
    def playing(self) -> bool:
        """Whether it trains by itself."""
        return self._player.playing

    def train(self, steps: int) -> None:
        """Take steps of the optimiser, here and now."""
        self.pause()
        with self.reported():
            with np.errstate(all="ignore"):
                self.training.advance(steps)
            self._caught_up()

    def play(self) -> None:
        """Let the kernel's loop train between other things."""
        self.pane.drop()
        if not self._player.play():
            self.say("Playing needs a running kernel; `lab.train(100)` trains here.")
        self._switch()

    def pause(self) -> None:
        """Stop training; ``play`` goes on from there."""
        if self._player.stop():
            self._caught_up()

    def close(self) -> None:
        """Stop training and take the lab away."""
        self.pane.drop()
        self._player.stop()
        super().close()

    def reshape(self, hidden: tuple[int, ...]) -> None:
        """Give the hidden layers other numbers of units; the net begins anew."""
        hidden = tuple(hidden)
        if len(hidden) <= LAYERS and all(1 <= n <= UNITS for n in hidden):
            self.hidden = hidden
            self._update()

    def select(self, layer: int, unit: int, source: int) -> None:
        """Write out the gradient of a weight: from an input to a unit of a layer."""
        self.view.selected = [layer, unit, source]

    def picture(self) -> str:
        """Draw what is shown as SVG."""
        return picture.render(self.training, self.frame)

    def __str__(self) -> str:
        c = self.training.controls
        units = "-".join(map(str, c.widths))
        loss = number(self.frame.losses[0])
        step = f"step {self.frame.step}, loss {loss}"
        return f"{c.data}, {units} units, {c.activation}, {step}"

    # How it goes.

    def _make(self, c: Controls) -> None:
        """Begin a training."""
        self.training, self._eye = Training(c), build(c)
        self._version += 1
        self.pane.forget()

    def _restart(self) -> None:
        self.pause()
        with self.quietly():
            self.hidden, self.seed = self._begun.hidden, self._begun.seed
            self.panel.show(self._begun)
            self.panel.mode.value, self.panel.example.value = MODES[0], 0
            self.view.stage = 0
        self._update(anew=True)

    def _reseed(self) -> None:
        self.seed += 1
        self._update()

    def _update(self, _: Any = None, *, anew: bool = False) -> None:
        """Take over the controls; what changes the net begins it anew."""
        if self.quiet:
            return
        with self.reported():
            old, new = self.training.controls, self.controls
            if anew or any(getattr(old, n) != getattr(new, n) for n in _REBUILD):
                self._make(new)
                layer, unit, source = self.view.selected
                w = new.widths
                if not (layer < len(w) and unit < w[layer] and source < w[layer - 1]):
                    self.view.selected = [1, 0, 0]
                self.view.stage = min(self.view.stage, len(self.hidden) + 1)
            elif new != old:
                self.training.tune(new)
            self._caught_up()

    def _caught_up(self) -> None:
        """Show the newest step, and let the history reach to it."""
        with self.quietly():
            t, slider = self.training, self.panel.history
            slider.max = len(t.steps) - (t.steps[-1] == t.taken)
            slider.value = slider.max
        self._draw()

    def _computed(self, place: int | None) -> Frame:
        """The frame at a place of the history; the newest where there is none."""
        t = self.training
        row, step = t.latest, t.taken
        if place is not None and place < len(t.steps):
            row, step = t.snapshots[place], t.steps[place]
        backward = self.panel.mode.value == MODES[1]
        return frames.compute(t, self._eye, row, step, backward=backward)

    def _draw(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            place = None if self.playing else self.panel.history.value
            self.frame = self._computed(place)
            view = self.view
            with view.hold_sync():  # one message
                if view.scene.get("version") != self._version:
                    view.scene = frames.scene(self.training, self._version)
                view.backward = self.frame.backward is not None
                view.example = self.panel.example.value
                view.told = said(self.training, self.frame, view.stage, self.playing)
                view.frame = frames.pack(self.frame, self._version, self.training)
            self._switch()
            if not self.playing:
                self.pane.write_soon()

    def _explain(self) -> tuple[Chain, str]:
        """Write out the chosen gradient, at the weights that are shown."""
        with self.reported():
            t, k = self.training, self.panel.example.value
            x, y, batch = t.x, t.points.y, t.batch
            layer, unit, source = self.view.selected
            chain = chains.explain(
                self._eye, t.controls, (layer, unit, source), (x[batch], y[batch]),
                (x[k], y[k]),
            )  # fmt: skip
            step = self.frame.step
            return chain, chains.render(chain, k, y[k], len(batch), step)

    def _switch(self) -> None:
        """Enable what can be pressed now."""
        p, b, depth = self.panel, self.panel.buttons, len(self.hidden)
        b["Play"].description = "Pause" if self.playing else "Play"
        b["− layer"].disabled = depth == 0
        b["+ layer"].disabled = depth == LAYERS
        backward = p.mode.value == MODES[1]
        b["Back"].disabled = not backward or self.view.stage == 0
        b["Next"].disabled = not backward or self.view.stage == depth + 1
        p.history.disabled = self.playing

    def _toggle(self) -> None:
        self.pause() if self.playing else self.play()

    def _stage(self, by: int) -> None:
        self.view.stage = max(0, min(len(self.hidden) + 1, self.view.stage + by))
        self._draw()

    def _ended(self, well: bool) -> None:
        self._caught_up() if well else self._switch()

    def _turn(self) -> bool:
        """Train and show a frame; say whether to stop."""
        with self.reported():
            over = self._slice(perf_counter() + SLICE)
            self._draw()
        return over

    def _slice(self, end: float) -> bool:
        """Train for a frame; say whether the weights went out of all bounds."""
        with np.errstate(all="ignore"):
            for _ in range(self.panel.speed.value):
                self.training.advance()
                if perf_counter() > end:
                    break
        return not np.isfinite(self.training.latest).all()

    def _asked(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if "painted" in content or "visible" in content:
            if self._player.answered():
                self.play()
        elif "hidden" in content:
            self.reshape(tuple(content["hidden"]))
        elif "near" in content:
            self.panel.example.value = frames.nearest(self.training, *content["near"])
