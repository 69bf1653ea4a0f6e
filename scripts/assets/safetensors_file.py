"""Writes safetensors files reproducibly; the safetensors library orders the metadata at random."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

DTYPES = {np.dtype("<f4"): "F32", np.dtype("<f2"): "F16"}


def encode(tensors: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> bytes:
    """Encodes float32 and float16 tensors; the header keeps their order and is padded to a multiple of 8 bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name} is {tensor.dtype}, neither float32 nor float16")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} contains NaN or infinity")
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *(tensor.tobytes() for tensor in tensors.values())])
