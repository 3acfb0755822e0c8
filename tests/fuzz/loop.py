"""The loop of every fuzz driver: mutate a seed, run it, count, keep what crashed.

A driver has one function ``one(data: bytes)`` that hands the bytes to what is tested.
It returns, or raises what the documentation names; all else is a crash. ``main`` gives
it mutated seeds until the time is up::

    python tests/fuzz/fuzz_load_trace.py --seconds 600

and exits with 1 if anything crashed; the input lies in ``artefacts/`` then, beside the
traceback, and ``python tests/fuzz/fuzz_load_trace.py FILE`` runs it again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import signal
import sys
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

One = Callable[[bytes], object]
Mutation = Callable[[bytes, random.Random], bytes]

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
SLOW = 20.0  # seconds after which one execution counts as a crash
MOST_KEPT = 20  # crashing inputs of different tracebacks


def main(
    name: str,
    one: One,
    seeds: Sequence[bytes],
    *,
    documented: tuple[type[BaseException], ...],
    mutations: Sequence[Mutation] = (),
    argv: Sequence[str] | None = None,
) -> int:
    """Run a driver's command line; return its exit code.

    Args:
        name: what the artefacts are called.
        one: executes one input.
        seeds: inputs to start from.
        documented: the exceptions that ``one`` may raise.
        mutations: of the structure of the inputs, besides those of their bytes.
        argv: the command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(description=f"fuzz {name}")
    parser.add_argument("files", nargs="*", type=Path, help="run these, and no others")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--executions", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--artefacts", type=Path, default=ARTEFACTS)
    asked = parser.parse_args(argv)
    if asked.files:
        for file in asked.files:
            one(file.read_bytes())
        return 0
    loop = Loop(name, one, documented, asked.artefacts)
    draw = random.Random(asked.seed)
    end = time.monotonic() + asked.seconds
    every = [*BYTES, *mutations, *mutations]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about what they then refuse
        for seed in seeds:
            loop.execute(seed)
        while time.monotonic() < end and loop.executions < asked.executions:
            data = draw.choice(seeds)
            for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
                data = draw.choice(every)(data, draw)
            loop.execute(data)
    print(loop.report())
    return 1 if loop.crashes else 0


class Loop:
    """Executes inputs one by one, and counts.

    Attributes:
        executions: how many were run.
        outcomes: how many returned, and how many raised each documented exception.
        crashes: the files that hold what crashed, by the place of the crash.
    """

    def __init__(
        self,
        name: str,
        one: One,
        documented: tuple[type[BaseException], ...],
        artefacts: Path,
    ) -> None:
        self.name, self.one, self.documented = name, one, documented
        self.artefacts = artefacts
        self.executions = 0
        self.outcomes: Counter[str] = Counter()
        self.crashes: dict[str, Path] = {}

    def execute(self, data: bytes) -> None:
        """Run one input; keep it if it crashed in a new place."""
        self.executions += 1
        try:
            with _Limit(SLOW):
                self.one(data)
            self.outcomes["returned"] += 1
        except self.documented as error:
            self.outcomes[type(error).__name__] += 1
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.outcomes[f"CRASH {type(error).__name__}"] += 1
            self._keep(data, error)

    def _keep(self, data: bytes, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        place = f"{type(error).__name__} at {last and (last.filename, last.lineno)}"
        if place in self.crashes or len(self.crashes) >= MOST_KEPT:
            return
        self.artefacts.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256(data).hexdigest()[:12]
        file = self.artefacts / f"fuzz-{self.name}-{mark}.bin"
        file.write_bytes(data)
        text = "".join(traceback.format_exception(error))
        file.with_suffix(".txt").write_text(text, errors="backslashreplace")
        self.crashes[place] = file
        print(f"{self.name}: {place}: {error}\n  kept in {file}", file=sys.stderr)

    def report(self) -> str:
        """Counts in one line."""
        counts = ", ".join(f"{n} {what}" for what, n in self.outcomes.most_common())
        crashed = sum(n for what, n in self.outcomes.items() if "CRASH" in what)
        return (
            f"{self.name}: {self.executions} executions, {crashed} crashes ({counts})"
        )


class _Limit:
    """Raise in the block when it takes too long, where the system can."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        if hasattr(signal, "setitimer"):
            self.old = signal.signal(signal.SIGALRM, _too_slow)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_error: object) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.old)


class TooSlow(BaseException):
    """An execution that does not come to an end; no handler of Exceptions hides it."""


def _too_slow(*_frame: object) -> None:
    raise TooSlow(f"no end after {SLOW:g} s")


# Mutations of bytes.


def flip(data: bytes, draw: random.Random) -> bytes:
    """Change a few single bits."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8)) if out else 0):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def overwrite(data: bytes, draw: random.Random) -> bytes:
    """Put telling bytes, or any, over a few."""
    if not data:
        return draw.randbytes(8)
    new = draw.choice((*TELLING, draw.randbytes(draw.randrange(1, 9))))
    at = draw.randrange(len(data))
    return data[:at] + new + data[at + len(new) :]


def insert(data: bytes, draw: random.Random) -> bytes:
    """Put bytes between others."""
    new = draw.choice((*TELLING, draw.randbytes(draw.randrange(1, 33))))
    at = draw.randrange(len(data) + 1)
    return data[:at] + new + data[at:]


def cut(data: bytes, draw: random.Random) -> bytes:
    """Leave a slice out, mostly a short one; or all that follows."""
    if not data:
        return data
    at = draw.randrange(len(data))
    n = draw.choice((1, 2, 16, 256, len(data)))
    return data[:at] + data[at + n :]


def double(data: bytes, draw: random.Random) -> bytes:
    """Repeat a slice."""
    at = draw.randrange(len(data) + 1)
    part = data[at : at + draw.choice((1, 4, 64, 1024))]
    return data[:at] + part * draw.choice((2, 3, 100)) + data[at:]


BYTES: tuple[Mutation, ...] = (flip, overwrite, insert, cut, double)
TELLING = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"-1",
    b"99999999999999999999", b"1e999", b"NaN", b"null", b"{}", b"[]", b'""', b"\xc3(",
    b"(", b"**", b"__import__('os')", b"'|O'", b"<f8", b"\\ud800",
)  # fmt: skip


