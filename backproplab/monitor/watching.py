"""Monitor: activations and gradients over a whole training run, in bounded memory."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..distributions import KEPT, History, Store
from ..errors import GradError, RangeError
from ..sockets import mode
from .pictures import NOTHING, drawn, table
from .step import ACTIVATIONS, GRADIENTS, TrainingStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from .._table import Table
    from ..nn import Module

EVERY = 64


class Monitor:
    """Watches a model train: what its layers give, what comes back, how far it moves.

    It notices steps by itself. A step begins when the model is called, in training mode
    and with the tape on; it is over when the parameters were changed, or their
    gradients forgotten, before the next call. Several calls and backward passes in
    between (micro-batches, two views) count as one. Where parameters change unseen, by
    ``p.data[...] = ...``, say ``monitor.step()`` after it.

    Gradients are those that ``backward`` brings: before clipping, and still scaled
    under a ``GradScaler``. A step that a scaler skips is there, with an update of 0.

    Steps 0, 1, 4, 16 and then every 64th are measured, the others cost next to
    nothing. Memory is bounded: when 512 rows are full, every other one goes and the
    distance doubles; so a run of any length leaves 256 to 512 rows, of about 400 bytes
    for each quantity of each layer and parameter.

    Args:
        model: the module that is called in the training loop.
        every: measure each so-many-th step; all of them with 1.
        kept: rows at most.

    Raises:
        TypeError: if ``model`` is no Module.
        GradError: if the model has a monitor already, or nothing to train.
        RangeError: if ``every`` is below 1 or ``kept`` below 2.

    >>> import numpy as np, backproplab as bp
    >>> rng = np.random.default_rng(0)
    >>> model = bp.nn.Sequential(bp.nn.Linear(2, 3, rng=rng), bp.nn.ReLU())
    >>> optimizer = bp.optim.SGD(model.parameters(), lr=0.1)
    >>> with bp.Monitor(model, every=1) as monitor:
    ...     for _ in range(5):
    ...         optimizer.zero_grad()
    ...         model(np.ones((4, 2), np.float32)).mean().backward()
    ...         optimizer.step()
    >>> monitor
    <Monitor of Sequential: 5 steps, 5 rows, 2 layers, 2 parameters, removed>
    >>> monitor.activations["1"].dead.round(2).tolist()
    [0.33, 0.67, 0.67, 0.67, 0.67]
    >>> monitor.updates["0.weight"].shape
    (5,)
    """

    def __init__(self, model: Module, *, every: int = EVERY, kept: int = KEPT) -> None:
        _require_module(model)
        _require_count("every", every, 1)
        _require_count("kept", kept, 2)
        parameters = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        if not parameters:
            raise GradError(
                f"Monitor: {type(model).__name__} has no parameter that wants a "
                "gradient; there is nothing to watch.",
                help="thaw it with `model.requires_grad_()`.",
            )
        self.model = model
        self._parameters = parameters
        self._store = Store(every, kept)
        self._count = 0
        self._pass: TrainingStep | None = None
        self._handles = [
            model.register_forward_pre_hook(self._begin),
            model.register_forward_hook(self._end),
        ]

    # Listening.

    def _begin(self, _module: Any, _args: Any) -> None:
        if not (self.model.training and mode.get().grad):
            return
        if self._pass is not None and self._pass.over():
            self._settle()
        if self._pass is None:
            self._pass = TrainingStep(self._parameters)
            if self._store.wants(self._count):
                self._pass.watch()
        if self._pass.measures:
            self._pass.listen(self.model)

    def _end(self, module: Any, _args: Any, output: Any) -> None:
        if self._pass is not None and module.training and mode.get().grad:
            self._pass.ended(type(module).__name__, output)

    def step(self) -> None:
        """Say that a step is over, the update done; mostly it is noticed.

        Raises:
            GradError: if the model was not called since the last step.
        """
        if self._pass is None:
            raise GradError(
                f"Monitor.step: {type(self.model).__name__} was not called in training "
                f"mode since step {self._count}; there is no step to end.",
                help="call it after `optimizer.step()`, once for each step.",
            )
        self._settle()

    def _settle(self) -> None:
        assert self._pass is not None
        if self._pass.measures:
            self._store.add(self._count, *self._pass.rows())
        self._pass.leave()
        self._pass = None
        self._count += 1

    def _caught_up(self) -> Store:
        """The store, with the step that ended last."""
        if self._pass is not None and self._pass.over():
            self._settle()
        return self._store

    def remove(self) -> None:
        """Stop watching; what was seen stays. A second time does nothing."""
        self._caught_up()
        if self._pass is not None:
            self._pass.leave()
            self._pass = None
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.remove()

    # Reading.

    @property
    def steps(self) -> int:
        """How many steps were seen, measured or not."""
        self._caught_up()
        return self._count

    @property
    def kept(self) -> tuple[int, ...]:
        """Which steps are kept, the first is 0."""
        return tuple(self._caught_up().steps)

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take; this grows with the model, not with the run."""
        return self._caught_up().nbytes

    @property
    def activations(self) -> Mapping[str, History]:
        """What each layer gave, by its dotted path, in the order of the first call."""
        return self._histories(ACTIVATIONS)

    @property
    def gradients(self) -> Mapping[str, History]:
        """dL/d(output) of each layer and dL/dp of each parameter, by dotted path."""
        return self._histories(GRADIENTS)

    @property
    def updates(self) -> Mapping[str, np.ndarray]:
        """|change of a parameter| / |parameter before it|, by dotted path, (t,) each.

        About 1e-3 a step is a healthy pace. NaN where the parameter was all zero.
        """
        store = self._caught_up()
        found = set(store.numbered)
        names = [n for n, _ in self._parameters if n in found]
        return MappingProxyType({n: store.numbers(n) for n in names})

    def _histories(self, kind: str) -> Mapping[str, History]:
        store = self._caught_up()
        names = [name for what, name in store if what == kind]
        if kind == GRADIENTS:  # as forward, not as backward met them
            order = [n for what, n in store if what == ACTIVATIONS]
            order += [n for n, _ in self._parameters]
            names.sort(key=order.index)
        return MappingProxyType({n: store.history((kind, n), n) for n in names})

    def table(self, step: int = -1) -> Table:
        """One row a layer or parameter at a kept step.

        Args:
            step: position among ``kept``; the last one by default.
        """
        return table(self.activations, self.gradients, self.updates, step)

    def plot(
        self, shown: str = "", layers: str = "*", *, fig: Figure | None = None
    ) -> Figure:
        """Draw the run.

        Args:
            shown: "activations" or "gradients" for histograms over time, "updates" for
                the update-to-weight ratio; all in one line each when empty.
            layers: only names that fit, such as "blocks.0.*" or "*.weight".
            fig: a figure to draw anew; a new one when None.

        Raises:
            RangeError: for any other word, or if no name fits.
            GradError: if no step was measured yet.
        """
        return drawn(
            self.kept, self.activations, self.gradients, self.updates,
            shown, layers, fig,
        )  # fmt: skip

    def __str__(self) -> str:
        if not self.kept:
            return f"{self!r}\n{NOTHING}"
        return f"{self!r}\nat step {self.kept[-1]}\n{self.table()}"

    def __repr__(self) -> str:
        layers = sum(what == ACTIVATIONS for what, _ in self._store)
        return (
            f"<Monitor of {type(self.model).__name__}: {self.steps} steps, "
            f"{len(self.kept)} rows, {layers} layers, {len(self._parameters)} "
            f"parameters{'' if self._handles else ', removed'}>"
        )


def _require_module(model: Any) -> None:
    from ..nn import Module

    if not isinstance(model, Module):
        raise TypeError(
            f"Monitor: model is a {type(model).__name__}; a Module is required.\n"
            "  help: wrap functions in a `bp.nn.Module` with a `forward`."
        )
    hooks = vars(model).get("_hooks")
    watched = hooks is not None and any(
        isinstance(getattr(hook, "__self__", None), Monitor)
        for hook in hooks.before.values()
    )
    if watched:
        raise GradError(
            f"Monitor: this {type(model).__name__} has a monitor already.",
            help="remove the other one with `.remove()`, or use it in a `with` block.",
        )


def _require_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"Monitor: {name} is {value!r}; an integer is required.")
    if value < least:
        raise RangeError(f"Monitor: {name} is {value}; at least {least} is required.")
