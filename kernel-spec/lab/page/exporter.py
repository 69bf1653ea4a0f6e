"""nbconvert's HTML exporter with this project's template and with formulas as MathML, which browsers render."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import FileSystemLoader
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

HERE = Path(__file__).parent


def formula(tex: str, display: bool) -> str:
    """Converts TeX to MathML; TeX that cannot be parsed is shown as code."""
    try:
        math = convert(tex.strip(), display="block" if display else "inline")
    except Exception:
        math = f"<code>{escape(tex)}</code>"
    return f'<div class="formula" tabindex="0">{math}</div>' if display else math


class Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return formula(body, True)

    def inline_math(self, body: str) -> str:
        return formula(body, False)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", True)


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

    def default_filters(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        yield from super().default_filters()
        yield "markdown2html", markdown
        yield "formula", lambda tex: formula(tex.strip().strip("$"), True)
        yield "style", lambda name: (HERE / name).read_text(encoding="utf-8")
        yield "highlighting", lambda style: HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight")


def _markdown(context: Context, source: str) -> str:
    """Renders Markdown; nbconvert's own filter would leave formulas to MathJax, which a page would have to load."""
    attachments = context.get("cell", {}).get("attachments", {})
    return MarkdownWithMath(Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)).render(source)


try:
    from jinja2 import pass_context

    markdown = pass_context(_markdown)
except ImportError:
    from jinja2 import contextfilter

    markdown = contextfilter(_markdown)
