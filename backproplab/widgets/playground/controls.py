"""The controls of the playground: ipywidgets by name, and the rows they stand in."""

from typing import Any

import ipywidgets

from .data import DATA, FEATURES, NOISES, TRAINING
from .net import ACTIVATIONS, BATCHES, OPTIMIZERS, RATES, Controls

MODES = ("forward", "backward")
SPEEDS = (1, 2, 5, 10, 20, 50)
DECAYS = (0.0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1)
BUTTONS = {
    "Play": "Train on and on, or pause",
    "Step": "One step of the optimiser",
    "New weights": "Begin again from other weights",
    "Reset": "Everything as it was at first",
    "− layer": "Take the last hidden layer away",
    "+ layer": "Add a hidden layer before the output",
    "Back": "The error signal one layer back to the loss",
    "Next": "The error signal one layer further from the loss",
}


class Panel:
    """All controls of a lab.

    Attributes:
        data, activation, optimizer, mode: choices.
        noise, lr, batch, decay, speed, history, example: sliders.
        features: checkboxes by name.
        buttons: by what they say.
        rows: what stands above the net, and what below.
    """

    def __init__(self) -> None:
        slim = {"description_width": "54px"}
        self.data = _choice("data", DATA)
        self.activation = _choice("activation", tuple(ACTIVATIONS))
        self.optimizer = _choice("optimiser", OPTIMIZERS)
        self.noise = ipywidgets.FloatSlider(
            0.1, min=NOISES[0], max=NOISES[1], step=0.02, description="noise",
            readout_format=".2f", continuous_update=False, style=slim,
        )  # fmt: skip
        self.lr = ipywidgets.FloatLogSlider(
            0.1, min=-4, max=0.48, step=0.04, description="learning rate",
            readout_format=".2g", style={"description_width": "100px"},
            layout={"width": "290px"},
        )  # fmt: skip
        self.batch = _steps("batch", BATCHES, 10, slim)
        self.decay = _steps("L2", DECAYS, 0.0, slim)
        each = [(f"{n} step{'s'[: n > 1]}", n) for n in SPEEDS]
        self.speed = _steps("speed", each, 5, slim)
        self.history = ipywidgets.IntSlider(
            0, 0, 0, description="history", readout=False, style=slim
        )
        self.example = ipywidgets.IntSlider(
            0,
            0,
            TRAINING - 1,
            description="example",
            style={"description_width": "66px"},
        )
        self.mode = ipywidgets.ToggleButtons(
            options=MODES, tooltip="which way", style={"button_width": "92px"}
        )
        self.features = {
            name: ipywidgets.Checkbox(False, description=name, indent=False)
            for name in FEATURES
        }
        self.buttons = {
            name: ipywidgets.Button(description=name, tooltip=tip)
            for name, tip in BUTTONS.items()
        }
        for name, button in self.buttons.items():
            button.layout.width = f"{max(64, 22 + 8 * len(name))}px"
        for slider in (self.noise, self.batch, self.decay, self.speed, self.history):
            slider.layout.width = "226px"
        self.example.layout.width = "236px"
        b = self.buttons
        words = ipywidgets.HTML("<span class='bpl-graph'>features</span>")
        self.above = [
            _row(self.data, self.activation, self.optimizer, self.noise),
            _row(self.lr, self.batch, self.decay),
            _row(words, *self.features.values(), kind="bpl-toggles"),
            _row(b["Play"], b["Step"], self.history, self.speed, b["New weights"],
                 b["Reset"]),
        ]  # fmt: skip
        self.below = [
            _row(self.mode, b["Back"], b["Next"], self.example, b["− layer"],
                 b["+ layer"]),
        ]  # fmt: skip

    def show(self, c: Controls) -> None:
        """Set every control."""
        for name in ("data", "noise", "activation", "optimizer", "lr", "batch"):
            getattr(self, name).value = getattr(c, name)
        self.decay.value = min(DECAYS, key=lambda d: abs(d - c.decay))
        for name, box in self.features.items():
            box.value = name in c.features

    def read(self, hidden: tuple[int, ...], seed: int) -> Controls:
        """What is set; the last feature cannot be taken away."""
        chosen = tuple(name for name, box in self.features.items() if box.value)
        return Controls(
            self.data.value, self.noise.value, chosen or ("x₁",), hidden,
            self.activation.value, self.optimizer.value,
            min(max(self.lr.value, RATES[0]), RATES[1]), self.batch.value,
            self.decay.value, seed,
        )  # fmt: skip


def _choice(name: str, options: tuple[str, ...]) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=options, description=name, layout={"width": "172px"},
        style={"description_width": "68px"},
    )  # fmt: skip


def _steps(name: str, options: Any, value: Any, style: Any) -> Any:
    return ipywidgets.SelectionSlider(
        options=options, value=value, description=name, style=style
    )


def _row(*parts: Any, kind: str = "bpl-controls") -> ipywidgets.Box:
    box = ipywidgets.Box(parts)
    box.add_class(kind)
    box.add_class("bpl-narrow")
    return box
