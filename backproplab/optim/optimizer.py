"""Optimizer: which parameters, in which groups, with which memory; no update rules."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

import numpy as np

from ..errors import GradError, NameLookupError, RangeError, ShapeError, near
from ..node import label, mark_changed
from ..tensor import Tensor

Array = np.ndarray
Group = dict[str, Any]


class Optimizer(ABC):
    """Moves parameters in place, each by its gradient and by what is remembered of it.

    A parameter without a gradient is left alone. A gradient is never written into.
    A graph that was built before the step no longer fits and raises in backward.

    Args:
        params: parameters; or dicts ``{"params": [...], "lr": 0.1}``, one for each
            group, whose options go before the defaults.
        defaults: options of the update rule.

    Attributes:
        param_groups: the groups, options among them; change an option here at any time.
        state: for each parameter, what is remembered of it.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._spare: dict[tuple[Any, ...], tuple[Array, Array]] = {}
        name = type(self).__name__
        if isinstance(params, (Tensor, Mapping)):
            raise GradError(
                f"{name}: params is a single {type(params).__name__}; "
                "several are required.",
                help="put it in a list.",
            )
        if not isinstance(params, Iterable):
            raise GradError(
                f"{name}: params is a {type(params).__name__}; parameters are "
                "required.",
                help="pass `model.parameters()` or a list of tensors.",
            )
        groups = list(params)
        if not groups:
            raise GradError(
                f"{name}: there are no parameters to update.",
                help="pass `model.parameters()`; a parameter is a Tensor attribute "
                "of a Module.",
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take in more parameters: ``{"params": [...], "lr": 0.1}``.

        Raises:
            GradError: if a parameter is there already or cannot be updated.
            NameLookupError: if an option is unknown.
            RangeError: if an option is out of its range.
        """
        name = type(self).__name__
        for key in group:
            if key != "params" and key not in self.defaults:
                raise NameLookupError(
                    f"{name}: a group has the option {key!r}, which is unknown.",
                    help=near(key, self.defaults),
                )
        given = group.get("params", [])
        params = [given] if isinstance(given, Tensor) else list(given)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            _require_parameter(name, p)
            if id(p) in known:
                raise GradError(
                    f"{name}: {label(p)} is there twice; it would be updated twice.",
                    help="list each parameter in one group, once.",
                )
            known.add(id(p))
        full = {**self.defaults, **group, "params": params}
        for key, value in full.items():
            _require_in_range(name, key, value)
        self.param_groups.append(full)

    @property
    def lr(self) -> float:
        """The learning rate of the first group; assigning sets it in all groups."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        _require_in_range(type(self).__name__, "lr", value)
        for group in self.param_groups:
            group["lr"] = value
            group.pop("initial_lr", None)  # a schedule made later starts from here

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient.

        Raises:
            ShapeError: if a gradient has not the shape of its parameter.
        """
        for group in self.param_groups:
            for p in group["params"]:
                g, x = p.grad, p.data
                if g is None:
                    continue
                if type(g) is not np.ndarray:
                    g = g.data if isinstance(g, Tensor) else np.asarray(g)
                if g.shape != x.shape:
                    raise ShapeError(
                        f"{type(self).__name__}: {label(p)} has the shape {p.shape} "
                        f"and its grad {g.shape}; they must be equal."
                    )
                if group.get("maximize"):
                    g = -g
                state = self.state.get(p)
                if state is None:
                    state = self.state[p] = {}
                self._move(x, g, group, state)
                mark_changed(p)

    @abstractmethod
    def _move(self, p: Array, g: Array, group: Group, state: dict[str, Any]) -> None:
        """Update ``p`` in place; ``g`` is only read, ``state`` is this parameter's."""

    def _scratch(self, like: Array) -> tuple[Array, Array]:
        """Two arrays of a shape and dtype to compute in, made once and used again."""
        key = (like.shape, like.dtype)
        spare = self._spare.get(key)
        if spare is None:
            spare = self._spare[key] = (np.empty_like(like), np.empty_like(like))
        return spare

    def state_dict(self) -> dict[str, Any]:
        """Copy memory and options, parameters numbered in order, as PyTorch does."""
        number = {id(p): k for k, p in enumerate(self._parameters())}
        groups = [
            {**group, "params": [number[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {number[id(p)]: copy.deepcopy(s) for p, s in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over memory and options from ``state_dict`` of an equal optimiser.

        Raises:
            ShapeError: if the groups or the shapes of what is remembered do not fit;
                then nothing is loaded.
        """
        name, params = type(self).__name__, list(self._parameters())
        seen = [len(g["params"]) for g in state["param_groups"]]
        here = [len(g["params"]) for g in self.param_groups]
        if seen != here:
            raise ShapeError(
                f"{name}: the state has groups of {seen} parameters, this has {here}; "
                "they must be equal.",
                help="build the optimiser over the same model and groups.",
            )
        loaded = {params[int(k)]: copy.deepcopy(s) for k, s in state["state"].items()}
        for p, memory in loaded.items():
            for key, value in memory.items():
                if isinstance(value, np.ndarray) and value.shape not in ((), p.shape):
                    raise ShapeError(
                        f"{name}: {key} is {value.shape} in the state for a parameter "
                        f"of shape {p.shape}; they must be equal.",
                        help="build the optimiser over the same model and groups.",
                    )
        self.state = loaded
        for group, given in zip(self.param_groups, state["param_groups"], strict=True):
            group.update({k: v for k, v in given.items() if k != "params"})

    def _parameters(self) -> Iterable[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={self.param_groups[0][k]}" for k in self.defaults)
        count = sum(1 for _ in self._parameters())
        return f"{type(self).__name__}({count} parameters, {options})"


def _require_parameter(name: str, p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(
            f"{name}: a parameter is a {type(p).__name__}; a Tensor is required.\n"
            "  help: pass `model.parameters()` or a list of tensors."
        )
    if not p.is_leaf:
        raise GradError(
            f"{name}: {label(p)} was computed from other tensors; only leaves can be "
            "updated.",
            help="make it with `bp.tensor(..., requires_grad=True)` from its final "
            "values.",
        )


def _require_in_range(name: str, key: str, value: Any) -> None:
    if key == "betas":
        pair = isinstance(value, (tuple, list)) and len(value) == 2
        if not pair:
            raise RangeError(f"{name}: betas is {value!r}; two numbers are required.")
    numbers = value if key == "betas" else [value]
    below_one = key in ("betas", "alpha")
    if key not in _NOT_NEGATIVE and not below_one:
        return
    if all(_is_number(v) and 0 <= v < (1 if below_one else inf) for v in numbers):
        return
    required = "from 0 up to but not including 1" if below_one else "of at least 0"
    raise RangeError(f"{name}: {key} is {value!r}; a number {required} is required.")


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.integer, np.floating)) or (
        isinstance(x, np.ndarray) and x.ndim == 0 and x.dtype.kind in "fiu"
    )


_NOT_NEGATIVE = ("lr", "momentum", "weight_decay", "eps")
