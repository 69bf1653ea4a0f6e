"""Tests that exported pages embed only images and sounds of the notebook's folder, and run no scripts of the notebook.

.venv/bin/python tests/export/test_hostile.py
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
import unittest

from bs4 import BeautifulSoup

from exporting import DOT, ExportTest, code, display_data, markdown


class HostilePages(ExportTest):
    def refused(self, source: str, expected: str) -> None:
        """Checks that a Markdown cell cannot be exported, in one line, and that no page is written."""
        self.write("one.ipynb", markdown(source))
        start = time.monotonic()
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 1, source)
        self.assertIn(expected, errors, source)
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertLess(time.monotonic() - start, 5, source)
        self.assertFalse((self.folder / "one.html").exists())

    def html(self, html: str) -> BeautifulSoup:
        """Exports HTML as an output, as Markdown and as a raw cell; checks that the page holds nothing that runs."""
        raw = {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": html}
        plain = {"cell_type": "raw", "metadata": {}, "source": html}
        page = self.page(markdown(html), code("1", display_data({"text/html": html, "text/plain": "x"})), raw, plain)
        self.assertFalse(page.find_all(["script", "base", "object", "embed", "form", "input", "link", "svg"]), html)
        self.assertEqual(len(page.find_all("meta")), 3, html)
        for element in page.find_all(True):
            self.assertFalse([name for name in element.attrs if name.lower().startswith("on")], element)
            for name in ("href", "src", "action", "formaction"):
                address = "".join(element.get(name, "").split()).lower()
                self.assertFalse(address.startswith(("javascript:", "vbscript:", "data:text")), element)
        return page

    def test_only_files_below_the_folder_are_embedded(self) -> None:
        outside = self.folder.parent / f"{self.folder.name}-secret.png"
        outside.write_bytes(b"secret")
        self.addCleanup(outside.unlink)
        (self.folder / "link.png").symlink_to(outside)
        (self.folder / "up").symlink_to(self.folder.parent)
        (self.folder / "loop.png").symlink_to("loop.png")
        for address in (
            f"../{outside.name}",
            f"%2e%2e/{outside.name}",
            f"a/../../{outside.name}",
            str(outside),
            "link.png",
            f"up/{outside.name}",
        ):
            self.refused(f"![x]({address})", "is outside the notebook's folder")
            self.refused(f'<img src="{address}">', "is outside the notebook's folder")
        for address in ("loop.png", "gone.png", "a%00b.png"):
            self.refused(f"![x]({address})", "cannot be opened")
        self.refused(f'<audio controls src="../{outside.stem}.wav"></audio>', "is outside the notebook's folder")

    def test_only_images_and_sounds_are_embedded(self) -> None:
        (self.folder / "id_rsa").write_text("secret")
        (self.folder / "notes.txt").write_text("secret")
        for address in ("/etc/passwd", "../../../etc/passwd", "id_rsa", "notes.txt", ".", "file:///etc/passwd"):
            self.refused(f'<img src="{address}">', "is no image or sound")

    def test_only_regular_files_of_limited_size_are_embedded(self) -> None:
        os.mkfifo(self.folder / "pipe.png")
        self.refused("![x](pipe.png)", "is not a regular file")
        (self.folder / "folder.png").mkdir()
        self.refused("![x](folder.png)", "folder.png, which")
        with (self.folder / "large.png").open("wb") as file:
            file.truncate(10_000_001)
        self.refused("![x](large.png)", "has more than 10 MB")

    def test_a_notebook_that_is_a_pipe_or_a_folder_is_an_error(self) -> None:
        os.mkfifo(self.folder / "pipe.ipynb")
        (self.folder / "folder.ipynb").mkdir()
        for name, expected in (("pipe.ipynb", "a pipe or a socket"), ("folder.ipynb", "folder.ipynb")):
            status, errors = self.export(name)
            self.assertEqual((status, errors.count("\n")), (1, 1), errors)
            self.assertIn(expected, errors)

    def test_widths_need_not_be_numbers(self) -> None:
        source = f"data:image/png;base64,{DOT}"
        for width in ("100%", "", "9" * 400, "²", "-3", "1e3"):
            html = f'<img alt="x" width="{width}" src="{source}">'
            self.assertTrue(self.html(html).find_all("img"))

    def test_scripts_and_handlers_are_removed(self) -> None:
        for html in (
            "<script>alert(1)</script>",
            "<ScRiPt/x>alert(1)</sCrIpT\n>",
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "<img src=x.invalid: onerror=alert(1)>",
            '<img src="javascript:alert(1)">',
            "<b/onmouseover=alert(1)>b</b>",
            "<svg onload=alert(1)><script>alert(1)</script></svg>",
            "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=1 onerror=alert(1)>'>",
            "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
            '<details open ontoggle="alert(1)"><summary>s</summary></details>',
            '<a href="javascript:alert(1)">a</a>',
            '<a href="&#x6A;avascript:alert(1)">a</a>',
            '<a href="java\nscript:alert(1)">a</a>',
            '<a href="data:text/html,<script>alert(1)</script>">a</a>',
            '<iframe src="javascript:alert(1)"></iframe>',
            '<iframe src="data:text/html,<script>alert(1)</script>"></iframe>',
            '<object data="data:text/html,<script>alert(1)</script>"></object><embed src="x.svg">',
            '<form action="https://evil.example"><input name=q><button formaction="https://evil.example">go</button></form>',
            '<meta http-equiv="refresh" content="0; url=https://evil.example">',
            '<base href="https://evil.example/">',
            '<link rel="stylesheet" href="https://evil.example/a.css">',
            "<style>body { background: url(https://evil.example) }</style>",
            "</main></body><script>alert(1)</script>",
            "<!-- --!><script>alert(1)</script> -->",
            "<plaintext><script>alert(1)</script>",
            "<title></title><script>alert(1)</script>",
        ):
            page = self.html(html)
            self.assertNotIn("evil.example", str(page.main).replace("&lt;", "<").split("<pre>")[0], html)

    def test_styles_load_and_move_nothing(self) -> None:
        style = "color:red;position:fixed;top:0;background:url(https://evil.example);width:expression(alert(1))"
        page = self.html(f'<p style="{style}">text</p>')
        for element in page.main.find_all(style=True):
            self.assertNotRegex(element["style"], "position|url|top")

    def test_formulas_hold_no_links(self) -> None:
        for tex in (
            "\\href{javascript:alert(1)}{x}",
            "\\text{<script>alert(1)</script>}",
            "<img src=x onerror=1>",
            "\\text{<b><!-- --><i>}",
        ):
            page = self.page(markdown(f"$${tex}$$"), code("1", display_data({"text/latex": f"$${tex}$$"})))
            self.assertFalse(page.find_all(["script", "img", "b"]), tex)
            self.assertFalse(page.select("[href], [xlink\\:href]"), tex)

    def test_outputs_cannot_leave_their_attributes(self) -> None:
        evil = '"><script>alert(1)</script>'
        for mime in ("image/png", "image/jpeg"):
            self.write("one.ipynb", code("1", display_data({mime: evil, "text/plain": "x"})))
            status, errors = self.export("one.ipynb")
            self.assertEqual((status, errors.count("\n")), (1, 1), errors)
            self.assertIn(f"an output of type {mime} is not valid base64", errors)
        page = self.page(code("1", display_data({"image/png": DOT}, {"image/png": {"alt": evil, "width": evil}})))
        self.assertFalse(page.find_all("script"))
        lines = "\n".join([DOT[:20], DOT[20:]])
        page = self.page(code("1", display_data({"image/png": lines, "text/plain": "x"})))
        self.assertEqual(page.img["src"], f"data:image/png;base64,{DOT}")
        attachment = markdown("![x](attachment:b.png)", attachments={"b.png": {evil: DOT}})
        self.assertFalse(self.page(attachment).find_all("script"))
        page = self.page(markdown(f"# {evil}"))
        self.assertFalse(page.find_all("script"))

    def test_metadata_is_escaped(self) -> None:
        evil = '"><script>alert(1)</script>'
        cell = code("1", {"output_type": "stream", "name": "stdout", "text": evil})
        cell["metadata"] = {"tags": [evil], "magics_language": evil, "name": evil, "metamers_live": [evil]}
        self.write("one.ipynb", cell, metadata={"language_code": evil, "title": evil, "language_info": {"name": evil}})
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 0, errors)
        page = BeautifulSoup((self.folder / "one.html").read_text(), "html.parser")
        self.assertFalse(page.find_all("script"))

    def test_frames_are_sandboxed_and_only_their_scripts_run(self) -> None:
        script = "\nparent.x = 1;\n"
        inner = f"<script>{script}</script><script type='application/json'>{{}}</script>".replace("'", "&quot;")
        page = self.page(code("1", display_data({"text/html": f"<iframe srcdoc='{inner}' allow='camera'></iframe>"})))
        frame = page.iframe
        self.assertEqual(frame["sandbox"], ["allow-scripts", "allow-downloads"])
        self.assertFalse(frame.has_attr("allow"))
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self.assertEqual(self.directive(page, "script-src"), f"'sha256-{digest}'")

    def test_the_policy_has_no_holes(self) -> None:
        page = self.page(markdown("text"))
        for name in ("default-src", "script-src", "base-uri", "form-action", "frame-src"):
            self.assertEqual(self.directive(page, name), "'none'")

    def directive(self, page: BeautifulSoup, name: str) -> str:
        policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        values = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
        return values[name]

    def test_what_is_left_out_is_said(self) -> None:
        html = "<script>1</script><script>2</script><p>text</p>"
        self.write("one.ipynb", code("1", display_data({"text/html": html})))
        status, errors = self.export("one.ipynb")
        self.assertEqual(status, 0)
        self.assertIn("note: ", errors)
        self.assertIn("left out 2 <script>; pages run no scripts", errors)

    def test_two_notebooks_do_not_share_a_page(self) -> None:
        for folder in ("a", "b"):
            (self.folder / folder).mkdir()
            self.write(f"{folder}/one.ipynb", markdown("text"))
        status, errors = self.export("a/one.ipynb", "b/one.ipynb", "--out", "pages")
        self.assertEqual(status, 1)
        self.assertIn("two notebooks would be saved as pages/one.html", errors)


if __name__ == "__main__":
    unittest.main()
