"""Removes what can do harm from the HTML of a notebook: its Markdown, and the outputs that its programs made."""

from __future__ import annotations

from collections import Counter

from bleach.css_sanitizer import CSSSanitizer
from bleach.sanitizer import Cleaner
from bs4 import BeautifulSoup

TAGS = frozenset(
    "a abbr audio b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure "
    "h1 h2 h3 h4 h5 h6 hr i iframe img ins kbd li mark ol p pre q s samp small source span strong sub summary sup "
    "table tbody td tfoot th thead tr tt u ul var wbr".split()
)
# Their content is not text, so it goes too.
LEFT_OUT = "script style svg math template noscript object embed video canvas form".split()
ATTRIBUTES = frozenset(
    "align alt class colspan controls data-formula dir headers height id lang loop name open preload reversed role "
    "rowspan scope span src start style tabindex title type value width".split()
)
ATTRIBUTES_OF = {"a": {"href"}, "iframe": {"srcdoc"}}
# `file` is refused with a reason when files are embedded.
PROTOCOLS = frozenset({"http", "https", "mailto", "data", "file"})
# Without position and url(): text stays where it is, and styles load nothing.
STYLES = frozenset(
    "background-color border border-bottom border-collapse border-color border-left border-radius border-right "
    "border-spacing border-style border-top border-width box-sizing color column-gap display flex flex-direction "
    "flex-wrap float font font-family font-size font-style font-variant font-variant-numeric font-weight gap "
    "grid-area grid-template-columns height justify-content align-items letter-spacing line-height list-style-type "
    "margin margin-bottom margin-left margin-right margin-top max-height max-width min-height min-width opacity "
    "overflow overflow-wrap overflow-x overflow-y padding padding-bottom padding-left padding-right padding-top "
    "row-gap text-align text-decoration text-indent text-transform vertical-align white-space width word-break".split()
)


def is_allowed(tag: str, name: str, value: str) -> bool:
    """Returns whether an element may have an attribute. Only media have the data they show as an address."""
    if name in ("src", "href") and value.strip().lower().startswith("data:"):
        return name == "src" and tag in ("img", "audio", "source")
    return name in ATTRIBUTES or name in ATTRIBUTES_OF.get(tag, ()) or name.startswith("aria-")


CLEANER = Cleaner(
    tags=TAGS,
    attributes=is_allowed,
    protocols=PROTOCOLS,
    strip=True,
    css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES, allowed_svg_properties=()),
)


class HtmlCleaner:
    """Cleans HTML and counts the elements that it leaves out with their content."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def clean(self, html: str) -> str:
        # So that their content is no text of the page. What this misses, since a browser reads it differently, is
        # removed by bleach.
        fragment = BeautifulSoup(html, "html.parser")
        found = fragment.find_all(LEFT_OUT)
        for element in found:
            if not element.decomposed:
                self.counts[element.name] += 1
                element.decompose()
        return CLEANER.clean(str(fragment) if found else html)

    def words(self) -> str:
        """Names what was left out: "2 <script>, 1 <svg>"; empty if nothing was."""
        return ", ".join(f"{count} <{name}>" for name, count in sorted(self.counts.items()))
