"""Tests of the download of optional networks, on an index on this machine that breaks connections."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import unittest
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "assets"))

from download import JSON_PAGE, DownloadError, download, file_url
from sources import AssetError, Source, sha256

DATA = bytes(range(256)) * 4096
FILE = "Some_Package-1.0.tar.gz"


class Index(BaseHTTPRequestHandler):
    """A package index with one package; `limit` ends the connection after so many bytes of the file."""

    json_page = True
    ranges = True
    limit: int | None = None
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path == "/simple/some-package/":
            self._page()
        elif self.path.startswith("/simple/broken-"):
            text = {"/simple/broken-json/": "{", "/simple/broken-files/": '{"files": [1]}'}.get(self.path, "[]")
            self._start(200, JSON_PAGE, len(text))
            self.wfile.write(text.encode())
        elif self.path.startswith("/files/"):
            self._file()
        else:
            self.send_error(404)

    def _page(self) -> None:
        link = f"/files/{FILE}#sha256=0"
        text = f'<a href="/files/other.whl">other</a><a href="{link}">{FILE}</a>'
        if self.json_page:
            text = json.dumps({"files": [{"url": "/files/other.whl"}, {"url": link}]})
        self._start(200, JSON_PAGE if self.json_page else "text/html", len(text))
        self.wfile.write(text.encode())

    def _file(self) -> None:
        asked = self.headers.get("Range", "")
        Index.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(DATA):
            self.send_error(416)
            return
        self._start(206 if start else 200, "application/octet-stream", len(DATA) - start)
        rest = DATA[start:]
        self.wfile.write(rest if self.limit is None else rest[: self.limit])

    def _start(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


class Download(unittest.TestCase):
    def setUp(self) -> None:
        Index.json_page, Index.ranges, Index.limit, Index.asked = True, True, None, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.target = Path(folder.name) / FILE
        self.index = f"http://127.0.0.1:{self.server.server_port}/simple"
        self.enterContext(environment(PIP_INDEX_URL=self.index, no_proxy="127.0.0.1"))
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))

    def test_the_url_is_found_on_json_and_html_pages(self) -> None:
        for Index.json_page in (True, False):
            url = file_url(self.index, "Some-Package", FILE)
            self.assertEqual(url, f"http://127.0.0.1:{self.server.server_port}/files/{FILE}")
        with self.assertRaisesRegex(DownloadError, "has no absent.whl"):
            file_url(self.index, "some-package", "absent.whl")

    def test_a_damaged_page_of_the_index_is_an_error(self) -> None:
        for package in ("broken-json", "broken-files", "broken-list"):
            with self.assertRaisesRegex(DownloadError, "is no page of a package index"):
                download(package, FILE, self.target)

    def test_an_interrupted_download_is_continued(self) -> None:
        Index.limit = 300_000
        with self.assertRaises(DownloadError):
            download("some-package", FILE, self.target)
        self.assertFalse(self.target.exists())
        have = self.target.with_name(FILE + ".part").stat().st_size
        self.assertEqual(have, 300_000)
        Index.limit = None
        download("some-package", FILE, self.target)
        self.assertEqual(Index.asked, ["", f"bytes={have}-"])
        self.assertEqual(self.target.read_bytes(), DATA)

    def test_a_server_without_ranges_sends_everything_again(self) -> None:
        Index.ranges = False
        self.target.with_name(FILE + ".part").write_bytes(b"old")
        download("some-package", FILE, self.target)
        self.assertEqual(self.target.read_bytes(), DATA)

    def test_a_complete_part_is_taken_and_a_wrong_one_is_found_by_its_hash(self) -> None:
        source = Source("PyPI", "some-package", "1.0", FILE, sha256(DATA), "MIT")
        part = self.target.with_name(FILE + ".part")
        part.write_bytes(DATA)
        self.assertEqual(source.fetch(self.target.parent).data, DATA)
        self.target.unlink()
        part.write_bytes(b"x" * len(DATA))
        with self.assertRaisesRegex(AssetError, "try again"):
            source.fetch(self.target.parent)
        # The wrong file is out of the way.
        self.assertEqual(source.fetch(self.target.parent).data, DATA)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Sets environment variables for a while."""
    old = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


if __name__ == "__main__":
    unittest.main()
