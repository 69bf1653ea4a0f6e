"""Reads the tensors of a zip .pth (PyTorch 1.6 and later) without PyTorch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import numpy

TYPES = {"FloatStorage": numpy.dtype("<f4"), "LongStorage": numpy.dtype("<i8")}


class _Storage:
    """What the pickle calls a storage type; only its name counts."""

    def __init__(self, name: str) -> None:
        self.name = name


def _rebuild(
    storage: numpy.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> numpy.ndarray:
    strides = tuple(step * storage.itemsize for step in stride)
    return numpy.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


class _Reader(pickle.Unpickler):
    """Knows the names that a state dict needs and refuses all others."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in TYPES:
            return _Storage(name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, pid: Any) -> numpy.ndarray:
        _, storage, key, _, _ = pid
        return numpy.frombuffer(self.archive.read(f"{self.root}/data/{key}"), TYPES[storage.name])


def read_state_dict(data: bytes) -> dict[str, numpy.ndarray]:
    """The tensors by their names, in the file's order."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
    return dict(_Reader(archive, root).load())
