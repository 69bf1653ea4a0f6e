"""The networks that this project trained itself: this script cannot fetch them, and takes them as they are."""

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


def build(assets: Path) -> dict[str, bytes]:
    """The files' contents by their paths in assets/."""
    files = {}
    for path in NETWORKS:
        if not (assets / path).exists():
            raise AssetError(f"{path} is not there; it is made by training: see scripts/words/README.md")
        files[path] = (assets / path).read_bytes()
    return files


def metadata(data: bytes) -> dict[str, Any]:
    """What a safetensors file says of itself."""
    (size,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + size])["__metadata__"]
    return found
