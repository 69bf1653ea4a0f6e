"""A page of a notebook that plays, shows and explains without a kernel and without a network."""

from bs4 import BeautifulSoup

from .content import Unreadable, embed, explain_links, frame
from .exporter import PageExporter

__all__ = ["Unreadable", "page_of"]


def page_of(notebook, path, target, pages):
    """The HTML of a notebook at `path`, to be written to `target`; `pages` says where other notebooks' pages go."""
    html, _ = PageExporter().from_notebook_node(notebook, {"metadata": {"name": path.stem, "path": str(path.parent)}})
    page = BeautifulSoup(html, "html.parser")
    heading = page.find(["h1", "h2"])
    page.title.string = heading.get_text().strip() if heading else path.stem.replace("_", " ")
    embed(page, path.parent)
    explain_links(page, path.parent, target, pages)
    frame(page)
    return str(page)
