"""Embeds the files that a page shows, and replaces remote ones by links."""

from __future__ import annotations

import base64
import os
import stat
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from failures import LabError, reason

if TYPE_CHECKING:
    from pathlib import Path

    from bs4 import BeautifulSoup, Tag

MEDIA = ["img", "audio", "source"]
# The types that a page embeds, by extension.
TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
}
# Maximum size of an embedded file; a notebook itself should be smaller than 3 MB.
MAX_FILE_BYTES = 10_000_000


class EmbeddingError(LabError):
    """A file that the notebook shows cannot be embedded."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"it embeds {address[:200]}, which {problem}")


def embed_resources(page: BeautifulSoup, folder: Path) -> None:
    """Embeds local files as data URLs and replaces remote resources by links."""
    for element in page.find_all(MEDIA):
        address = element.get("src", "")
        if address.startswith("data:"):
            continue
        if is_remote(address):
            replace_by_link(page, element, address)
        elif address:
            element["src"] = data_url(folder, address)
        elif element.name == "img":
            # Its address was removed.
            element.replace_with(element.get("alt") or "")
    for element in page.find_all("iframe"):
        address = element.get("src", "")
        if element.has_attr("srcdoc"):
            del element["src"]
        elif is_remote(address):
            replace_by_link(page, element, address)
        else:
            element.decompose()


def is_remote(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


def replace_by_link(page: BeautifulSoup, element: Tag, address: str) -> None:
    link = page.new_tag("a", href=address)
    link.string = f"{element.get('alt') or element.get('title') or address} (online)"
    element.replace_with(link)


def data_url(folder: Path, address: str) -> str:
    """Returns a file below the notebook's folder as a data URL."""
    mime = TYPES.get(os.path.splitext(urlsplit(address).path)[1].lower())  # noqa: PTH122 (the path of a URL)
    if urlsplit(address).scheme or mime is None:
        raise EmbeddingError(address, f"is no image or sound; embedded are files {' '.join(TYPES)}")
    try:
        file = (folder / unquote(urlsplit(address).path)).resolve()
        if folder.resolve() not in file.parents:
            raise EmbeddingError(address, f"is outside the notebook's folder; copy it into {folder}")
        content = read_regular(file, address)
    except (OSError, ValueError, RuntimeError) as error:
        raise EmbeddingError(address, f"cannot be opened ({reason(error)})") from None
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def read_regular(file: Path, address: str) -> bytes:
    """Reads a regular file of limited size; a pipe would block, and a device need not end."""
    # `file` has no links left, and O_NOFOLLOW refuses one that is put there now. Windows has neither flag.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(file, flags), "rb") as stream:  # noqa: PTH123 (a descriptor has no path)
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise EmbeddingError(address, "is not a regular file")
        content = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise EmbeddingError(address, f"has more than {MAX_FILE_BYTES / 1e6:g} MB; make it smaller")
    return content
