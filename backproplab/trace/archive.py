"""Arrays out of an ``.npz`` file that nobody vouches for: numbers, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

_MOST_BYTES = 2**32  # unpacked; a file that claims more is not read
_MOST_AXES = 32


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read every array of an archive; none is writeable.

    What a header declares is compared with the size of its member before any memory is
    taken, and objects are refused, so that nothing is unpickled.

    Raises:
        ValueError: if a member is no array of numbers, and says so.
        Exception: of ``zipfile``, if the file is no archive.
    """
    import zipfile

    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as z:
        parts = z.infolist()
        size = sum(part.file_size for part in parts)
        if size > _MOST_BYTES:
            raise ValueError(f"it claims {size} bytes")
        for part in parts:
            name = part.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it holds {name} twice")
            arrays[name] = _array(z, part, name)
    return arrays


def _array(z: ZipFile, part: ZipInfo, name: str) -> np.ndarray:
    with z.open(part) as f:
        version = np.lib.format.read_magic(f)
        read: Any = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{name} is in version {version} of its format")
        shape, columns_first, dtype = read(f)
        if dtype.kind not in "fiub":
            raise ValueError(f"{name} holds {dtype}, which is no number")
        if len(shape) > _MOST_AXES or any(n < 0 for n in shape):
            raise ValueError(f"{name} has a shape that cannot be")
        size = math.prod(shape) * dtype.itemsize
        if size > part.file_size:
            raise ValueError(f"{name} claims {size} bytes and has {part.file_size}")
        data = f.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{name} has another size than its shape {shape} says")
    order: Any = "F" if columns_first else "C"
    return np.frombuffer(data, dtype).reshape(shape, order=order)
