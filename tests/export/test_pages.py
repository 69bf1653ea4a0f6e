"""Tests the content of exported pages on small notebooks.

.venv/bin/python tests/export/test_pages.py
"""

from __future__ import annotations

import base64
import os
import unittest

from bs4 import BeautifulSoup

from exporting import DOT, ROOT, ExportTest, code, display_data, markdown

import notebook_files  # isort: skip (exporting adds its folder to the path)


class Pages(ExportTest):
    def test_the_first_heading_is_the_title(self) -> None:
        page = self.page(markdown("# A *dog* & its metamer\n\nText."))
        self.assertEqual(page.title.string, "A dog & its metamer")
        self.assertEqual(page.html["lang"], "en")
        self.assertEqual(self.page(code("1")).title.string, "one")

    def test_formulas_become_mathml_and_invalid_ones_stay_tex(self) -> None:
        page = self.page(
            markdown("The loss $\\frac{a}{b}$ is\n\n$$\\lVert x \\rVert^2 < 1$$\n\nand costs \\$5 or \\$6.")
        )
        inline, block = page.find_all("math")
        self.assertEqual((inline["display"], block["display"]), ("inline", "block"))
        self.assertTrue(inline.find("mfrac") and "‖" in block.get_text() and "<" in block.get_text())
        self.assertIn("$5 or $6", page.get_text())
        page = self.page(markdown("$$\\left( a$$"))
        self.assertIn("\\left( a", page.get_text())

    def test_images_in_markdown_are_embedded(self) -> None:
        (self.folder / "figures").mkdir()
        (self.folder / "figures/a dot.png").write_bytes(base64.b64decode(DOT))
        attached = markdown("![attached](attachment:b.png)", attachments={"b.png": {"image/png": DOT}})
        page = self.page(
            markdown("![a dot](figures/a%20dot.png)\n\n<img src='figures/a dot.png' alt='as HTML'>"), attached
        )
        images = page.find_all("img")
        self.assertEqual([image["alt"] for image in images], ["a dot", "as HTML", "attached"])
        self.assertEqual({image["src"] for image in images}, {f"data:image/png;base64,{DOT}"})

    def test_a_missing_image_is_an_error_and_no_page_is_written(self) -> None:
        self.write("one.ipynb", markdown("![gone](gone.png)"))
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 1)
        self.assertIn("it embeds gone.png, which cannot be opened", errors)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["one.ipynb"])

    def test_remote_resources_become_links(self) -> None:
        html = (
            "<script src='https://example.org/a.js'></script><iframe src='https://example.org/b'></iframe><p>text</p>"
        )
        page = self.page(
            markdown("![far](https://example.org/far.png)"),
            code("1", display_data({"text/html": html, "text/plain": "x"})),
        )
        self.assertFalse(page.find_all(["img", "iframe", "script", "link"]))
        self.assertEqual(
            [link["href"] for link in page.find_all("a")], ["https://example.org/far.png", "https://example.org/b"]
        )
        self.assertIn("far (online)", page.get_text())

    def test_links_lead_to_exported_pages_or_name_the_file(self) -> None:
        self.write(
            "one.ipynb",
            markdown("[next](two.ipynb#end), [more](../assets/README.md), [far](https://example.org), [down](#end)"),
        )
        self.write("two.ipynb", markdown("# end"))
        for arguments, address in [(["two.ipynb"], "two.html#end"), ([], None)]:
            status, errors = self.export("one.ipynb", *arguments, "--out", "pages")
            self.assertEqual(status, 0, errors)
            page = BeautifulSoup((self.folder / "pages/one.html").read_text(), "html.parser")
            found = [link["href"] for link in page.find_all("a")]
            self.assertEqual(found, ([address] if address else []) + ["https://example.org", "#end"])
            self.assertIn("more (file README.md of the project)", page.get_text())
            self.assertEqual("next (notebook two.ipynb of the project)" in page.get_text(), address is None)

    def test_every_output_image_has_an_alt_text_and_a_width(self) -> None:
        metadata = {"image/png": {"alt": 'a "dot" & more', "width": 900}}
        vector = '<svg xmlns="http://www.w3.org/2000/svg"/>'
        page = self.page(
            code(
                "1",
                display_data({"image/png": DOT, "text/plain": "p"}, metadata),
                display_data({"image/png": DOT, "text/plain": "only text"}),
            ),
            code("2", display_data({"image/svg+xml": vector, "text/plain": "a drawing"})),
        )
        images = page.find_all("img")
        self.assertEqual([image["alt"] for image in images], ['a "dot" & more', "only text", "a drawing"])
        self.assertEqual((images[0]["width"], images[0]["style"]), ("900", "max-width:100%;min-width:675px"))

    def test_a_table_scrolls_and_its_caption_does_not(self) -> None:
        html = "<table><caption>the stages</caption><tr><td>1</td></tr></table>"
        page = self.page(code("1", display_data({"text/html": html, "text/plain": "x"})))
        around = page.find(role="region")
        self.assertEqual((around["aria-label"], around["tabindex"]), ("the stages", "0"))
        self.assertEqual(around.find_previous_sibling(class_="caption").get_text(), "the stages")

    def test_text_is_escaped(self) -> None:
        page = self.page(
            code(
                "let a = b < c && d;", {"output_type": "stream", "name": "stdout", "text": "<b> & \x1b[31mred\x1b[0m\n"}
            ),
            code("2", display_data({"text/plain": ""})),
        )
        self.assertIn("let a = b < c && d;", page.find(class_="highlight").get_text())
        self.assertEqual(page.find(class_="output").get_text().strip(), "<b> & red")
        self.assertEqual(len(page.find_all(class_="output")), 1, "an empty output is removed")

    def test_an_explorer_becomes_a_link_to_a_page_that_makes_metamers(self) -> None:
        program = self.folder / "metamers"
        program.write_text(
            '#!/bin/sh\n[ "$2" = no_such_network ] && { echo unknown >&2; exit 1; }\necho "$1 $2" > "$3"\n'
        )
        program.chmod(0o755)
        os.environ["METAMERS"] = str(program)
        self.addCleanup(os.environ.pop, "METAMERS")
        page = self.page(code("1", display_data({"text/plain": "x"}, {"metamers": {"page": "cochcnn_words"}})))
        self.assertEqual(page.find(class_="output").find("a")["href"], "make_a_metamer_cochcnn_words.html")
        self.assertEqual((self.folder / "make_a_metamer_cochcnn_words.html").read_text(), "page cochcnn_words\n")
        page = self.page(code("1", display_data({"text/plain": "x"}, {"metamers": {"page": "no_such_network"}})))
        self.assertIn("cargo metamers page no_such_network", page.find(class_="output").get_text())
        for hostile in ("../x", '"><script>', {"a": 1}):
            page = self.page(code("1", display_data({"text/plain": "x"}, {"metamers": {"page": hostile}})))
            self.assertFalse(page.find_all(["a", "script"]))

    def test_a_frame_over_a_picture_keeps_its_script_and_its_place(self) -> None:
        html = (
            '<div style="display:grid;grid-template-columns:minmax(0,1fr)">'
            '<img src="data:image/png;base64,%s" alt="still" style="grid-area:1/1">'
            '<iframe srcdoc="<p>tool</p><script>1</script>" title="tool" style="grid-area:1/1"></iframe></div>'
        )
        page = self.page(code("1", display_data({"text/html": html % DOT, "text/plain": "x"})))
        self.assertIn("grid-area", page.find("iframe")["style"])
        self.assertIn("<script>1</script>", page.find("iframe")["srcdoc"])

    def test_notebooks_keep_jupyters_layout(self) -> None:
        committed = sorted((ROOT / "notebooks").glob("*.ipynb"))
        self.assertGreaterEqual(len(committed), 7)
        for path in committed:
            self.assertEqual(notebook_files.serialize(notebook_files.read(path)).encode(), path.read_bytes(), path.name)

    def test_invalid_files_and_arguments_are_reported(self) -> None:
        (self.folder / "no.ipynb").write_text("not a notebook")
        self.write("one.ipynb", markdown("text"))
        for arguments, message in [
            (["no.ipynb"], "is not a notebook"),
            (["one.ipynb", "no.ipynb", "--out", "page.html"], "--out is a file, but there are several notebooks"),
            (["one.ipynb", "--out", "one.ipynb/pages"], "cannot be written"),
        ]:
            status, errors = self.export(*arguments)
            self.assertEqual(status, 1)
            self.assertIn(message, errors)


if __name__ == "__main__":
    unittest.main()
