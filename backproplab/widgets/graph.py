"""GraphExplorer: a recorded run as a graph to step through."""

from typing import Any

import anywidget
import ipywidgets
import traitlets

from ..grade import Diagnosis, Report, Verdict
from ..trace import Trace
from .drawing import STATIC, data, summary, svg
from .formula import explain
from .lab import Lab, sentence
from .missing import missing
from .modules import crowded
from .scene import MANY, Scene, compose


class GraphView(anywidget.AnyWidget):
    """The picture in the browser; GraphExplorer fills it and listens to it."""

    _esm = STATIC / "graph.js"
    _css = STATIC / "graph.css"
    scene = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)


class GraphExplorer(Lab):
    """Shows a run as a graph: values forward, then gradients back, step by step.

    Play, step or scrub with the buttons, the slider or the arrow keys. A click on a
    box, or Enter, writes out its formula with the numbers of the run. A click on the
    sign of a module folds it into one box.

    Args:
        run: a recorded run; what an unfinished one lacks is said in the lab.
        folded: dotted paths of modules to fold at first; by default only those of a run
            too large to draw.
        broken: what ``bp.grade`` said (a report, a verdict, a diagnosis) or pairs
            (output name, input name): these links are lit.

    Attributes:
        step: how many backward steps are shown, 0 to ``steps``.
        selected: name of the record that is written out.

    >>> import numpy as np, backproplab as bp
    >>> x = bp.tensor(2.0, requires_grad=True)
    >>> with bp.record() as run:
    ...     y = np.tanh(x)
    ...     y.backward()
    >>> explorer = GraphExplorer(run)
    >>> explorer
    <GraphExplorer: 2 boxes, 2 backward steps, step 0>
    >>> explorer.next()
    >>> explorer.step, explorer.selected
    (1, 'y')
    """

    step = traitlets.Int(0)
    selected = traitlets.Unicode("")
    folded = traitlets.Tuple()

    def __init__(
        self, run: Trace, folded: tuple[str, ...] | None = None, *, broken: Any = ()
    ) -> None:
        self.run = run
        self.broken = broken_links(run, broken)
        self.view = GraphView()
        self.formula = ipywidgets.HTMLMath()
        self._scene = Scene((), (), {}, (), "")
        body = ipywidgets.Box([self.view, self.formula])
        body.add_class("bpl-explorer")
        self.view.add_class("bpl-view")
        self.formula.add_class("bpl-pane")
        lack, drawable = missing(run, "GraphExplorer")
        super().__init__(*([body] if drawable else []))
        self.say(lack)
        if not drawable:
            return
        if folded is None:
            folded = tuple(sorted(crowded(run, MANY)))
        self.folded = tuple(folded)
        self._compose()
        self.formula.value = _HINT
        self.observe(lambda _: self._compose(), "folded")
        self.observe(lambda _: self._select(), "selected")
        self.observe(self._steps, "step")
        self.view.observe(self._stepped, "step")
        self.view.observe(self._picked, "selected")
        self.view.on_msg(self._asked)

    @property
    def steps(self) -> int:
        """How many steps the backward pass has."""
        return len(self._scene.steps)

    def next(self) -> None:
        """One backward step forward; at the end, nothing."""
        self._go(self.step + 1)

    def back(self) -> None:
        """One backward step back; at the start, nothing."""
        self._go(self.step - 1)

    def fold(self, *paths: str) -> None:
        """Show modules as one box each; all of them without arguments."""
        names = paths or tuple(self._scene.frames.values())
        self.folded = tuple(sorted({*self.folded, *names}))

    def unfold(self, *paths: str) -> None:
        """Show what is in modules; in all of them without arguments."""
        self.folded = tuple(p for p in self.folded if paths and p not in paths)

    def picture(self) -> str:
        """Draw the graph at the present step."""
        return svg(self._scene, self.step) if self._scene.cells else ""

    def __str__(self) -> str:
        if not self._scene.cells:
            return "nothing to show"
        told = summary(self._scene).removeprefix("Computation graph: ").rstrip(".")
        return f"{told}, step {self.step}"

    @traitlets.validate("step")
    def _within(self, proposal: dict[str, Any]) -> int:
        return max(0, min(self.steps, proposal["value"]))

    def _go(self, step: int) -> None:
        self.step = step
        self.selected = (
            self._name(self._scene.steps[self.step - 1][0]) if self.step else ""
        )

    def _compose(self) -> None:
        with self.reported():
            self._scene = compose(self.run, self.folded, self.broken)
            self.view.scene = data(self._scene)
            self.view.selected = self._key(self.selected)

    def _select(self) -> None:
        with self.reported():
            self.view.selected = self._key(self.selected)
            name = self.selected
            self.formula.value = explain(self.run, self.run[name].id) if name else _HINT

    def _steps(self, _: Any) -> None:
        self.view.step = self.step

    def _stepped(self, _: Any) -> None:
        self.step = self.view.step

    def _picked(self, _: Any) -> None:
        self.selected = self._name(self.view.selected)

    def _asked(self, _: Any, content: dict[str, Any], __: Any) -> None:
        wanted = content.get("fold", "")
        path = wanted.removeprefix("@").partition("#")[0]
        if wanted == "*":
            self.fold()
        elif not wanted:
            self.unfold()
        elif path in self.folded:
            self.unfold(path)
        else:
            self.fold(path)

    def _name(self, key: str) -> str:
        found = [c.record for c in self._scene.cells if c.key == key]
        return self.run[found[0]].name if found else ""

    def _key(self, name: str) -> str:
        if not name:
            return ""
        i = self.run[name].id
        return next((c.key for c in self._scene.cells if i in c.records), "")


def broken_links(run: Trace, said: Any) -> tuple[tuple[str, str], ...]:
    """Find the links of a run that a report, verdict or diagnosis speaks of."""
    if isinstance(said, Report):
        said = list(said.values())
    elif isinstance(said, (Verdict, Diagnosis)):
        said = [said]
    places = [s.where if isinstance(s, (Verdict, Diagnosis)) else s for s in said]
    return tuple(
        (place[0], place[1])
        for place in places
        if isinstance(place, tuple) and all(name in run for name in place)
    )


_HINT = sentence(
    "What to try: step with the arrow keys, or click a box. Its formula appears here, "
    "with its numbers."
)
