"""The picture of the gradient histogram: bars by exponent over the format's zones."""

import numpy as np

from ... import formats
from ..numerals import number
from ..panels import Panel, sheet
from .bits_picture import own_css
from .bits_words import power_of_two
from .gradients import Controls, Counts, Gradients
from .zones import shade, zones

REACH = (-50.0, 24.0)  # log2 of the sizes in view
_ROWS = (
    ("zero", "flushed to 0"),
    ("subnormal", "subnormal, bits lost"),
    ("normal", "normal, all bits kept"),
    ("beyond", "overflowed"),
)


def render(g: Gradients, controls: Controls, *, alone: bool = False) -> str:
    """Draw how many gradients have which exponent, before and after scaling."""
    most = float(g.counts.max(initial=1)) * 1.3
    panel = Panel(
        f"Gradients by size, and what {controls.fmt} makes of them", REACH, (0.0, most),
        size=(790.0, 250.0), labels=("log2 of the size of a scaled gradient", "count"),
    )  # fmt: skip
    if alone:
        panel.drawn.append(f"<style>{own_css()}</style>")
    shade(panel, formats.get(controls.fmt))
    before = _bars(panel, g.exponents, g.counts)
    after = _bars(panel, g.exponents + controls.scale, g.counts)
    panel.drawn.append(f'<g class="back"><path class="bars" d="{after}"/></g>')
    if controls.scale:
        panel.drawn.append(f'<g class="before"><path class="bars" d="{before}"/></g>')
    label = (
        f"histogram of gradients over exponents, loss scale 2^{controls.scale}, with "
        f"the zones of {controls.fmt}"
    )
    return sheet([[panel]], label, alone=alone)


def says(g: Gradients, controls: Controls) -> str:
    """Count what is lost before and after, and tell what ``GradScaler`` does next."""
    scale = power_of_two(controls.scale)
    end = zones(formats.get(controls.fmt))[-1].words.split()[-1]
    rows = "".join(
        f"<tr><td>{words}{f' ({end})' if kind == 'beyond' else ''}</td>"
        f"<td>{_share(g.before, kind)}</td><td>{_share(g.after, kind)}</td></tr>"
        for kind, words in _ROWS
    )
    table = (
        '<table class="bpl-counts"><tr><th>of '
        f"{g.after.total:,} gradients</th><th>unscaled (outline)</th>"
        f"<th>at loss scale {scale} (filled)</th></tr>{rows}</table>"
    )
    zeros = (
        f"{g.exact_zeros:,} more are exactly 0 in any format: a ReLU gate was closed. "
    )
    return f"{table}<div>{zeros}{_next(g, controls)}</div>"


def _next(g: Gradients, controls: Controls) -> str:
    now, then = power_of_two(controls.scale), f"{number(np.log2(g.next_scale))}"
    then = f"2<sup>{then}</sup>"
    if g.skipped:
        return (
            f"<b>GradScaler</b> finds {g.after.beyond:,} gradients not finite. "
            f"It skips this step and goes on with {now} / 2 = {then}."
        )
    return (
        f"<b>GradScaler</b> finds every gradient finite: it divides by {now}, takes "
        f"the step, and keeps {then}. After {g.patience} clean steps in a row it "
        "doubles the scale. What was flushed to 0 it does not see."
    )


def _share(counts: Counts, kind: str) -> str:
    n = getattr(counts, kind)
    return f"{n:,} ({number(100 * n / max(counts.total, 1))} %)"


def _bars(panel: Panel, exponents: np.ndarray, counts: np.ndarray) -> str:
    (low, high), (width, height) = panel.ranges[0], panel.size
    across = width / (high - low)
    top = panel.ranges[1][1]
    return "".join(
        f"M{(e - low + 0.1) * across:.1f},{height:g}v{-n / top * height:.1f}"
        f"h{0.8 * across:.1f}V{height:g}z"
        for e, n in zip(exponents.tolist(), counts.tolist(), strict=True)
        if low <= e < high
    )
