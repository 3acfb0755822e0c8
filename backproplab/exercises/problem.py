"""Problem: an exercise as data, and its run on numbers. Judging is elsewhere."""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from textwrap import dedent
from typing import Any, Literal, NamedTuple

import numpy as np

from ..errors import RangeError
from ..tensor import Tensor
from ..trace import Trace, record
from . import contract
from .derivation import assigned, finished, gradient, replaced
from .given import Given


@dataclass(frozen=True, slots=True)
class Slip:
    """A classic wrong derivation: the label it deserves, and the line that is wrong.

    Attributes:
        label: one of ``grade.LABELS``.
        code: the wrong line, which takes the place of the line of ``answer_code`` that
            assigns the same name. In ``Problem.slips`` it is the whole derivation.
        where: the asked name that is to be blamed; the one that the line assigns when
            empty.
        says: what went wrong, in a sentence. The learner reads it where values are
            asked, and where ``grade.diagnose`` finds nothing.
    """

    label: str
    code: str
    where: str = ""
    says: str = ""

    def __post_init__(self) -> None:
        for field in ("label", "code", "where", "says"):
            contract.text("Slip", field, getattr(self, field))


@dataclass(frozen=True, slots=True)
class Problem:
    """A gradient to derive by hand. The truth comes from the engine, never from here.

    In code, ``dx`` is dL/dx and has the shape of x. If ``forward`` returns a single
    number, that is L. If it returns an array y, the incoming gradient ``dy`` is drawn
    at random and given.

    With ``quantity="value"`` values are asked instead, such as those of a forward pass:
    ``forward`` takes plain arrays, returns the truth as a dict, and is not shown.

    Attributes:
        id: "field.what".
        prompt: Markdown with TeX. The code of ``forward`` and the list of what is given
            are shown below it.
        inputs: ``rng -> {name: array}``. Arrays of floats become tensors that want a
            gradient, others stay as they are. It may draw the sizes, too: a function
            handed in as the answer is tried on several of them.
        forward: ordinary backproplab code whose parameters are the inputs, by name. A
            variable that takes a value gives it its name.
        asks: names whose gradient is asked, in the order of the backward pass; or whose
            value is, in the order of the forward pass.
        hints: three rungs: where to look, which rule, the skeleton with gaps.
        solution: the derivation, Markdown with TeX.
        answer_code: NumPy code in the names of what is given. It assigns ``dx`` for
            every asked x (or x itself), a line each; from these ``answer`` is made.
        slips: three or more wrong derivations.
        quantity: what is asked of each name, its "gradient" or its "value".

    Raises:
        RangeError: if a field is not of its kind, or code is no Python.

    >>> cube = Problem(
    ...     id="demo.cube",
    ...     prompt="Cubes.",
    ...     inputs=lambda rng: {"x": rng.normal(size=3)},
    ...     forward=lambda x: (x * x * x).named("y"),
    ...     asks=("x",),
    ...     hints=("At the product.", "The power rule.", "`dy * ... * x**2`"),
    ...     solution="$3 x^2$ times what comes in.",
    ...     answer_code="dx = dy * 3 * x**2",
    ...     slips=(Slip("constant-factor", "dx = dy * x**2"),),
    ... )
    >>> print(cube.answer_code)
    dx = dy * 3 * x**2
    answer = dx
    >>> cube.instance().given.words()
    ('x (3,)', 'y (3,)', 'dy (3,)')
    """

    id: str
    prompt: str
    inputs: Callable[[np.random.Generator], dict[str, Any]]
    forward: Callable[..., Any]
    asks: tuple[str, ...]
    hints: tuple[str, ...]
    solution: str
    answer_code: str
    slips: tuple[Slip, ...]
    quantity: Literal["gradient", "value"] = "gradient"

    def __post_init__(self) -> None:
        _keep(self)
        right = finished(self.answer_code, {a: self.variable(a) for a in self.asks})
        wrong = tuple(
            Slip(s.label, replaced(right, s.code), s.where or self._broken(s), s.says)
            for s in self.slips
        )
        object.__setattr__(self, "answer_code", right)
        object.__setattr__(self, "slips", wrong)

    def variable(self, name: str) -> str:
        """The variable in which code keeps the answer for an asked name."""
        if self.quantity == "gradient":
            return gradient(name)
        return name.replace(".", "_")

    def instance(self, seed: int = 0, dtype: str = "float64") -> "Instance":
        """Draw inputs from a seed, run forward and backward, and record it.

        Returns:
            ``run``, the record; ``given``, what a learner may see of it; ``truth``.
        """
        return _instance(self, seed, dtype)

    def fresh(self, seed: int = 0) -> "Instance":
        """The same, run again: an ``instance`` is kept."""
        return _instance.__wrapped__(self, seed, "float64")

    @property
    def code(self) -> str:
        """The forward pass as source, without ``def`` and ``return``.

        Empty where the source is lost, or where it is what the learner is to write.
        """
        if self.quantity == "value":
            return ""
        try:
            source = dedent(inspect.getsource(self.forward))
            first = next(iter(ast.parse(source).body), None)
        except (OSError, TypeError, SyntaxError):
            return ""
        if not isinstance(first, ast.FunctionDef):
            return ""
        lines = dedent("\n".join(source.splitlines()[first.body[0].lineno - 1 :]))
        return "\n".join(s for s in lines.splitlines() if not s.startswith("return "))

    def __repr__(self) -> str:
        return f"<Problem {self.id}: the {self.quantity} of {', '.join(self.asks)}>"

    def _broken(self, slip: Slip) -> str:
        names = assigned(slip.code)
        broken = (a for a in self.asks if self.variable(a) in names)
        return next(broken, self.asks[0])


