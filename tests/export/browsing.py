"""Opens a page in Chromium with the network off and says all that a reader would miss."""

import base64
import io
import re
import wave
from pathlib import Path
from urllib.parse import unquote, urlsplit

PHONE = 360
DESKTOP = 1280
LOCAL = ("file:", "data:", "blob:", "about:")

PICTURES = """async () => Promise.all(Array.from(document.images, async image => {
    await image.decode().catch(() => {});
    return { alt: image.getAttribute('alt'), width: image.naturalWidth, shown: image.getBoundingClientRect().width, source: image.src.slice(0, 60) };
}))"""
PLAYERS = """async () => Promise.all(Array.from(document.querySelectorAll('audio, video'), async player => {
    const wait = new Promise(done => { player.onloadedmetadata = player.onerror = done; setTimeout(done, 5000); });
    if (player.readyState < 1 && !player.error) { player.load(); await wait; }
    return { duration: player.duration, label: player.getAttribute('aria-label'), source: player.currentSrc || player.src };
}))"""
WIDTH = """() => {
    window.scrollTo(10000, 0);
    const moved = window.scrollX;
    window.scrollTo(0, 0);
    return Math.max(moved + innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth);
}"""
LINKS = "() => Array.from(document.querySelectorAll('a[href]'), link => link.getAttribute('href'))"
FORMULAS = "() => Array.from(document.querySelectorAll('math'), math => [math.textContent, math.getBoundingClientRect().width])"
UNTITLED = "() => Array.from(document.querySelectorAll('iframe:not([title])')).length"


class Found:
    """What a page holds, and what is wrong with it."""

    def __init__(self):
        self.trouble = []
        self.pictures = self.players = self.formulas = self.links = 0

    def __str__(self):
        return f"{self.pictures} pictures, {self.players} players, {self.formulas} formulas, {self.links} links"


def wav_seconds(source):
    """How long the sound of a data address plays, by its own header."""
    content = base64.b64decode(re.fullmatch(r"data:audio/(?:x-)?wav;base64,(.+)", source, re.DOTALL).group(1))
    with wave.open(io.BytesIO(content)) as sound:
        return sound.getnframes() / sound.getframerate()


def browse(browser, path, width, screenshot=None, then=None):
    found = Found()
    complain = found.trouble.append
    # What the page asks for is written down; the network being off, nothing is answered.
    context = browser.new_context(viewport={"width": width, "height": 740}, offline=True, reduced_motion="reduce")
    page = context.new_page()
    page.on(
        "console",
        lambda message: complain(f"console: {message.text}") if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complain(f"script: {error}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith(LOCAL) else complain(f"request for {request.url[:80]}"),
    )
    page.goto(Path(path).resolve().as_uri(), wait_until="load")
    if not page.title().strip():
        complain("no title")
    if not page.locator("html[lang]").count():
        complain("no language")
    if page.evaluate(UNTITLED):
        complain("a frame without a title")
    for frame in page.frames:
        look(frame, found)
    reach = page.evaluate(WIDTH)
    if reach > width:
        complain(f"{reach} pixels wide on a screen of {width}")
    for address in page.evaluate(LINKS):
        found.links += 1
        parts = urlsplit(address)
        if parts.path and not parts.scheme and not (Path(path).parent / unquote(parts.path)).exists():
            complain(f"a link to {address}, which is not there")
    for text, wide in page.evaluate(FORMULAS):
        found.formulas += 1
        if not text.strip() or wide < 5:
            complain(f"a formula of which nothing is seen: {text!r}")
    if re.search(r"\\(frac|sqrt|sum|text|begin)\b|\$\$", page.locator("main, body").first.inner_text()):
        complain("a formula that nobody has set")
    if screenshot:
        page.screenshot(path=screenshot, full_page=True)
    if then:
        then(page)
    context.close()
    return found


def look(frame, found):
    complain = found.trouble.append
    for picture in frame.evaluate(PICTURES):
        found.pictures += 1
        if picture["width"] == 0:
            complain(f"a picture that does not decode: {picture['source']}")
        if not (picture["alt"] or "").strip():
            complain(f"a picture without a description: {picture['source']}")
    for player in frame.evaluate(PLAYERS):
        found.players += 1
        duration, label = player["duration"], player["label"]
        if not label:
            complain("a player without a name")
        try:
            expected = wav_seconds(player["source"])
        except Exception as error:
            complain(f"player {label}: no sound in its address ({error})")
            continue
        if not duration or not 0 < duration < 3600 or abs(duration - expected) > 0.002:
            complain(f"player {label}: {duration} s long, and its file {expected} s")
