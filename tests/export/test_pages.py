"""What the pages of small notebooks hold: .venv/bin/python tests/export/test_pages.py"""

import base64
import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "kernel-spec/lab"))
sys.dont_write_bytecode = True
import export_notebook  # noqa: E402
import notebook_files  # noqa: E402

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def words(source, **more):
    return {"cell_type": "markdown", "metadata": {}, "source": source, **more}


def code(source, *outputs):
    return {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": source, "outputs": list(outputs)}


def shown(data, metadata=None):
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


class Pages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def write(self, name, *cells):
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {"language_info": {"name": "rust"}},
            "cells": list(cells),
        }
        (self.folder / name).write_text(json.dumps(notebook))

    def export(self, *arguments):
        """As on a command line; the exit status and what is said to be wrong."""
        sys.argv[1:] = map(str, arguments)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            return export_notebook.main(), errors.getvalue()

    def page(self, *cells):
        self.write("one.ipynb", *cells)
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 0, errors)
        return BeautifulSoup((self.folder / "one.html").read_text(), "html.parser")

    def test_the_first_heading_is_the_title(self):
        page = self.page(words("# A *dog* & its metamer\n\nText."))
        self.assertEqual(page.title.string, "A dog & its metamer")
        self.assertEqual(page.html["lang"], "en")
        self.assertEqual(self.page(code("1")).title.string, "one")

    def test_formulas_are_set_and_what_cannot_be_set_is_shown_as_it_is(self):
        page = self.page(words("The loss $\\frac{a}{b}$ is\n\n$$\\lVert x \\rVert^2 < 1$$\n\nand costs \\$5 or \\$6."))
        inline, block = page.find_all("math")
        self.assertEqual((inline["display"], block["display"]), ("inline", "block"))
        self.assertTrue(inline.find("mfrac") and "‖" in block.get_text() and "<" in block.get_text())
        self.assertIn("$5 or $6", page.get_text())
        page = self.page(words("$$\\left( a$$"))
        self.assertIn("\\left( a", page.get_text())

    def test_pictures_in_the_text_become_part_of_the_page(self):
        (self.folder / "pictures").mkdir()
        (self.folder / "pictures/a dot.png").write_bytes(base64.b64decode(DOT))
        attached = words("![attached](attachment:b.png)", attachments={"b.png": {"image/png": DOT}})
        page = self.page(
            words("![a dot](pictures/a%20dot.png)\n\n<img src='pictures/a dot.png' alt='as HTML'>"), attached
        )
        images = page.find_all("img")
        self.assertEqual([image["alt"] for image in images], ["a dot", "as HTML", "attached"])
        self.assertEqual({image["src"] for image in images}, {f"data:image/png;base64,{DOT}"})

    def test_a_picture_that_is_not_there_is_said_and_no_page_is_written(self):
        self.write("one.ipynb", words("![gone](gone.png)"))
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 1)
        self.assertIn("it shows gone.png, which cannot be opened", errors)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["one.ipynb"])

    def test_what_lies_in_the_network_becomes_a_link(self):
        html = (
            "<script src='https://example.org/a.js'></script><iframe src='https://example.org/b'></iframe><p>text</p>"
        )
        page = self.page(
            words("![far](https://example.org/far.png)"), code("1", shown({"text/html": html, "text/plain": "x"}))
        )
        self.assertFalse(page.find_all(["img", "iframe", "script", "link"]))
        self.assertEqual(
            [link["href"] for link in page.find_all("a")], ["https://example.org/far.png", "https://example.org/b"]
        )
        self.assertIn("far (in the network)", page.get_text())

    def test_links_lead_to_pages_made_with_this_one_and_are_explained_otherwise(self):
        self.write(
            "one.ipynb",
            words("[next](two.ipynb#end), [more](../assets/README.md), [far](https://example.org), [down](#end)"),
        )
        self.write("two.ipynb", words("# end"))
        for arguments, address in [(["two.ipynb"], "two.html#end"), ([], None)]:
            status, errors = self.export("one.ipynb", *arguments, "--out", "pages")
            self.assertEqual(status, 0, errors)
            page = BeautifulSoup((self.folder / "pages/one.html").read_text(), "html.parser")
            found = [link["href"] for link in page.find_all("a")]
            self.assertEqual(found, ([address] if address else []) + ["https://example.org", "#end"])
            self.assertIn("more (file README.md of the project)", page.get_text())
            self.assertEqual("next (notebook two.ipynb of the project)" in page.get_text(), address is None)

    def test_every_picture_of_an_output_has_its_description_and_its_width(self):
        metadata = {"image/png": {"alt": 'a "dot" & more', "width": 900}}
        vector = '<svg xmlns="http://www.w3.org/2000/svg"/>'
        page = self.page(
            code(
                "1",
                shown({"image/png": DOT, "text/plain": "p"}, metadata),
                shown({"image/png": DOT, "text/plain": "only text"}),
            ),
            code("2", shown({"image/svg+xml": vector, "text/plain": "a drawing"})),
        )
        images = page.find_all("img")
        self.assertEqual([image["alt"] for image in images], ['a "dot" & more', "only text", "a drawing"])
        self.assertEqual((images[0]["width"], images[0]["style"]), ("900", "max-width:100%;min-width:675px"))

    def test_a_table_moves_in_itself_and_its_caption_stays(self):
        html = "<table><caption>the stages</caption><tr><td>1</td></tr></table>"
        page = self.page(code("1", shown({"text/html": html, "text/plain": "x"})))
        around = page.find(role="region")
        self.assertEqual((around["aria-label"], around["tabindex"]), ("the stages", "0"))
        self.assertEqual(around.find_previous_sibling(class_="caption").get_text(), "the stages")

    def test_text_stays_text(self):
        page = self.page(
            code(
                "let a = b < c && d;", {"output_type": "stream", "name": "stdout", "text": "<b> & \x1b[31mred\x1b[0m\n"}
            ),
            code("2", shown({"text/plain": ""})),
        )
        self.assertIn("let a = b < c && d;", page.find(class_="highlight").get_text())
        self.assertEqual(page.find(class_="output").get_text().strip(), "<b> & red")
        self.assertEqual(len(page.find_all(class_="output")), 1, "an emptied place is no output")

    def test_a_notebook_is_written_as_jupyter_wrote_it(self):
        committed = sorted((ROOT / "notebooks").glob("*.ipynb"))
        self.assertGreaterEqual(len(committed), 7)
        for path in committed:
            self.assertEqual(notebook_files.text(notebook_files.read(path)).encode(), path.read_bytes(), path.name)

    def test_mistakes_are_said(self):
        (self.folder / "no.ipynb").write_text("not a notebook")
        self.write("one.ipynb", words("text"))
        for arguments, message in [
            (["no.ipynb"], "is not a notebook"),
            (["one.ipynb", "no.ipynb", "--out", "page.html"], "names one file, and there are several"),
            (["one.ipynb", "--out", "one.ipynb/pages"], "cannot be written"),
        ]:
            status, errors = self.export(*arguments)
            self.assertEqual(status, 1)
            self.assertIn(message, errors)


if __name__ == "__main__":
    unittest.main()
