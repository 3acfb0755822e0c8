"""What an unfinished run lacks, in a plain sentence with the next keystroke."""

from typing import Any

from ..trace import Trace

_RECORD = (
    "`with bp.record() as run:`, then compute a loss and call `loss.backward()` inside."
)


def missing(run: Any, view: str) -> tuple[str, bool]:
    """Tell what a run lacks before a view can show it.

    Returns:
        a sentence, empty if nothing is missing, and whether there is a graph to draw.

    >>> missing(3.0, "GraphExplorer")[0].splitlines()[0]
    'GraphExplorer shows a recorded run; this is a float.'
    """
    if not isinstance(run, Trace):
        kind = type(run).__name__
        article = "an" if kind[:1].lower() in "aeiou" else "a"
        return (
            f"{view} shows a recorded run; this is {article} {kind}.\n"
            f"Record one: {_RECORD}",
            False,
        )
    if not any(r.inputs for r in run):
        return (
            f"{view}: the run is empty; no operation on a tensor was recorded.\n"
            f"Compute inside the block: {_RECORD}",
            False,
        )
    if all(r.grad is None for r in run):
        return (
            f"{view}: the run has values and no gradients; no backward pass was "
            "recorded.\n"
            "Call `loss.backward()` inside the `with bp.record() as run:` block.",
            True,
        )
    return "", True
