"""One training step as hooks see it: values, gradients, and how far it moved."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..distributions import Row, added, measure
from ..node import Change, Handle
from ..tensor import Tensor

ACTIVATIONS, GRADIENTS = "activations", "gradients"


class TrainingStep:
    """One step in the making: from the first call of the model to the update."""

    __slots__ = (
        "_before", "_grads", "_handles", "_leaves", "_opened", "_seen", "_told",
        "began", "measures", "output", "parameters",
    )  # fmt: skip

    def __init__(self, parameters: list[tuple[str, Tensor]]) -> None:
        self.parameters = parameters
        self.began = Change.latest
        self.measures = False
        self.output: Tensor | None = None  # of the model's last call

    def over(self) -> bool:
        """Whether the parameters moved, or their gradients were forgotten."""
        for _, p in self.parameters:
            if p._extra is not None and p._extra.change.at > self.began:
                return True
        return self.returned and all(p.grad is None for _, p in self.parameters)

    @property
    def returned(self) -> bool:
        """Whether a backward pass came: it frees what it has used."""
        y = self.output
        if self.measures and self._grads:
            return True
        return bool(y is not None and y._edges and y._inputs is None)

    def watch(self) -> None:
        """Measure this step: hold the weights, and hear of their gradients."""
        self.measures = True
        self._handles: list[Handle] = []  # on modules, for one call
        self._opened: list[Any] = []  # modules that had no hooks
        self._leaves: list[Handle] = []  # on parameters, for the step
        self._seen: dict[tuple[str, str], tuple[Row, int]] = {}
        self._grads: dict[str, Any] = {}
        self._before: dict[str, np.ndarray] = {}
        self._told: set[int] = set()
        for name, p in self.parameters:
            self._before[name] = np.array(p.data)
            self._leaves.append(p.register_hook(partial(self._leaf, name, p)))

    def listen(self, model: Any) -> None:
        """Hear of the outputs of all modules below, for one call."""
        self._deafen()
        self._told.clear()
        for name, module in model.named_modules():
            if name:
                hook = partial(self._gave, name)
                if "_hooks" not in vars(module):
                    self._opened.append(module)
                self._handles.append(module.register_forward_hook(hook))

    def ended(self, name: str, output: Any) -> None:
        """Take in what the model itself gave, unless it is its last layer's."""
        if self.measures:
            self._deafen()
            self._gave(name, None, None, output)
        self.output = _first(output)

    def rows(self) -> tuple[dict[Any, Row], dict[Any, float]]:
        """Rows of this step, and how far each parameter moved."""
        rows = {key: row for key, (row, _) in self._seen.items()}
        rows |= {
            (GRADIENTS, name): measure(g, units=False)
            for name, g in self._grads.items()
        }
        moved = {
            name: _ratio(self._before[name], p.data)
            for name, p in self.parameters
            if name in self._grads
        }
        return rows, moved

    def leave(self) -> None:
        """Take all hooks away."""
        if not self.measures:
            return
        self._deafen()
        for handle in self._leaves:
            handle.remove()
        self._leaves.clear()

    def _deafen(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for module in self._opened:  # one without hooks is called faster
            hooks = vars(module)["_hooks"]
            if not (hooks.before or hooks.after or hooks.backward):
                del vars(module)["_hooks"]
        self._opened.clear()

    def _gave(self, name: str, _module: Any, _args: Any, output: Any) -> None:
        y = _first(output)
        if y is None or y._id in self._told:  # a container gives what its last one gave
            return
        self._told.add(y._id)
        self._add((ACTIVATIONS, name), y.data)
        if y.requires_grad:
            y.register_hook(partial(self._came, name))

    def _came(self, name: str, g: Any) -> None:
        self._add((GRADIENTS, name), g.data if isinstance(g, Tensor) else g)

    def _leaf(self, name: str, p: Tensor, g: Any) -> None:
        g = g.data if isinstance(g, Tensor) else g
        # As backward accumulates: what was forgotten in between does not count.
        held = self._grads.get(name) if p.grad is not None else None
        self._grads[name] = g if held is None else held + g

    def _add(self, key: tuple[str, str], a: np.ndarray) -> None:
        row, n = measure(a, units=key[0] == ACTIVATIONS), a.size
        if key in self._seen:
            before, m = self._seen[key]
            row, n = added(before, row, m, n), n + m
        self._seen[key] = row, n


def _first(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple):
        return next((y for y in output if isinstance(y, Tensor)), None)
    return None


def _ratio(before: np.ndarray, after: np.ndarray) -> float:
    change = np.subtract(after, before, dtype=np.float64).ravel()
    before = before.astype(np.float64).ravel()
    size = float(before @ before)
    return (float(change @ change) / size) ** 0.5 if size else float("nan")
