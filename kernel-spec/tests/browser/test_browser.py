"""Tests the kernel in JupyterLab: live images while a cell runs, the interrupt button, and a sound player.

Started by kernel-spec/tests/browser/run. Screenshots go to target/browser-screenshots, or with --keep to
kernel-spec/tests/browser/screenshots.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SCREENSHOTS = HERE / "screenshots" if "--keep" in sys.argv[1:] else ROOT / "target/browser-screenshots"
TOKEN = "browser-test"
CELLS = [
    "let kept = 42;\nlet model = zoo::efficientnet_lite0()?;\nlet photo = Image::open(&shipped_photos()?[0])?;",
    # A recipe that is still running when it is interrupted; the default ends within seconds.
    'let mut run = Synthesis::new(&model, "stem", &photo)?.recipe(Recipe::feather2023()).seed(1).start()?;',
    "run.run_for(Duration::from_secs(120))?;",
    'println!("kept {kept}, steps {}", run.steps() > 0);',
    'Sound::open("speech/seven.wav")?.prepare(20_000, 40_000)?',
]
# Decodes a player's sound in the browser: seconds, channels, peak.
DECODE = """async audio => {
    const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), c => c.charCodeAt(0));
    const sound = await new OfflineAudioContext(1, 1, 20000).decodeAudioData(bytes.buffer);
    return [sound.duration, sound.numberOfChannels, Math.max(...sound.getChannelData(0).map(Math.abs))];
}"""
# Milliseconds; the kernel may have to compile the library first.
TIMEOUT = 180_000


def code_cell(index: int, code: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"cell{index}",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": code,
    }


def notebook(cells: list[str]) -> dict[str, Any]:
    kernel = {"name": "metamers", "display_name": "Rust (metamers)", "language": "rust"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": [code_cell(index, code) for index, code in enumerate(cells)],
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_jupyter(folder: Path, port: int, cells: list[str]) -> subprocess.Popen[bytes]:
    (folder / "test.ipynb").write_text(json.dumps(notebook(cells)))
    environment = dict(
        os.environ, JUPYTER_PREFER_ENV_PATH="1", JUPYTER_CONFIG_DIR=str(folder / "config"), METAMERS_HISTORY="off"
    )
    # Chromium has no sandbox for root. The check for updates is off; the project's own set-up must suppress the news.
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (folder / "jupyter.log").open("w") as log:
        jupyter = subprocess.Popen(
            [ROOT / ".venv/bin/jupyter", "lab", *options], cwd=folder, env=environment, stdout=log, stderr=log
        )
    start = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", timeout=5):
                return jupyter
        except OSError:
            if jupyter.poll() is not None or time.monotonic() - start > 90:
                jupyter.kill()
                sys.exit("JupyterLab did not start:\n" + (folder / "jupyter.log").read_text())
            time.sleep(0.2)


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def use_notebook(page: Page, port: int) -> None:
    """Runs the cells of the notebook and interrupts one."""
    page.goto(f"http://127.0.0.1:{port}/lab/tree/test.ipynb?token={TOKEN}&reset")
    cells = page.locator(".jp-NotebookPanel .jp-CodeCell")
    expect(cells).to_have_count(len(CELLS), timeout=TIMEOUT)

    expect(page.locator(".jp-NotebookPanel .jp-Toolbar-kernelName")).to_contain_text("Rust (metamers)", timeout=TIMEOUT)
    for index in (0, 1):
        run_cell(page, cells, index)
        expect(prompt(cells, index)).to_have_text(f"[{index + 1}]:", timeout=TIMEOUT)
    run_cell(page, cells, 2)
    image = cells.nth(2).locator(".jp-OutputArea-output img").first
    expect(image).to_be_visible(timeout=TIMEOUT)
    first = image.get_attribute("src")
    expect(prompt(cells, 2)).to_have_text("[*]:")
    screenshot(page, "1-running")
    expect(image).not_to_have_attribute("src", first, timeout=TIMEOUT)
    expect(prompt(cells, 2)).to_have_text("[*]:")
    screenshot(page, "2-image-updated")

    page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]').first.click()
    expect(prompt(cells, 2)).to_have_text("[3]:", timeout=30_000)
    assert cells.nth(2).locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0, (
        "an interrupt must not be an error"
    )
    run_cell(page, cells, 3)
    expect(cells.nth(3).locator(".jp-OutputArea")).to_contain_text("kept 42, steps true", timeout=TIMEOUT)
    cells.nth(3).scroll_into_view_if_needed()
    screenshot(page, "3-after-interrupt")

    play_sound(page, cells)
    expect(page.get_by_text("official Jupyter news")).to_have_count(0)


def prompt(cells: Locator, index: int) -> Locator:
    return cells.nth(index).locator(".jp-InputPrompt")


def run_cell(page: Page, cells: Locator, index: int) -> None:
    cells.nth(index).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def play_sound(page: Page, cells: Locator) -> None:
    """Runs the last cell and checks its player and its spectrogram."""
    run_cell(page, cells, 4)
    player = cells.nth(4).locator(".jp-OutputArea-output audio")
    expect(player).to_be_visible(timeout=TIMEOUT)
    page.wait_for_function("audio => audio.readyState >= 1", arg=player.element_handle(), timeout=TIMEOUT)
    assert abs(player.evaluate("audio => audio.duration") - 2.0) < 0.01, "the player must show the duration"
    seconds, channels, loudest = player.evaluate(DECODE)
    assert abs(seconds - 2.0) < 0.01 and channels == 1 and 0.85 < loudest <= 1.0, (seconds, channels, loudest)
    image = cells.nth(4).locator(".jp-OutputArea-output img").first
    expect(image).to_be_visible(timeout=TIMEOUT)
    assert image.evaluate("image => image.complete && image.naturalWidth > 300"), "the spectrogram must be an image"
    cells.nth(4).scroll_into_view_if_needed()
    screenshot(page, "4-a-sound")


def in_jupyterlab(cells: list[str], use: Callable[[Page, int], None]) -> None:
    """Opens a notebook with these cells in JupyterLab and calls `use` with the page and the port."""
    # On a busy machine, Playwright's five seconds are too few.
    expect.set_options(timeout=60_000)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    folder = Path(tempfile.mkdtemp(prefix="metamers-browser-"))
    port = free_port()
    jupyter = start_jupyter(folder, port, cells)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            try:
                use(page, port)
            except BaseException:
                screenshot(page, "failure")
                print((folder / "jupyter.log").read_text(), file=sys.stderr)
                raise
            browser.close()
    finally:
        jupyter.terminate()
        jupyter.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    in_jupyterlab(CELLS, use_notebook)
    print(f"The image changed while the cell ran, and the variables survived the interrupt. Screenshots: {SCREENSHOTS}")


if __name__ == "__main__":
    main()
