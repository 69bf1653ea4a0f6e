"""Tests the pages of all notebooks in a browser without a network, at the widths of a desktop and of a phone.

Pages with known defects check that each defect is found. Started by tests/export/run, which exports the pages.
Screenshots go to target/export-screenshots.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
import wave
from pathlib import Path

from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright

from browsing import DESKTOP, PHONE, browse

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "target/export-screenshots"
IMAGE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GOOD = '<!DOCTYPE html><html lang="en"><head><title>a page</title></head><body><main>{}</main></body></html>'


def wav(seconds: float, stated: float | None = None) -> str:
    """Makes a silent sound as a data URL; `stated` replaces the duration in the header."""
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


def check_defects(browser: Browser) -> None:
    """Checks that each defect is found in a page that has it, and none in a page without defects."""
    player = '<audio controls aria-label="a sound" src="{}"></audio>'
    formula = "<math><mi>x</mi><mo>+</mo><mi>y</mi></math>"
    pages = {
        "": f'<img alt="a dot" src="{IMAGE}">{player.format(wav(0.5))}{formula}<a href="good.html">here</a>',
        "an image that does not decode": f'<img alt="a dot" src="{IMAGE[:62]}">',
        "without an alt text": f'<img src="{IMAGE}">',
        "alt text: data": f'<iframe title="inner" srcdoc="<img src={IMAGE}>"></iframe>',
        "no sound in its address": player.format("data:audio/wav;base64,UklGRg=="),
        "s in the file": player.format(wav(0.5, stated=2.0)),
        "a player without a label": f'<audio controls src="{wav(0.5)}"></audio>',
        "request for https://example.org/a.png": '<img alt="a dot" src="https://example.org/a.png">',
        "request for https://example.org/b.js": '<script src="https://example.org/b.js"></script>',
        "script: ": "<script>nothing.of.this.name</script>",
        "console: ": "<script>console.error('broken')</script>",
        "pixels wide on a screen": '<div style="width: 500px">wide</div>',
        "which does not exist": '<a href="missing.html">next</a>',
        "an invisible formula": "<math></math>",
        "not rendered": r"<p>$$\frac{a}{b}$$</p>",
        "a frame without a title": '<iframe srcdoc="<p>inner</p>"></iframe>',
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.html"
        for expected, body in pages.items():
            path.write_text(GOOD.format(body))
            problems = browse(browser, path, PHONE).problems
            if expected:
                assert any(expected in problem for problem in problems), f"not found: {expected}; but {problems}"
            else:
                assert not problems, problems
        path.write_text("<p>neither title nor language</p>")
        assert {"no title", "no language"} <= set(browse(browser, path, PHONE).problems)
    print(f"{len(pages)} defects were found, and a page without defects passed")


def check_hostile(browser: Browser, path: Path) -> None:
    """Checks that a notebook's scripts do not run, that a frame's do, and that no other address is reached."""
    context = browser.new_context()
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri(), wait_until="load")
    frame = page.frame_locator("iframe")
    expect(frame.locator("p")).to_have_text("the frame runs apart")
    frame.locator("#b").click()
    for element in page.locator("b, main a").all():
        element.click(force=True)
    page.wait_for_timeout(500)
    assert page.evaluate("window.attacked") is None, "a script of the notebook ran"
    assert page.title() == "A hostile notebook" and page.url == path.resolve().as_uri()
    expect(frame.locator("p")).to_have_text("the frame runs apart")
    remote = [url for url in requests if url.startswith("http")]
    assert not remote, remote
    context.close()
    print("a hostile notebook runs nothing in its page")


def take_part(page: Page) -> None:
    """Takes part in the recognition task of a page up to the first question."""
    task = next(frame for frame in page.frames if frame.locator("text=I have read this").count())
    task.get_by_role("checkbox").check()
    task.get_by_role("textbox").fill("P01")
    task.get_by_role("button", name="Begin").click()
    expect(task.locator("h1")).to_have_text("What was it?", timeout=20_000)


def tool(page: Page, selector: str) -> Frame:
    """The frame with the element of this selector."""
    return next(frame for frame in page.frames if frame.locator(selector).count())


def compare(page: Page) -> None:
    """Moves the border between two pictures by keyboard, and flickers, without a kernel."""
    found = tool(page, "#swipe")
    found.locator("#swipe").focus()
    before = found.locator("#seen").inner_text()
    page.keyboard.press("ArrowRight")
    expect(found.locator("#seen")).not_to_have_text(before)
    found.get_by_label("flicker").check()
    found.get_by_role("button", name="show the other").click()
    expect(found.locator("#second")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / f"compare-{page.viewport_size['width']}.png")


def explore_sweep(page: Page) -> None:
    """Moves through the stages by keyboard and chooses another stimulus, without a kernel."""
    found = tool(page, "#stage")
    found.locator("#stage").focus()
    first = found.locator("#metamer").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(found.locator("#metamer")).not_to_have_attribute("src", first)
    original = found.locator("#original").get_attribute("src")
    found.get_by_role("button").nth(1).click()
    expect(found.locator("#original")).not_to_have_attribute("src", original)
    page.screenshot(path=SCREENSHOTS / f"sweep-{page.viewport_size['width']}.png")


USES = {"01": compare, "06": explore_sweep, "07": take_part}


def check_notebooks(browser: Browser, pages: Path) -> None:
    # Beside them are the pages that take the place of explorers, which tests/web opens.
    course = [path for path in sorted((pages / "course").glob("*.html")) if not path.stem.startswith("make_a_metamer")]
    paths = [pages / "alone.html", *course]
    notebooks = [
        path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not path.stem.endswith(".failed")
    ]
    assert [path.stem for path in course] == notebooks, "every notebook must have a page"
    totals = {"images": 0, "players": 0, "formulas": 0}
    for path in paths:
        for width in (DESKTOP, PHONE):
            then = USES.get(path.stem[:2])
            found = browse(browser, path, width, SCREENSHOTS / f"{path.stem}-{width}.png", then)
            assert not found.problems, f"{path.stem} at {width} pixels: {found.problems}"
        print(f"{path.stem}: {found}")
        for name in totals:
            totals[name] += getattr(found, name)
    assert totals["images"] >= 30 and totals["players"] >= 10 and totals["formulas"] >= 1, totals


def make_anew(page: Page) -> None:
    """Makes the metamer of a live cell anew, with the cell's own photo, stage, seed and recipe."""
    assert page.locator("#metamers-panel").is_hidden()
    page.get_by_role("button", name="Make this metamer here").click()
    expect(page.locator("#stage-name")).to_have_text("block5", timeout=120_000)
    expect(page.locator("#original-caption")).to_contain_text("original: dog")
    assert (page.locator("#seed").input_value(), page.locator("#recipe").input_value()) == ("7", "nearest")
    expect(page.locator("#sources")).to_contain_text("dog: Hans Kemperman; Public domain")
    expect(page.locator("#sources")).to_contain_text("ML Illustrated")
    # A few steps show that it runs; tests/web compares whole syntheses.
    page.locator("#until").fill("8")
    page.locator("#make").click()
    expect(page.locator("#current-caption")).to_contain_text("SNR 8", timeout=120_000)
    page.locator("#metamers-panel").screenshot(path=SCREENSHOTS / f"live-{page.viewport_size['width']}.png")


def check_live(browser: Browser, path: Path) -> None:
    for width in (DESKTOP, PHONE):
        found = browse(browser, path, width, SCREENSHOTS / f"{path.stem}-{width}.png", make_anew)
        assert not found.problems, f"{path.stem} at {width} pixels: {found.problems}"
    print(f"{path.stem}: {found}, and a metamer was made")


def main() -> None:
    pages = Path(sys.argv[1])
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    executable = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        check_defects(browser)
        check_hostile(browser, pages / "hostile.html")
        check_notebooks(browser, pages)
        check_live(browser, pages / "live.html")
        browser.close()


if __name__ == "__main__":
    main()
