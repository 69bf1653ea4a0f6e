"""The pages of all notebooks, in a browser without a network, on a desk and on a telephone; and that a bad page would be found.

Started by tests/export/run, which makes the pages. Screenshots go to target/export-screenshots.
"""

import base64
import io
import shutil
import sys
import tempfile
import wave
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from browsing import DESKTOP, PHONE, browse

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "target/export-screenshots"
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
GOOD = '<!DOCTYPE html><html lang="en"><head><title>a page</title></head><body><main>{}</main></body></html>'


def wav(seconds, stated=None):
    """A sound, whose header may state another length than it has."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * int(8000 * seconds)))
    content = bytearray(file.getvalue())
    if stated is not None:
        content[40:44] = int(16000 * stated).to_bytes(4, "little")
    return "data:audio/wav;base64," + base64.b64encode(content).decode()


def bad_pages_are_found(browser):
    """Each check fails on a page that is made for it, and none on a page that is good."""
    player = '<audio controls aria-label="a sound" src="{}"></audio>'
    pages = {
        "": f'<img alt="a dot" src="{PICTURE}">{player.format(wav(0.5))}<math><mi>x</mi><mo>+</mo><mi>y</mi></math><a href="good.html">here</a>',
        "does not decode": '<img alt="a dot" src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf">',
        "without a description": f'<img src="{PICTURE}">',
        "description: data": f'<iframe title="inner" srcdoc="<img src={PICTURE}>"></iframe>',
        "no sound in its address": player.format("data:audio/wav;base64,UklGRg=="),
        "and its file": player.format(wav(0.5, stated=2.0)),
        "a player without a name": f'<audio controls src="{wav(0.5)}"></audio>',
        "request for https://example.org/a.png": '<img alt="a dot" src="https://example.org/a.png">',
        "request for https://example.org/b.js": '<script src="https://example.org/b.js"></script>',
        "script: ": "<script>nothing.of.this.name</script>",
        "console: ": "<script>console.error('broken')</script>",
        "pixels wide on a screen": '<div style="width: 500px">wide</div>',
        "which is not there": '<a href="missing.html">next</a>',
        "nothing is seen": "<math></math>",
        "nobody has set": r"<p>$$\frac{a}{b}$$</p>",
        "a frame without a title": '<iframe srcdoc="<p>inner</p>"></iframe>',
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.html"
        for expected, body in pages.items():
            path.write_text(GOOD.format(body))
            trouble = browse(browser, path, PHONE).trouble
            if expected:
                assert any(expected in one for one in trouble), f"not found: {expected}; but {trouble}"
            else:
                assert not trouble, trouble
        path.write_text("<p>neither title nor language</p>")
        assert {"no title", "no language"} <= set(browse(browser, path, PHONE).trouble)
    print(f"{len(pages)} bad pages are found and a good one passes")


def take_part(page):
    """The recognition task that a page holds works in it, as far as its first picture."""
    task = next(frame for frame in page.frames if frame.locator("text=I have read this").count())
    task.get_by_role("checkbox").check()
    task.get_by_role("textbox").fill("P01")
    task.get_by_role("button", name="Begin").click()
    expect(task.locator("h1")).to_have_text("What was it?", timeout=20_000)


def good_pages_are_good(browser, pages):
    paths = [pages / "alone.html", *sorted((pages / "course").glob("*.html"))]
    notebooks = [
        path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not path.stem.endswith(".failed")
    ]
    assert [path.stem for path in paths[1:]] == notebooks, "a page for every notebook"
    totals = {"pictures": 0, "players": 0, "formulas": 0}
    for path in paths:
        for width in (DESKTOP, PHONE):
            then = take_part if path.stem.startswith("07") else None
            found = browse(browser, path, width, SHOTS / f"{path.stem}-{width}.png", then)
            assert not found.trouble, f"{path.stem} at {width} pixels: {found.trouble}"
        print(f"{path.stem}: {found}")
        for name in totals:
            totals[name] += getattr(found, name)
    assert totals["pictures"] >= 30 and totals["players"] >= 10 and totals["formulas"] >= 1, totals


def main():
    pages = Path(sys.argv[1])
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    executable = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        bad_pages_are_found(browser)
        good_pages_are_good(browser, pages)
        browser.close()


main()
