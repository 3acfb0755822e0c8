"""What labs share: a one-line repr, controls, a still picture, crashes that show."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display

from .keys import Keys
from .panels import css

STATIC = Path(__file__).parent / "static"
LABEL = "92px"  # width of the name before a slider
# Seen where no kernel draws the lab in the output before, nor its picture is there.
_STILL = """<style>
.jp-OutputArea-child:has(.bpl-widget, .bpl-page, .jp-RenderedSVG)
+ .jp-OutputArea-child .bpl-still { display: none; }
</style><div class="bpl-still">%s</div>"""


class Lab(ipywidgets.VBox):
    """Base of the views: children are ipywidgets, pictures go into their traits.

    A lab says what it shows (``__str__``, one line) and draws it (``picture``, SVG).
    What its observers do stands in ``with self.reported():``. What sets several
    controls at once stands in ``with self.quietly():``, and observers ask ``quiet``.
    """

    def __init__(self, *children: ipywidgets.Widget) -> None:
        style = ipywidgets.HTML(f"<style>{css()}</style>", layout={"display": "none"})
        keys = () if any(isinstance(c, Keys) for c in children) else (Keys(),)
        self._sentence = ""
        self.quiet = False
        self.message = ipywidgets.HTML(layout={"display": "none"})
        super().__init__([style, *keys, self.message, *children])
        self.add_class("bpl-widget")

    def picture(self) -> str:
        """Draw the lab as SVG, for a page without a kernel; empty if it cannot."""
        return ""

    def page(self) -> str:
        """Write the lab as HTML, for a page without a kernel; empty if it is drawn."""
        return ""

    def say(self, text: str) -> None:
        """Show a plain sentence above the lab; an empty one hides it.

        Args:
            text: words; code stands in backquotes, lines are kept.
        """
        self._sentence = text
        self._show(text)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Show a crash in the lab and raise it; what works again takes it away."""
        try:
            yield
        except Exception as error:
            self._show(f"This lab broke down. `{type(error).__name__}`: {error}")
            raise
        self._show(self._sentence)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Be quiet while several controls are set; an error or interrupt ends that."""
        self.quiet = True
        try:
            yield
        finally:
            self.quiet = False

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Tell the browser that the kernel computes; it shows what lasts 0.15 s."""
        self.add_class("bpl-computing")
        try:
            yield
        finally:
            self.remove_class("bpl-computing")

    def put(self, controls: Mapping[str, Any], values: Any) -> None:
        """Set controls, by name, to the attributes that ``values`` has, quietly."""
        with self.quietly():
            for name, control in controls.items():
                control.value = getattr(values, name)

    def _show(self, text: str) -> None:
        self.message.value = sentence(text) if text else ""
        self.message.layout.display = "" if text else "none"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __str__(self) -> str:
        return "a lab"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(super()._repr_mimebundle_(**kwargs) or {})
        bundle["text/plain"] = repr(self)
        if picture := self.picture():
            bundle["image/svg+xml"] = picture
        if page := self.page():
            bundle["text/html"] = f'<div class="bpl-page">{page}</div>'
        return bundle

    def _ipython_display_(self) -> None:
        """Show the lab, and beside it the still picture that a page keeps of it.

        A page made by nbconvert prefers the live view and loads what draws it from the
        network; offline it would be blank.
        """
        bundle = self._repr_mimebundle_()
        display(bundle, raw=True)
        still = bundle.get("text/html") or bundle.get("image/svg+xml")
        if still:
            display({"text/html": _STILL % still, "text/plain": ""}, raw=True)


def sentence(text: str) -> str:
    """Write a message as HTML: names between backquotes are code.

    >>> sentence("call `loss.backward()`")
    '<div class="bpl-graph bpl-message">call <code>loss.backward()</code></div>'
    """
    parts = escape(text, quote=False).split("`")
    html = "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
    return f'<div class="bpl-graph bpl-message">{html.replace(chr(10), "<br>")}</div>'


def bar(*controls: ipywidgets.Widget) -> ipywidgets.Box:
    """Put controls side by side, in several lines where there is no room."""
    box = ipywidgets.Box(controls)
    box.add_class("bpl-controls")
    return box


def hint(text: str) -> ipywidgets.HTML:
    """Say below a lab what to try; ``text`` is HTML."""
    said = f'<div class="bpl-graph bpl-try"><b>What to try.</b> {text}</div>'
    return ipywidgets.HTML(said)


def status(text: str) -> str:
    """Write words that are read out when they change; ``text`` is HTML."""
    return f'<div class="bpl-graph bpl-says-so" role="status">{text}</div>'


def toggles(options: Any, name: str) -> ipywidgets.ToggleButtons:
    """Let one of a few words be chosen; ``name`` is for those who hear the page."""
    return ipywidgets.ToggleButtons(
        options=options, tooltip=name, style={"button_width": "auto"}
    )


def slider(
    name: str, value: float, low: float, high: float, step: float = 0.05
) -> ipywidgets.FloatSlider:
    """A slider with its name before it and its value behind it."""
    return ipywidgets.FloatSlider(
        value, min=low, max=high, step=step, description=name, readout_format=".2f",
        style={"description_width": LABEL},
    )  # fmt: skip


def reset() -> ipywidgets.Button:
    """The button that takes a lab back to where it began."""
    return ipywidgets.Button(description="Reset", tooltip="Begin again")
