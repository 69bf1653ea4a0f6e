"""Opens a page in Chromium with the network off and reports missing content."""

from __future__ import annotations

import base64
import io
import re
import wave
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, Frame, Page

PHONE = 360
DESKTOP = 1280
LOCAL = ("file:", "data:", "blob:", "about:")

IMAGES = """async () => Promise.all(Array.from(document.images, async image => {
    await image.decode().catch(() => {});
    return { alt: image.getAttribute('alt'), width: image.naturalWidth, source: image.src.slice(0, 60) };
}))"""
# Of the page and of its shadow roots.
PLAYERS = """async () => {
    const shadows = Array.from(document.querySelectorAll('*'), element => element.shadowRoot).filter(root => root);
    const players = [document, ...shadows].flatMap(root => Array.from(root.querySelectorAll('audio, video')));
    return Promise.all(players.map(async player => {
        const label = player.getAttribute('aria-label');
        const is_unused = player.hidden && !player.src && !player.querySelector('source');
        const wait = new Promise(done => { player.onloadedmetadata = player.onerror = done; setTimeout(done, 5000); });
        if (player.readyState < 1 && !player.error && !is_unused) { player.load(); await wait; }
        return { duration: player.duration, label, source: player.currentSrc || player.src, is_unused };
    }));
}"""
WIDTH = """() => {
    window.scrollTo(10000, 0);
    const moved = window.scrollX;
    window.scrollTo(0, 0);
    return Math.max(moved + innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth);
}"""
LINKS = "() => Array.from(document.querySelectorAll('a[href]'), link => link.getAttribute('href'))"
FORMULAS = """() => Array.from(document.querySelectorAll('math'),
    math => [math.textContent, math.getBoundingClientRect().width])"""
UNTITLED = "() => Array.from(document.querySelectorAll('iframe:not([title])')).length"


class PageReport:
    """The numbers of elements in a page, and the problems found."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.images = self.players = self.formulas = self.links = 0

    def __str__(self) -> str:
        return f"{self.images} images, {self.players} players, {self.formulas} formulas, {self.links} links"


def wav_seconds(source: str) -> float:
    """Returns the duration in the WAV header of a data URL."""
    match = re.fullmatch(r"data:audio/(?:x-)?wav;base64,(.+)", source, re.DOTALL)
    if match is None:
        raise ValueError("not a data URL of a WAV file")
    with wave.open(io.BytesIO(base64.b64decode(match[1]))) as sound:
        return sound.getnframes() / sound.getframerate()


def browse(
    browser: Browser,
    path: Path,
    width: int,
    screenshot: Path | None = None,
    then: Callable[[Page], None] | None = None,
) -> PageReport:
    """Opens a page at a width in pixels, checks it and calls `then`."""
    report = PageReport()
    # The network is off: requests are recorded and not answered.
    context = browser.new_context(viewport={"width": width, "height": 740}, offline=True, reduced_motion="reduce")
    page = context.new_page()
    record_events(page, report)
    page.goto(path.resolve().as_uri(), wait_until="load")
    if not page.title().strip():
        report.problems.append("no title")
    if not page.locator("html[lang]").count():
        report.problems.append("no language")
    if page.evaluate(UNTITLED):
        report.problems.append("a frame without a title")
    for frame in page.frames:
        check_media(frame, report)
    reach = page.evaluate(WIDTH)
    if reach > width:
        report.problems.append(f"{reach} pixels wide on a screen of {width}")
    check_links(page, path, report)
    check_formulas(page, report)
    if screenshot:
        page.screenshot(path=screenshot, full_page=True)
    if then:
        then(page)
    context.close()
    return report


def record_events(page: Page, report: PageReport) -> None:
    """Records console errors, script errors and requests to the network as problems."""
    add = report.problems.append
    page.on("console", lambda log: add(f"console: {log.text}") if log.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: add(f"script: {error}"))
    page.on(
        "request", lambda request: None if request.url.startswith(LOCAL) else add(f"request for {request.url[:80]}")
    )


def check_links(page: Page, path: Path, report: PageReport) -> None:
    for address in page.evaluate(LINKS):
        report.links += 1
        parts = urlsplit(address)
        if parts.path and not parts.scheme and not (path.parent / unquote(parts.path)).exists():
            report.problems.append(f"a link to {address}, which does not exist")


def check_formulas(page: Page, report: PageReport) -> None:
    for text, width in page.evaluate(FORMULAS):
        report.formulas += 1
        if not text.strip() or width < 5:
            report.problems.append(f"an invisible formula: {text!r}")
    if re.search(r"\\(frac|sqrt|sum|text|begin)\b|\$\$", page.locator("main, body").first.inner_text()):
        report.problems.append("a formula that was not rendered")


def check_media(frame: Frame, report: PageReport) -> None:
    """Checks that images decode and have alt texts, and that players have labels and the duration of their file."""
    add = report.problems.append
    for image in frame.evaluate(IMAGES):
        report.images += 1
        if image["width"] == 0:
            add(f"an image that does not decode: {image['source']}")
        if not (image["alt"] or "").strip():
            add(f"an image without an alt text: {image['source']}")
    for player in frame.evaluate(PLAYERS):
        duration, label = player["duration"], player["label"]
        if not label:
            add("a player without a label")
        if player["is_unused"]:
            continue
        report.players += 1
        try:
            expected = wav_seconds(player["source"])
        except Exception as error:
            add(f"player {label}: no sound in its address ({error})")
            continue
        if not duration or not 0 < duration < 3600 or abs(duration - expected) > 0.002:
            add(f"player {label}: duration {duration} s, but {expected} s in the file")
