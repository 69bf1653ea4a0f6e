"""Renders notebooks as HTML pages that need neither a kernel nor a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bs4 import BeautifulSoup

from . import live
from .content import make_accessible, resolve_links
from .embedding import embed_resources
from .explorers import link_explorers
from .exporter import PageExporter
from .formulas import render_formulas
from .policy import protect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nbformat import NotebookNode

__all__ = ["Page", "render"]


class Page(NamedTuple):
    """A page, and in words what the notebook has that a page cannot hold."""

    html: str
    left_out: str


def render(
    notebook: NotebookNode, path: Path, target: Path, pages: Mapping[Path, Path], *, is_live: bool = False
) -> Page:
    """Renders the notebook at `path` as the page `target`; `pages` maps every exported notebook to its page.

    On a live page, the marked cells make their metamers anew.
    """
    live.clear(notebook)
    cells = live.prepare(notebook) if is_live else None
    exporter = PageExporter()
    # A file name need not be valid UTF-8.
    name = path.stem.encode("utf-8", "replace").decode()
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name, "path": str(path.parent)}})
    page = BeautifulSoup(html, "html.parser")
    render_formulas(page)
    heading = page.find(["h1", "h2"])
    page.title.string = heading.get_text().strip() if heading else name.replace("_", " ")
    embed_resources(page, path.parent)
    resolve_links(page, path.parent, target, pages)
    make_accessible(page)
    link_explorers(page, target)
    if cells is None:
        protect(page)
        return Page(str(page), exporter.left_out())
    live.offer(page)
    protect(page, live.digest())
    # Not through the parser, which would take long for the module and the network.
    return Page(live.fill(str(page), cells), exporter.left_out())
