"""Exercises on the loss scaler: what it does next, and over a whole run."""

from typing import Any

import numpy as np

from .. import formats
from ..amp import GradScaler
from ..optim import SGD
from ..tensor import Tensor
from .problem import Problem, Slip


def _scaler(scale: Any, good: Any, finite: Any, interval: Any) -> dict[str, Any]:
    """Let a GradScaler in each of the states see one step."""
    after = []
    for s, n, fine in zip(scale, good, finite, strict=True):
        w = Tensor(np.zeros(1, np.float32), requires_grad=True)
        optimizer = SGD([w], lr=0.0)
        scaler = GradScaler(float(s), growth_interval=int(interval))
        scaler.load_state_dict({**scaler.state_dict(), "_growth_tracker": n})
        scaler.scale(w).backward(np.array([1.0 if fine else np.inf], np.float32))
        scaler.step(optimizer)
        scaler.update()
        state = scaler.state_dict()
        after.append((state["scale"], state["_growth_tracker"]))
    scales, counts = zip(*after, strict=True)
    return {"scale_after": scales, "good_after": counts}


def _steps(scale: Any, peak: Any, interval: Any) -> dict[str, Any]:
    """Let a scaler run until it has skipped twice more."""
    w: Any = Tensor(np.zeros(1, np.float32), requires_grad=True)
    optimizer = SGD([w], lr=0.0)
    scaler = GradScaler(float(scale), growth_interval=int(interval))
    while len(_blocks(scaler)) < 3:
        scaled = scaler.scale(w * np.float32(peak))
        scaled.backward(np.ones(1, np.float32))
        w.grad = formats.quantize(w.grad, "float16")
        scaler.step(optimizer)
        scaler.update()
        w.zero_grad()
    begin, first, second = _blocks(scaler)
    skips = begin[-1] + 1
    settled = scaler.history[skips].scale
    return {"skips": skips, "settled": settled, "first": first[0], "second": second[0]}


def _blocks(scaler: GradScaler) -> list[list[int]]:
    """The skipped steps, those in a row together."""
    blocks: list[list[int]] = []
    for k in scaler.skipped:
        if blocks and blocks[-1][-1] == k - 1:
            blocks[-1].append(k)
        else:
            blocks.append([k])
    return blocks


def _states(rng: np.random.Generator) -> dict[str, Any]:
    """Six scalers: each case at least once."""
    interval = int(rng.integers(3, 6))
    good = [interval - 1, interval - 1, 0, interval - 2, interval - 2, 1]
    finite = [True, False, True, True, False, interval > 3]
    order = rng.permutation(6)
    return {
        "scale": 2.0 ** rng.integers(8, 17, size=6),
        "good": np.array(good)[order],
        "finite": np.array(finite)[order],
        "interval": interval,
    }


def _constant(rng: np.random.Generator) -> dict[str, Any]:
    scale, skips = 2.0 ** rng.integers(12, 17), rng.integers(2, 6)
    peak = 65520 / scale * 2.0 ** (skips - rng.uniform(0.2, 0.8))
    return {"scale": scale, "peak": peak, "interval": int(rng.integers(20, 50))}


