"""nbconvert's HTML exporter with this project's template; the HTML of the notebook is cleaned."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jinja2 import FileSystemLoader, pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from failures import LabError

from .cleaning import HtmlCleaner
from .formulas import placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jinja2.runtime import Context

HERE = Path(__file__).parent


class InvalidDataError(LabError):
    """An output of the notebook is damaged."""


def base64_data(text: str, mime: str) -> str:
    """Checks the base64 of an output, which becomes part of an attribute, and removes its line breaks."""
    try:
        return base64.b64encode(base64.b64decode("".join(text.split()), validate=True)).decode()
    except ValueError:
        raise InvalidDataError(f"an output of type {mime} is not valid base64; run the notebook again") from None


class Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return placeholder(body, True)

    def inline_math(self, body: str) -> str:
        return placeholder(body, False)

    def latex_environment(self, name: str, body: str) -> str:
        return placeholder(f"\\begin{{{name}}}{body}\\end{{{name}}}", True)


class PageExporter(HTMLExporter):
    # Types that need Jupyter's JavaScript are omitted: a page loads none of it.
    PRIORITY: ClassVar[list[str]] = [
        "text/html",
        "text/markdown",
        "image/svg+xml",
        "image/png",
        "image/jpeg",
        "text/latex",
        "text/plain",
    ]

    def __init__(self) -> None:
        super().__init__(extra_loaders=[FileSystemLoader(HERE)], template_file="page.html.j2")
        self.config.NbConvertBase.display_data_priority = self.PRIORITY
        self.cleaner = HtmlCleaner()

    def left_out(self) -> str:
        """Names the elements that a page cannot hold."""
        return self.cleaner.words()

    def default_filters(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        yield from super().default_filters()
        yield "markdown2html", self.markdown
        yield "clean", self.clean
        yield "base64_data", base64_data
        yield "formula", lambda tex: placeholder(tex.strip().strip("$"), True)
        yield "style", lambda name: (HERE / name).read_text(encoding="utf-8")
        yield "highlighting", lambda style: HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight")

    def clean(self, html: str) -> str:
        # Filters are set before the cleaner is.
        return self.cleaner.clean(html)

    @pass_context
    def markdown(self, context: Context, source: str) -> str:
        """Renders Markdown; nbconvert's own filter would leave formulas to MathJax, which a page would have to load."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
        return self.cleaner.clean(MarkdownWithMath(renderer).render(source))