def _keep(problem: Problem) -> None:
    """Keep lists as tuples; name a field that is not of its kind."""
    contract.id(problem.id)
    owner = f"Problem {problem.id}"
    for field in ("prompt", "solution", "answer_code"):
        contract.text(owner, field, getattr(problem, field))
    contract.functions(owner, problem.inputs, problem.forward)
    asks = contract.names(owner, problem.asks)
    object.__setattr__(problem, "asks", asks)
    hints = contract.texts(owner, "hints", problem.hints)
    object.__setattr__(problem, "hints", hints)
    slips = tuple(problem.slips) if isinstance(problem.slips, (tuple, list)) else None
    if slips is None or not all(isinstance(s, Slip) for s in slips):
        raise RangeError(
            f"{owner}: slips is {problem.slips!r}; a tuple of Slip is required.",
            help='write `slips=(Slip("sign", "dx = -dy"), ...)`.',
        )
    object.__setattr__(problem, "slips", slips)
    if problem.quantity not in ("gradient", "value"):
        raise RangeError(
            f"{owner}: quantity is {problem.quantity!r}; "
            "it must be 'gradient' or 'value'."
        )
    contract.code(owner, "answer_code", problem.answer_code)
    for slip in slips:
        contract.code(owner, f"the slip {slip.label}", slip.code)


class Instance(NamedTuple):
    """A problem on numbers: the record, what a learner may see of it, and the truth."""

    run: Trace
    given: Given
    truth: Mapping[str, Any]


@lru_cache(maxsize=128)
def _instance(problem: Problem, seed: int, dtype: str) -> Instance:
    rng = np.random.default_rng(seed)
    owner = f"Problem {problem.id}"
    drawn = contract.arrays(owner, problem.inputs(rng), problem.forward)
    arrays = {
        k: a.astype(dtype) if a.dtype.kind == "f" else a for k, a in drawn.items()
    }
    if problem.quantity == "value":
        with record() as run:
            found = problem.forward(**arrays)
        contract.values(owner, found)
        return Instance(run, Given(arrays), {n: np.asarray(found[n]) for n in found})
    tensors = {
        name: Tensor(a, requires_grad=True, name=name) if a.dtype.kind == "f" else a
        for name, a in arrays.items()
    }
    g, run = _recorded(partial(_forward, problem, tensors), rng)
    made = [r for r in run if r.op not in ("leaf", "constant")]
    values = dict(arrays)
    values |= {r.name: r.value for r in made if r._entry.given or r._entry.assigned}
    if g is not None:
        values[gradient(run.backward_steps()[0].name)] = g
    truth = {name: run[name].grad for name in problem.asks if name in run}
    return Instance(run, Given(values), truth)


def _forward(problem: Problem, tensors: dict[str, Any]) -> Any:
    y = problem.forward(**tensors)
    contract.tensor(f"Problem {problem.id}", y, tensors)
    return y


def _recorded(forward: Any, rng: np.random.Generator) -> tuple[Any, Trace]:
    """Run forward and backward, where no variable but the problem's names a value."""
    with record() as run:
        y = forward()
        g = None if y.ndim == 0 else rng.normal(size=y.shape).astype(y.dtype)
        y.backward(g)
    return g, run
