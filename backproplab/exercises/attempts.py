"""Progress: attempts and their labels, kept in ``.backproplab/progress.json``.

The folder is made where Python runs, beside the notebook. The environment variable
``BACKPROPLAB_DIR`` puts it elsewhere.
"""

import base64
import binascii
import codecs
import json
import os
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import BackpropError
from ..grade import Report, Verdict
from .lock import locked

_FORMAT, _VERSION = "backproplab progress", 1
_BEGIN, _END = "--- backproplab progress ---", "--- end of progress ---"
_MOST = 10_000_000  # bytes of an imported block, unpacked
_KEPT = 500  # characters of a typed answer
_STRANGE = "is broken, not ours, or from a newer version"


class ProgressError(BackpropError, ValueError):
    """A block of text that is no exported progress."""


class ProgressWarning(UserWarning):
    """Progress that could not be read or kept; the verdicts are not touched by it."""


def note(problem: str, outcome: Verdict | Report, answer: Any) -> None:
    """Add one attempt to the file; an answer of which nothing was attempted is none.

    Of several gradients, those that are still open make a right rest "unfinished".
    """
    label = "correct" if outcome.ok else outcome.label
    if label == "not-attempted":
        if isinstance(outcome, Verdict) or not any(v.ok for v in outcome.values()):
            return
        label = "unfinished"
    attempt: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "label": label,
    }
    if isinstance(outcome, Report):
        attempt["blamed"] = list(map(str, outcome.blamed))
    typed = answer if type(answer) is dict else {"": answer}
    if typed and all(isinstance(v, str) for v in typed.values()):
        attempt["typed"] = {str(k): v[:_KEPT] for k, v in typed.items()}
    _merge({problem: [attempt]})


def attempts() -> dict[str, list[dict[str, Any]]]:
    """Read all attempts, oldest first, by problem; none where there is no file."""
    path = _path()
    try:
        known, whole = _read(path)
    except OSError as error:
        _warn(f"{path} cannot be read ({error.strerror or error}).")
        return {}
    if not whole:
        _warn(f"{path} {_STRANGE}: your next attempt sets it aside.")
    return known


def last_typed(problem: str) -> dict[str, str]:
    """Return the formulas that were typed last for a problem, by asked name."""
    for attempt in reversed(attempts().get(problem, [])):
        typed = attempt.get("typed")
        if typed and isinstance(typed, dict):
            return {name: str(formula) for name, formula in typed.items()}
    return {}


def export_progress() -> str:
    """Pack all attempts into one block of text, to be kept where the disk is lost."""
    plain = json.dumps(attempts(), separators=(",", ":")).encode()
    packed = base64.b64encode(zlib.compress(plain, 9)).decode()
    lines = [packed[i : i + 76] for i in range(0, len(packed), 76)]
    return "\n".join([_BEGIN, *lines, _END])


def import_progress(text: str) -> int:
    """Add the attempts of an exported block to the file; nothing is lost or doubled.

    Returns:
        how many attempts were new.

    Raises:
        ProgressError: if the text is not such a block, or only a part of one.
    """
    found = _unpacked(text)
    before = sum(map(len, attempts().values()))
    _merge(found)
    return sum(map(len, attempts().values())) - before


