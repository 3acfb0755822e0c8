"""GradScaler: multiply the loss, so that small gradients survive a narrow format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import DTypeError, GradError, NameLookupError, RangeError
from ..node import label
from ..optim import Optimizer
from ..tensor import Tensor
from ._arguments import require_interval, require_scaling


class Step(NamedTuple):
    """What one ``update`` saw: the scale in use, and whether a step was skipped."""

    scale: float
    skipped: bool


class GradScaler:
    """Loss scaling that finds its own scale, by PyTorch's rule.

    The loss is multiplied by the scale before backward and the gradients divided by it
    after. Where a gradient is then not finite the step is skipped and the scale
    multiplied by ``backoff_factor``; after ``growth_interval`` clean updates in a row
    it is multiplied by ``growth_factor`` (Micikevicius et al. 2018, section 3.2). There
    is no floor; growth stops where float32 does.

    Args:
        init_scale: the first scale, above 0 and finite in float32.
        growth_factor: above 1.
        backoff_factor: between 0 and 1.
        growth_interval: clean updates before the scale grows, at least 1.
        enabled: False makes ``scale`` and ``unscale_`` do nothing.

    Attributes:
        history: a ``Step`` for each update.

    Raises:
        RangeError: if the scale, a factor or the interval is not in its range.

    >>> import backproplab as bp
    >>> w = bp.tensor(np.float32([1.0]), requires_grad=True)
    >>> optimizer, scaler = bp.optim.SGD([w], lr=0.5), GradScaler(init_scale=8.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad.item()
    16.0
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> w.item(), scaler.get_scale(), scaler.history
    (0.0, 8.0, [Step(scale=8.0, skipped=False)])
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        require_scaling("GradScaler", init_scale, growth_factor, backoff_factor)
        require_interval("GradScaler", growth_interval)
        self.growth_factor, self.backoff_factor = growth_factor, backoff_factor
        self.growth_interval, self.enabled = growth_interval, enabled
        self.history: list[Step] = []
        self._scale, self._clean, self._used = float(init_scale), 0, False
        self._seen: WeakKeyDictionary[Optimizer, _Seen] = WeakKeyDictionary()

    def scale(self, outputs: Any) -> Any:
        """Multiply a loss, or each of several, by the scale, in float32 at least."""
        if not self.enabled:
            return outputs
        self._used = True
        if isinstance(outputs, Tensor):
            scaled: Any = outputs
            return scaled * np.float32(self._scale)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(y) for y in outputs)
        raise TypeError(
            f"scale: seen {type(outputs).__name__}; required a Tensor, or a list or "
            "tuple of them.\n"
            "  help: pass the loss itself: `scaler.scale(loss).backward()`."
        )

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimiser's gradients by the scale, and note if one is not finite.

        Call it before clipping; ``step`` does it otherwise.

        Raises:
            GradError: if it was done since the last update, or after the step, or if no
                loss was scaled yet.
            DTypeError: if a gradient is float16; then none is divided.
        """
        if not self.enabled:
            return
        self._require_used("unscale_")
        seen = self._seen.setdefault(optimizer, _Seen())
        if seen.stepped:
            raise GradError(
                "unscale_: it is called after step(); it must come before.",
                help="order: backward, unscale_, clip, step, update.",
            )
        if seen.finite is not None:
            raise GradError(
                "unscale_: it was already called on this optimizer since the last "
                "update(); the gradients would be divided twice.",
                help="call it once, and `scaler.update()` at the end of each step.",
            )
        held = list(_with_grad(optimizer))
        for p in held:
            if p.grad.dtype == np.float16:
                raise DTypeError(
                    f"unscale_: the gradient of {label(p)} is float16; float32 is "
                    "required, since a small one vanishes when it is divided.",
                    help="keep the parameters in float32 and run the model in "
                    "`bp.amp.autocast('float16')`.",
                )
        inverse = 1.0 / self._scale
        for p in held:
            seen.finite = seen.finite is not False and bool(np.isfinite(p.grad).all())
            p.grad = p.grad * inverse

    def step(self, optimizer: Optimizer) -> None:
        """Unscale if that is not done, and step unless a gradient is not finite.

        Raises:
            GradError: if it was called since the last update, if no loss was scaled
                yet, or if no parameter has a gradient.
            DTypeError: if a gradient is float16.
        """
        if not self.enabled:
            return optimizer.step()
        self._require_used("step")
        seen = self._seen.setdefault(optimizer, _Seen())
        if seen.stepped:
            raise GradError(
                "step: it was already called since the last update().",
                help="call `scaler.update()` after each step.",
            )
        if seen.finite is None:
            self.unscale_(optimizer)
        if seen.finite is None:
            raise GradError(
                "step: no parameter of this optimizer has a gradient; at least one is "
                "required.",
                help="call `scaler.scale(loss).backward()` first.",
            )
        if seen.finite:
            optimizer.step()
        seen.stepped = True

    def update(self, new_scale: float | None = None) -> None:
        """Choose the next scale from what was seen since the last update, or set it.

        Raises:
            GradError: if no gradients were looked at since the last update.
            RangeError: if ``new_scale`` is not above 0 and finite in float32.
        """
        if not self.enabled:
            return
        self._require_used("update")
        looked = [s.finite for s in self._seen.values() if s.finite is not None]
        if new_scale is None and not looked:
            raise GradError(
                "update: no gradients were looked at since the last update().",
                help="call `scaler.step(optimizer)` first.",
            )
        if new_scale is not None:
            require_scaling("update", new_scale, of="new_scale")
        skipped = not all(looked)
        self.history.append(Step(self._scale, skipped))
        if new_scale is not None:
            self._scale = float(new_scale)
        elif skipped:
            self._scale *= self.backoff_factor
            self._clean = 0
        else:
            self._clean += 1
            if self._clean == self.growth_interval:
                grown = self._scale * self.growth_factor
                if grown <= float(np.finfo(np.float32).max):
                    self._scale = grown
                self._clean = 0
        self._seen.clear()

    def get_scale(self) -> float:
        """The scale in use; 1 where scaling is switched off."""
        return self._scale if self.enabled else 1.0

    @property
    def skipped(self) -> list[int]:
        """The updates, counted from 0, whose steps were skipped."""
        return [k for k, step in enumerate(self.history) if step.skipped]

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on, under PyTorch's keys; empty where switched off."""
        if not self.enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": self._clean,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            RangeError: if the state is empty, or a number is not in its range; then
                nothing is taken over.
            NameLookupError: if one is missing.
        """
        if not self.enabled:
            return
        if not state:
            raise RangeError(
                "load_state_dict: the state is empty; it came from a scaler that was "
                "switched off.",
                help="make this one with `GradScaler(enabled=False)`, too.",
            )
        for key in self.state_dict():
            if key not in state:
                raise NameLookupError(
                    f"load_state_dict: the state has no {key!r}; it is no scaler's.",
                    help="pass what `scaler.state_dict()` gave.",
                )
        require_scaling(
            "load_state_dict",
            state["scale"],
            state["growth_factor"],
            state["backoff_factor"],
            of="scale",
        )
        require_interval("load_state_dict", state["growth_interval"])
        self._scale = float(state["scale"])
        self.growth_factor = state["growth_factor"]
        self.backoff_factor = state["backoff_factor"]
        self.growth_interval = state["growth_interval"]
        self._clean = int(state["_growth_tracker"])

    def __repr__(self) -> str:
        return f"GradScaler(scale={self.get_scale():g}, skipped={len(self.skipped)})"

    def _require_used(self, method: str) -> None:
        if not self._used:
            raise GradError(
                f"{method}: no loss was scaled yet; gradients would be divided by a "
                "scale that they never had.",
                help="call `scaler.scale(loss).backward()` first.",
            )


class _Seen:
    """What was done with one optimiser since the last update.

    ``finite`` is None until its gradients were looked at.
    """

    __slots__ = ("finite", "stepped")

    def __init__(self) -> None:
        self.finite: bool | None = None
        self.stepped = False


def _with_grad(optimizer: Optimizer) -> Iterable[Any]:
    for group in optimizer.param_groups:
        yield from (p for p in group["params"] if p.grad is not None)
