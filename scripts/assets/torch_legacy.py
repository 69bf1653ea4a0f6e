"""Reads PyTorch's legacy checkpoint format (before 1.6, not a zip file) without PyTorch.

The file consists of five pickles (magic number, protocol version, system information, the object, the keys of the
storages) and then, for each key, a 64-bit count and that many raw little-endian numbers. The unpickler accepts tensors,
storages and ordered dicts and refuses everything else, so a file cannot run code.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Tensor:
    """A tensor's description in the pickle, before its storage is read."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: str, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """An unpickler of state dicts that refuses every other class."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, tuple[np.dtype[Any], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Resolves the names that a state dict needs."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"the checkpoint refers to {module}.{name}, which is not allowed")

    def persistent_load(self, pid: Any) -> str:
        """Records a storage's type and length and returns its key."""
        kind, dtype, key, _location, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unexpected persistent object {pid!r}")
        self.storages[key] = (dtype, count)
        return str(key)


def read_state_dict(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Reads the tensors of a legacy checkpoint by name, in the file's order; all are contiguous."""
    file = io.BytesIO(data)
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
        raise ValueError("not a legacy PyTorch checkpoint")
    if _Unpickler(file).load().get("little_endian") is not True:
        raise ValueError("the checkpoint was written on a big-endian machine")
    unpickler = _Unpickler(file)
    tensors: dict[str, _Tensor] = unpickler.load()
    numbers = {}
    for key in _Unpickler(file).load():
        dtype, count = unpickler.storages[key]
        if struct.unpack("<q", file.read(8)) != (count,):
            raise ValueError(f"the length of storage {key} differs from the pickle's")
        raw = file.read(count * dtype.itemsize)
        numbers[key] = np.frombuffer(raw, dtype, count)
    if file.read(1):
        raise ValueError("there are trailing bytes after the last storage")
    return {name: _view(tensor, numbers[tensor.storage]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
    lowest = min(min(tensor.shape, default=1) - 1, min(tensor.strides, default=0), tensor.offset)
    if lowest < 0 or last >= numbers.size:
        raise ValueError(f"tensor {tensor} exceeds its storage")
    strides = tuple(s * numbers.itemsize for s in tensor.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides))
