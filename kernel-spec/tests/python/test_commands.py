"""Tests the commands `metamers-kernel run` and `metamers-kernel export` on notebooks.

.venv/bin/python kernel-spec/tests/python/test_commands.py
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
KERNEL = ROOT / "target/release/metamers-kernel"


def code_cell(code: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": code}


def notebook(*cells: str) -> str:
    kernel = {"name": "metamers", "display_name": "Rust (metamers)", "language": "rust"}
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": kernel}, "cells": [*map(code_cell, cells)]}
    )


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KERNEL, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)


class Commands(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "one.ipynb"

    def write(self, *cells: str) -> bytes:
        self.path.write_text(notebook(*cells))
        return self.path.read_bytes()

    def test_run_saves_outputs_and_export_writes_a_page(self) -> None:
        self.write(
            'println!("hello from a cell")',
            "Image::noise(32, 24, Noise::Uniform { low: 0.0, high: 1.0 }, 1)?",
            "Sound::tone(8000, 0.5, 440.0, 0.5)?.player()",
        )
        done = command("run", self.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        cells = json.loads(self.path.read_text())["cells"]
        self.assertIn("hello from a cell", "".join(cells[0]["outputs"][0]["text"]))
        self.assertIn("image/png", cells[1]["outputs"][0]["data"])
        done = command("export", self.path, "--html")
        self.assertEqual(done.returncode, 0, done.stderr)
        page = self.path.with_suffix(".html").read_text()
        self.assertIn("hello from a cell", page)
        self.assertRegex(page, r'<img[^>]*alt="[^"]+')
        player = re.search(r'src="data:audio/wav;base64,([^"]+)"', page)
        assert player is not None
        sound = base64.b64decode(player[1])
        self.assertEqual((sound[:4], len(sound)), (b"RIFF", 44 + 2 * 4000))

    def test_a_failing_cell_leaves_the_notebook_unchanged(self) -> None:
        before = self.write("let kept = 1;", 'Image::open("no-such-photo.jpg")?')
        done = command("run", self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-photo.jpg", done.stderr)
        self.assertIn("the notebook is unchanged", done.stderr)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["one.ipynb"])

    def test_keep_saves_the_outputs_before_a_failure(self) -> None:
        before = self.write('println!("this ran")', "nothing_of_this_name")
        done = command("run", "--keep", self.path)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertIn("this ran", (self.folder / "one.failed.ipynb").read_text())

    def test_timeout_ends_a_long_cell(self) -> None:
        before = self.write("std::thread::sleep(Duration::from_secs(300));")
        done = command("run", "--timeout", 3, self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("longer than --timeout allows", done.stderr)
        self.assertEqual(self.path.read_bytes(), before)

    def test_the_error_of_the_failing_cell_is_printed(self) -> None:
        self.write('panic!("on purpose")', 'Image::open("no-such-photo.jpg")?')
        content = json.loads(self.path.read_text())
        content["cells"][0]["metadata"] = {"tags": ["raises-exception"]}
        self.path.write_text(json.dumps(content))
        done = command("run", self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-photo.jpg", done.stderr)
        self.assertNotIn("on purpose", done.stderr)

    def test_an_explorer_is_no_metamer_of_a_live_cell(self) -> None:
        output = {
            "output_type": "display_data",
            "data": {"text/plain": "an explorer"},
            "metadata": {"metamers": {"page": "efficientnet_lite0"}},
        }
        content = json.loads(notebook("explorer"))
        content["cells"][0].update(metadata={"tags": ["live"]}, outputs=[output])
        self.path.write_text(json.dumps(content))
        done = command("export", self.path, "--html", "--live")
        self.assertEqual(done.returncode, 1)
        self.assertIn("shows no metamer that a page can make", done.stderr)

    def test_out_saves_executed_copies(self) -> None:
        before = self.write("1 + 1")
        done = command("run", "--out", self.folder / "copies", self.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.path.read_bytes(), before)
        outputs = json.loads((self.folder / "copies/one.ipynb").read_text())["cells"][0]["outputs"]
        self.assertEqual("".join(outputs[0]["data"]["text/plain"]), "2")

    def test_invalid_notebooks_are_reported(self) -> None:
        self.path.write_text("not a notebook")
        done = command("run", self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not a notebook", done.stderr)
        done = command("export", self.folder / "missing.ipynb", "--html")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing.ipynb: cannot be opened", done.stderr)
        self.assertEqual(command("export", self.path).returncode, 2)


if __name__ == "__main__":
    unittest.main()
