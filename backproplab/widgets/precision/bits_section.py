"""The bit-pattern explorer of PrecisionLab: type, drag, step, or flip a bit."""

from typing import Any

import ipywidgets

from ...errors import RangeError
from ..lab import Lab, status
from . import bits as model
from .bits_picture import render
from .bits_words import plain, says
from .frame import Pressed, button, choice, framed
from .number import read, write

TRY = (
    "0.1 and 1/3 in float16, then in bfloat16. 65519 and 65520. 2^-24, then 2^-25. "
    "1 + 2^-11: is it a tie? Flip the last exponent bit; what does it do to the value?"
)


class BitsSection(Lab):
    """Shows what a format stores in place of a number, bit by bit.

    Args:
        text: the number at first, as a learner would type it.
        fmt: name of the format at first.

    >>> section = BitsSection("0.1", "float16")
    >>> section
    <BitsSection: 0.1 in float16 is 0.0999755859375>
    >>> section.flip(0)
    >>> section.bits.stored
    0.10003662109375
    """

    def __init__(self, text: str = "0.1", fmt: str = "float16") -> None:
        self._begun = text, fmt
        self.text = ipywidgets.Text(
            text, description="number", continuous_update=False,
            layout={"width": "260px"}, style={"description_width": "60px"},
        )  # fmt: skip
        self.fmt = choice(model.FORMATS, fmt, "format", 240)
        self.exponent, self.significand = (
            _slider("exponent e"),
            _slider("significand f"),
        )
        self.buttons = {
            name: button(name, tip)
            for name, tip in (
                ("◂ Previous", "To the next smaller number of the format"),
                ("Next ▸", "To the next larger number of the format"),
                ("Reset", "Begin again"),
            )
        }
        self._words, self.view = ipywidgets.HTML(), Pressed()
        self.bits = model.compute(read(text), fmt)
        bars = (
            [self.text, self.fmt, *self.buttons.values()],
            [self.exponent, self.significand],
        )
        super().__init__(*framed(bars, (self.view, self._words), TRY))
        self._draw()
        self.text.observe(self._retype, "value")
        self.fmt.observe(self._retype, "value")
        self.exponent.observe(self._drag, "value")
        self.significand.observe(self._drag, "value")
        self.view.on_msg(lambda _, message, __: self.flip(int(message["press"])))
        self.buttons["◂ Previous"].on_click(lambda _: self.step(up=False))
        self.buttons["Next ▸"].on_click(lambda _: self.step(up=True))
        self.buttons["Reset"].on_click(lambda _: self.reset())

    def flip(self, place: int) -> None:
        """Turn a bit over; place 0 is the last of the significand."""
        with self.reported():
            self._take(model.flip(self.bits, place))

    def step(self, *, up: bool) -> None:
        """Go to the next number of the format."""
        with self.reported():
            self._take(model.stepped(self.bits, up))

    def reset(self) -> None:
        """Begin again as the section began."""
        with self.quietly():
            self.text.value, self.fmt.value = self._begun
        self._retype()

    def picture(self) -> str:
        """Draw the number as SVG."""
        return render(self.bits, alone=True)

    def __str__(self) -> str:
        bits = self.bits
        return f"{self.text.value} in {bits.fmt.name} is {plain(bits.stored)}"

    def _retype(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            try:
                self.bits = model.compute(read(self.text.value), self.fmt.value)
            except RangeError as error:
                self.say(f"{error}")
                return
            self.say("")
            self._draw()

    def _drag(self, _: Any = None) -> None:
        if self.quiet:
            return
        with self.reported():
            fmt = self.bits.fmt
            code = self.bits.sign << fmt.exponent_bits | self.exponent.value
            code = code << (fmt.precision - 1) | self.significand.value
            self._take(model.from_code(code, fmt.name))

    def _take(self, bits: model.Bits) -> None:
        """Show a number that was not typed, and write it where one types."""
        self.bits = bits
        with self.quietly():
            self.text.value = write(bits.stored)
        self.say("")
        self._draw()

    def _draw(self) -> None:
        bits = self.bits
        with self.quietly():
            for slider, value, width in (
                (self.exponent, bits.exponent, bits.fmt.exponent_bits),
                (self.significand, bits.significand, bits.fmt.precision - 1),
            ):
                slider.max = 2**width - 1
                slider.value = value
        self._words.value = status(says(bits))
        self.view.picture = render(bits)


def _slider(name: str) -> Any:
    return ipywidgets.IntSlider(
        0, min=0, max=1, description=name, style={"description_width": "96px"}
    )