def attempts_in(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a learner's file: ``progress.json``, or an exported block saved as text.

    Raises:
        OSError: if it cannot be read.
        ProgressError: if it is neither, broken, or from a newer version.
    """
    if (size := path.stat().st_size) > _MOST:
        raise ProgressError(f"{path} is larger than {_MOST:,} bytes; no progress is.")
    if not path.is_file():  # a pipe, to be read for ever
        raise ProgressError(f"{path} is no file.")
    if not size:
        raise ProgressError(f"{path} is empty.")
    try:
        text = _decoded(path.read_bytes())
    except UnicodeDecodeError:
        raise ProgressError(f"{path} {_STRANGE}.") from None
    if _BEGIN in text and not text.lstrip().startswith("{"):
        return _unpacked(text)
    known, whole = _parsed(text)
    if not whole:
        raise ProgressError(f"{path} {_STRANGE}.")
    return known


def _unpacked(text: str) -> dict[str, list[dict[str, Any]]]:
    if not isinstance(text, str) or _BEGIN not in text or _END not in text:
        raise ProgressError(
            f"import_progress: the text must hold all from {_BEGIN!r} to {_END!r}.",
            help="copy the whole block that export_progress() returned.",
        )
    packed = "".join(text.partition(_BEGIN)[2].partition(_END)[0].split())
    try:
        unpack = zlib.decompressobj()
        plain = unpack.decompress(base64.b64decode(packed, validate=True), _MOST)
        if not unpack.eof:
            raise ValueError("it is cut off, or too large")
        return _checked(json.loads(plain))
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise ProgressError(
            f"import_progress: the block is damaged ({error}).",
            help="copy the whole block that export_progress() returned.",
        ) from None


def _path() -> Path:
    folder = Path(os.environ.get("BACKPROPLAB_DIR") or ".backproplab")
    # A hub's settings are read by no shell, which would know what ~ means.
    with suppress(RuntimeError):  # nobody's home
        folder = folder.expanduser()
    return folder / "progress.json"


def _merge(new: Mapping[str, list[dict[str, Any]]]) -> None:
    """Read, join and replace the file while nobody else does."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            known, whole = _read(path)
            if not whole:
                _set_aside(path)
            for name, tried in new.items():
                joined = {json.dumps(a, sort_keys=True): a for a in known.get(name, [])}
                joined |= {json.dumps(a, sort_keys=True): a for a in tried}
                known[name] = sorted(joined.values(), key=lambda a: str(a["at"]))
            content = {"format": _FORMAT, "version": _VERSION, "problems": known}
            written = path.with_name(f"progress.{os.getpid()}.tmp")
            try:
                written.write_bytes(_readable(content))
                os.replace(written, path)
            finally:
                with suppress(OSError):
                    written.unlink(missing_ok=True)
    except OSError as error:
        _warn(
            f"Your progress is not kept: {path.parent} cannot be written "
            f"({error.strerror or error}). Verdicts work as ever; the variable "
            "BACKPROPLAB_DIR names another folder."
        )


def _read(path: Path) -> tuple[dict[str, list[dict[str, Any]]], bool]:
    """Return the attempts, and whether the file is ours and whole (or not there)."""
    try:
        return _parsed(_decoded(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return {}, True
    except UnicodeDecodeError:
        return {}, False


def _decoded(data: bytes) -> str:
    """Read UTF-8, or what an editor made of it when it was saved anew."""
    wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return data.decode("utf-16" if wide else "utf-8-sig")


def _parsed(text: str) -> tuple[dict[str, list[dict[str, Any]]], bool]:
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            return {}, False
        return _checked(content["problems"]), True
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, False


def _readable(content: Any) -> bytes:
    """Write JSON in the letters themselves; as codes where one is no character."""
    try:
        return json.dumps(content, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(content, indent=1).encode()


def _checked(problems: Any) -> dict[str, list[dict[str, Any]]]:
    """Take attempts in, or raise ValueError where they are none."""
    if not isinstance(problems, dict):
        raise ValueError("not a table of problems")
    for tried in problems.values():
        if not isinstance(tried, list) or not all(
            isinstance(a, dict) and isinstance(a.get("at"), str) and "label" in a
            for a in tried
        ):
            raise ValueError("not a list of attempts")
    return problems


def _set_aside(path: Path) -> None:
    """Rename a file that is not ours to read; it is never overwritten."""
    n = 1
    while (aside := path.with_name(f"progress.aside-{n}.json")).exists():
        n += 1
    os.rename(path, aside)
    _warn(f"{path} {_STRANGE}: it is kept as {aside.name}, and a new file is begun.")


def _warn(sentence: str) -> None:
    """Say a sentence once in a session; the registry is where Python keeps count."""
    seen = globals().setdefault("__warningregistry__", {})
    warnings.warn_explicit(sentence, ProgressWarning, "progress", 1, registry=seen)
