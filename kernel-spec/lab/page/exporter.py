"""nbconvert with this project's template, and formulas as MathML: what browsers draw without a program."""

from html import escape
from pathlib import Path

from jinja2 import FileSystemLoader
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

HERE = Path(__file__).parent


def formula(tex, display):
    """TeX as MathML, or as it is where it cannot be read."""
    try:
        math = convert(tex.strip(), display="block" if display else "inline")
    except Exception:
        math = f"<code>{escape(tex)}</code>"
    return f'<div class="formula" tabindex="0">{math}</div>' if display else math


class Renderer(IPythonRenderer):
    def block_math(self, body):
        return formula(body, True)

    def inline_math(self, body):
        return formula(body, False)

    def latex_environment(self, name, body):
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", True)


class PageExporter(HTMLExporter):
    # What needs a program to be seen is left out: these pages run none of Jupyter's.
    PRIORITY = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]

    def __init__(self):
        super().__init__(extra_loaders=[FileSystemLoader(HERE)], template_file="page.html.j2")
        self.config.NbConvertBase.display_data_priority = self.PRIORITY

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", markdown
        yield "formula", lambda tex: formula(tex.strip().strip("$"), True)
        yield "style", lambda name: (HERE / name).read_text(encoding="utf-8")
        yield "highlighting", lambda style: HtmlFormatter(style=style, nobackground=True).get_style_defs(".highlight")


# nbconvert's own leaves formulas to a program that it fetches.
def _markdown(context, source):
    attachments = context.get("cell", {}).get("attachments", {})
    return MarkdownWithMath(Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)).render(source)


try:
    from jinja2 import pass_context

    markdown = pass_context(_markdown)
except ImportError:
    from jinja2 import contextfilter

    markdown = contextfilter(_markdown)
