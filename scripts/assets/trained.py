"""Reads the trained networks and the null distributions, which were made in this project."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from sources import AssetError

NETWORKS = {
    "networks/cochcnn_words.safetensors": "plain",
    "networks/cochcnn_words_hann.safetensors": "hann",
    "networks/cochcnn_words_untrained.safetensors": "untrained",
}
NULLS = tuple(
    f"nulls/{network}.json"
    for network in ("cochcnn_words", "cochcnn_words_hann", "cochcnn_words_untrained", "crepe", "efficientnet_lite0")
)


def build(assets: Path) -> dict[str, bytes]:
    """Returns the content of each file by its path in assets/."""
    files = {}
    for path in (*NETWORKS, *NULLS):
        if not (assets / path).exists():
            maker = "scripts/words (see its README.md)" if path in NETWORKS else "examples/nulls.rs"
            raise AssetError(f"{path} is missing; make it with {maker}")
        files[path] = (assets / path).read_bytes()
    return files


def metadata(data: bytes) -> dict[str, Any]:
    """Reads the metadata of a safetensors file."""
    (size,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + size])["__metadata__"]
    return found
