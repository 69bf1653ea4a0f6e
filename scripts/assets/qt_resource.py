"""Reads Qt's binary resource archives (.rcc), formats 1 to 3."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

COMPRESSED, DIRECTORY = 1, 2


def read(data: bytes) -> dict[str, bytes]:
    """Reads the files of an archive, by path."""
    if data[:4] != b"qres":
        raise ValueError("not a Qt resource archive")
    version, tree, contents, names = struct.unpack_from(">4I", data, 4)
    if version not in (1, 2, 3):
        raise ValueError(f"unsupported version {version} of Qt resource archives")
    return dict(_walk(data, tree, contents, names, 14 if version == 1 else 22, 0, ""))


def _walk(
    data: bytes, tree: int, contents: int, names: int, entry_size: int, entry: int, folder: str
) -> Iterator[tuple[str, bytes]]:
    name_at, flags = struct.unpack_from(">IH", data, tree + entry * entry_size)
    (length,) = struct.unpack_from(">H", data, names + name_at)
    start = names + name_at + 6  # after the length and a hash
    path = folder + data[start : start + 2 * length].decode("utf-16-be")
    if flags & DIRECTORY:
        count, first = struct.unpack_from(">2I", data, tree + entry * entry_size + 6)
        for child in range(first, first + count):
            yield from _walk(data, tree, contents, names, entry_size, child, f"{path}/" if path else "")
        return
    (at,) = struct.unpack_from(">I", data, tree + entry * entry_size + 10)
    (size,) = struct.unpack_from(">I", data, contents + at)
    raw = data[contents + at + 4 : contents + at + 4 + size]
    if flags & ~(COMPRESSED | DIRECTORY):
        raise ValueError(f"{path} has an unsupported compression")
    yield path, zlib.decompress(raw[4:]) if flags & COMPRESSED else raw