PROBLEMS = (
    Problem(
        id="amp.scaler",
        prompt="""
Six loss scalers, each in a state of its own: `scale`, the number of `good` steps in a
row so far, and whether the gradients of this step were `finite`. After an overflow the
step is skipped, the scale is halved, and the count begins at 0. When the count reaches
`interval`, the scale is doubled, and the count begins at 0, too. What are scale and
count after this step?
""",
        inputs=_states,
        forward=_scaler,
        asks=("scale_after", "good_after"),
        hints=(
            "Three cases: an overflow; a good step that completes the interval; a good "
            "step that does not.",
            "A good step counts first: `good + 1` is compared with `interval`. "
            "`where(condition, yes, no)` chooses entry by entry, and can be nested.",
            "`scale_after = where(finite, where(good + 1 == ..., ..., ...), ...)`, "
            "`good_after = where(finite, where(..., 0, ...), 0)`",
        ),
        solution="Halve on overflow; double when `good + 1` reaches `interval`; else "
        "leave it. The count goes on only in the last case.",
        answer_code="""
scale_after = np.where(finite, np.where(good + 1 == interval, 2 * scale, scale), scale / 2)
good_after = np.where(finite, np.where(good + 1 == interval, 0, good + 1), 0)
""",  # noqa: E501
        slips=(
            Slip(
                "factor-substituted",
                "scale_after = np.where(finite, 2 * scale, scale / 2)",
                says="The scale grows after every good step; it is to wait for a whole "
                "interval.",
            ),
            Slip(
                "path-missing",
                "scale_after = np.where(finite, scale, scale / 2)",
                says="The scale never grows.",
            ),
            Slip(
                "path-missing",
                "scale_after = np.where(good + 1 == interval, 2 * scale, scale)",
                says="An overflow is not seen: the scale is to be halved then.",
            ),
            Slip(
                "path-missing",
                "good_after = np.where(finite, good + 1, 0)",
                says="When the scale grows, the count begins anew.",
            ),
            Slip(
                "path-missing",
                "good_after = np.where(good + 1 == interval, 0, good + 1)",
                says="An overflow ends the row of good steps: the count begins at 0.",
            ),
        ),
        quantity="value",
    ),
    Problem(
        id="amp.steps",
        prompt="""
A loss scaler begins at `scale`. In every step the largest gradient is `peak` before
scaling; scaled, it becomes infinite in float16 from 65520. Such a step is skipped and
the scale is halved. After `interval` clean steps in a row the scale is doubled, as in
PyTorch. How many steps are skipped at the beginning (`skips`), and which scale is left
(`settled`)? Count steps from 0: which step is skipped next (`first`), and which one
after that (`second`)?
""",
        inputs=_constant,
        forward=_steps,
        asks=("skips", "settled", "first", "second"),
        hints=(
            "Write the steps down: skipped ones, then clean ones, then the first that "
            "uses the doubled scale.",
            "Halve until the largest gradient is below 65520. The doubled scale is too "
            "large again, so the step after `interval` clean ones is skipped.",
            "`skips = ceil(log2(...))`, `settled = scale / ...`, "
            "`first = ... + interval`, `second = first + ...`",
        ),
        solution="$\\lceil\\log_2(S\\,peak/65520)\\rceil$ halvings. Steps 0 to "
        "skips - 1 are skipped, the next `interval` are clean, and the step after them "
        "meets the doubled scale. It is skipped, and takes a number too. With "
        "$2^{16}$, 3 and 2000: steps 0, 1, 2002, 4003 at $2^{14}$.",
        answer_code="""
skips = np.ceil(np.log2(peak * scale / 65520))
settled = scale / 2**skips
first = skips + interval
second = first + 1 + interval
""",
        slips=(
            Slip(
                "constant-factor",
                "skips = np.floor(np.log2(peak * scale / 65520))",
                says="Rounded the wrong way: after these it still overflows.",
            ),
            Slip(
                "local-factor-missing",
                "settled = scale",
                says="No backoff: each skipped step halves the scale.",
            ),
            Slip(
                "factor-substituted",
                "settled = scale / 2",
                says="Halved once only; each of the skipped steps halves it.",
            ),
            Slip(
                "factor-substituted",
                "first = skips + interval + 1",
                says="One step late. The scale grows with the last of the clean steps, "
                "not one later; so the next step meets it. (Flax does wait one more.)",
            ),
            Slip(
                "path-missing",
                "first = interval",
                says="The steps skipped at the beginning are not clean ones.",
            ),
            Slip(
                "path-missing",
                "second = first + interval",
                says="The skipped step takes a number, too, and the count begins after "
                "it.",
            ),
        ),
        quantity="value",
    ),
)
