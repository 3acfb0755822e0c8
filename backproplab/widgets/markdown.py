"""The little Markdown of the exercises as HTML; TeX is left to MathJax."""

import re
from html import escape

_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![*\w])\*([^*\s][^*]*)\*(?![*\w])"), r"<em>\1</em>"),
)
_KEPT = re.compile(r"(`[^`]+`|\$[^$]+\$)")


def html(text: str) -> str:
    r"""Write paragraphs, fenced code, `code`, **bold** and *emphasis* as HTML.

    >>> print(html("One *link*: $y_i * 2$ and `a*b`."))
    <p>One <em>link</em>: $y_i * 2$ and <code>a*b</code>.</p>
    >>> print(html("```python\ny = x @ w\n```"))
    <pre>y = x @ w</pre>
    """
    parts = re.split(r"```\w*\n(.*?)\n```", text, flags=re.DOTALL)
    blocks = []
    for i, part in enumerate(parts):
        if i % 2:
            blocks.append(f"<pre>{escape(part, quote=False)}</pre>")
            continue
        paragraphs = (p.strip() for p in part.split("\n\n"))
        blocks += [f"<p>{_inline(p)}</p>" for p in paragraphs if p]
    return "\n".join(blocks)


def _inline(text: str) -> str:
    pieces = _KEPT.split(escape(text, quote=False))
    for i, piece in enumerate(pieces):
        if piece.startswith("$"):
            continue
        for pattern, tag in _INLINE[:1] if i % 2 else _INLINE[1:]:
            pieces[i] = piece = pattern.sub(tag, piece)
    return "".join(pieces)
