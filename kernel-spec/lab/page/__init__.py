"""Renders notebooks as HTML pages that need neither a kernel nor a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bs4 import BeautifulSoup
from nbformat import NotebookNode

from .content import MissingFileError, embed_resources, make_accessible, resolve_links
from .exporter import PageExporter

__all__ = ["MissingFileError", "render"]


def render(notebook: NotebookNode, path: Path, target: Path, pages: Mapping[Path, Path]) -> str:
    """Renders the notebook at `path` as the page `target`; `pages` maps every exported notebook to its page."""
    html, _ = PageExporter().from_notebook_node(notebook, {"metadata": {"name": path.stem, "path": str(path.parent)}})
    page = BeautifulSoup(html, "html.parser")
    heading = page.find(["h1", "h2"])
    page.title.string = heading.get_text().strip() if heading else path.stem.replace("_", " ")
    embed_resources(page, path.parent)
    resolve_links(page, path.parent, target, pages)
    make_accessible(page)
    return str(page)
