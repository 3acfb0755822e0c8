"""Problem: an exercise as data, and its run on numbers. Judging is elsewhere."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from textwrap import dedent
from typing import Any, NamedTuple

import numpy as np

from ..errors import NameLookupError, near
from ..tensor import Tensor
from ..trace import Trace, record


@dataclass(frozen=True, slots=True)
class Slip:
    """A classic wrong derivation: the label it deserves, and the line that is wrong.

    Attributes:
        label: one of ``grade.LABELS``.
        code: the wrong line, which takes the place of the line of ``answer_code`` that
            assigns the same name. In ``Problem.slips`` it is the whole derivation.
        where: the asked name that is to be blamed; the one that the line assigns when
            empty.
        says: why people write it; one sentence for the instructor.
    """

    label: str
    code: str
    where: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A gradient to derive by hand. The truth comes from the engine, never from here.

    In code, ``dx`` is dL/dx and has the shape of x. If ``forward`` returns a single
    number, that is L. If it returns an array y, the incoming gradient ``dy`` is drawn
    at random and given.

    Attributes:
        id: "field.what".
        prompt: Markdown with TeX. The code of ``forward`` and the list of what is given
            are shown below it.
        inputs: ``rng -> {name: array}``. Arrays of floats become tensors that want a
            gradient, others stay as they are. It may draw the sizes, too: a function
            handed in as the answer is tried on several of them.
        forward: ordinary backproplab code whose parameters are the inputs, by name. A
            variable that takes a value gives it its name.
        asks: names whose gradient is asked, in the order of the backward pass.
        hints: three rungs: where to look, which rule, the skeleton with gaps.
        solution: the derivation, Markdown with TeX.
        answer_code: NumPy code in the names of what is given. It assigns ``dx`` for
            every asked x, a line each; from these ``answer`` is made.
        slips: three or more wrong derivations.

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
    forward: Callable[..., Tensor]
    asks: tuple[str, ...]
    hints: tuple[str, ...]
    solution: str
    answer_code: str
    slips: tuple[Slip, ...]

    def __post_init__(self) -> None:
        right = _finished(dedent(self.answer_code).strip(), self.asks)
        wrong = tuple(
            Slip(s.label, _replaced(right, s.code), s.where or self._broken(s), s.says)
            for s in self.slips
        )
        object.__setattr__(self, "answer_code", right)
        object.__setattr__(self, "slips", wrong)

    def instance(self, seed: int = 0, dtype: str = "float64") -> "Instance":
        """Draw inputs from a seed, run forward and backward, and record it.

        Returns:
            ``run``, the truth, and ``given``, what a learner may see of it.
        """
        return _instance(self, seed, dtype)

    @property
    def code(self) -> str:
        """The forward pass as source, without ``def`` and ``return``; empty if lost."""
        try:
            source = dedent(inspect.getsource(self.forward))
            body = ast.parse(source).body[0]
        except (OSError, TypeError, SyntaxError):
            return ""
        if not isinstance(body, ast.FunctionDef):
            return ""
        lines = dedent("\n".join(source.splitlines()[body.body[0].lineno - 1 :]))
        return "\n".join(s for s in lines.splitlines() if not s.startswith("return "))

    def __repr__(self) -> str:
        return f"<Problem {self.id}: the gradient of {', '.join(self.asks)}>"

    def _broken(self, slip: Slip) -> str:
        assigned = _targets(slip.code)
        return next((a for a in self.asks if gradient(a) in assigned), self.asks[0])


class Instance(NamedTuple):
    """A problem on numbers: the recorded truth, and what a learner may see of it."""

    run: Trace
    given: "Given"


class Given(Mapping[str, Any]):
    """What may be used in an answer, by name: ``given.x`` or ``given["x"]``; read-only.

    Inputs, named values of the forward pass, and the incoming gradient if there is one.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: _locked(value) for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise NameLookupError(
                f"given: there is no {name!r}.", help=near(str(name), self._values)
            )
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def words(self) -> tuple[str, ...]:
        """Each name with its shape; a single number has none."""
        return tuple(
            f"{name} {np.shape(v)}" if np.shape(v) else name for name, v in self.items()
        )

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {_short(v)}" for name, v in self.items())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code></td>"
            f"<td>{np.shape(v) or 'number'}</td>"
            f'<td style="text-align:left"><code>{escape(_short(v))}</code></td></tr>'
            for name, v in self.items()
        )
        head = "<tr><th>given</th><th>shape</th><th></th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def gradient(name: str) -> str:
    """The variable in which code keeps dL/d(name).

    >>> gradient("w1"), gradient("fc1.weight")
    ('dw1', 'dfc1_weight')
    """
    return "d" + name.replace(".", "_")


def follow(code: str, given: Mapping[str, Any]) -> Any:
    """Run answer code on what is given, and return its ``answer``."""
    space = {"np": np, **{k.replace(".", "_"): v for k, v in given.items()}}
    exec(code, space)
    return space["answer"]


@lru_cache(maxsize=128)
def _instance(problem: Problem, seed: int, dtype: str) -> Instance:
    rng = np.random.default_rng(seed)
    arrays = {
        name: np.asarray(a, dtype) if np.asarray(a).dtype.kind == "f" else np.asarray(a)
        for name, a in problem.inputs(rng).items()
    }
    tensors = {
        name: Tensor(a, requires_grad=True, name=name) if a.dtype.kind == "f" else a
        for name, a in arrays.items()
    }
    with record() as run:
        y = problem.forward(**tensors)
        g = None if y.ndim == 0 else rng.normal(size=y.shape).astype(y.dtype)
        y.backward(g)
    values = dict(arrays)
    values |= {r.name: r.value for r in run if r._entry.given or r._entry.assigned}
    values = {n: v for n, v in values.items() if not n[:1].isdigit() and n[:1] != "-"}
    if g is not None:
        values[gradient(run.backward_steps()[0].name)] = g
    return Instance(run, Given(values))


def _finished(code: str, asks: tuple[str, ...]) -> str:
    """Let the code end in ``answer = ...``."""
    if "answer" in _targets(code):
        return code
    pairs = ", ".join(f'"{name}": {gradient(name)}' for name in asks)
    last = gradient(asks[0]) if len(asks) == 1 else f"{{{pairs}}}"
    return f"{code}\nanswer = {last}"


def _replaced(code: str, change: str) -> str:
    """Put each line of ``change`` where ``code`` assigns its name, else in front."""
    changed = {}
    for statement in ast.parse(dedent(change)).body:
        changed[_name(statement)] = ast.unparse(statement)
    lines = []
    for statement in ast.parse(code).body:
        kept = ast.get_source_segment(code, statement)
        lines.append(changed.pop(_name(statement), kept))
    return "\n".join([*changed.values(), *map(str, lines)])


def _targets(code: str) -> set[str]:
    return {_name(statement) for statement in ast.parse(dedent(code)).body}


def _name(statement: ast.stmt) -> str:
    """What a statement assigns; the statement itself where it assigns nothing."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ast.unparse(statement)


def _locked(value: Any) -> Any:
    array = np.array(value)
    array.flags.writeable = False
    return array if array.ndim else array[()]


def _short(value: Any) -> str:
    text = np.array2string(np.asarray(value), precision=3, threshold=8, edgeitems=2)
    return " ".join(text.split())
