"""Downloads a file of a Python package from pip's package index, with progress, and resumes an interrupted download."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

TIMEOUT_SECONDS = 60
CHUNK_BYTES = 1 << 18
SECONDS_BETWEEN_LINES = 5
JSON_PAGE = "application/vnd.pypi.simple.v1+json"


class DownloadError(Exception):
    """The file cannot be found in the index, or the connection failed."""


def download(package: str, file: str, target: Path) -> None:
    """Downloads `file` of `package` to `target`; what an interrupted call leaves in `target.part` is continued."""
    part = target.with_name(target.name + ".part")
    try:
        url = file_url(index_url(), package, file)
        _download_rest(url, part)
        part.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{file}: {error}") from error


def index_url() -> str:
    """Returns the index that pip uses: from its settings, or else its default."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    # The last of these has precedence in pip.
    for name in (":env:.index-url", "download.index-url", "global.index-url"):
        if name in settings:
            return settings[name].strip("'\"").rstrip("/")
    from pip._internal.models.index import PyPI

    return PyPI.simple_url.rstrip("/")


def file_url(index: str, package: str, file: str) -> str:
    """Returns the URL of a package's file, from the package's page in the index."""
    page_url = f"{index}/{package.lower()}/"
    request = urllib.request.Request(page_url, headers={"Accept": f"{JSON_PAGE}, text/html;q=0.5"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        text, kind, page_url = answer.read().decode(), answer.headers.get_content_type(), answer.url
    try:
        links = [entry["url"] for entry in json.loads(text)["files"]] if kind == JSON_PAGE else _links(text)
    except (ValueError, KeyError, TypeError):
        raise DownloadError(f"{page_url} is no page of a package index") from None
    for link in links:
        url = urllib.parse.urljoin(page_url, link)
        if urllib.parse.unquote(urllib.parse.urlsplit(url).path).endswith("/" + file):
            return urllib.parse.urldefrag(url).url
    raise DownloadError(f"the package index has no {file} of {package}")


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _links(page: str) -> list[str]:
    parser = _LinkParser()
    parser.feed(page)
    return parser.links


def _download_rest(url: str, part: Path) -> None:
    """Appends to `part` what it lacks of the file at `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        # 416: nothing is missing, or the part is not of this file; the SHA-256 of the whole tells which.
        if error.code == 416:
            return
        raise
    with answer:
        if have and answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        with part.open("ab" if have else "wb") as out:
            progress = Progress(part.stem, have, total)
            while chunk := answer.read(CHUNK_BYTES):
                out.write(chunk)
                progress.add(len(chunk))
            progress.end()
        if total and progress.done != total:
            raise DownloadError(f"{part.stem}: the connection ended after {progress.done} of {total} bytes")


class Progress:
    """A line of progress: rewritten in a terminal, printed every few seconds elsewhere."""

    def __init__(self, file: str, done: int, total: int) -> None:
        self.file, self.done, self.total = file, done, total
        self.is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.printed = time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.printed >= (0.2 if self.is_terminal else SECONDS_BETWEEN_LINES):
            self.printed = now
            start, end = ("\r", "") if self.is_terminal else ("", "\n")
            print(f"{start}  {self._text()}", end=end, flush=True)

    def end(self) -> None:
        if self.is_terminal:
            print(f"\r  {self._text()}", flush=True)

    def _text(self) -> str:
        total = f" of {self.total / 1e6:.1f}" if self.total else ""
        return f"{self.done / 1e6:.1f}{total} MB  {self.file}"
