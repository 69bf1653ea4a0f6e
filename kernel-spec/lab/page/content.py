"""Rewrites the links of a page, and adds scrolling and labels."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bs4 import BeautifulSoup, Tag

# Figures keep at least this fraction of their width: on a phone they scroll sideways and stay legible.
MIN_WIDTH_FRACTION = 0.75
MIN_WIDTH = 300


def resolve_links(page: BeautifulSoup, folder: Path, target: Path, pages: Mapping[Path, Path]) -> None:
    """Points links to notebooks at their pages; replaces links to files that are not exported by the file's name."""
    for link in page.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme == "file":
            del link["href"]
        if parts.scheme or parts.netloc or not parts.path:
            continue
        # Not resolve(), which fails for a loop of links; realpath fails for a NUL alone.
        file = Path(os.path.realpath(folder / unquote(parts.path).replace("\0", "")))
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
        # A width may also be a percentage.
        width = int(image["width"]) if re.fullmatch("[0-9]{1,5}", image["width"]) else 0
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
    # As JupyterLab makes them: links between notebooks name them.
    seen: Counter[str] = Counter()
    for heading in page.select("h1, h2, h3, h4, h5, h6"):
        name = heading.get_text().strip().replace(" ", "-")
        seen[name] += 1
        heading.attrs.setdefault("id", name if seen[name] == 1 else f"{name}-{seen[name]}")


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
