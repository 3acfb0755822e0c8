"""A scene as SVG text, at any step of the backward pass, and as browser data."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .layout import Arrow, Box, Layout, Route, Spot, place
from .scene import Cell, Link, Scene

STATIC = Path(__file__).parent / "static"
SHRINK = 0.68  # of its size is the least that a picture shrinks to; then it scrolls
CHARACTER, CODE, BOLD = (
    6.8,
    7.5,
    1.1,
)  # width of a letter in a text, in a name, and how much wider bold ones are
LINE, BAR = 19.0, 3.0  # height of a line; width of a bar


def arrange(scene: Scene) -> Layout:
    """Find a place for everything in a scene."""
    return place(
        [Box(c.key, width(c), height(c), c.frames, c.beside) for c in scene.cells],
        [Arrow(link.source, link.target) for link in scene.links],
    )


def width(cell: Cell) -> float:
    """Room for the longest line that a box will ever show."""
    texts = [(1.0, cell.value, cell.bars)]
    texts += [(BOLD, text, cell.grad_bars) for _, text, _ in cell.grads]
    lines = [
        CHARACTER * wide * len(text) + 38 + (BAR * len(bars) + 10 if bars else 0)
        for wide, text, bars in texts
    ]
    if cell.kind == "number":
        return max(36.0, CHARACTER * len(cell.value) + 20)
    title = CODE * min(len(cell.name), 24) + CHARACTER * len(cell.op) + 34
    return round(max(84.0, title, *lines))


def height(cell: Cell) -> float:
    """Room for name, value and, where one comes back, gradient."""
    if cell.kind == "number":
        return 28.0
    return 12 + LINE * (2 + bool(cell.grads))


def svg(scene: Scene, step: int | None = None, *, alone: bool = True) -> str:
    """Draw a scene.

    Args:
        scene: what the picture says.
        step: how much of the backward pass is over; all of it when None.
        alone: carry style and background, for a page without the widget.
    """
    layout = arrange(scene)
    t = len(scene.steps) if step is None else step
    # A label may reach further than the boxes.
    reach = [
        route.points[-1][0] + 22 + CHARACTER * len(link.local)
        for link, route in zip(scene.links, layout.routes, strict=True)
        if link.local and not route.level
    ]
    w, h = max([layout.width, *reach]), layout.height
    style = (
        f"<style>{STATIC.joinpath('graph.css').read_text('utf-8')}</style>"
        if alone
        else ""
    )
    back = f'<rect class="bpl-paper" width="{w}" height="{h}"/>' if alone else ""
    frames = sorted(layout.frames.items(), key=lambda item: -item[1].width)
    parts = [
        opening(w, h, "group", summary(scene)) + style + back,
        *(_frame(f, scene.frames[f], spot) for f, spot in frames),
        *(
            _arrow(i, link, route, layout.spots[link.target].cx, t)
            for i, (link, route) in enumerate(
                zip(scene.links, layout.routes, strict=True)
            )
        ),
        *(_box(c, layout.spots[c.key], scene, t) for c in scene.cells),
        "</svg>",
    ]
    return "\n".join(parts)


def opening(
    w: float, h: float, role: str, label: str, extra: str = "", least: float = 0
) -> str:
    """Begin an SVG picture that carries its size and says what it shows.

    Args:
        w: width.
        h: height.
        role: "img", or "group" where parts can be reached.
        label: what it shows, for those who hear it.
        extra: further classes.
        least: pixels below which it does not shrink.
    """
    style = f'style="min-width:{least:.0f}px" ' if least else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bpl-graph bpl-svg{extra}" '
        f'role="{role}" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}" '
        f'{style}aria-label="{escape(label)}">'
    )


def summary(scene: Scene) -> str:
    """Tell in one line what the picture shows."""
    boxes, steps = len(scene.cells), len(scene.steps)
    return f"Computation graph: {boxes} boxes, {steps} backward steps."


def data(scene: Scene) -> dict[str, Any]:
    """What the browser needs to step by itself: the picture and what changes in it."""
    return {
        "svg": svg(scene, 0, alone=False),
        "steps": [{"box": key, "says": says} for key, says in scene.steps],
        "grads": {c.key: c.grads for c in scene.cells if c.grads},
        "links": [link.steps for link in scene.links],
        "note": scene.note,
        "folds": any(c.kind == "module" for c in scene.cells) or bool(scene.frames),
    }


def state(cell: Cell, scene: Scene, t: int) -> tuple[str, str]:
    """Class and gradient text of a box after ``t`` steps."""
    known = [(text, whole) for at, text, whole in cell.grads if at <= t]
    text, whole = known[-1] if known else ("", False)
    classes = " whole" if whole else " part" if known else ""
    if t and scene.steps[t - 1][0] == cell.key:
        classes += " now"
    return classes, text


def _box(cell: Cell, spot: Spot, scene: Scene, t: int) -> str:
    classes, grad = state(cell, scene, t)
    x, y, w = spot.x, spot.y, spot.width
    inside = scene.frames[cell.frames[-1]] if cell.frames else ""
    inside = f"in {inside}" if inside not in ("", cell.name) else ""
    label = ", ".join(filter(None, [cell.name, inside, cell.op, f"value {cell.value}"]))
    parts = [
        f'<g class="bpl-box {cell.kind}{classes}" data-key="{escape(cell.key)}" '
        f'tabindex="0" role="button" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>"
        f'<rect class="body" x="{x}" y="{y}" width="{w}" height="{spot.height}" '
        f'rx="{14 if cell.kind in ("parameter", "constant", "number") else 6}"/>'
    ]
    if cell.kind == "number":
        parts.append(_text("value", spot.cx, y + 19, cell.value, "middle"))
        return "".join(parts) + "</g>"
    name = cell.name if len(cell.name) <= 24 else "…" + cell.name[-23:]
    right = x + w - (26 if cell.kind == "module" else 10)
    parts += [
        _text("name", x + 11, y + LINE, name),
        _text("op", right, y + LINE, cell.op, "end"),
        _text("sign", x + 11, y + 2 * LINE, "="),
        _text("value", x + 25, y + 2 * LINE, cell.value),
        _bars("bars", cell.bars, x + w - 10, y + 2 * LINE),
    ]
    if cell.grads:
        parts += [
            _text("sign grad", x + 11, y + 3 * LINE, "∂"),
            _text("grad now-text", x + 25, y + 3 * LINE, grad),
            _bars("bars grad", cell.grad_bars, x + w - 10, y + 3 * LINE),
        ]
    if cell.kind == "module":
        parts.append(_toggle(x + w - 22, y + 7, cell.key, "+", f"Unfold {cell.name}"))
    return "".join(parts) + "</g>"


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    at = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}"{at}>{escape(text)}</text>'


def _bars(kind: str, heights: Sequence[float], right: float, base: float) -> str:
    if not heights:
        return ""
    left = right - BAR * len(heights)
    path = "".join(
        f"M{left + BAR * i:g},{base:g}v{-max(11 * h, 1):.1f}h2V{base:g}z"
        for i, h in enumerate(heights)
        if h
    )
    middle = left + BAR * len(heights) / 2 - 0.5
    zero = f'<path class="zero" d="M{middle:g},{base + 1:g}v3"/>'
    return f'<path class="{kind}" d="{path}"/>{zero}'


def _frame(key: str, path: str, spot: Spot) -> str:
    toggle = _toggle(spot.x + 6, spot.y + 5, key, "−", f"Fold {path}")
    return (
        f'<g class="bpl-frame"><rect x="{spot.x}" y="{spot.y}" width="{spot.width}" '
        f'height="{spot.height}" rx="10"/>'
        f"{_text('title', spot.x + 27, spot.y + 17, path)}{toggle}</g>"
    )


def _toggle(x: float, y: float, key: str, sign: str, label: str) -> str:
    return (
        f'<g class="bpl-fold" data-fold="{escape(key)}" tabindex="0" role="button" '
        f'aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="15" height="15" rx="4"/>'
        f'<text x="{x + 7.5:g}" y="{y + 11.5:g}" text-anchor="middle">{sign}</text></g>'
    )


def _arrow(i: int, link: Link, route: Route, middle: float, t: int) -> str:
    sent = [s for s in link.steps if s <= t]
    classes = (" sent" if sent else "") + (" now" if t and t in link.steps else "")
    classes += " broken" if link.broken else ""
    forth = [
        f'<path class="line" d="{_curve(route.points)}"/>',
        _head(route, ahead=True),
    ]
    back = []
    if link.steps:
        aside = "0,7" if route.level else "7,0"
        back = [
            f'<g class="back" transform="translate({aside})">'
            f'<path class="line" d="{_curve(route.points[::-1])}"/>',
            _head(route, ahead=False) + "</g>",
        ]
    label = _slope(link, route, middle)
    return (
        f'<g class="bpl-arrow{classes}" data-link="{i}">'
        f'<g class="forth">{"".join(forth)}</g>{"".join(back)}{label}'
        f"{_broken(route) if link.broken else ''}</g>"
    )


def _broken(route: Route) -> str:
    """A cross on the middle of the line, on a broad band along it."""
    (x0, y0), (x1, y1) = route.points[0], route.points[-1]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    if len(route.points) > 2:
        x, y = route.points[len(route.points) // 2]
    return (
        f'<path class="band" d="{_curve(route.points)}"/>'
        f'<g class="cross" role="img" aria-label="the broken link">'
        f"<title>the broken link</title>"
        f'<circle cx="{x:g}" cy="{y:g}" r="9"/>'
        f'<path d="M{x - 4:g},{y - 4:g}l8,8m0,-8l-8,8"/></g>'
    )


def _slope(link: Link, route: Route, middle: float) -> str:
    """The local derivative, at the side of the arrow's head where there is room."""
    if not link.local:
        return ""
    text, (x, y) = f"×{link.local}", route.points[-1]
    if route.level:
        return _text("local", (route.points[0][0] + x) / 2, y - 6, text, "middle")
    if x < middle - 2 or (x < middle + 2 and route.points[-2][0] > x + 8):
        return _text("local", x - 8, y - 4, text, "end")
    return _text("local", x + 15, y - 4, text)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A line through points that leaves and enters each of them vertically."""
    (x, y), *rest = points
    path = f"M{x:g},{y:g}"
    for u, v in rest:
        if x == u or y == v:
            path += f"L{u:g},{v:g}"
        else:
            middle = (y + v) / 2
            path += f"C{x:g},{middle:g} {u:g},{middle:g} {u:g},{v:g}"
        x, y = u, v
    return path


def _head(route: Route, *, ahead: bool) -> str:
    """A triangle at the consumer for values, at the operand for gradients."""
    (x0, y0), (x1, y1) = route.points[0], route.points[-1]
    x, y = (x1, y1) if ahead else (x0, y0)
    if route.level:
        s = 8 if (x0 > x1) is ahead else -8
        return f'<path class="head" d="M{x:g},{y:g}l{s},-4.5v9z"/>'
    s = -8 if ahead else 8
    return f'<path class="head" d="M{x:g},{y:g}l-4.5,{s}h9z"/>'