# Mutations of structure.


def mutated_json(value: Any, draw: random.Random) -> Any:
    """A copy of what JSON holds with one part changed, left out, doubled or moved."""
    if isinstance(value, dict) and value and draw.random() < 0.93:
        out = dict(value)
        key = draw.choice(list(out))
        what = draw.random()
        if what < 0.07:
            del out[key]
        elif what < 0.1:
            out[draw.choice(ODD_KEYS)] = out.pop(key)
        else:
            out[key] = mutated_json(out[key], draw)
        return out
    if isinstance(value, list) and value and draw.random() < 0.9:
        out_list = list(value)
        k, what = draw.randrange(len(out_list)), draw.random()
        if what < 0.07:
            del out_list[k]
        elif what < 0.14:
            out_list.insert(k, out_list[draw.randrange(len(out_list))])
        elif what < 0.2:
            draw.shuffle(out_list)
        else:
            out_list[k] = mutated_json(out_list[k], draw)
        return out_list
    if type(value) is int and draw.random() < 0.6:
        return value + draw.choice((-1, 1, 2, -value, 10**6, 2**63, -(2**63)))
    return draw.choice(ODD_VALUES)


ODD_KEYS = ("", "x", "\ud800", "0", "__class__", "array", "dict")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -5, 2**63, 10**30, 0.5, 1e308, float("nan"),
    float("inf"), "", "x", "\ud800", "a\0b", "relu", "matmul", "cast", "leaf", "v0",
    "O", [], [[]], {}, [0], [-1], [1, 2], ["x"], [None], {"exec": "1"}, {"array": "v0"},
    {"array": []}, {"dtype": "O"}, {"dtype": "x" * 300}, {"slice": [1]}, {"tuple": 3},
    {"dict": []}, {"list": [{"list": []}]},
)  # fmt: skip


def mutated_zip(data: bytes, draw: random.Random) -> bytes:
    """An archive with one member changed, left out, doubled, or under another's name.

    What is no archive any more comes back as it is.
    """
    try:
        members = unzipped(data)
    except Exception:
        return data
    if not members:
        return data
    k, what = draw.randrange(len(members)), draw.random()
    name, body = members[k]
    if what < 0.1:
        del members[k]
    elif what < 0.2:
        members.append((name, draw.choice(members)[1]))
    elif what < 0.3:
        members[k] = draw.choice(members)[0], body
    elif what < 0.5 and body[:6] == b"\x93NUMPY":
        members[k] = name, mutated_header(body, draw)
    elif what < 0.8 and body[:6] == b"\x93NUMPY":
        at = body.find(b"\n") + 1  # other numbers in an array that stays one
        members[k] = name, body[:at] + flip(body[at:], draw)
    else:
        members[k] = name, draw.choice(BYTES)(body, draw)
    return zipped(members, draw)


def mutated_header(body: bytes, draw: random.Random) -> bytes:
    """An array of a ``.npy`` file that says something else about itself."""
    old = draw.choice(
        (b"'<f8'", b"'<f4'", b"False", b"(", b",)", b"shape", b"|u1", b"}")
    )
    new = draw.choice(
        (b"'|O'", b"'<f4'", b"'<f8'", b"'>f8'", b"'<i8'", b"'<U9'", b"'<c16'", b"True",
         b"(9,", b"(-1,", b"(99999999999,", b"(True,", b"(1.5,", b"(1,)*9", b"", b"((",
         b"'<M8[s]'", b"[('a','<f8')]", b"'|V8'", b"x")
    )  # fmt: skip
    at = body.find(b"\n") + 1 or len(body)
    changed = body[:at].replace(old, new, 1)
    # NumPy pads with spaces, so mostly the length that is given can stay right.
    text = changed.rstrip(b" \n")
    if len(text) < at and draw.random() < 0.9:
        changed = text.ljust(at - 1) + b"\n"
    return changed + body[at:]


def unzipped(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of an archive's members."""
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return [(i.filename, z.read(i)) for i in z.infolist()]


def zipped(members: Sequence[tuple[str, bytes]], draw: random.Random) -> bytes:
    """An archive of members, packed or not."""
    out = io.BytesIO()
    kind = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        with zipfile.ZipFile(out, "w", kind) as z:
            for name, body in members:
                z.writestr(name, body)
    return out.getvalue()
