"""Arrays by name in one file, ``.npz`` or ``.safetensors``; nothing is pickled."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .errors import DTypeError, NameLookupError, near
from .tensor import Tensor

State = dict[str, np.ndarray]


def save(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a state dict whole or not at all: a crash leaves the old file as it was.

    Args:
        state: arrays or tensors by name, such as ``model.state_dict()``.
        path: ends in ``.npz`` or ``.safetensors``.

    Raises:
        NameLookupError: if the ending is another one.
        DTypeError: if a value is not an array of numbers.
        TypeError: if a name is not a string.
        FileNotFoundError: if the folder is not there.
        ImportError: if the safetensors library is needed and not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"fc1.bias": np.ones(2)}, f"{folder}/net.npz")
    ...     load(f"{folder}/net.npz")
    {'fc1.bias': array([1., 1.])}
    """
    path = Path(path)
    write = _format("save", path)[0]
    if not isinstance(state, Mapping):
        raise TypeError(
            f"save: state is a {type(state).__name__}; "
            "a dict from names to arrays is required.\n"
            "  help: pass `model.state_dict()`."
        )
    for name in state:
        if not isinstance(name, str):
            raise TypeError(
                f"save: {name!r} is a {type(name).__name__}; each array is kept under "
                "a name.\n"
                "  help: an optimizer's state is no dict from names to arrays."
            )
    arrays = {name: _numbers(name, value) for name, value in state.items()}
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"save: there is no folder {path.parent}.\n"
            "  help: make it first: `Path(...).mkdir(parents=True)`."
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part, arrays)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> State:
    """Read a state dict; files that PyTorch wrote as ``.safetensors`` too.

    Args:
        path: ends in ``.npz`` or ``.safetensors``.

    Returns:
        Arrays by name, for ``model.load_state_dict``.

    Raises:
        NameLookupError: if the ending is another one.
        ValueError: if the file is not what its ending says, or holds pickled objects.
        ImportError: if the safetensors library is needed and not installed.
    """
    path = Path(path)
    return _format("load", path)[1](path)


def _numbers(name: Any, value: Any) -> np.ndarray:
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"save: {name} is a {type(value).__name__} of dtype {array.dtype}; "
            "an array of numbers is required.",
            help="save each dict of arrays in a file of its own."
            if isinstance(value, Mapping)
            else "",
        )
    return array


def _write_npz(path: Path, arrays: State) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _read_npz(path: Path) -> State:
    import zipfile

    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                with archive.open(entry) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                arrays[entry.removesuffix(".npy")] = array
    except (zipfile.BadZipFile, ValueError) as error:
        raise ValueError(
            f"load: {path.name} is not an .npz file of plain arrays: {error}"
        ) from error
    return arrays


def _write_safetensors(path: Path, arrays: State) -> None:
    # The library writes the memory as it lies, so it must lie in C order.
    lying = {n: np.array(a, order="C") for n, a in arrays.items()}
    _safetensors().numpy.save_file(lying, path)


def _read_safetensors(path: Path) -> State:
    library, content = _safetensors(), path.read_bytes()
    try:
        return {name: _decoded(entry) for name, entry in library.deserialize(content)}
    except (library.SafetensorError, KeyError) as error:
        raise ValueError(
            f"load: {path.name} is not a .safetensors file that NumPy can hold: {error}"
        ) from error


def _decoded(entry: Mapping[str, Any]) -> np.ndarray:
    shape, data = entry["shape"], bytearray(entry["data"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        return (
            (np.frombuffer(data, "<u2").astype("<u4") << 16).view("f4").reshape(shape)
        )
    return np.frombuffer(data, _DTYPES[entry["dtype"]]).reshape(shape)


_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "the ending .safetensors needs the library of that name, "
            "which is not installed.\n"
            "  help: `pip install safetensors`, or let the name end in .npz."
        ) from error
    return safetensors


def _format(function: str, path: Path) -> "_Format":
    if path.suffix not in _FORMATS:
        raise NameLookupError(
            f"{function}: the file is called {path.name}; "
            "its name must end in .npz or .safetensors.",
            help=near(path.suffix, _FORMATS),
        )
    return _FORMATS[path.suffix]


_Format = tuple[Callable[[Path, State], None], Callable[[Path], State]]
_FORMATS: dict[str, _Format] = {
    ".npz": (_write_npz, _read_npz),
    ".safetensors": (_write_safetensors, _read_safetensors),
}
