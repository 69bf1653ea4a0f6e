"""Formulas as MathML, which browsers render without JavaScript."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup
from bs4.element import PreformattedString
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from bs4 import Tag


# The elements that latex2mathml makes; it copies `\text{<script>}` as it is.
ELEMENTS = frozenset(
    "math merror menclose mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace "
    "msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none".split()
)


def placeholder(tex: str, display: bool) -> str:
    """Returns an element that holds the TeX of a formula while the HTML around it is cleaned."""
    tag, kind = ("div", "block") if display else ("span", "inline")
    return f'<{tag} data-formula="{kind}">{escape(tex.strip())}</{tag}>'


def render_formulas(page: BeautifulSoup) -> None:
    """Replaces the placeholders by formulas; TeX that cannot be parsed is shown as code."""
    for element in page.select("[data-formula]"):
        is_block = element["data-formula"] == "block"
        formula = mathml(page, element.get_text(), "block" if is_block else "inline")
        if is_block:
            around = page.new_tag("div", attrs={"class": "formula", "tabindex": "0"})
            around.append(formula)
            formula = around
        element.replace_with(formula)


def mathml(page: BeautifulSoup, tex: str, display: str) -> Tag:
    try:
        math = BeautifulSoup(convert(tex, display=display), "html.parser").math
    except Exception:
        math = None
    if math is None:
        code = page.new_tag("code")
        code.string = tex
        return code
    for comment in math.find_all(string=lambda text: isinstance(text, PreformattedString)):
        comment.extract()
    for element in [math, *math.find_all(True)]:
        if element.name not in ELEMENTS:
            # Its source as text; what is inside goes with it.
            element.replace_with(str(element))
        # \href{javascript:...} is TeX.
        for name in [name for name in element.attrs if name.lower().endswith("href") or name.lower().startswith("on")]:
            del element[name]
    return math
