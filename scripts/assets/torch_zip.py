"""Reads the tensors of a zip .pth (PyTorch 1.6 and later) without PyTorch."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import numpy as np

DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage:
    """A storage type; only its name is used."""

    def __init__(self, name: str) -> None:
        self.name = name


def _rebuild(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


class _Unpickler(pickle.Unpickler):
    """An unpickler of state dicts that refuses every other class."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in DTYPES:
            return _Storage(name)
        raise pickle.UnpicklingError(f"the checkpoint refers to {module}.{name}, which is not allowed")

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, storage, key, _, _ = pid
        return np.frombuffer(self.archive.read(f"{self.root}/data/{key}"), DTYPES[storage.name])


def read_state_dict(data: bytes) -> dict[str, np.ndarray]:
    """Reads the tensors of a checkpoint by name, in the file's order."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
    return dict(_Unpickler(archive, root).load())
