"""Makes a page self-contained: embeds files, rewrites links, and adds scrolling and labels."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

# The attribute with the address of the file that an element loads.
SOURCE_ATTRIBUTES = {
    "img": "src",
    "audio": "src",
    "video": "src",
    "source": "src",
    "track": "src",
    "embed": "src",
    "object": "data",
}
# Figures keep at least this fraction of their width: on a phone they scroll sideways and stay legible.
MIN_WIDTH_FRACTION = 0.75
MIN_WIDTH = 300


class MissingFileError(Exception):
    """A file that the notebook embeds cannot be opened."""


def is_internal(address: str) -> bool:
    """Returns whether the address refers to the page itself."""
    return address.startswith(("data:", "blob:", "#")) or not address


def embed_resources(page: BeautifulSoup, folder: Path) -> None:
    """Embeds local files as data URLs and replaces remote resources by links."""
    for name, attribute in SOURCE_ATTRIBUTES.items():
        for element in page.find_all(name):
            address = element.get(attribute, "")
            if is_internal(address):
                continue
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                replace_by_link(page, element, address)
            else:
                element[attribute] = data_url(folder / unquote(urlsplit(address).path), address)
    for element in page.select("img[srcset], source[srcset]"):
        del element["srcset"]
    for element in page.find_all("iframe", src=True):
        if not is_internal(element["src"]):
            replace_by_link(page, element, element["src"])
    for element in page.select("script[src], link[href]"):
        element.decompose()


def replace_by_link(page: BeautifulSoup, element: Tag, address: str) -> None:
    link = page.new_tag("a", href=address)
    link.string = f"{element.get('alt') or element.get('title') or address} (online)"
    element.replace_with(link)


def data_url(file: Path, address: str) -> str:
    mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MissingFileError(f"it embeds {address}, which cannot be opened ({error.strerror})") from None
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def resolve_links(page: BeautifulSoup, folder: Path, target: Path, pages: Mapping[Path, Path]) -> None:
    """Points links to notebooks at their pages; replaces links to files that are not exported by the file's name."""
    for link in page.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc or not parts.path:
            continue
        file = (folder / unquote(parts.path)).resolve()
        other = pages.get(file)
        if other is not None:
            address = Path(os.path.relpath(other.resolve(), target.resolve().parent)).as_posix()
            link["href"] = f"{address}#{parts.fragment}" if parts.fragment else address
            continue
        kind = "notebook" if file.suffix == ".ipynb" else "file"
        link.name = "span"
        link.attrs = {"title": f"The {kind} {parts.path} is in the project but not in this page."}
        note = page.new_tag("span", **{"class": "elsewhere"})
        note.string = f" ({kind} {file.name} of the project)"
        link.append(note)


def make_accessible(page: BeautifulSoup) -> None:
    """Makes wide elements scroll, also by keyboard, and gives frames titles and headings ids."""
    for table in page.find_all("table"):
        wrap_table(page, table)
    for image in page.select(".output img[width]"):
        width = int(image["width"])
        if width > MIN_WIDTH:
            image["style"] = f"max-width:100%;min-width:{max(int(width * MIN_WIDTH_FRACTION), MIN_WIDTH)}px"
    for output in page.select(".output"):
        # A progress line that was cleared at the end leaves an empty output.
        if not output.get_text().strip() and not output.find(["img", "audio", "video", "iframe", "svg", "canvas"]):
            output.decompose()
    for pre in page.select(".output > pre, .highlight"):
        pre["tabindex"] = "0"
    for inner in page.find_all("iframe"):
        inner.attrs.setdefault("title", "embedded page")
    for heading in page.select("h1, h2, h3, h4"):
        heading.attrs.setdefault("id", "-".join(heading.get_text().lower().split()))


def wrap_table(page: BeautifulSoup, table: Tag) -> None:
    """Wraps a table in a region that scrolls and puts its caption above that region."""
    caption = table.find("caption")
    label = caption.get_text(" ").strip() if caption else "table"
    region = {"class": "scroll", "role": "region", "aria-label": label, "tabindex": "0"}
    around = table.wrap(page.new_tag("div", **region))
    if caption:
        # Inside the table the caption would be as wide as the table and overflow a phone's screen.
        caption.name, caption.attrs = "div", {"class": "caption"}
        around.insert_before(caption.extract())
