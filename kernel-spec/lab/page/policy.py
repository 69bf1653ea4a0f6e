"""The content security policy of a page."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from collections.abc import Iterator

# A frame runs its scripts and saves files, but has neither the page's origin nor its storage.
SANDBOX = "allow-scripts allow-downloads"
# Types of scripts that a browser runs; others are data.
PROGRAMS = ("", "module", "text/javascript", "application/javascript")


def protect(page: BeautifulSoup, live: str | None = None) -> None:
    """Sandboxes the frames and sets the policy: only scripts of frames run, and nothing is loaded or sent.

    `live` is the SHA-256 of the script of a page that makes metamers: it may run too, with a worker and WebAssembly.
    """
    scripts = [f"'sha256-{live}'", "'wasm-unsafe-eval'"] if live else []
    for frame in page.find_all("iframe"):
        frame["sandbox"] = SANDBOX
        scripts += [f"'sha256-{digest}'" for digest in script_digests(frame.get("srcdoc", ""))]
    directives = {
        "default-src": "'none'",
        "img-src": "data: blob:",
        "media-src": "data: blob:",
        "font-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": " ".join(dict.fromkeys(scripts)) or "'none'",
        "worker-src": "blob:" if live else "'none'",
        "frame-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    policy["content"] = "; ".join(f"{name} {value}" for name, value in directives.items())


def script_digests(html: str) -> Iterator[str]:
    """Yields the SHA-256 of each inline script in a document, as a policy names it."""
    for script in BeautifulSoup(html, "html.parser").find_all("script"):
        if not script.has_attr("src") and script.get("type", "").strip().lower() in PROGRAMS:
            text = script.get_text().replace("\r\n", "\n").replace("\r", "\n")
            yield base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
